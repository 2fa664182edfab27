/* SPDX-License-Identifier: Apache-2.0 */
#include "event/event.h"

#include "unit.h"

static void writes(const struct event *e, const char *expected)
{
    autobuf out = BUF_INIT;
    event_json_write(e, &out);
    assert_true(buf_ok(&out));
    assert_string_equal(out.ptr, expected);
}

static struct event with_data(enum event_version version, const char *type, struct slice data)
{
    struct event e = {.version = version, .data = data, .has_data = true};
    if (type != NULL)
        assert_int_equal(event_set(&e, "datacontenttype", slice_text(type)), 0);
    return e;
}

static void writes_attributes_by_kind(void **state)
{
    struct event e = {.version = EVENT_V1,
                      .count = 4,
                      .attributes = {{SLICE("id"), SLICE("a\"b\n\xc3\xa9"), EVENT_VALUE_STRING},
                                     {SLICE("n"), SLICE("-5"), EVENT_VALUE_INTEGER},
                                     {SLICE("b"), SLICE("true"), EVENT_VALUE_BOOLEAN},
                                     {SLICE("m"), SLICE("{\"x\":[1]}"), EVENT_VALUE_JSON}}};
    writes(&e, "{\"specversion\":\"1.0\",\"id\":\"a\\\"b\\n\xc3\xa9\",\"n\":-5,\"b\":true,"
               "\"m\":{\"x\":[1]}}");
}

static void writes_data_by_its_type(void **state)
{
    struct event e = with_data(EVENT_V1, "application/json", SLICE("{\"b\": 1.10}"));
    writes(&e, "{\"specversion\":\"1.0\",\"datacontenttype\":\"application/json\","
               "\"data\":{\"b\": 1.10}}");
    e = with_data(EVENT_V1, "application/json", SLICE("{broken"));
    writes(&e, "{\"specversion\":\"1.0\",\"datacontenttype\":\"application/json\","
               "\"data_base64\":\"e2Jyb2tlbg==\"}");
    e = with_data(EVENT_V1, "text/plain; charset=utf-8", SLICE("hi \"you\""));
    writes(&e, "{\"specversion\":\"1.0\",\"datacontenttype\":\"text/plain; charset=utf-8\","
               "\"data\":\"hi \\\"you\\\"\"}");
    e = with_data(EVENT_V1, "text/plain", SLICE("\xff"));
    writes(&e, "{\"specversion\":\"1.0\",\"datacontenttype\":\"text/plain\","
               "\"data_base64\":\"/w==\"}");
    e = with_data(EVENT_V1, "application/octet-stream", SLICE("abc"));
    writes(&e, "{\"specversion\":\"1.0\",\"datacontenttype\":\"application/octet-stream\","
               "\"data_base64\":\"YWJj\"}");
    e = with_data(EVENT_V1, NULL, SLICE("[1]"));
    writes(&e, "{\"specversion\":\"1.0\",\"data\":[1]}");
    e = with_data(EVENT_V1, NULL, SLICE("text"));
    writes(&e, "{\"specversion\":\"1.0\",\"data_base64\":\"dGV4dA==\"}");
    e = with_data(EVENT_V1, "text/plain", SLICE(""));
    writes(&e, "{\"specversion\":\"1.0\",\"datacontenttype\":\"text/plain\",\"data\":\"\"}");
    e = with_data(EVENT_V1, "application/json", SLICE(""));
    writes(&e, "{\"specversion\":\"1.0\",\"datacontenttype\":\"application/json\","
               "\"data_base64\":\"\"}");
}

static void writes_old_events_the_old_way(void **state)
{
    struct event e = with_data(EVENT_V03, "image/png", SLICE("\x89P"));
    writes(&e, "{\"specversion\":\"0.3\",\"datacontenttype\":\"image/png\","
               "\"datacontentencoding\":\"base64\",\"data\":\"iVA=\"}");
    /* A binary-mode sender that encoded the data itself: passed on as it came. */
    e = with_data(EVENT_V03, "image/png", SLICE("iVA="));
    assert_int_equal(event_set(&e, "datacontentencoding", SLICE("base64")), 0);
    writes(&e, "{\"specversion\":\"0.3\",\"datacontenttype\":\"image/png\","
               "\"datacontentencoding\":\"base64\",\"data\":\"iVA=\"}");
}

/* What was written reads back as the same event. */
static void reads_back(void **state)
{
    static const struct {
        const char *type;
        struct slice data;
    } cases[] = {
        {"application/json", {"{\"a\":[1,2,{\"b\":null}]}", 22}},
        {"application/json", {"not json", 8}},
        {"text/plain", {"a\tb\0c", 5}},
        {"application/xml", {"<a>\xc3\xa9</a>", 9}},
        {"application/octet-stream", {"\0\1\2\xff", 4}},
        {"text/plain", {"", 0}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (int v = 0; v < EVENT_VERSION_COUNT; v++) {
            struct event_arena arena = {NULL};
            struct error err = ERROR_INIT;
            struct event e = with_data((enum event_version)v, cases[i].type, cases[i].data), back;
            assert_int_equal(event_set(&e, "id", SLICE("1 \xe2\x82\xac")), 0);
            assert_int_equal(event_set(&e, "source", SLICE("/a")), 0);
            assert_int_equal(event_set(&e, "type", SLICE("t")), 0);
            autobuf out = BUF_INIT;
            event_json_write(&e, &out);
            assert_int_equal(event_json_read(buf_slice(&out), &back, &arena, &err), 0);
            assert_int_equal(back.version, e.version);
            assert_int_equal(back.count, e.count);
            for (unsigned a = 0; a < e.count; a++)
                assert_true(slice_equal(back.attributes[a].value, e.attributes[a].value));
            assert_true(slice_equal(back.data, e.data));
            event_arena_done(&arena);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_attributes_by_kind),
        cmocka_unit_test(writes_data_by_its_type),
        cmocka_unit_test(writes_old_events_the_old_way),
        cmocka_unit_test(reads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
