/* SPDX-License-Identifier: Apache-2.0 */
/* What a flood of broker b, and its many slow triggers, leave to broker calm. */
#include "world.h"

#include "unit.h"

#include <stdio.h>
#include <string.h>

#define TRIGGERS    50
#define READ_BUDGET 8000 /* scan.c: records that triggers read by themselves in one turn */

static void hold_flood(struct world *w, struct fake_call *c)
{
    (void)w;
    c->never = strcmp(c->to, "calm") != 0;
}

static void add_trigger(struct world *w, const char *broker, const char *name, const char *start,
                        const char *type)
{
    autobuf json = BUF_INIT;
    buf_printf(
        &json,
        "{\"apiVersion\":\"eventing.knative.dev/v1\",\"kind\":\"Trigger\",\"metadata\":"
        "{\"name\":\"%s\",\"annotations\":{\"sluice.dev/start\":\"%s\"}},\"spec\":{"
        "\"broker\":\"%s\",\"filter\":{\"attributes\":{\"type\":\"%s\"}},\"subscriber\":{"
        "\"ref\":{\"apiVersion\":\"sluice.dev/v1\",\"kind\":\"Function\",\"name\":\"%s\"}}}}",
        name, start, broker, type, name);
    world_apply(w, json.ptr);
}

static void add_flood_triggers(struct world *w, const char *start, const char *type)
{
    for (unsigned i = 0; i < TRIGGERS; i++) {
        char name[16];
        snprintf(name, sizeof(name), "flood%u", i);
        add_trigger(w, "b", name, start, type);
    }
}

static int setup(void **state)
{
    world_setup_memory(state);
    struct world *w = *state;
    w->plan = hold_flood;
    world_broker(w, "calm");
    add_trigger(w, "calm", "calm", "latest", "t");
    return 0;
}

static void send_calm(struct world *w, unsigned count)
{
    w->to_broker = "calm";
    world_send_many(w, "calm", count, "t");
    w->to_broker = NULL;
}

static uint64_t read_up_to(struct world *w)
{
    uint64_t sum = 0;
    list_for_each (node, &w->core->behind)
        sum += list_entry(node, struct trigger, behind_link)->behind;
    return sum;
}

static unsigned behind(const struct world *w)
{
    unsigned n = 0;
    list_for_each (node, &w->core->behind)
        n++;
    return n;
}

static void fall_behind(struct world *w)
{
    for (unsigned i = 0; i < TRIGGERS; i++) {
        char name[16];
        snprintf(name, sizeof(name), "flood%u", i);
        trigger_fall_behind(world_trigger_find(w, name), 1);
    }
}

static void a_flood_with_slow_subscribers(void **state)
{
    struct world *w = *state;
    add_flood_triggers(w, "latest", "t");
    world_send_many(w, "flood", 3000, "t");
    WORLD_UNTIL(w, behind(w) == TRIGGERS);
    for (unsigned round = 0; round < 5; round++) {
        send_calm(w, 200);
        world_send_many(w, "more", 1000, "t");
    }
    WORLD_UNTIL(w, world_seen(w, "calm", NULL) == 1000);
    assert_int_equal(behind(w), TRIGGERS);
    assert_int_equal(w->in_flight, TRIGGERS * TRIGGER_WINDOW);
}

/* Each of them has to read all of the log, and finds nothing. */
static void many_triggers_that_read_by_themselves_do_it_in_turns(void **state)
{
    struct world *w = *state;
    for (unsigned i = 0; i < 20; i++)
        world_send_many(w, "flood", 1000, "t");
    add_flood_triggers(w, "earliest", "none");
    WORLD_UNTIL(w, behind(w) == 0);
    world_rest(w);
    fall_behind(w);
    send_calm(w, 100);
    for (uint64_t sum = read_up_to(w); world_seen(w, "calm", NULL) < 100; sum = read_up_to(w)) {
        world_turn(w);
        assert_int_equal(behind(w), TRIGGERS);
        assert_in_range(read_up_to(w) - sum, 0, READ_BUDGET);
    }
    WORLD_UNTIL(w, behind(w) == 0);
}

static void a_flood_leaves_requests_to_others(void **state)
{
    struct world *w = *state;
    w->core->requests_max = 100;
    add_flood_triggers(w, "latest", "t");
    world_send_many(w, "flood", 1000, "t");
    WORLD_UNTIL(w, behind(w) == TRIGGERS);
    world_rest(w);
    assert_in_range(w->in_flight, 100, 200); /* not 2400 */
    send_calm(w, 500);
    WORLD_UNTIL(w, world_seen(w, "calm", NULL) == 500);
    assert_in_range(w->in_flight, 100, 200);
    w->plan = NULL;
    world_answer_all(w); /* those that had their share go on by themselves */
    WORLD_UNTIL(w, atomic_load(&w->core->counters.delivered) == TRIGGERS * 1000 + 500);
}

int main(void)
{
#define ISOLATION_TEST(name) cmocka_unit_test_setup_teardown(name, setup, world_teardown)
    const struct CMUnitTest tests[] = {
        ISOLATION_TEST(a_flood_with_slow_subscribers),
        ISOLATION_TEST(many_triggers_that_read_by_themselves_do_it_in_turns),
        ISOLATION_TEST(a_flood_leaves_requests_to_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
