/* SPDX-License-Identifier: Apache-2.0 */
#include "event/event.h"

#include "base/memory.h"
#include "unit.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

static struct event event;
static struct event_arena arena;
static struct error err;

/* Reads a message of name, value, name, value, …, NULL. */
static int read_list(const char *body, va_list headers)
{
    struct event_http_reader r;
    event_arena_done(&arena);
    err = (struct error)ERROR_INIT;
    event_http_begin(&r, &event, &arena, &err);
    for (const char *name = va_arg(headers, const char *); name != NULL;
         name = va_arg(headers, const char *))
        event_http_header(&r, slice_text(name), slice_text(va_arg(headers, const char *)));
    return event_http_finish(&r, slice_text(body));
}

static int read_all(const char *body, ...)
{
    va_list headers;
    va_start(headers, body);
    int status = read_list(body, headers);
    va_end(headers);
    return status;
}

#define VALID   "ce-specversion", "1.0", "ce-id", "1", "ce-source", "/a", "ce-type", "t"
#define VALID03 "ce-specversion", "0.3", "ce-id", "1", "ce-source", "/a", "ce-type", "t"

static bool attribute_is(const char *name, const char *value)
{
    return slice_is(event_get(&event, name), value);
}

static void tells_modes_apart(void **state)
{
    assert_int_equal(event_mode_of(SLICE("application/cloudevents+json"), false),
                     EVENT_MODE_STRUCTURED);
    assert_int_equal(event_mode_of(SLICE("Application/CloudEvents+JSON; charset=utf-8"), true),
                     EVENT_MODE_STRUCTURED);
    assert_int_equal(event_mode_of(SLICE("application/cloudevents-batch+json"), true),
                     EVENT_MODE_BATCH);
    assert_int_equal(event_mode_of(SLICE("application/json"), true), EVENT_MODE_BINARY);
    assert_int_equal(event_mode_of(SLICE("application/json"), false), EVENT_MODE_NONE);
    assert_int_equal(event_mode_of(slice_of(NULL, 0), true), EVENT_MODE_BINARY);
    assert_int_equal(event_mode_of(slice_of(NULL, 0), false), EVENT_MODE_NONE);
}

static void reads_an_event(void **state)
{
    assert_int_equal(read_all("{\"a\":1.10}", VALID, "Content-Type", "application/json", "Host",
                              "x", "ce-time", "2018-04-05T03:56:24Z", "CE-MyExt", " padded ", NULL),
                     0);
    assert_int_equal(event.version, EVENT_V1);
    assert_int_equal(event.count, 6);
    assert_true(attribute_is("id", "1") && attribute_is("source", "/a"));
    assert_true(attribute_is("datacontenttype", "application/json"));
    assert_true(attribute_is("myext", "padded"));
    assert_true(event.has_data && slice_is(event.data, "{\"a\":1.10}"));
}

/* As seed 001's sender does it: canonical names, 0.3, a source without a scheme. */
static void reads_an_old_event(void **state)
{
    assert_int_equal(read_all("{\"msg\":\"hi\"}", "Ce-Id", "536808d3", "Ce-specversion", "0.3",
                              "Ce-Type", "dev.nodeshift.samples.js-example", "Ce-Source",
                              "dev.nodeshift.samples/js-example-source", "Content-Type",
                              "application/json", "Ce-Datacontenttype", "application/json", NULL),
                     0);
    assert_int_equal(event.version, EVENT_V03);
    assert_true(attribute_is("specversion", "0.3"));
    assert_int_equal(event.count, 4);
    assert_int_equal(read_all("", VALID03, "ce-comexampleextension2", "{\"othervalue\": 5}", NULL),
                     0);
    assert_true(attribute_is("comexampleextension2", "{\"othervalue\": 5}"));
    assert_int_equal(read_all("", VALID03, "ce-percent", "100%", "ce-quote", "\"a", NULL), 0);
    assert_true(attribute_is("percent", "100%") && attribute_is("quote", "\"a"));
}

static void decodes_values(void **state)
{
    static const char *const pairs[][2] = {
        {"Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro \xe2\x82\xac \xf0\x9f\x98\x80"},
        {"Euro%20%e2%82%ac", "Euro \xe2\x82\xac"},
        {"%61%62c", "abc"},
        {"a%2525b", "a%25b"},
        {"a b", "a b"},
        {"Euro \xe2\x82\xac", "Euro \xe2\x82\xac"},
        {"\"a b\"", "a b"},
        {"\"a \\\"b\\\\ %22c\"", "a \"b\\ \"c"},
        {"\"a\" and \"b\"", "\"a\" and \"b\""},
        {"a \"b\"", "a \"b\""},
        {"\"\"", ""},
        {"%25", "%"},
    };
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        assert_int_equal(read_all("", VALID, "ce-ext", pairs[i][0], NULL), 0);
        assert_true(attribute_is("ext", pairs[i][1]));
    }
}

static void refuses_values_that_cannot_be_decoded(void **state)
{
    static const char *const bad[] = {"%",      "a%2",       "a%zz",      "%C0%A0",
                                      "%ff",    "%ED%A0%80", "\"unended", "\"a\\\"",
                                      "%E2%82", "%00",       "a%7f"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(read_all("", VALID, "ce-ext", bad[i], NULL), -EINVAL);
        assert_string_equal(err.field, "ext");
    }
}

static void refuses_malformed_events(void **state)
{
    assert_int_equal(read_all("", NULL), -EINVAL);
    assert_string_equal(err.field, "specversion");
    assert_int_equal(read_all("", "ce-id", "1", "ce-source", "/", "ce-type", "t", NULL), -EINVAL);
    assert_string_equal(err.field, "specversion");
    assert_int_equal(read_all("", "ce-specversion", "19.0", "ce-id", "1", "ce-source", "/",
                              "ce-type", "t", NULL),
                     -EINVAL);
    assert_string_equal(err.field, "specversion");
    assert_non_null(strstr(err.message, "19.0"));
    assert_int_equal(read_all("", VALID, "ce-specversion", "1.0", NULL), -EINVAL);
    assert_int_equal(read_all("", VALID, "Ce-ID", "2", NULL), -EINVAL);
    assert_string_equal(err.field, "id");
    assert_int_equal(read_all("", VALID, "ce-", "2", NULL), -EINVAL);
    assert_int_equal(read_all("", VALID, "ce-data", "2", NULL), -EINVAL);
    assert_int_equal(read_all("", VALID, "ce-a_b", "2", NULL), -EINVAL);
    assert_int_equal(read_all("", VALID, "ce-a-b", "2", NULL), -EINVAL);
    assert_int_equal(read_all("", VALID, "ce-datacontenttype", "text/plain", NULL), -EINVAL);
    assert_string_equal(err.field, "datacontenttype");
    assert_int_equal(read_all("", VALID, "Content-Type", "a/b", "content-type", "a/b", NULL),
                     -EINVAL);
    assert_int_equal(read_all("", VALID, "Content-Type", "nonsense", NULL), -EINVAL);
    assert_string_equal(err.field, "datacontenttype");
    assert_int_equal(read_all("", VALID, "ce-time", "yesterday", NULL), -EINVAL);
    assert_string_equal(err.field, "time");
    assert_int_equal(
        read_all("", VALID, "ce-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                 "2", NULL),
        -EINVAL);
}

static void limits_attributes(void **state)
{
    struct event_http_reader r;
    static char names[100][16];
    event_http_begin(&r, &event, &arena, &err);
    for (int i = 0; i < 100; i++) {
        snprintf(names[i], sizeof(names[i]), "ce-a%d", i);
        event_http_header(&r, slice_text(names[i]), SLICE("v"));
    }
    assert_int_equal(event_http_finish(&r, SLICE("")), -E2BIG);
}

static void takes_any_bytes_as_data(void **state)
{
    struct event_http_reader r;
    const char *const headers[] = {VALID};
    event_http_begin(&r, &event, &arena, &err);
    for (int i = 0; i < 8; i += 2)
        event_http_header(&r, slice_text(headers[i]), slice_text(headers[i + 1]));
    struct slice body = slice_of("\xff\0\xfe", 3);
    assert_int_equal(event_http_finish(&r, body), 0);
    assert_ptr_equal(event.data.ptr, body.ptr);
    assert_true(slice_equal(event.data, body));
}

struct written {
    struct buf text;
};

static void write_header(void *ctx, struct slice name, struct slice value)
{
    struct written *w = ctx;
    buf_printf(&w->text, SLICE_FMT ": " SLICE_FMT "\n", SLICE_ARG(name), SLICE_ARG(value));
}

static void writes_what_it_read(void **state)
{
    struct written w = {BUF_INIT};
    assert_int_equal(read_all("x", VALID, "Content-Type", "text/plain; charset=utf-8", "ce-subject",
                              "Euro%20%e2%82%ac%20%F0%9F%98%80 \"q\" 5%25~!", NULL),
                     0);
    assert_int_equal(event_http_write(&event, write_header, &w), 0);
    assert_string_equal(w.text.ptr,
                        "ce-specversion: 1.0\nce-id: 1\nce-source: /a\nce-type: t\n"
                        "Content-Type: text/plain; charset=utf-8\n"
                        "ce-subject: Euro%20%E2%82%AC%20%F0%9F%98%80%20%22q%22%205%25~!\n");
    buf_done(&w.text);
}

static void writes_long_values(void **state)
{
    static char value[40000];
    struct written w = {BUF_INIT};
    memset(value, ' ', sizeof(value) - 1);
    event = (struct event){.version = EVENT_V03};
    assert_int_equal(event_set(&event, "ext", slice_text(value)), 0);
    assert_int_equal(event_http_write(&event, write_header, &w), 0);
    size_t expected = strlen("ce-specversion: 0.3\nce-ext: \n") + 3 * (sizeof(value) - 1);
    assert_int_equal(w.text.len, expected);
    assert_non_null(strstr(w.text.ptr, "%20%20"));
    buf_done(&w.text);
}

/* The events of the official conformance suite, both versions. */
static void passes_the_conformance_events(void **state)
{
    static const char *const data[][2] = {
        {"text/plain; charset=us-ascii", "Hello, World!\n"},
        {"text/plain; charset=utf-8", "Hello, \xf0\x9f\x8c\x8e!\n"},
        {"application/json; charset=utf-8", "\"Hello, \xf0\x9f\x8c\x8e!\"\n"},
        {"application/json; charset=utf-8", "{\"msg\":\"Hello, \xf0\x9f\x8c\x8e!\"}\n"},
        {"application/json; charset=utf-8", "[\"Hello\",\"\xf0\x9f\x8c\x8e!\"]\n"},
        {"application/xml; charset=utf-8", "<msg>Hello, \xf0\x9f\x8c\x8e!</msg>\n"},
    };
    static const char *const versions[] = {"0.3", "1.0"};
    for (int v = 0; v < 2; v++)
        for (size_t i = 0; i < sizeof(data) / sizeof(data[0]); i++) {
            assert_int_equal(
                read_all(data[i][1], "ce-specversion", versions[v], "ce-type",
                         "io.cloudevents.minimum", "ce-id", "conformance-0001", "ce-source",
                         "//github.com/cloudevents/cloudeventsconformance/yaml/v1.yaml",
                         "content-type", data[i][0], NULL),
                0);
            assert_true(slice_is(event.data, data[i][1]));
            assert_true(attribute_is("specversion", versions[v]));
        }
    assert_int_equal(read_all("{\"world\":\"hello\"}", VALID, "ce-comexampleextension1", "value",
                              "ce-comexampleextension2", "{\"othervalue\": 5}\n", "user-agent",
                              "foo", NULL),
                     0);
}

static int done(void **state)
{
    event_arena_done(&arena);
    return 0;
}

static int read_opaque(const char *body, ...)
{
    struct event_http_reader r;
    va_list headers;
    event_arena_done(&arena);
    err = (struct error)ERROR_INIT;
    event_http_begin(&r, &event, &arena, &err);
    va_start(headers, body);
    for (const char *name = va_arg(headers, const char *); name != NULL;
         name = va_arg(headers, const char *))
        event_http_header(&r, slice_text(name), slice_text(va_arg(headers, const char *)));
    va_end(headers);
    return event_http_finish_opaque(&r, slice_text(body));
}

static void count_header(void *ctx, struct slice name, struct slice value)
{
    ++*(unsigned *)ctx;
}

#define AVRO "Content-Type", "application/cloudevents+avro; x=y"

static void takes_a_format_that_it_does_not_read(void **state)
{
    unsigned headers = 0;
    assert_int_equal(read_opaque("Obj\1", AVRO, NULL), 0);
    assert_true(event.opaque && event.has_data && slice_is(event.data, "Obj\1"));
    assert_int_equal(event.count, 1);
    assert_true(attribute_is("datacontenttype", "application/cloudevents+avro; x=y"));
    assert_int_equal(event_http_write(&event, count_header, &headers), 0);
    assert_int_equal(headers, 1);
    /* attributes that stand in headers besides */
    assert_int_equal(read_opaque("Obj\1", VALID, "ce-ext", "a%20b", AVRO, NULL), 0);
    assert_true(event.opaque && attribute_is("ext", "a b") && attribute_is("type", "t"));
    headers = 0;
    assert_int_equal(event_http_write(&event, count_header, &headers), 0);
    assert_int_equal(headers, 6);
    /* headers that are none of an event */
    assert_int_equal(read_opaque("", "ce-ext", "%", AVRO, NULL), 0);
    assert_int_equal(event.count, 1);
    /* an event that is not whole */
    assert_int_equal(read_opaque("", "ce-specversion", "1.0", "ce-id", "1", AVRO, NULL), -EINVAL);
    assert_false(event.opaque);
    assert_int_equal(read_opaque("", "Content-Type", "application/cloudevents+a\"b", NULL),
                     -EINVAL);
    /* and the next one is not */
    assert_int_equal(read_all("", VALID, NULL), 0);
    assert_false(event.opaque);
}

static void knows_its_own_format(void **state)
{
    static const struct {
        const char *type;
        bool json;
    } rows[] = {
        {"application/cloudevents", true},
        {"application/cloudevents+json", true},
        {"application/cloudevents+JSON ; charset=utf-8", true},
        {"application/cloudevents; x=a+avro", true},
        {"application/cloudevents-batch+json", true},
        {"application/cloudevents+avro", false},
        {"application/cloudevents+json+avro", false},
        {"application/cloudevents-batch+protobuf; x=y", false},
        {"application/cloudevents+", false},
        {"", true},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (event_format_is_json(slice_text(rows[i].type)) != rows[i].json)
            fail_msg("%s", rows[i].type);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_a_format_that_it_does_not_read),
        cmocka_unit_test(knows_its_own_format),
        cmocka_unit_test(tells_modes_apart),
        cmocka_unit_test(reads_an_event),
        cmocka_unit_test(reads_an_old_event),
        cmocka_unit_test(decodes_values),
        cmocka_unit_test(refuses_values_that_cannot_be_decoded),
        cmocka_unit_test(refuses_malformed_events),
        cmocka_unit_test(limits_attributes),
        cmocka_unit_test(takes_any_bytes_as_data),
        cmocka_unit_test(writes_what_it_read),
        cmocka_unit_test(writes_long_values),
        cmocka_unit_test(passes_the_conformance_events),
    };
    return cmocka_run_group_tests(tests, NULL, done);
}
