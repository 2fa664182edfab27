/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/row.h"
#include "broker/delivery.h"
#include "unit.h"

#include <errno.h>

static void retry_rows_round_trip(void **state)
{
    autobuf key = BUF_INIT;
    autobuf value = BUF_INIT;
    row_retry_key(9, RETRY_SINK, 0x1122334455667788, 77, &key);
    row_retry_value(&(struct retry_row){.attempts = 3,
                                        .code = 503,
                                        .stage = STAGE_DEAD_LETTER,
                                        .delay_ns = 5,
                                        .time_ns = 6,
                                        .attempt_time_ns = 7,
                                        .latency_us = 8,
                                        .error = slice_text("busy"),
                                        .body = slice_text("come back")},
                    &value);
    struct retry_row row;
    assert_int_equal(row_retry_read(buf_slice(&key), buf_slice(&value), &row), 0);
    assert_int_equal(row.due_ns, 0x1122334455667788);
    assert_int_equal(row.trigger, 9);
    assert_int_equal(row.class, RETRY_SINK);
    assert_int_equal(row.position, 77);
    assert_int_equal(row.attempts, 3);
    assert_int_equal(row.code, 503);
    assert_int_equal(row.stage, STAGE_DEAD_LETTER);
    assert_int_equal(row.delay_ns, 5);
    assert_int_equal(row.time_ns, 6);
    assert_int_equal(row.attempt_time_ns, 7);
    assert_int_equal(row.latency_us, 8);
    assert_true(slice_is(row.error, "busy"));
    assert_true(slice_is(row.body, "come back"));
}

static void retry_keys_sort_by_trigger_class_and_due_time(void **state)
{
    autobuf a = BUF_INIT;
    autobuf b = BUF_INIT;
    row_retry_key(9, RETRY_AGAIN, 255, 9, &a);
    row_retry_key(9, RETRY_AGAIN, 256, 1, &b);
    assert_true(slice_compare(buf_slice(&a), buf_slice(&b)) < 0);
    row_retry_key(9, RETRY_SINK, 1, 1, &a);
    assert_true(slice_compare(buf_slice(&b), buf_slice(&a)) < 0);
    row_retry_key(10, RETRY_NEW, 1, 1, &b);
    assert_true(slice_compare(buf_slice(&a), buf_slice(&b)) < 0);
    assert_int_equal(b.len, ROW_RETRY_KEY_SIZE);
    struct retry_row row;
    b.ptr[4] = RETRY_CLASS_COUNT;
    assert_int_equal(row_retry_read_key(buf_slice(&b), &row), -EBADMSG);
}

static void dead_rows_round_trip(void **state)
{
    autobuf key = BUF_INIT;
    autobuf value = BUF_INIT;
    row_object_key(5, 6, &key);
    row_dead_value(&(struct dead_row){.attempts = 11,
                                      .code = 500,
                                      .latency_us = 77,
                                      .time_ns = 1,
                                      .event_time_ns = 2,
                                      .error = slice_text("answered 500"),
                                      .body = slice_text("why")},
                   &value);
    struct dead_row row;
    assert_int_equal(row_dead_read(buf_slice(&key), buf_slice(&value), &row), 0);
    assert_int_equal(row.trigger, 5);
    assert_int_equal(row.position, 6);
    assert_int_equal(row.attempts, 11);
    assert_int_equal(row.latency_us, 77);
    assert_true(slice_is(row.error, "answered 500"));
    assert_true(slice_is(row.body, "why"));
}

static void short_rows_are_refused(void **state)
{
    autobuf key = BUF_INIT;
    autobuf value = BUF_INIT;
    struct retry_row retry;
    struct dead_row dead;
    row_object_key(5, 6, &key);
    assert_int_equal(row_retry_read(buf_slice(&key), slice_text("x"), &retry), -EBADMSG);
    row_dead_value(&(struct dead_row){.error = slice_text("long enough")}, &value);
    for (size_t len = 0; len < value.len; len++)
        assert_int_equal(row_dead_read(buf_slice(&key), slice_of(value.ptr, len), &dead), -EBADMSG);
}

static void short_retry_rows_are_refused(void **state)
{
    autobuf key = BUF_INIT;
    autobuf value = BUF_INIT;
    struct retry_row row;
    row_retry_key(2, RETRY_NEW, 1, 3, &key);
    row_retry_value(&(struct retry_row){.error = slice_text("long enough")}, &value);
    for (size_t len = 0; len < value.len; len++)
        assert_int_equal(row_retry_read(buf_slice(&key), slice_of(value.ptr, len), &row), -EBADMSG);
    value.ptr[12] = 2; /* a format that is not known */
    assert_int_equal(row_retry_read(buf_slice(&key), buf_slice(&value), &row), -EBADMSG);
}

/* As versions before the attempts' facts wrote them, byte for byte. */
static void rows_of_older_versions_are_read(void **state)
{
    static const char retry_value[] = "\3\0\0\0"
                                      "\367\1\0\0"
                                      "\1\0\0\0"
                                      "\0\0\0\0"
                                      "\5\0\0\0\0\0\0\0"
                                      "\6\0\0\0\0\0\0\0"
                                      "answered 503";
    static const char dead_value[] = "\13\0\0\0"
                                     "\364\1\0\0"
                                     "\1\0\0\0\0\0\0\0"
                                     "\2\0\0\0\0\0\0\0"
                                     "\4\0\0\0"
                                     "busy"
                                     "why";
    autobuf key = BUF_INIT;
    struct retry_row retry;
    struct dead_row dead;
    row_retry_key(2, RETRY_NEW, 1, 3, &key);
    assert_int_equal(
        row_retry_read(buf_slice(&key), slice_of(retry_value, sizeof(retry_value) - 1), &retry), 0);
    assert_int_equal(retry.attempts, 3);
    assert_int_equal(retry.code, 503);
    assert_int_equal(retry.stage, STAGE_DEAD_LETTER);
    assert_int_equal(retry.delay_ns, 5);
    assert_int_equal(retry.attempt_time_ns, 0);
    assert_true(slice_is(retry.error, "answered 503"));
    assert_int_equal(retry.body.len, 0);
    row_object_key(2, 3, &key);
    assert_int_equal(
        row_dead_read(buf_slice(&key), slice_of(dead_value, sizeof(dead_value) - 1), &dead), 0);
    assert_int_equal(dead.attempts, 11);
    assert_int_equal(dead.code, 500);
    assert_int_equal(dead.latency_us, 0);
    assert_true(slice_is(dead.error, "busy"));
    assert_true(slice_is(dead.body, "why"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(retry_rows_round_trip),
        cmocka_unit_test(retry_keys_sort_by_trigger_class_and_due_time),
        cmocka_unit_test(dead_rows_round_trip),
        cmocka_unit_test(short_rows_are_refused),
        cmocka_unit_test(short_retry_rows_are_refused),
        cmocka_unit_test(rows_of_older_versions_are_read)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
