/* SPDX-License-Identifier: Apache-2.0 */
#include "event/event.h"

#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static struct event event;
static struct event_arena arena;
static struct error err;

static int read_text(const char *json)
{
    event_arena_done(&arena);
    err = (struct error)ERROR_INIT;
    return event_json_read(slice_text(json), &event, &arena, &err);
}

#define HEAD   "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/a\",\"type\":\"t\""
#define HEAD03 "{\"specversion\":\"0.3\",\"id\":\"1\",\"source\":\"/a\",\"type\":\"t\""

static bool attribute_is(const char *name, const char *value)
{
    return slice_is(event_get(&event, name), value);
}

static void good(const char *json)
{
    if (read_text(json) != 0)
        fail_msg("%s: %s", json, err.message);
}

static void bad(const char *json, const char *field)
{
    if (read_text(json) != -EINVAL)
        fail_msg("accepted: %s", json);
    assert_true(err.message[0] != '\0');
    assert_string_equal(err.field, field);
    assert_int_equal(event_json_read(slice_text(json), &event, &arena, NULL), -EINVAL);
}

static void keeps_data_as_it_came(void **state)
{
    static const char *const values[] = {"123456789012345678901234567890",
                                         "1.10",
                                         "{\"b\":1, \"a\" :2}",
                                         "[ ]",
                                         "\"a\\u0062\"",
                                         "null",
                                         "true",
                                         "-0.0e+1",
                                         "{\"a\":1,\"a\":2}"};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        char json[256];
        snprintf(json, sizeof(json), HEAD ",\"data\": %s }", values[i]);
        good(json);
        assert_true(event.has_data && slice_is(event.data, values[i]));
        assert_true(attribute_is("datacontenttype", "application/json")); /* said, not implied */
        snprintf(json, sizeof(json),
                 HEAD03 ",\"data\":%s,\"datacontenttype\":\"application/x+json; a=b\"}", values[i]);
        good(json);
        assert_true(event.has_data && slice_is(event.data, values[i]));
        assert_int_equal(event.version, EVENT_V03);
    }
}

static void understands_data_by_its_type(void **state)
{
    good(HEAD ",\"datacontenttype\":\"text/plain\",\"data\":\"a\\n\\u00e9\"}");
    assert_true(slice_is(event.data, "a\n\xc3\xa9"));
    good(HEAD ",\"data\":\"<a/>\",\"datacontenttype\":\"application/xml\"}");
    assert_true(slice_is(event.data, "<a/>"));
    good(HEAD ",\"data\":{\"a\":1},\"datacontenttype\":\"application/xml\"}");
    assert_true(slice_is(event.data, "{\"a\":1}"));
    good(HEAD ",\"data\":null,\"datacontenttype\":\"application/xml\"}");
    assert_false(event.has_data);
    good(HEAD ",\"data\":\"\",\"datacontenttype\":\"text/plain\"}");
    assert_true(event.has_data && event.data.len == 0);
    good(HEAD "}");
    assert_false(event.has_data);
    assert_null(event_get(&event, "datacontenttype").ptr);
    good(HEAD ",\"data_base64\":\"AP8=\"}");
    assert_true(event.has_data && slice_equal(event.data, slice_of("\0\xff", 2)));
    good(HEAD ",\"data_base64\":\"\"}");
    assert_true(event.has_data && event.data.len == 0);
    good(HEAD ",\"data_base64\":null}");
    assert_false(event.has_data);
    good(HEAD03 ",\"datacontentencoding\":\"Base64\",\"data\":\"AP8=\"}");
    assert_true(slice_equal(event.data, slice_of("\0\xff", 2)));
    assert_null(event_get(&event, "datacontentencoding").ptr);
}

static void reads_attributes_of_each_kind(void **state)
{
    good(HEAD ",\"i\":-2147483648,\"j\":2147483647,\"b\":true,\"c\":false,\"n\":null,"
              "\"s\":\"x\\u0020y\",\"subject\":\"\\ud83d\\ude00\"}");
    assert_int_equal(event.count, 9);
    assert_true(attribute_is("i", "-2147483648") && attribute_is("j", "2147483647"));
    assert_int_equal(event.attributes[3].kind, EVENT_VALUE_INTEGER);
    assert_int_equal(event.attributes[5].kind, EVENT_VALUE_BOOLEAN);
    assert_true(attribute_is("b", "true") && attribute_is("c", "false"));
    assert_null(event_get(&event, "n").ptr);
    assert_true(attribute_is("s", "x y") && attribute_is("subject", "\xf0\x9f\x98\x80"));
    good("{\"spec\\u0076ersion\":\"1.0\",\"\\u0069d\":\"1\",\"source\":\"/a\",\"type\":\"t\"}");
    assert_true(attribute_is("id", "1"));
    good(HEAD03 ",\"m\":{\"a\":[1, 2]},\"f\":1.50,\"big\":2147483648,\"i\":5}");
    assert_true(attribute_is("m", "{\"a\":[1, 2]}") && attribute_is("f", "1.50"));
    assert_int_equal(event.attributes[3].kind, EVENT_VALUE_JSON);
    assert_int_equal(event.attributes[5].kind, EVENT_VALUE_JSON);
    assert_int_equal(event.attributes[6].kind, EVENT_VALUE_INTEGER);
    good(HEAD ",\"comexampleextension2\":\"{\\\"othervalue\\\": 5}\\n\"}"); /* conformance suite */
}

static void refuses_malformed_events(void **state)
{
    bad("", "");
    bad("[]", "");
    bad("\"a\"", "");
    bad("{}", "specversion");
    bad("{\"id\":\"1\",\"source\":\"/a\",\"type\":\"t\"}", "specversion");
    bad("{\"specversion\":1.0,\"id\":\"1\",\"source\":\"/a\",\"type\":\"t\"}", "specversion");
    bad("{\"specversion\":\"19.0\",\"id\":\"1\",\"source\":\"/a\",\"type\":\"t\"}", "specversion");
    bad("{\"specversion\":null,\"id\":\"1\",\"source\":\"/a\",\"type\":\"t\"}", "specversion");
    bad("{\"specversion\":\"1.0\",\"source\":\"/a\",\"type\":\"t\"}", "id");
    bad("{\"specversion\":\"1.0\",\"id\":null,\"source\":\"/a\",\"type\":\"t\"}", "id");
    bad("{\"specversion\":\"1.0\",\"id\":\"\",\"source\":\"/a\",\"type\":\"t\"}", "id");
    bad("{\"specversion\":\"1.0\",\"id\":5,\"source\":\"/a\",\"type\":\"t\"}", "id");
    bad("{\"specversion\":\"1.0\",\"id\":\"1\",\"type\":\"t\"}", "source");
    bad("{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/a\"}", "type");
    bad(HEAD ",\"id\":\"2\"}", "id");
    bad(HEAD ",\"i\\u0064\":\"2\"}", "id");
    bad(HEAD ",\"specversion\":\"1.0\"}", "specversion");
    bad(HEAD ",\"data\":1,\"data\":2}", "data");
    bad(HEAD ",\"n\":null,\"n\":null}", "n");
    bad(HEAD ",\"data\":1,\"data_base64\":\"AA==\"}", "data_base64");
    bad(HEAD ",\"data_base64\":5}", "data_base64");
    bad(HEAD ",\"data_base64\":\"AA\"}", "data_base64");
    bad(HEAD ",\"data_base64\":\"AA==\\n\"}", "data_base64");
    bad(HEAD ",\"data_base64\":\"-_==\"}", "data_base64");
    bad(HEAD03 ",\"data_base64\":\"AA==\"}", "data_base64");
    bad(HEAD03 ",\"datacontentencoding\":\"gzip\",\"data\":\"AA==\"}", "datacontentencoding");
    bad(HEAD03 ",\"datacontentencoding\":\"base64\",\"data\":{}}", "data");
    bad(HEAD ",\"ext\":{}}", "ext");
    bad(HEAD ",\"ext\":[1]}", "ext");
    bad(HEAD ",\"ext\":2147483648}", "ext");
    bad(HEAD ",\"ext\":-2147483649}", "ext");
    bad(HEAD ",\"ext\":99999999999999999999999}", "ext");
    bad(HEAD ",\"ext\":1.5}", "ext");
    bad(HEAD ",\"ext\":1e3}", "ext");
    bad(HEAD ",\"EXT\":\"a\"}", "EXT");
    bad(HEAD ",\"my_ext\":\"a\"}", "my_ext");
    bad(HEAD ",\"\":\"a\"}", "");
    bad(HEAD ",\"ext\":\"\\u0000\"}", "ext");
    bad(HEAD ",\"ext\":\"\\ud800\"}", "ext");
    bad(HEAD ",\"\\ud800\":\"a\"}", "");
    bad(HEAD ",\"time\":\"noon\"}", "time");
    bad(HEAD ",\"time\":5}", "time");
    bad(HEAD ",\"dataschema\":\"relative\"}", "dataschema");
    bad(HEAD ",\"datacontenttype\":\"json\",\"data\":1}", "datacontenttype");
    bad(HEAD ",\"datacontenttype\":true,\"data\":1}", "datacontenttype");
    bad(HEAD ",\"subject\":\"\"}", "subject");
    bad(HEAD "", "");
    bad(HEAD ",}", "");
    bad(HEAD "} x", "");
    bad(HEAD "}{}", "");
    bad(HEAD ",\"data\":01}", "");
    bad(HEAD ",\"data\":'a'}", "");
    bad(HEAD ",data:1}", "");
    bad(HEAD ",\"data\"}", "");
}

static void says_the_line(void **state)
{
    assert_int_equal(read_text("{\n\"specversion\":\"1.0\",\n\"id\": nope}"), -EINVAL);
    assert_int_equal(err.line, 3);
    assert_non_null(strstr(err.message, "line 3"));
}

static void limits_attributes(void **state)
{
    autobuf json = BUF_INIT;
    buf_add_text(&json, HEAD);
    for (int i = 0; i < 100; i++)
        buf_printf(&json, ",\"a%d\":\"\"", i);
    buf_add_text(&json, "}");
    assert_int_equal(read_text(json.ptr), -E2BIG);
    buf_reset(&json);
    buf_add_text(&json, HEAD);
    for (int i = 0; i < 61; i++)
        buf_printf(&json, ",\"a%d\":\"\"", i);
    buf_add_text(&json, "}");
    assert_int_equal(read_text(json.ptr), 0);
    json.len--;
    buf_add_text(&json, ",\"data\":1}"); /* needs datacontenttype as one more */
    assert_int_equal(read_text(json.ptr), -E2BIG);
}

/* No prefix of an event is an event, and no changed byte makes the reader stumble. */
static void stands_damage(void **state)
{
    static const char json[] =
        HEAD ",\"ext\":\"a\\u00e9\",\"n\":-5,\"data\":{\"a\":[1.5e3,\"\\ud83d\\ude00\"]}}";
    for (size_t len = 0; len < sizeof(json) - 1; len++) {
        char *copy = malloc(len + 1);
        assert_non_null(copy);
        memcpy(copy + 1, json, len);
        event_arena_done(&arena);
        assert_int_equal(event_json_read(slice_of(copy + 1, len), &event, &arena, &err), -EINVAL);
        for (size_t at = 0; at < len; at += 3) {
            copy[1 + at] ^= 0x55;
            event_arena_done(&arena);
            (void)event_json_read(slice_of(copy + 1, len), &event, &arena, &err);
            copy[1 + at] ^= 0x55;
        }
        free(copy);
    }
}

struct seen {
    unsigned count;
    int stop_at;
    char ids[16];
};

static int see(void *ctx, const struct event *e)
{
    struct seen *s = ctx;
    s->ids[s->count++] = event_get(e, "id").ptr[0];
    return (int)s->count == s->stop_at ? -EIO : 0;
}

#define E(id)                                                                                      \
    "{\"specversion\":\"1.0\",\"id\":\"" id "\",\"source\":\"/a\",\"type\":\"t\",\"data\":1}"

static int read_batch(const char *json, struct seen *s)
{
    *s = (struct seen){0};
    err = (struct error)ERROR_INIT;
    return event_json_read_batch(slice_text(json), see, s, &err);
}

static void reads_batches_whole_or_not_at_all(void **state)
{
    struct seen s;
    assert_int_equal(read_batch("[]", &s), 0);
    assert_int_equal(s.count, 0);
    assert_int_equal(read_batch(" [ " E("a") " , " E("b") "," E("c") "\n] ", &s), 0);
    assert_int_equal(s.count, 3);
    assert_memory_equal(s.ids, "abc", 3);
    static const char *const bad_batches[] = {"",
                                              "{}",
                                              E("a"),
                                              "[",
                                              "[" E("a"),
                                              "[" E("a") ",]",
                                              "[" E("a") "] x",
                                              "[" E("a") E("b") "]",
                                              "[1]",
                                              "[null]",
                                              "[" E("a") ",{}]",
                                              "[[]]",
                                              "[" E("a") ",{\"specversion\":\"1.0\"}]"};
    for (size_t i = 0; i < sizeof(bad_batches) / sizeof(bad_batches[0]); i++) {
        if (read_batch(bad_batches[i], &s) != -EINVAL)
            fail_msg("accepted: %s", bad_batches[i]);
        assert_int_equal(s.count, 0);
    }
    assert_int_equal(read_batch("[" E("a") "," E("") "]", &s), -EINVAL);
    assert_non_null(strstr(err.message, "event 1"));
    assert_string_equal(err.field, "id");
}

static void stops_when_told(void **state)
{
    struct seen s = {.stop_at = 2};
    assert_int_equal(
        event_json_read_batch(SLICE("[" E("a") "," E("b") "," E("c") "]"), see, &s, &err), -EIO);
    assert_int_equal(s.count, 2);
}

static int count_one(void *ctx, const struct event *e)
{
    ++*(unsigned *)ctx;
    return 0;
}

static void limits_batches(void **state)
{
    unsigned count = 0;
    autobuf json = BUF_INIT;
    buf_add_text(&json, "[" E("a"));
    for (int i = 1; i < EVENT_BATCH_COUNT_MAX; i++)
        buf_add_text(&json, "," E("a"));
    buf_add_text(&json, "]");
    assert_int_equal(event_json_read_batch(buf_slice(&json), count_one, &count, &err), 0);
    assert_int_equal(count, EVENT_BATCH_COUNT_MAX);
    json.len--;
    buf_add_text(&json, "," E("a") "]");
    count = 0;
    assert_int_equal(event_json_read_batch(buf_slice(&json), count_one, &count, &err), -E2BIG);
    assert_int_equal(count, 0);
    struct slice huge = slice_of(json.ptr, (size_t)EVENT_BATCH_MAX + 1);
    assert_int_equal(event_json_read_batch(huge, count_one, &count, &err), -E2BIG);
}

static int done(void **state)
{
    event_arena_done(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_data_as_it_came),
        cmocka_unit_test(understands_data_by_its_type),
        cmocka_unit_test(reads_attributes_of_each_kind),
        cmocka_unit_test(refuses_malformed_events),
        cmocka_unit_test(says_the_line),
        cmocka_unit_test(limits_attributes),
        cmocka_unit_test(stands_damage),
        cmocka_unit_test(reads_batches_whole_or_not_at_all),
        cmocka_unit_test(stops_when_told),
        cmocka_unit_test(limits_batches),
    };
    return cmocka_run_group_tests(tests, NULL, done);
}
