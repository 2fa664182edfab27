/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/attempt.h"
#include "broker/delivery.h"
#include "unit.h"

#include <errno.h>
#include <string.h>

static void assert_same(const struct attempt *a, size_t size)
{
    char value[ATTEMPT_BYTES_MAX];
    struct attempt b;
    size_t len = attempt_write(a, value);
    assert_int_equal(len, size);
    assert_int_equal(attempt_read(slice_of(value, len), &b), 0);
    assert_int_equal(b.time_ns, a->time_ns);
    assert_int_equal(b.number, a->number);
    assert_int_equal(b.latency_us, a->latency_us);
    assert_int_equal(b.code, a->code);
    assert_int_equal(b.stage, a->stage);
    assert_int_equal(b.end, a->end);
    assert_int_equal(b.reply, a->reply);
}

static void attempts_round_trip(void **state)
{
    struct attempt a = {.time_ns = 0x1122334455667788,
                        .number = 1,
                        .latency_us = 1234,
                        .code = 200,
                        .stage = STAGE_SUBSCRIBER,
                        .end = ATTEMPT_DONE,
                        .reply = true};
    assert_same(&a, 16); /* what the first attempt of each event costs */
    a.number = 70000;
    a.stage = STAGE_DEAD_LETTER;
    a.end = ATTEMPT_RETRY;
    a.reply = false;
    assert_same(&a, ATTEMPT_BYTES_MAX);
    a.number = 0;
    a.end = ATTEMPT_DROPPED;
    assert_same(&a, ATTEMPT_BYTES_MAX);
}

static void records_of_older_versions_say_nothing(void **state)
{
    struct attempt a;
    assert_int_equal(attempt_read(slice_of("", 0), &a), 0);
    assert_int_equal(a.end, ATTEMPT_UNKNOWN);
    assert_int_equal(a.number, 0);
    assert_int_equal(a.time_ns, 0);
}

static void other_values_are_refused(void **state)
{
    char value[ATTEMPT_BYTES_MAX];
    struct attempt a = {.number = 2, .end = ATTEMPT_DONE};
    attempt_write(&a, value);
    for (size_t len = 1; len < sizeof(value); len++)
        if (len != 16)
            assert_int_equal(attempt_read(slice_of(value, len), &a), -EBADMSG);
    value[14] = ATTEMPT_END_COUNT;
    assert_int_equal(attempt_read(slice_of(value, sizeof(value)), &a), -EBADMSG);
    value[14] = ATTEMPT_UNKNOWN;
    assert_int_equal(attempt_read(slice_of(value, sizeof(value)), &a), -EBADMSG);
    value[14] = ATTEMPT_DONE;
    value[15] = STAGE_COUNT;
    assert_int_equal(attempt_read(slice_of(value, sizeof(value)), &a), -EBADMSG);
}

static void each_end_has_a_name(void **state)
{
    for (enum attempt_end end = ATTEMPT_UNKNOWN; end < ATTEMPT_END_COUNT; end++)
        assert_true(strlen(attempt_end_name(end)) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(attempts_round_trip),
                                       cmocka_unit_test(records_of_older_versions_say_nothing),
                                       cmocka_unit_test(other_values_are_refused),
                                       cmocka_unit_test(each_end_has_a_name)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
