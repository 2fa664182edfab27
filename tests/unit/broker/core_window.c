/* SPDX-License-Identifier: Apache-2.0 */
/* Which of the deliveries that wait are in memory, and which are rows alone. */
#include "world.h"

#include "unit.h"

#include "broker/retry.h"

#include <stdio.h>

#define HOUR   (3600 * CLOCK_SECOND)
#define EVENTS 3000

static void refuse(struct world *w, struct fake_call *c)
{
    (void)w;
    c->status = 503;
}

static uint64_t delivered(const struct world *w)
{
    return atomic_load(&w->core->counters.delivered);
}

static unsigned in_memory(const struct trigger *t)
{
    unsigned n = 0;
    list_for_each (node, &t->retrying)
        n++;
    return n;
}

static void all_fail_once(struct world *w, const char *delay)
{
    char more[80];
    snprintf(more, sizeof(more), ",\"delivery\":{\"retry\":5,\"backoffDelay\":\"%s\"}", delay);
    w->plan = refuse;
    world_trigger(w, "t", "f", more);
    world_send_many(w, "e", EVENTS, "t");
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_RETRIES) == EVENTS && w->core->settling == 0);
}

static void those_that_are_due_first_are_in_memory(void **state)
{
    struct world *w = *state;
    all_fail_once(w, "PT10M");
    const struct trigger *t = world_trigger_find(w, "t");
    assert_int_equal(t->retrying_count, EVENTS);
    assert_in_range(in_memory(t), RETRY_WINDOW_MAX / 2, RETRY_WINDOW_MAX);
    assert_int_equal(world_seen(w, "f", NULL), EVENTS);
    w->plan = NULL;
    world_pass(w, HOUR);
    WORLD_UNTIL(w, delivered(w) == EVENTS && w->core->settling == 0);
    assert_int_equal(world_seen(w, "f", NULL), 2 * EVENTS);
    assert_int_equal(world_rows(w, STORE_TABLE_RETRIES), 0);
    assert_int_equal(t->retrying_count, 0);
    assert_int_equal(w->core->retry_windows, 0);
}

/* A new one that is due before all that wait is not behind them. */
static void a_nearer_one_has_room(void **state)
{
    struct world *w = *state;
    all_fail_once(w, "PT10M");
    world_trigger(w, "t", "f", ",\"delivery\":{\"retry\":5,\"backoffDelay\":\"PT1M\"}");
    world_send(w, "soon", "t");
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_RETRIES) == EVENTS + 1 && w->core->settling == 0);
    const struct trigger *t = world_trigger_find(w, "t");
    assert_in_range(in_memory(t), 1, RETRY_WINDOW_MAX);
    w->plan = NULL;
    world_pass(w, 2 * 60 * CLOCK_SECOND);
    WORLD_UNTIL(w, delivered(w) == 1);
    assert_int_equal(world_seen(w, "f", "soon"), 2);
    world_pass(w, HOUR);
    WORLD_UNTIL(w, delivered(w) == EVENTS + 1);
    assert_int_equal(world_seen(w, "f", NULL), 2 * EVENTS + 2);
}

static void a_start_reads_only_those(void **state)
{
    struct world *w = *state;
    all_fail_once(w, "PT10M");
    world_checkpoint(w);
    world_abandon(w);
    world_open(w);
    const struct trigger *t = world_trigger_find(w, "t");
    assert_int_equal(in_memory(t), RETRY_WINDOW_MAX);
    assert_int_equal(t->retrying_count, EVENTS);
    w->plan = NULL;
    world_pass(w, HOUR);
    WORLD_UNTIL(w, delivered(w) == EVENTS && w->core->settling == 0);
    assert_int_equal(world_seen(w, "f", NULL), 2 * EVENTS);
    assert_int_equal(world_rows(w, STORE_TABLE_RETRIES), 0);
}

static void what_is_not_in_memory_goes_with_the_trigger(void **state)
{
    struct world *w = *state;
    all_fail_once(w, "PT10M");
    world_delete(w, &resource_kind_trigger, "t");
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_RETRIES) == 0);
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_PAYLOADS) == 0);
    assert_int_equal(w->core->retry_windows, 0);
}

static void and_with_the_broker(void **state)
{
    struct world *w = *state;
    all_fail_once(w, "PT10M");
    const struct trigger *t = world_trigger_find(w, "t");
    world_delete(w, &resource_kind_broker, "b");
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_RETRIES) == 0);
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_PAYLOADS) == 0);
    assert_int_equal(atomic_load(&w->core->counters.dropped), EVENTS);
    assert_int_equal(t->retrying_count, 0);
    assert_int_equal(in_memory(t), 0);
    world_broker(w, "b");
    world_pass(w, HOUR);
    assert_int_equal(world_seen(w, "f", NULL), EVENTS);
}

/* And what a crash has left of it goes at the next start. */
static void also_after_a_crash(void **state)
{
    struct world *w = *state;
    all_fail_once(w, "PT10M");
    world_delete_unheard(w, &resource_kind_broker, "b");
    world_abandon(w);
    world_open(w);
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_RETRIES) == 0);
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_PAYLOADS) == 0);
    assert_int_equal(world_trigger_find(w, "t")->dropped, EVENTS);
}

#define OTHERS 1000

/* Of events in the log. */
static void find_positions(struct world *w, uint64_t positions[OTHERS])
{
    struct store_reader *r = store_reader_new(w->store, 1);
    struct store_entry entry;
    for (unsigned n = 0; n < OTHERS;) {
        assert_int_equal(store_reader_next(r, &entry), 1);
        if (entry.type == STORE_RECORD_EVENT)
            positions[n++] = entry.position;
    }
    store_reader_free(r);
}

/* Rows that others write come, too, all at the same time and before those in memory. */
static void rows_that_others_write_are_delivered(void **state)
{
    struct world *w = *state;
    uint64_t positions[OTHERS], now = world_realtime(w);
    autobuf key = BUF_INIT;
    autobuf value = BUF_INIT;
    struct store_group g;
    all_fail_once(w, "PT10M");
    struct trigger *t = world_trigger_find(w, "t");
    find_positions(w, positions);
    store_group_init(&g);
    row_retry_value(&(struct retry_row){.attempts = 0}, &value);
    for (unsigned i = 0; i < OTHERS; i++) {
        row_retry_key(t->number, RETRY_NEW, now, positions[i], &key);
        store_group_add(&g, STORE_RECORD_PUT, STORE_TABLE_RETRIES, buf_slice(&key),
                        buf_slice(&value));
    }
    store_append(w->store, &g, NULL, NULL);
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_RETRIES) == EVENTS + OTHERS);
    w->plan = NULL;
    for (unsigned i = 0; i < OTHERS; i++)
        retry_added(t, RETRY_NEW, now, positions[i]);
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_RETRIES) == EVENTS);
    assert_int_equal(delivered(w), OTHERS);
    assert_int_equal(world_seen(w, "f", NULL), EVENTS + OTHERS);
    world_pass(w, HOUR);
    WORLD_UNTIL(w, delivered(w) == EVENTS + OTHERS);
}

/* An hour back or ahead: what failed waits as long as it would have. */
static void setting_the_clock_changes_no_wait(void **state)
{
    struct world *w = *state;
    static const int64_t by[] = {-(int64_t)HOUR, (int64_t)HOUR};
    for (size_t i = 0; i < COUNT_OF(by); i++) {
        uint64_t before = delivered(w);
        all_fail_once(w, "PT10M");
        world_set_clock(w, by[i]);
        w->plan = NULL;
        world_pass(w, 9 * 60 * CLOCK_SECOND);
        assert_int_equal(delivered(w), before);
        world_pass(w, 2 * 60 * CLOCK_SECOND);
        WORLD_UNTIL(w, delivered(w) == before + EVENTS);
    }
}

/* Then rows may be due by a clock that was ahead. */
static void nor_does_it_while_the_broker_is_down(void **state)
{
    struct world *w = *state;
    all_fail_once(w, "PT10M");
    world_abandon(w);
    world_set_clock(w, -24 * (int64_t)HOUR);
    world_open(w);
    w->plan = NULL;
    world_pass(w, 11 * 60 * CLOCK_SECOND);
    WORLD_UNTIL(w, delivered(w) == EVENTS);
    assert_int_equal(world_seen(w, "f", NULL), 2 * EVENTS);
}

/* Many triggers share the memory. */
static void many_windows_are_smaller(void **state)
{
    struct world *w = *state;
    const unsigned triggers = 200;
    w->plan = refuse;
    for (unsigned i = 0; i < triggers; i++) {
        char name[16];
        snprintf(name, sizeof(name), "t%u", i);
        world_trigger(w, name, "f", ",\"delivery\":{\"retry\":5,\"backoffDelay\":\"PT10M\"}");
    }
    world_send_many(w, "e", 300, "t");
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_RETRIES) == 300 * triggers && w->core->settling == 0);
    unsigned all = 0;
    for (unsigned i = 0; i < triggers; i++) {
        char name[16];
        snprintf(name, sizeof(name), "t%u", i);
        all += in_memory(world_trigger_find(w, name));
    }
    assert_int_equal(w->core->retry_windows, triggers);
    assert_in_range(all, RETRY_MEMORY / 4, RETRY_MEMORY);
    w->plan = NULL;
    world_pass(w, HOUR);
    WORLD_UNTIL(w, delivered(w) == 300 * triggers);
}

static void a_trigger_may_keep_all(void **state)
{
    struct world *w = *state;
    all_fail_once(w, "PT10M");
    struct trigger *t = world_trigger_find(w, "t");
    retry_keep_all(t, true);
    WORLD_UNTIL(w, in_memory(t) == EVENTS);
    world_send(w, "another", "t");
    WORLD_UNTIL(w, in_memory(t) == EVENTS + 1);
    retry_keep_all(t, false);
    world_send(w, "one more", "t");
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_RETRIES) == EVENTS + 2 && w->core->settling == 0);
    w->plan = NULL;
    world_pass(w, HOUR);
    WORLD_UNTIL(w, delivered(w) == EVENTS + 2);
    assert_int_equal(world_seen(w, "f", NULL), 2 * EVENTS + 4);
}

int main(void)
{
#define MEMORY_TEST(name) cmocka_unit_test_setup_teardown(name, world_setup_memory, world_teardown)
#define DISK_TEST(name)   cmocka_unit_test_setup_teardown(name, world_setup_disk, world_teardown)
    const struct CMUnitTest tests[] = {
        MEMORY_TEST(those_that_are_due_first_are_in_memory),
        MEMORY_TEST(a_nearer_one_has_room),
        DISK_TEST(a_start_reads_only_those),
        MEMORY_TEST(what_is_not_in_memory_goes_with_the_trigger),
        MEMORY_TEST(and_with_the_broker),
        DISK_TEST(also_after_a_crash),
        MEMORY_TEST(rows_that_others_write_are_delivered),
        MEMORY_TEST(setting_the_clock_changes_no_wait),
        DISK_TEST(nor_does_it_while_the_broker_is_down),
        MEMORY_TEST(many_windows_are_smaller),
        MEMORY_TEST(a_trigger_may_keep_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
