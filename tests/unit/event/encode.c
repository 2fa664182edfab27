/* SPDX-License-Identifier: Apache-2.0 */
#include "event/event.h"

#include "unit.h"

#include <errno.h>
#include <stdlib.h>

static struct event sample(void)
{
    struct event e = {.version = EVENT_V1, .data = SLICE("{\"a\":1}"), .has_data = true};
    assert_int_equal(event_set(&e, "id", SLICE("42")), 0);
    assert_int_equal(event_set(&e, "source", SLICE("/a")), 0);
    assert_int_equal(event_set(&e, "n", SLICE("-7")), 0);
    e.attributes[2].kind = EVENT_VALUE_INTEGER;
    return e;
}

/* Version 1 as it is in logs: must be readable for ever. */
static const char fixture[] = "\x01\x03\x03\x00\x07\x00\x00\x00"
                              "\x02\x00\x02\x00"
                              "\x06\x00\x02\x00"
                              "\x01\x01\x02\x00"
                              "id42source/an-7{\"a\":1}";

static void writes_the_fixture(void **state)
{
    struct event e = sample();
    autobuf out = BUF_INIT;
    buf_add_text(&out, "before");
    event_encode(&e, &out);
    assert_true(buf_ok(&out));
    assert_int_equal(out.len, 6 + sizeof(fixture) - 1);
    assert_memory_equal(out.ptr + 6, fixture, sizeof(fixture) - 1);
}

static void reads_the_fixture(void **state)
{
    struct event e;
    memset(&e, 0xa5, sizeof(e));
    assert_int_equal(event_decode(slice_of(fixture, sizeof(fixture) - 1), &e), 0);
    assert_int_equal(e.version, EVENT_V1);
    assert_int_equal(e.count, 3);
    assert_true(slice_is(event_get(&e, "id"), "42") && slice_is(event_get(&e, "source"), "/a"));
    assert_int_equal(e.attributes[2].kind, EVENT_VALUE_INTEGER);
    assert_true(e.has_data && slice_is(e.data, "{\"a\":1}"));
    assert_ptr_equal(e.attributes[0].name.ptr, fixture + 20); /* borrowed */
}

/* A message in a format that is not read: flag 4, and no attributes but its type. */
static const char opaque_fixture[] = "\x01\x07\x01\x00\x03\x00\x00\x00"
                                     "\x0f\x00\x1c\x00"
                                     "datacontenttypeapplication/cloudevents+avroObj";

static void writes_and_reads_an_opaque_one(void **state)
{
    struct event e;
    autobuf out = BUF_INIT;
    memset(&e, 0xa5, sizeof(e));
    assert_int_equal(event_decode(slice_of(opaque_fixture, sizeof(opaque_fixture) - 1), &e), 0);
    assert_true(e.opaque && e.has_data && slice_is(e.data, "Obj"));
    assert_true(slice_is(event_get(&e, "datacontenttype"), "application/cloudevents+avro"));
    assert_null(event_get(&e, "id").ptr);
    event_encode(&e, &out);
    assert_int_equal(out.len, sizeof(opaque_fixture) - 1);
    assert_memory_equal(out.ptr, opaque_fixture, sizeof(opaque_fixture) - 1);
    assert_int_equal(event_decode(slice_of(fixture, sizeof(fixture) - 1), &e), 0);
    assert_false(e.opaque);
}

static void tells_no_data_from_empty_data(void **state)
{
    for (int has = 0; has < 2; has++) {
        struct event e = {.version = EVENT_V03, .has_data = has}, back;
        autobuf out = BUF_INIT;
        event_encode(&e, &out);
        assert_int_equal(event_decode(buf_slice(&out), &back), 0);
        assert_int_equal(back.has_data, has);
        assert_int_equal(back.data.len, 0);
        assert_int_equal(back.version, EVENT_V03);
        assert_int_equal(back.count, 0);
    }
}

static void refuses_every_truncation(void **state)
{
    struct event e;
    for (size_t len = 0; len < sizeof(fixture) - 1; len++) {
        char *copy = malloc(len + 1); /* of exact size, so that a sanitizer sees a read past it */
        assert_non_null(copy);
        memcpy(copy, fixture, len);
        assert_int_equal(event_decode(slice_of(copy, len), &e), -EBADMSG);
        free(copy);
    }
    char longer[sizeof(fixture)] = {0};
    memcpy(longer, fixture, sizeof(fixture) - 1);
    assert_int_equal(event_decode(slice_of(longer, sizeof(longer)), &e), -EBADMSG);
}

static void refuses_what_it_does_not_know(void **state)
{
    static const struct {
        size_t at;
        char value;
    } changes[] = {{0, 0}, {0, 2}, {1, 11}, {1, (char)0x83}, {1, 1},  {2, 65}, {3, 1},  {4, 8},
                   {7, 1}, {8, 0}, {8, 65}, {9, 4},          {11, 1}, {12, 5}, {17, 99}};
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        struct event e;
        char bytes[sizeof(fixture)];
        memcpy(bytes, fixture, sizeof(fixture));
        bytes[changes[i].at] = changes[i].value;
        assert_int_equal(event_decode(slice_of(bytes, sizeof(fixture) - 1), &e), -EBADMSG);
    }
}

static void holds_the_largest_event(void **state)
{
    static char names[EVENT_ATTRIBUTES_MAX][EVENT_NAME_MAX + 1];
    char *data = calloc(1, EVENT_DATA_MAX), *value = malloc(UINT16_MAX);
    assert_non_null(data);
    assert_non_null(value);
    memset(value, 'v', UINT16_MAX);
    struct event e = {.version = EVENT_V1,
                      .data = slice_of(data, EVENT_DATA_MAX),
                      .has_data = true},
                 back;
    for (int i = 0; i < EVENT_ATTRIBUTES_MAX; i++) {
        memset(names[i], 'a' + i % 26, EVENT_NAME_MAX);
        names[i][0] = (char)('0' + i / 26);
        assert_int_equal(event_set(&e, names[i], SLICE("")), 0);
    }
    assert_int_equal(event_set(&e, names[5], slice_of(value, UINT16_MAX)), 0);
    autobuf out = BUF_INIT;
    event_encode(&e, &out);
    assert_int_equal(event_decode(buf_slice(&out), &back), 0);
    assert_int_equal(back.count, EVENT_ATTRIBUTES_MAX);
    assert_int_equal(event_get(&back, names[5]).len, UINT16_MAX);
    assert_int_equal(back.data.len, EVENT_DATA_MAX);
    free(data);
    free(value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_the_fixture),
        cmocka_unit_test(reads_the_fixture),
        cmocka_unit_test(writes_and_reads_an_opaque_one),
        cmocka_unit_test(tells_no_data_from_empty_data),
        cmocka_unit_test(refuses_every_truncation),
        cmocka_unit_test(refuses_what_it_does_not_know),
        cmocka_unit_test(holds_the_largest_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
