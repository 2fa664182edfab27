/* SPDX-License-Identifier: Apache-2.0 */
/* A subscriber that is down for an hour, which passes at once. */
#include "world.h"

#include "unit.h"

#include "broker/retry.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define HOUR   (3600 * CLOCK_SECOND)
#define EVENTS 500

static void down(struct world *w, struct fake_call *c)
{
    (void)w;
    if (strcmp(c->to, "f") == 0)
        c->error = -ECONNREFUSED;
}

static uint64_t delivered(const struct world *w)
{
    return atomic_load(&w->core->counters.delivered);
}

/* Attempts after 1, 2, 4, … minutes: 6 of them in an hour. */
static void its_events_come_when_it_is_back(void **state)
{
    struct world *w = *state;
    w->plan = down;
    world_trigger(w, "t", "f", ",\"delivery\":{\"retry\":10,\"backoffDelay\":\"PT1M\"}");
    world_send_many(w, "e", EVENTS, "t");
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_RETRIES) == EVENTS);
    world_pass(w, HOUR);
    assert_int_equal(world_seen(w, "f", "e0"), 6);
    assert_int_equal(world_seen(w, "f", NULL), 6 * EVENTS);
    assert_int_equal(world_rows(w, STORE_TABLE_RETRIES), EVENTS);
    w->plan = NULL;
    world_pass(w, HOUR);
    WORLD_UNTIL(w, delivered(w) == EVENTS && w->core->settling == 0);
    assert_int_equal(world_rows(w, STORE_TABLE_RETRIES), 0);
    assert_int_equal(world_rows(w, STORE_TABLE_PAYLOADS), 0);
    assert_int_equal(world_rows(w, STORE_TABLE_DEAD), 0);
}

/* However many come in that hour: some fail, the others stay in the log. */
static void memory_does_not_grow_meanwhile(void **state)
{
    struct world *w = *state;
    const unsigned many = TRIGGER_RETRYING_MAX + 3000;
    w->plan = down;
    world_trigger(w, "t", "f", ",\"delivery\":{\"retry\":10,\"backoffDelay\":\"PT1M\"}");
    world_trigger(w, "other", "g", "");
    const struct trigger *t = world_trigger_find(w, "t");
    for (unsigned sent = 0; sent < many; sent += many / 10) {
        char prefix[16];
        snprintf(prefix, sizeof(prefix), "e%u-", sent);
        world_send_many(w, prefix, many / 10, "t");
        world_pass(w, HOUR / 10);
        unsigned in_memory = 0;
        list_for_each (node, &t->retrying)
            in_memory++;
        list_for_each (node, &t->outstanding)
            in_memory++;
        assert_in_range(in_memory, 1, RETRY_WINDOW_MAX + TRIGGER_WAITING_MAX + 2 * TRIGGER_WINDOW);
    }
    assert_int_equal(world_seen(w, "g", NULL), many);
    assert_in_range(t->retrying_count, TRIGGER_RETRYING_MAX,
                    TRIGGER_RETRYING_MAX + TRIGGER_WAITING_MAX + 2 * TRIGGER_WINDOW);
    assert_true(t->behind != 0);
    w->plan = NULL;
    for (unsigned n = 0; n < 12 && world_rows(w, STORE_TABLE_RETRIES) > 0; n++)
        world_pass(w, HOUR);
    WORLD_UNTIL(w, t->behind == 0 && list_empty(&t->outstanding) && w->core->settling == 0);
    assert_int_equal(world_rows(w, STORE_TABLE_RETRIES), 0);
    assert_int_equal(world_rows(w, STORE_TABLE_DEAD), 0);
    unsigned good = 0;
    for (size_t i = 0; i < w->seen_count; i++)
        good += strcmp(w->seen[i].to, "f") == 0 && w->seen[i].finished;
    assert_int_equal(good, many);
}

/* The last attempt comes after 1 + 2 + 4 + 8 + 16 minutes. */
static void attempts_run_out_within_the_hour(void **state)
{
    struct world *w = *state;
    w->plan = down;
    world_trigger(w, "t", "f", ",\"delivery\":{\"retry\":5,\"backoffDelay\":\"PT1M\"}");
    world_send_many(w, "e", EVENTS, "t");
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_RETRIES) == EVENTS);
    world_pass(w, 30 * 60 * CLOCK_SECOND);
    assert_int_equal(world_rows(w, STORE_TABLE_DEAD), 0);
    world_pass(w, 2 * 60 * CLOCK_SECOND);
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_DEAD) == EVENTS && w->core->settling == 0);
    assert_int_equal(world_rows(w, STORE_TABLE_RETRIES), 0);
    assert_int_equal(world_seen(w, "f", NULL), 6 * EVENTS);
    world_pass(w, HOUR);
    assert_int_equal(world_seen(w, "f", NULL), 6 * EVENTS);
}

/* And kills in between cost no attempt, and no event. */
static void the_broker_dies_meanwhile(void **state)
{
    struct world *w = *state;
    w->plan = down;
    world_trigger(w, "t", "f", ",\"delivery\":{\"retry\":10,\"backoffDelay\":\"PT1M\"}");
    world_send_many(w, "e", EVENTS, "t");
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_RETRIES) == EVENTS && w->core->settling == 0);
    for (unsigned n = 0; n < 6; n++) {
        world_pass(w, HOUR / 6);
        world_abandon(w);
        world_open(w);
    }
    assert_int_equal(world_seen(w, "f", NULL), 6 * EVENTS);
    w->plan = NULL;
    world_pass(w, HOUR);
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_RETRIES) == 0);
    assert_int_equal(world_seen(w, "f", NULL), 7 * EVENTS);
    assert_int_equal(world_rows(w, STORE_TABLE_DEAD), 0);
}

int main(void)
{
#define OUTAGE_TEST(name) cmocka_unit_test_setup_teardown(name, world_setup_memory, world_teardown)
    const struct CMUnitTest tests[] = {
        OUTAGE_TEST(its_events_come_when_it_is_back),
        OUTAGE_TEST(memory_does_not_grow_meanwhile),
        OUTAGE_TEST(attempts_run_out_within_the_hour),
        cmocka_unit_test_setup_teardown(the_broker_dies_meanwhile, world_setup_disk,
                                        world_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
