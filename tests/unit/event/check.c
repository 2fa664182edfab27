/* SPDX-License-Identifier: Apache-2.0 */
#include "event/event.h"

#include "unit.h"

#include <errno.h>
#include <stdlib.h>

static struct event valid(enum event_version version)
{
    struct event e = {.version = version};
    assert_int_equal(event_set(&e, "id", SLICE("1")), 0);
    assert_int_equal(event_set(&e, "source", SLICE("/a")), 0);
    assert_int_equal(event_set(&e, "type", SLICE("t")), 0);
    return e;
}

static void accepts(enum event_version version, const char *name, struct slice value)
{
    struct event e = valid(version);
    struct error err = ERROR_INIT;
    assert_int_equal(event_set(&e, name, value), 0);
    if (event_check(&e, &err) != 0)
        fail_msg("%s = " SLICE_FMT ": %s", name, SLICE_ARG(value), err.message);
}

static void refuses(enum event_version version, const char *name, struct slice value)
{
    struct event e = valid(version);
    struct error err = ERROR_INIT;
    assert_int_equal(event_set(&e, name, value), 0);
    if (event_check(&e, &err) != -EINVAL)
        fail_msg("%s = " SLICE_FMT " was accepted", name, SLICE_ARG(value));
    assert_true(err.message[0] != '\0');
    assert_true(err.field[0] != '\0' || name[0] == '\0');
}

static void wants_what_is_required(void **state)
{
    static const char *const required[] = {"id", "source", "type"};
    for (int i = 0; i < 3; i++) {
        struct event e = valid(EVENT_V1);
        struct error err = ERROR_INIT;
        event_unset(&e, required[i]);
        assert_int_equal(event_check(&e, &err), -EINVAL);
        assert_string_equal(err.field, required[i]);
        refuses(EVENT_V1, required[i], SLICE(""));
        refuses(EVENT_V03, required[i], SLICE(""));
    }
    refuses(EVENT_V1, "subject", SLICE(""));
    accepts(EVENT_V1, "anextension", SLICE(""));
}

static void knows_names(void **state)
{
    accepts(EVENT_V1, "a", SLICE("x"));
    accepts(EVENT_V1, "0", SLICE("x"));
    accepts(EVENT_V1, "abcdefghijklmnopqrstuvwxyz0123456789", SLICE("x"));
    static const char *const bad[] = {"A",  "aB", "a-b",  "a_b",      "a.b", "a b",
                                      "-a", "a-", "data", "\xc3\xa9", "a\"", "a\n"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        refuses(EVENT_V1, bad[i], SLICE("x"));
    refuses(EVENT_V1, "", SLICE("x"));
    accepts(EVENT_V03, "map-member", SLICE("x"));
    refuses(EVENT_V03, "-a", SLICE("x"));
    refuses(EVENT_V03, "a-", SLICE("x"));
    char long_name[EVENT_NAME_MAX + 2] = {0};
    memset(long_name, 'a', EVENT_NAME_MAX + 1);
    refuses(EVENT_V1, long_name, SLICE("x"));
    long_name[EVENT_NAME_MAX] = '\0';
    accepts(EVENT_V1, long_name, SLICE("x"));
}

static void knows_uri_references(void **state)
{
    static const char *const good[] = {"https://github.com/cloudevents",
                                       "mailto:cncf-wg-serverless@lists.cncf.io",
                                       "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66",
                                       "/cloudevents/spec/pull/123",
                                       "1-555-123-4567",
                                       "dev.nodeshift.samples/js-example-source",
                                       "//host/path?query#fragment",
                                       "a%20b",
                                       "x/y:z",
                                       "?a:b",
                                       "#a:b",
                                       "arn:aws:s3:::bucket",
                                       "http://[::1]:8080/",
                                       "//u@[fe80::1]",
                                       "x://[::1]?q"};
    static const char *const bad[] = {"http://[::1",
                                      "http://::1]",
                                      "http://[]",
                                      "http://h/[x]",
                                      "a[0]",
                                      "http://[::1]x/",
                                      "http://x[::1]/",
                                      "http://[::1]]/",
                                      "http://[::1]/[",
                                      "[",
                                      "//[:[:1]",
                                      "a b",
                                      "a<b",
                                      "a%2",
                                      "a%zz",
                                      "%",
                                      "a\"b",
                                      "1a:b",
                                      "a|b",
                                      "a{b}",
                                      "a\\b",
                                      "a#b#c",
                                      "a^b",
                                      "a`b",
                                      ":a",
                                      "\xc3\xa9"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        accepts(EVENT_V1, "source", slice_text(good[i]));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        refuses(EVENT_V1, "source", slice_text(bad[i]));
    accepts(EVENT_V1, "dataschema", SLICE("http://example.com/schema"));
    refuses(EVENT_V1, "dataschema", SLICE("/schema"));
    refuses(EVENT_V1, "dataschema", SLICE("schema json"));
    accepts(EVENT_V03, "schemaurl", SLICE("/schema"));
    refuses(EVENT_V03, "schemaurl", SLICE("a b"));
    accepts(EVENT_V1, "schemaurl", SLICE("a b")); /* an extension like any other there */
}

static void knows_times(void **state)
{
    static const char *const good[] = {
        "2018-04-05T17:31:00Z",      "1969-12-31T23:59:59Z", "2018-04-05T03:56:24.123456789Z",
        "2016-02-29T00:00:00+05:30", "2016-12-31T23:59:60Z", "2018-04-05t17:31:00z",
        "9999-12-31T23:59:59-23:59", "2000-02-29T00:00:00Z"};
    static const char *const bad[] = {"2018-04-05",
                                      "17:31:00",
                                      "2018-04-05T17:31Z",
                                      "2018-13-05T17:31:00Z",
                                      "2018-00-05T17:31:00Z",
                                      "2018-04-31T17:31:00Z",
                                      "2018-02-29T17:31:00Z",
                                      "1900-02-29T17:31:00Z",
                                      "2018-04-05T24:00:00Z",
                                      "2018-04-05T17:60:00Z",
                                      "2018-04-05T17:31:61Z",
                                      "2018-04-05T17:31:00",
                                      "2018-04-05T17:31:00.",
                                      "2018-04-05T17:31:00.Z",
                                      "2018-04-05T17:31:00+5",
                                      "2018-04-05T17:31:00+05:60",
                                      "2018-04-05T17:31:00+24:00",
                                      "2018-04-05T17:31:00Zx",
                                      "18-04-05T17:31:00Z",
                                      "1522949484",
                                      "now"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        accepts(EVENT_V1, "time", slice_text(good[i]));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        refuses(EVENT_V1, "time", slice_text(bad[i]));
}

static void knows_media_types(void **state)
{
    static const char *const good[] = {"application/json",
                                       "text/plain; charset=us-ascii",
                                       "text/plain;charset=\"utf-8\"",
                                       "application/vnd.a.b+json ; a=b; c=\"d\\\" e\"",
                                       "multipart/form-data; boundary=----x",
                                       "application/json;"};
    static const char *const bad[] = {"json",
                                      "/json",
                                      "application/",
                                      "text/plain; a",
                                      "text/ plain",
                                      "text/plain; =b",
                                      "text/plain, a/b",
                                      "text/plain; a=\"b",
                                      "te xt/plain",
                                      "text/plain; a=b c"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        accepts(EVENT_V1, "datacontenttype", slice_text(good[i]));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        refuses(EVENT_V1, "datacontenttype", slice_text(bad[i]));
}

static void knows_characters(void **state)
{
    accepts(EVENT_V1, "subject", SLICE("Euro \xe2\x82\xac \xf0\x9f\x98\x80"));
    accepts(EVENT_V1, "ext", SLICE("a\tb\nc"));
    static const struct slice bad[] = {{"a\0b", 3},
                                       {"a\x01", 2},
                                       {"a\x7f", 2},
                                       {"a\xc2\x80", 3},
                                       {"a\xc2\x9f", 3},
                                       {"a\xef\xbf\xbe", 4},
                                       {"a\xef\xbf\xbf", 4},
                                       {"a\xef\xb7\x90", 4},
                                       {"a\xed\xa0\x80", 4},
                                       {"a\xc0\xa0", 3},
                                       {"a\xff", 2},
                                       {"a\xe2\x82", 3},
                                       {"\xf0\x9f\xbf\xbe", 4},
                                       {"\xf4\x8f\xbf\xbf", 4}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        refuses(EVENT_V1, "subject", bad[i]);
        refuses(EVENT_V1, "ext", bad[i]);
        refuses(EVENT_V03, "id", bad[i]);
    }
    refuses(EVENT_V1, "id", SLICE("a\nb"));
}

static void limits_sizes(void **state)
{
    struct event e = valid(EVENT_V1);
    struct error err = ERROR_INIT;
    char *big = calloc(1, EVENT_DATA_MAX + 1);
    assert_non_null(big);
    memset(big, 'a', EVENT_DATA_MAX);
    e.data = slice_of(big, EVENT_DATA_MAX);
    e.has_data = true;
    assert_int_equal(event_check(&e, &err), 0);
    e.data.len++;
    assert_int_equal(event_check(&e, &err), -E2BIG);
    e.data.len = 0;
    assert_int_equal(event_set(&e, "x", slice_of(big, EVENT_ATTRIBUTES_BYTES_MAX - 18)), 0);
    assert_int_equal(event_check(&e, &err), 0); /* 17 bytes are the names and other values */
    assert_int_equal(event_set(&e, "x", slice_of(big, EVENT_ATTRIBUTES_BYTES_MAX - 17)), 0);
    assert_int_equal(event_check(&e, &err), -E2BIG);
    assert_int_equal(event_check(&e, NULL), -E2BIG);
    free(big);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wants_what_is_required), cmocka_unit_test(knows_names),
        cmocka_unit_test(knows_uri_references),   cmocka_unit_test(knows_times),
        cmocka_unit_test(knows_media_types),      cmocka_unit_test(knows_characters),
        cmocka_unit_test(limits_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
