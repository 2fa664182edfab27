/* SPDX-License-Identifier: Apache-2.0 */
/* Window, rate limit, circuit breaker and pause of a trigger. */
#include "world.h"

#include "unit.h"

#include "broker/cursor.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MINUTE (60 * CLOCK_SECOND)

static uint64_t delivered(const struct world *w)
{
    return atomic_load(&w->core->counters.delivered);
}

static void never(struct world *w, struct fake_call *c)
{
    (void)w;
    c->never = true;
}

static void down(struct world *w, struct fake_call *c)
{
    (void)w;
    c->status = 503;
}

static const json_t *condition(struct world *w, const char *type)
{
    const json_t *status = resource_at(world_trigger_find(w, "t")->resource->object, "status");
    size_t i;
    json_t *c;
    json_array_foreach(json_object_get(status, "conditions"), i, c)
    {
        if (strcmp(resource_text_at(c, "type"), type) == 0)
            return c;
    }
    return NULL;
}

static bool condition_is(struct world *w, const char *type, const char *status)
{
    const json_t *c = condition(w, type);
    return c != NULL && strcmp(resource_text_at(c, "status"), status) == 0;
}

static bool ready_because(struct world *w, const char *reason)
{
    const char *text = resource_text_at(condition(w, "Ready"), "reason");
    return condition_is(w, "Ready", "True") && strcmp(text != NULL ? text : "", reason) == 0;
}

/* ---- window ---- */

static void as_many_at_the_same_time_as_the_annotation_says(void **state)
{
    struct world *w = *state;
    w->plan = never;
    world_trigger_annotated(w, "t", "\"sluice.dev/concurrency\":\"3\"", "f", "");
    world_send_many(w, "e", 20, "t");
    WORLD_UNTIL(w, w->in_flight == 3);
    world_rest(w);
    assert_int_equal(w->in_flight, 3);
    world_trigger_annotated(w, "t", "\"sluice.dev/concurrency\":\"200\"", "f", "");
    world_send_many(w, "more", 400, "t");
    WORLD_UNTIL(w, w->in_flight == 200);
    world_rest(w);
    assert_int_equal(w->in_flight_max, 200);
}

static void large_events_have_a_smaller_window(void **state)
{
    struct world *w = *state;
    static char data[900000];
    memset(data, 'x', sizeof(data));
    w->plan = never;
    world_trigger_annotated(w, "t", "\"sluice.dev/concurrency\":\"1000\"", "f", "");
    const struct trigger *t = world_trigger_find(w, "t");
    for (unsigned i = 0; i < 70; i++)
        assert_true(world_send_data(w, "e", "t", slice_of(data, sizeof(data))) > 0);
    WORLD_UNTIL(w, t->flow.bytes >= FLOW_BYTES_MAX);
    world_rest(w);
    assert_in_range(t->flow.bytes, FLOW_BYTES_MAX, FLOW_BYTES_MAX + (1 << 20));
    world_answer_all_now(w);
    w->plan = NULL;
    world_answer_all(w);
    WORLD_UNTIL(w, delivered(w) == 70);
    assert_int_equal(t->flow.bytes, 0);
}

static void stuck_sink(struct world *w, struct fake_call *c)
{
    (void)w;
    if (strcmp(c->to, "sink") == 0)
        c->never = true;
    else if (strncmp(c->id, "bad", 3) == 0)
        c->status = 400;
}

/* One request at a time to the subscriber, and the dead-letter sink answers none. */
static void the_dead_letter_sink_has_a_window_of_its_own(void **state)
{
    struct world *w = *state;
    w->plan = stuck_sink;
    world_trigger_annotated(w, "t", "\"sluice.dev/concurrency\":\"1\"", "f",
                            ",\"delivery\":{\"deadLetterSink\":{\"ref\":{\"apiVersion\":"
                            "\"sluice.dev/v1\",\"kind\":\"Function\",\"name\":\"sink\"}}}");
    world_send_many(w, "bad", 100, "t");
    WORLD_UNTIL(w, w->in_flight >= TRIGGER_WINDOW);
    world_send_many(w, "good", 100, "t");
    WORLD_UNTIL(w, delivered(w) == 100);
    assert_int_equal(world_trigger_find(w, "t")->flow.to_sink, TRIGGER_WINDOW);
}

/* ---- rate ---- */

static void retries_count_for_the_rate(void **state)
{
    struct world *w = *state;
    w->plan = down;
    world_trigger_annotated(w, "t", "\"sluice.dev/rate-limit\":\"30/m\"", "f",
                            ",\"delivery\":{\"retry\":5,\"backoffDelay\":\"PT0.001S\"}");
    world_send_many(w, "e", 20, "t");
    WORLD_UNTIL(w, w->seen_count == 1);
    world_pass(w, 10 * MINUTE);
    assert_int_equal(w->seen_count, 6 * 20);
    for (size_t i = 1; i < w->seen_count; i++)
        assert_true(w->seen[i].at_ns - w->seen[i - 1].at_ns >= 2 * CLOCK_SECOND);
    assert_int_equal(world_rows(w, STORE_TABLE_DEAD), 20);
}

static void a_limit_that_is_lifted_lets_all_go(void **state)
{
    struct world *w = *state;
    world_trigger_annotated(w, "t", "\"sluice.dev/rate-limit\":\"1/h\"", "f", "");
    world_send_many(w, "e", 500, "t");
    WORLD_UNTIL(w, world_trigger_find(w, "t")->behind != 0);
    world_pass(w, 10 * MINUTE);
    assert_int_equal(w->seen_count, 1);
    world_trigger(w, "t", "f", "");
    WORLD_UNTIL(w, delivered(w) == 500);
}

/* ---- circuit breaker ---- */

#define BREAKER   "\"sluice.dev/circuit-breaker\":\"5\""
#define ONE_RETRY ",\"delivery\":{\"retry\":1,\"backoffDelay\":\"PT0.01S\"}"

/* An hour is far more than the policy's attempts last for. */
static void a_dead_subscriber_costs_no_attempts(void **state)
{
    struct world *w = *state;
    w->plan = down;
    world_trigger_annotated(w, "t", BREAKER, "f", ONE_RETRY);
    const struct trigger *t = world_trigger_find(w, "t");
    WORLD_UNTIL(w, condition_is(w, "SubscriberHealthy", "True"));
    world_send_many(w, "e", 300, "t");
    WORLD_UNTIL(w, t->flow.breaker.open && t->in_flight == 0);
    world_pass(w, CLOCK_SECOND / 2);
    size_t before = w->seen_count;
    assert_in_range(before, 5, TRIGGER_WINDOW);
    WORLD_UNTIL(w, condition_is(w, "SubscriberHealthy", "False"));
    assert_string_equal(resource_text_at(condition(w, "SubscriberHealthy"), "reason"),
                        "CircuitOpen");
    assert_non_null(
        strstr(resource_text_at(condition(w, "SubscriberHealthy"), "message"), "next probe is at"));
    WORLD_UNTIL(w, ready_because(w, "CircuitOpen"));
    assert_int_equal(atomic_load(&w->core->counters.breakers_open), 1);
    world_pass(w, 60 * MINUTE);
    assert_in_range(w->seen_count - before, 60, 70); /* 1, 2, 4 … 32 s, then each minute */
    assert_int_equal(atomic_load(&w->core->counters.probes), w->seen_count - before);
    assert_int_equal(world_rows(w, STORE_TABLE_DEAD), 0);
    w->plan = NULL;
    world_pass(w, MINUTE + CLOCK_SECOND);
    WORLD_UNTIL(w, delivered(w) == 300);
    WORLD_UNTIL(w, condition_is(w, "SubscriberHealthy", "True") && ready_because(w, ""));
    assert_int_equal(atomic_load(&w->core->counters.breakers_open), 0);
    assert_int_equal(world_rows(w, STORE_TABLE_DEAD), 0);
}

static void down_for_one(struct world *w, struct fake_call *c)
{
    (void)w;
    c->status = strcmp(c->id, "poison0") == 0 ? 500 : 200;
}

/* The event that the subscriber dies of does not keep the others from probing. */
static void probes_take_turns(void **state)
{
    struct world *w = *state;
    w->plan = down;
    world_trigger_annotated(w, "t", "\"sluice.dev/circuit-breaker\":\"1\"", "f", ONE_RETRY);
    world_send_many(w, "poison", 1, "t");
    WORLD_UNTIL(w, world_trigger_find(w, "t")->flow.breaker.open);
    world_pass(w, 10 * CLOCK_SECOND);
    w->plan = down_for_one;
    world_send_many(w, "e", 10, "t");
    world_pass(w, 10 * MINUTE);
    assert_int_equal(delivered(w), 10);
}

static void no_service(struct world *w, struct fake_call *c)
{
    (void)w;
    c->status = 400;
}

static void refusals_do_not_open_it(void **state)
{
    struct world *w = *state;
    w->plan = no_service;
    world_trigger_annotated(w, "t", BREAKER, "f", ONE_RETRY);
    world_send_many(w, "e", 100, "t");
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_DEAD) == 100);
    assert_false(world_trigger_find(w, "t")->flow.breaker.open);
}

static void without_it_attempts_go_on(void **state)
{
    struct world *w = *state;
    w->plan = down;
    world_trigger(w, "t", "f", ONE_RETRY);
    world_send_many(w, "e", 100, "t");
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_DEAD) == 100);
    assert_null(condition(w, "SubscriberHealthy"));
}

static void a_restart_closes_it(void **state)
{
    struct world *w = *state;
    w->plan = down;
    world_trigger_annotated(w, "t", BREAKER, "f", ONE_RETRY);
    world_send_many(w, "e", 100, "t");
    WORLD_UNTIL(w, condition_is(w, "SubscriberHealthy", "False"));
    world_stop(w);
    w->plan = NULL;
    world_open(w);
    WORLD_UNTIL(w, delivered(w) == 100 && condition_is(w, "SubscriberHealthy", "True"));
}

/* ---- pause ---- */

#define PAUSED "\"sluice.dev/paused\":\"true\""

static void a_paused_trigger_starts_nothing_and_loses_nothing(void **state)
{
    struct world *w = *state;
    w->plan = never;
    world_trigger(w, "t", "f", "");
    const struct trigger *t = world_trigger_find(w, "t");
    int64_t first = world_send(w, "first", "t");
    WORLD_UNTIL(w, w->in_flight == 1);
    world_trigger_annotated(w, "t", PAUSED, "f", "");
    WORLD_UNTIL(w, condition_is(w, "Paused", "True") && ready_because(w, "Paused"));
    assert_int_equal(atomic_load(&w->core->counters.paused), 1);
    w->plan = NULL;
    world_send_many(w, "e", 2000, "t");
    WORLD_UNTIL(w, t->behind != 0);
    world_rest(w);
    assert_int_equal(w->seen_count, 1);
    assert_in_range(t->waiting_count, 1, TRIGGER_WAITING_MAX); /* the rest waits in the log */
    assert_int_equal(cursor_needed(w->core), first);
    world_answer_all(w); /* what was under way ends */
    WORLD_UNTIL(w, delivered(w) == 1);
    world_rest(w);
    assert_int_equal(w->seen_count, 1);
    assert_true(cursor_needed(w->core) > (uint64_t)first);
    world_trigger(w, "t", "f", "");
    WORLD_UNTIL(w, delivered(w) == 2001);
    WORLD_UNTIL(w, condition(w, "Paused") == NULL && ready_because(w, ""));
    assert_int_equal(atomic_load(&w->core->counters.paused), 0);
}

static void a_pause_lasts_over_a_restart(void **state)
{
    struct world *w = *state;
    world_trigger_annotated(w, "t", PAUSED, "f", "");
    world_send_many(w, "e", 1000, "t");
    WORLD_UNTIL(w, world_trigger_find(w, "t")->behind != 0);
    world_stop(w);
    world_open(w);
    world_rest(w);
    assert_int_equal(w->seen_count, 0);
    world_trigger(w, "t", "f", "");
    WORLD_UNTIL(w, delivered(w) == 1000);
}

static void others_go_on_meanwhile(void **state)
{
    struct world *w = *state;
    world_trigger_annotated(w, "t", PAUSED, "f", "");
    world_trigger(w, "other", "g", "");
    world_send_many(w, "e", 3000, "t");
    WORLD_UNTIL(w, world_seen(w, "g", NULL) == 3000);
    assert_int_equal(world_seen(w, "f", NULL), 0);
}

int main(void)
{
#define FLOW_TEST(name) cmocka_unit_test_setup_teardown(name, world_setup_memory, world_teardown)
#define DISK_TEST(name) cmocka_unit_test_setup_teardown(name, world_setup_disk, world_teardown)
    const struct CMUnitTest tests[] = {
        FLOW_TEST(as_many_at_the_same_time_as_the_annotation_says),
        FLOW_TEST(large_events_have_a_smaller_window),
        FLOW_TEST(the_dead_letter_sink_has_a_window_of_its_own),
        FLOW_TEST(retries_count_for_the_rate),
        FLOW_TEST(a_limit_that_is_lifted_lets_all_go),
        FLOW_TEST(a_dead_subscriber_costs_no_attempts),
        FLOW_TEST(probes_take_turns),
        FLOW_TEST(refusals_do_not_open_it),
        FLOW_TEST(without_it_attempts_go_on),
        DISK_TEST(a_restart_closes_it),
        FLOW_TEST(a_paused_trigger_starts_nothing_and_loses_nothing),
        DISK_TEST(a_pause_lasts_over_a_restart),
        FLOW_TEST(others_go_on_meanwhile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
