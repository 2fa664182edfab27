/* SPDX-License-Identifier: Apache-2.0 */
/* A log that is nearly full: what may go goes before anything is refused. */
#include "world.h"

#include "unit.h"

#include <string.h>

#define ROOM (1u << 20)

static int setup(void **state)
{
    static struct world w;
    world_init(&w, true);
    w.options.memory_max = ROOM;
    world_open(&w);
    world_broker(&w, "b");
    *state = &w;
    return 0;
}

static uint64_t log_bytes(struct world *w)
{
    struct store_stats stats;
    store_stats(w->store, &stats);
    return stats.log_bytes;
}

static uint64_t delivered(const struct world *w)
{
    return atomic_load(&w->core->counters.delivered);
}

/* Eight times what there is room for. What is delivered has its end before the next comes: without
 * housekeeping nobody looks again when retention came too early. */
static void send_many(struct world *w, bool wanted)
{
    static char data[16 << 10];
    memset(data, 'x', sizeof(data));
    for (unsigned i = 0; i < 8 * ROOM / sizeof(data); i++) {
        assert_true(world_send_data(w, "1", "t", slice_of(data, sizeof(data))) > 0);
        WORLD_UNTIL(w, !wanted || (delivered(w) == i + 1 && w->core->settling == 0));
        WORLD_UNTIL(w, log_bytes(w) <= ROOM / 4 * 3);
    }
}

static void what_nobody_wants_goes_at_once(void **state)
{
    struct world *w = *state;
    loop_timer_cancel(w->loop, &w->core->housekeeping);
    send_many(w, false);
}

static void what_is_delivered_goes_at_once(void **state)
{
    struct world *w = *state;
    loop_timer_cancel(w->loop, &w->core->housekeeping);
    world_trigger(w, "t", "f", "");
    send_many(w, true);
    assert_true(w->seen_count > 0);
}

static void never_answer(struct world *w, struct fake_call *c)
{
    c->never = true;
}

/* Nothing tells of it, so the next housekeeping looks; not one in ten, as otherwise. */
static void what_is_delivered_late_goes_soon(void **state)
{
    struct world *w = *state;
    static char data[16 << 10];
    w->plan = never_answer;
    world_trigger(w, "t", "f", "");
    memset(data, 'x', sizeof(data));
    while (log_bytes(w) <= ROOM / 2)
        assert_true(world_send_data(w, "1", "t", slice_of(data, sizeof(data))) > 0);
    world_rest(w);
    WORLD_UNTIL(w, !heap_contains(&w->core->retain.node)); /* it was tried, in vain */
    assert_true(store_retain_due(w->store));
    w->plan = NULL;
    world_answer_all(w);
    WORLD_UNTIL(w, !store_retain_due(w->store));
    assert_true(w->core->housekeeping_turns < 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_nobody_wants_goes_at_once, setup, world_teardown),
        cmocka_unit_test_setup_teardown(what_is_delivered_goes_at_once, setup, world_teardown),
        cmocka_unit_test_setup_teardown(what_is_delivered_late_goes_soon, setup, world_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
