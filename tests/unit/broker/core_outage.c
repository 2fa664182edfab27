/* SPDX-License-Identifier: Apache-2.0 */
/* A subscriber that is down for an hour, which passes at once. */
#include "world.h"

#include "unit.h"

#include <errno.h>

#define HOUR   (3600 * CLOCK_SECOND)
#define EVENTS 500

static void down(struct world *w, struct fake_call *c)
{
    (void)w;
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

int main(void)
{
#define OUTAGE_TEST(name) cmocka_unit_test_setup_teardown(name, world_setup_memory, world_teardown)
    const struct CMUnitTest tests[] = {
        OUTAGE_TEST(its_events_come_when_it_is_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
