/* SPDX-License-Identifier: Apache-2.0 */
/* The numbers of triggers, over a whole core: counts, gauges while something is unfinished, and
 * what subscribers and senders cannot make grow. */
#include "broker/measures.h"
#include "world.h"

#include "unit.h"

#include <errno.h>
#include <stdio.h>

static const struct trigger *find(struct world *w, const char *name)
{
    return world_trigger_find(w, name);
}

static uint64_t count(struct world *w, const char *name, enum trigger_count what)
{
    return measures_trigger(find(w, name))->counts[what];
}

static double gauge(struct world *w, const char *name, enum trigger_gauge which)
{
    return measures_trigger_gauge(find(w, name), which);
}

/* Attempts with that code, of that type (NULL: all); *ret_rows: pairs of types and codes. */
static uint64_t attempts(struct world *w, const char *name, const char *type, unsigned code,
                         unsigned *ret_rows)
{
    struct trigger_measure_place at = {0};
    struct trigger_attempts a;
    uint64_t n = 0;
    *ret_rows = 0;
    for (; trigger_measure_next_attempts(measures_trigger(find(w, name)), &at, &a); (*ret_rows)++)
        if (a.code == code && (type == NULL || slice_is(a.type, type)))
            n += histogram_count(&a.took);
    return n;
}

static unsigned next_status;

static void answer_each_otherwise(struct world *w, struct fake_call *call)
{
    (void)w;
    call->status = next_status++;
}

static void test_codes_are_bounded(void **state)
{
    struct world *w = *state;
    unsigned rows;
    world_trigger(w, "t", "f", ",\"delivery\":{\"retry\":0}");
    next_status = 410;
    w->plan = answer_each_otherwise;
    world_send_many(w, "e", 50, "x");
    WORLD_UNTIL(w, gauge(w, "t", TRIGGER_DEAD_KEPT) == 50);
    assert_int_equal(attempts(w, "t", "x", 410, &rows), 1);
    assert_int_equal(rows, TRIGGER_CODES_MAX + 1);
    assert_int_equal(attempts(w, "t", "x", 4, &rows), 50 - TRIGGER_CODES_MAX);
    assert_int_equal(count(w, "t", TRIGGER_DEAD), 50);
}

static void test_types_are_bounded(void **state)
{
    struct world *w = *state;
    char type[16];
    unsigned rows;
    world_trigger(w, "t", "f", "");
    for (unsigned i = 0; i < TRIGGER_TYPES_MAX + 5; i++) {
        snprintf(type, sizeof(type), "type%u", i);
        world_send(w, "e", type);
        world_rest(w);
    }
    WORLD_UNTIL(w, count(w, "t", TRIGGER_DELIVERED) == TRIGGER_TYPES_MAX + 5);
    assert_int_equal(attempts(w, "t", "type0", 200, &rows), 1);
    assert_int_equal(rows, TRIGGER_TYPES_MAX + 1);
    assert_int_equal(attempts(w, "t", "other", 200, &rows), 5);
}

static void fail_once(struct world *w, struct fake_call *call)
{
    if (world_seen(w, call->to, call->id) <= 1)
        call->error = -ECONNREFUSED;
}

static void test_no_answer_then_a_good_one(void **state)
{
    struct world *w = *state;
    unsigned rows;
    w->plan = fail_once;
    world_trigger(w, "t", "f", ",\"delivery\":{\"retry\":3,\"backoffDelay\":\"PT0.001S\"}");
    world_send_many(w, "e", 10, "x");
    WORLD_UNTIL(w, count(w, "t", TRIGGER_DELIVERED) == 10);
    assert_int_equal(count(w, "t", TRIGGER_MATCHED), 10);
    assert_int_equal(count(w, "t", TRIGGER_FAILED), 10);
    assert_int_equal(count(w, "t", TRIGGER_RETRIED), 10);
    assert_int_equal(count(w, "t", TRIGGER_DEAD), 0);
    assert_int_equal(attempts(w, "t", "x", 0, &rows), 10);
    assert_int_equal(attempts(w, "t", "x", 200, &rows), 10);
    struct trigger_measure_place at = {0};
    struct trigger_waits waits;
    assert_true(trigger_measure_next_waits(measures_trigger(find(w, "t")), &at, &waits));
    assert_int_equal(histogram_count(&waits.took), 20);
}

static void never_answer(struct world *w, struct fake_call *call)
{
    (void)w;
    call->never = true;
}

static void test_what_is_unfinished(void **state)
{
    struct world *w = *state;
    world_trigger(w, "t", "f", ",\"delivery\":{\"retry\":1,\"backoffDelay\":\"PT1000S\"}");
    world_rest(w);
    assert_true(gauge(w, "t", TRIGGER_LAG) == 0);
    assert_true(gauge(w, "t", TRIGGER_OLDEST) == 0);
    assert_true(gauge(w, "t", TRIGGER_READY) == 1);
    w->plan = never_answer;
    int64_t first = world_send(w, "e", "x");
    world_send_many(w, "e", 9, "x");
    WORLD_UNTIL(w, gauge(w, "t", TRIGGER_IN_FLIGHT) == 10);
    assert_true(gauge(w, "t", TRIGGER_LAG) ==
                (double)(store_synced(w->store) + 1 - (uint64_t)first));
    assert_true(gauge(w, "t", TRIGGER_OLDEST) > 0);
    w->plan = world_fail_when_told;
    struct list *calls = &w->calls; /* all fail: they wait for their second attempt */
    list_for_each (node, calls)
        list_entry(node, struct fake_call, link)->status = 500;
    world_answer_all(w);
    WORLD_UNTIL(w, gauge(w, "t", TRIGGER_RETRYING) == 10);
    WORLD_UNTIL(w, gauge(w, "t", TRIGGER_LAG) == 0); /* their own records are read, too */
    assert_true(gauge(w, "t", TRIGGER_OLDEST) > 0);
}

static void test_all_are_walked_through(void **state)
{
    struct world *w = *state;
    char name[16];
    for (unsigned i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "t%u", i);
        world_trigger(w, name, "f", "");
    }
    struct measures_names names;
    uint32_t at = 0;
    unsigned triggers = 0, brokers = 0;
    const struct trigger *t;
    for (; (t = measures_next_trigger(w->core, &at)) != NULL; triggers++) {
        measures_trigger_names(t, &names);
        assert_true(slice_is(names.broker, "b") && slice_is(names.filter_type, "any"));
        if (triggers == 3) /* those that come and go meanwhile do no harm */
            world_delete(w, &resource_kind_trigger, "t5");
    }
    assert_int_equal(triggers, 19);
    for (at = 0; measures_next_broker(w->core, &at) != NULL;)
        brokers++;
    assert_int_equal(brokers, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup_memory, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_codes_are_bounded),         TEST(test_types_are_bounded),
        TEST(test_no_answer_then_a_good_one), TEST(test_what_is_unfinished),
        TEST(test_all_are_walked_through),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
