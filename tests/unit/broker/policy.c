/* SPDX-License-Identifier: Apache-2.0 */
/* The delivery specification of triggers and brokers, and the waits that it makes. */
#include "world.h"

#include "unit.h"

#include <stdio.h>
#include <string.h>

static void waits_grow_as_the_policy_says(void **state)
{
    static const struct {
        bool linear;
        uint64_t delay, waits[5];
    } rows[] = {
        {true, 200, {200, 400, 600, 800, 1000}},
        {false, 200, {200, 400, 800, 1600, 3200}},
        {true, 0, {0, 0, 0, 0, 0}},
        {false, 0, {0, 0, 0, 0, 0}},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct policy p = policy_default;
        p.linear = rows[i].linear;
        p.delay_ns = rows[i].delay * CLOCK_MILLISECOND;
        for (unsigned n = 1; n <= 5; n++)
            assert_int_equal(policy_backoff(&p, n), rows[i].waits[n - 1] * CLOCK_MILLISECOND);
    }
}

/* No overflow, and no more than a week. */
static void waits_have_a_limit(void **state)
{
    (void)state;
    for (unsigned linear = 0; linear < 2; linear++) {
        struct policy p = policy_default;
        p.linear = linear == 1;
        uint64_t last = 0;
        for (uint64_t n = 1; n <= UINT32_MAX; n = n < 100 ? n + 1 : n * 2) {
            uint64_t wait = policy_backoff(&p, (unsigned)n);
            assert_in_range(wait, last, RETRY_DELAY_MAX);
            last = wait;
        }
        assert_int_equal(last, RETRY_DELAY_MAX);
    }
}

#define API "\"apiVersion\":\"eventing.knative.dev/v1\","

static const struct policy *policy_of(struct world *w, const char *broker, const char *trigger)
{
    autobuf b = BUF_INIT, t = BUF_INIT;
    buf_printf(&b, "{" API "\"kind\":\"Broker\",\"metadata\":{\"name\":\"b\"},\"spec\":{%s}}",
               broker);
    buf_printf(&t,
               "{" API "\"kind\":\"Trigger\",\"metadata\":{\"name\":\"t\"},\"spec\":{\"broker\":"
               "\"b\",\"subscriber\":{\"uri\":\"http://h/\"}%s}}",
               trigger);
    world_apply(w, b.ptr);
    world_apply(w, t.ptr);
    world_rest(w);
    return &world_trigger_find(w, "t")->policy;
}

#define SINK(host) "\"deadLetterSink\":{\"uri\":\"http://" host "/\"}"

/* Any field of the trigger's puts all of the broker's aside. */
static void which_one_is_in_force(void **state)
{
    static const struct {
        const char *broker, *trigger;
        unsigned retry;
        const char *sink;
    } rows[] = {
        {"", "", 10, NULL},
        {"\"delivery\":{}", "", 10, NULL},
        {"\"delivery\":{\"retry\":3}", "", 3, NULL},
        {"\"delivery\":{\"retry\":3," SINK("broker") "}", "", 3, "http://broker/"},
        {"\"delivery\":{" SINK("broker") "}", "", 0, "http://broker/"},
        {"\"delivery\":{\"timeout\":\"PT1S\"}", "", 0, NULL},
        {"\"delivery\":{\"retry\":3," SINK("broker") "}", ",\"delivery\":{}", 3, "http://broker/"},
        {"\"delivery\":{\"retry\":3," SINK("broker") "}", ",\"delivery\":{\"retry\":5}", 5, NULL},
        {"\"delivery\":{\"retry\":3," SINK("broker") "}",
         ",\"delivery\":{\"backoffDelay\":\"PT1S\"}", 0, NULL},
        {"\"delivery\":{\"retry\":3," SINK("broker") "}", ",\"delivery\":{" SINK("own") "}", 0,
         "http://own/"},
    };
    struct world *w = *state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct policy *p = policy_of(w, rows[i].broker, rows[i].trigger);
        if (p->retry != rows[i].retry || (p->dead_letter.uri == NULL) != (rows[i].sink == NULL) ||
            (rows[i].sink != NULL && strcmp(p->dead_letter.uri, rows[i].sink) != 0))
            fail_msg("row %zu: retry %u, sink %s", i, p->retry,
                     p->dead_letter.uri != NULL ? p->dead_letter.uri : "none");
    }
}

static void every_field_is_read(void **state)
{
    struct world *w = *state;
    const struct policy *p = policy_of(
        w, "",
        ",\"delivery\":{\"retry\":7,\"backoffPolicy\":\"linear\",\"backoffDelay\":"
        "\"PT1.5S\",\"timeout\":\"PT2M\",\"retryAfterMax\":\"PT0S\",\"format\":\"json\"}");
    assert_int_equal(p->retry, 7);
    assert_true(p->linear);
    assert_int_equal(p->delay_ns, 1500 * CLOCK_MILLISECOND);
    assert_int_equal(p->timeout_ns, 120 * CLOCK_SECOND);
    assert_int_equal(p->retry_after_max_ns, 0);
    assert_int_equal(p->format, POLICY_FORMAT_JSON);
    p = policy_of(w, "", ",\"delivery\":{\"format\":\"binary\"}");
    assert_int_equal(p->format, POLICY_FORMAT_BINARY);
    p = policy_of(w, "", ",\"delivery\":{\"retry\":1}");
    assert_int_equal(p->format, POLICY_FORMAT_ANY);
    assert_false(p->linear);
    assert_int_equal(p->delay_ns, 200 * CLOCK_MILLISECOND);
    assert_int_equal(p->timeout_ns, 30 * CLOCK_SECOND);
    assert_int_equal(p->retry_after_max_ns, 3600 * CLOCK_SECOND);
}

int main(void)
{
#define POLICY_TEST(name) cmocka_unit_test_setup_teardown(name, world_setup_memory, world_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_grow_as_the_policy_says),
        cmocka_unit_test(waits_have_a_limit),
        POLICY_TEST(which_one_is_in_force),
        POLICY_TEST(every_field_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
