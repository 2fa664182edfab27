/* SPDX-License-Identifier: Apache-2.0 */
/* Order per partitionkey: ids are KEY-N, and of each key they must come one by one. */
#include "world.h"

#include "unit.h"

#include "broker/cursor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ORDERED  "\"sluice.dev/order\":\"ordered\""
#define KEYS_MAX 3000

/* And that is on disk. */
static uint64_t delivered(const struct world *w)
{
    return w->core->settling == 0 ? atomic_load(&w->core->counters.delivered) : 0;
}

static unsigned next_of[KEYS_MAX];

static void send_key(struct world *w, unsigned key, unsigned count)
{
    char name[16], id[32];
    snprintf(name, sizeof(name), "%u", key);
    w->partitionkey = name;
    for (unsigned i = 0; i < count; i++) {
        snprintf(id, sizeof(id), "%u-%u", key, next_of[key]++);
        assert_true(world_send(w, id, "t") > 0);
    }
    w->partitionkey = NULL;
}

static bool parse(const char *id, unsigned *ret_key, unsigned *ret_n)
{
    return sscanf(id, "%u-%u", ret_key, ret_n) == 2;
}

/* Each is the one before once more, or the next. */
static void expect_order(const struct world *w)
{
    static int last[KEYS_MAX];
    memset(last, -1, sizeof(last));
    for (size_t i = 0; i < w->seen_count; i++) {
        unsigned key, n;
        if (!parse(w->seen[i].id, &key, &n))
            continue;
        if ((int)n != last[key] && (int)n != last[key] + 1)
            fail_msg("%s came after %u-%d", w->seen[i].id, key, last[key]);
        last[key] = (int)n;
    }
}

static int setup(void **state)
{
    memset(next_of, 0, sizeof(next_of));
    return world_setup_memory(state);
}

static int setup_disk(void **state)
{
    memset(next_of, 0, sizeof(next_of));
    return world_setup_disk(state);
}

static void never(struct world *w, struct fake_call *c)
{
    (void)w;
    c->never = true;
}

/* ---- one at a time ---- */

static void one_of_a_key_at_a_time(void **state)
{
    struct world *w = *state;
    w->plan = never;
    world_trigger_annotated(w, "t", ORDERED, "f", "");
    for (unsigned key = 0; key < 5; key++)
        send_key(w, key, 10);
    world_send_many(w, "free", 10, "t"); /* without a key: no order */
    WORLD_UNTIL(w, w->in_flight == 5 + 10);
    world_rest(w);
    assert_int_equal(w->in_flight, 5 + 10);
    w->plan = NULL;
    world_answer_all(w);
    WORLD_UNTIL(w, delivered(w) == 60);
    expect_order(w);
    const struct trigger *t = world_trigger_find(w, "t");
    WORLD_UNTIL(w, t->lanes.count == 0);
    assert_int_equal(t->lanes.queued, 0);
    assert_int_equal(t->waiting_count, 0);
    assert_int_equal(atomic_load(&w->core->counters.matched), 60);
}

static void knative_kafkas_name_means_the_same(void **state)
{
    struct world *w = *state;
    w->plan = never;
    world_trigger_annotated(w, "t", "\"kafka.eventing.knative.dev/delivery.order\":\"ordered\"",
                            "f", "");
    send_key(w, 1, 10);
    WORLD_UNTIL(w, w->in_flight == 1);
    world_rest(w);
    assert_int_equal(w->in_flight, 1);
}

/* ---- failures ---- */

static void fail_first_of_1(struct world *w, struct fake_call *c)
{
    (void)w;
    if (strcmp(c->id, "1-0") == 0)
        c->status = 503;
}

static void a_retry_blocks_its_key_only(void **state)
{
    struct world *w = *state;
    w->plan = fail_first_of_1;
    world_trigger_annotated(w, "t", ORDERED, "f",
                            ",\"delivery\":{\"retry\":3,\"backoffDelay\":\"PT1M\","
                            "\"backoffPolicy\":\"linear\"}");
    send_key(w, 1, 5);
    send_key(w, 2, 5);
    world_send_many(w, "free", 5, "t");
    WORLD_UNTIL(w, delivered(w) == 10 && world_rows(w, STORE_TABLE_RETRIES) == 1);
    world_rest(w);
    assert_int_equal(delivered(w), 10);
    assert_int_equal(world_seen(w, "f", "1-1"), 0);
    world_pass(w, 1 * 60 * CLOCK_SECOND + CLOCK_SECOND);
    assert_int_equal(world_seen(w, "f", "1-0"), 2);
    assert_int_equal(world_seen(w, "f", "1-1"), 0);
    world_pass(w, 10 * 60 * CLOCK_SECOND); /* to the dead letters, and the others follow */
    WORLD_UNTIL(w, delivered(w) == 14);
    assert_int_equal(world_seen(w, "f", "1-0"), 4);
    assert_int_equal(world_rows(w, STORE_TABLE_DEAD), 1);
    expect_order(w);
    assert_int_equal(world_trigger_find(w, "t")->lanes.count, 0);
}

static void slow_sink(struct world *w, struct fake_call *c)
{
    (void)w;
    if (strcmp(c->to, "sink") == 0)
        c->never = true;
    else if (strcmp(c->id, "1-0") == 0)
        c->status = 400;
}

static void the_way_to_the_dead_letter_sink_blocks_nothing(void **state)
{
    struct world *w = *state;
    w->plan = slow_sink;
    world_trigger_annotated(w, "t", ORDERED, "f",
                            ",\"delivery\":{\"deadLetterSink\":{\"ref\":{\"apiVersion\":"
                            "\"sluice.dev/v1\",\"kind\":\"Function\",\"name\":\"sink\"}}}");
    send_key(w, 1, 5);
    WORLD_UNTIL(w, delivered(w) == 4 && world_seen(w, "sink", NULL) == 1);
}

/* ---- memory ---- */

/* More than all that may wait in memory are of one key that is blocked. */
static void a_hot_key_takes_no_room_from_others(void **state)
{
    struct world *w = *state;
    w->plan = fail_first_of_1;
    world_trigger_annotated(w, "t", ORDERED, "f",
                            ",\"delivery\":{\"retry\":3,\"backoffDelay\":\"PT1M\"}");
    const struct trigger *t = world_trigger_find(w, "t");
    send_key(w, 1, 1);
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_RETRIES) == 1);
    send_key(w, 1, 2000);
    for (unsigned n = 0; n < 10; n++)
        for (unsigned key = 2; key < 50; key++)
            send_key(w, key, 1);
    world_send_many(w, "free", 100, "t");
    WORLD_UNTIL(w, delivered(w) == 48 * 10 + 100);
    assert_int_equal(world_seen(w, "f", NULL), 1 + 48 * 10 + 100);
    assert_int_equal(t->waiting_count, 0); /* they wait in the log */
    assert_int_equal(t->lanes.count, 1);
    assert_int_equal(t->behind, 0);
    assert_int_equal(cursor_needed(w->core), lanes_first(t));
    w->plan = NULL;
    world_pass(w, 61 * CLOCK_SECOND);
    WORLD_UNTIL(w, delivered(w) == 2001 + 48 * 10 + 100);
    expect_order(w);
    WORLD_UNTIL(w, t->lanes.count == 0);
    assert_int_equal(w->core->lanes_behind, 0);
    assert_true(cursor_needed(w->core) > (uint64_t)store_synced(w->store));
}

static void slow_1(struct world *w, struct fake_call *c)
{
    (void)w;
    c->never = strncmp(c->id, "1-", 2) == 0;
}

/* The same when the subscriber does not fail, but holds it. */
static void a_slow_key_takes_no_room_from_others(void **state)
{
    struct world *w = *state;
    w->plan = slow_1;
    world_trigger_annotated(w, "t", ORDERED, "f", "");
    const struct trigger *t = world_trigger_find(w, "t");
    send_key(w, 1, 1000);
    for (unsigned n = 0; n < 10; n++)
        for (unsigned key = 2; key < 50; key++)
            send_key(w, key, 1);
    WORLD_UNTIL(w, delivered(w) == 48 * 10);
    assert_int_equal(t->lanes.queued, LANE_QUEUE_MAX);
    w->plan = NULL;
    world_answer_all(w);
    WORLD_UNTIL(w, delivered(w) == 48 * 10 + 1000);
    expect_order(w);
}

static void down(struct world *w, struct fake_call *c)
{
    (void)w;
    c->status = 503;
}

/* All keys are blocked for an hour, and have far more than fits. */
static void all_keys_blocked(void **state)
{
    struct world *w = *state;
    w->plan = down;
    world_trigger_annotated(w, "t", ORDERED, "f",
                            ",\"delivery\":{\"retry\":12,\"backoffDelay\":\"PT1S\"}");
    for (unsigned n = 0; n < 10; n++)
        for (unsigned key = 0; key < 1000; key++)
            send_key(w, key, 1);
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_RETRIES) == 1000);
    world_pass(w, 3600 * CLOCK_SECOND);
    const struct trigger *t = world_trigger_find(w, "t");
    assert_int_equal(t->lanes.behind, 1000);
    assert_in_range(t->waiting_count, 0, TRIGGER_WAITING_MAX);
    w->plan = NULL;
    world_pass(w, 3600 * CLOCK_SECOND);
    WORLD_UNTIL(w, delivered(w) == 10000);
    expect_order(w);
    assert_int_equal(t->lanes.count, 0);
    assert_int_equal(atomic_load(&w->core->counters.matched), 10000);
}

/* ---- restarts ---- */

static void fail_even(struct world *w, struct fake_call *c)
{
    unsigned key, n;
    (void)w;
    if (parse(c->id, &key, &n) && key % 2 == 0)
        c->status = 503;
}

static void blocked_keys_survive(void **state, void (*end)(struct world *w), bool checkpoint)
{
    struct world *w = *state;
    w->plan = fail_even;
    world_trigger_annotated(w, "t", ORDERED, "f",
                            ",\"delivery\":{\"retry\":9,\"backoffDelay\":\"PT1S\"}");
    for (unsigned n = 0; n < 100; n++)
        for (unsigned key = 0; key < 10; key++)
            send_key(w, key, 1);
    WORLD_UNTIL(w, delivered(w) == 500 && world_rows(w, STORE_TABLE_RETRIES) == 5);
    WORLD_UNTIL(w, w->core->settling == 0);
    assert_int_equal(world_trigger_find(w, "t")->lanes.behind, 5);
    if (checkpoint)
        world_checkpoint(w);
    send_key(w, 0, 10);
    send_key(w, 1, 10);
    WORLD_UNTIL(w, delivered(w) == 510);
    WORLD_UNTIL(w, w->core->settling == 0);
    end(w);
    world_open(w);
    w->plan = NULL;
    world_pass(w, 60 * CLOCK_SECOND);
    WORLD_UNTIL(w, delivered(w) == 510);
    expect_order(w);
    assert_int_equal(world_trigger_find(w, "t")->lanes.count, 0);
    world_checkpoint(w);
    assert_false(world_trigger_find(w, "t")->lanes.row_written);
    for (unsigned n = 0; n < 100; n++)
        for (unsigned key = 1; key < 10; key += 2) {
            char id[32];
            snprintf(id, sizeof(id), "%u-%u", key, n);
            assert_int_equal(world_seen(w, "f", id), 1); /* not again */
        }
}

static void blocked_keys_survive_a_stop(void **state)
{
    blocked_keys_survive(state, world_stop, false);
}

static void blocked_keys_survive_a_crash(void **state)
{
    blocked_keys_survive(state, world_abandon, false);
}

static void blocked_keys_survive_a_crash_after_a_checkpoint(void **state)
{
    blocked_keys_survive(state, world_abandon, true);
}

/* While a sweep is under way: some of what it took is finished since the checkpoint. */
static void a_crash_in_the_middle_of_catching_up(void **state)
{
    struct world *w = *state;
    w->plan = fail_even;
    world_trigger_annotated(w, "t", ORDERED, "f",
                            ",\"delivery\":{\"retry\":9,\"backoffDelay\":\"PT1S\"}");
    for (unsigned n = 0; n < 300; n++)
        for (unsigned key = 0; key < 8; key++)
            send_key(w, key, 1);
    WORLD_UNTIL(w, delivered(w) == 1200 && world_rows(w, STORE_TABLE_RETRIES) == 4);
    world_checkpoint(w);
    w->plan = NULL;
    world_pass(w, 3 * CLOCK_SECOND);
    WORLD_UNTIL(w, delivered(w) >= 1300);
    WORLD_UNTIL(w, w->core->settling == 0);
    uint64_t before = delivered(w);
    world_abandon(w);
    world_open(w);
    world_pass(w, 60 * CLOCK_SECOND);
    WORLD_UNTIL(w, before + delivered(w) == 2400);
    expect_order(w);
}

/* ---- the annotation comes and goes ---- */

static void order_that_is_asked_for_later(void **state)
{
    struct world *w = *state;
    w->plan = never;
    world_trigger_annotated(w, "t", "\"sluice.dev/concurrency\":\"2\"", "f", "");
    send_key(w, 1, 100);
    WORLD_UNTIL(w, w->in_flight == 2);
    world_trigger_annotated(w, "t", ORDERED, "f", "");
    w->plan = NULL;
    world_rest(w);
    assert_int_equal(world_seen(w, "f", NULL), 2); /* the third waits for both */
    world_answer_all(w);
    WORLD_UNTIL(w, delivered(w) == 100);
    expect_order(w);
}

static void order_that_is_not_asked_for_any_more(void **state)
{
    struct world *w = *state;
    w->plan = fail_first_of_1;
    world_trigger_annotated(w, "t", ORDERED, "f",
                            ",\"delivery\":{\"retry\":3,\"backoffDelay\":\"PT1M\"}");
    send_key(w, 1, 500);
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_RETRIES) == 1);
    world_rest(w);
    world_trigger(w, "t", "f", ",\"delivery\":{\"retry\":3,\"backoffDelay\":\"PT1M\"}");
    w->plan = NULL;
    world_pass(w, 61 * CLOCK_SECOND);
    WORLD_UNTIL(w, delivered(w) == 500);
    expect_order(w);
    assert_false(lanes_used(world_trigger_find(w, "t")));
}

/* ---- what goes ---- */

static void a_trigger_goes_with_its_lanes(void **state)
{
    struct world *w = *state;
    w->plan = fail_first_of_1;
    world_trigger_annotated(w, "t", ORDERED, "f",
                            ",\"delivery\":{\"retry\":3,\"backoffDelay\":\"PT1M\"}");
    send_key(w, 1, 500);
    send_key(w, 2, 10);
    WORLD_UNTIL(w, delivered(w) == 10 && world_rows(w, STORE_TABLE_RETRIES) == 1);
    world_checkpoint(w);
    world_delete(w, &resource_kind_trigger, "t");
    world_rest(w);
    assert_int_equal(w->core->lanes_behind, 0);
    assert_true(list_empty(&w->core->sweeping));
    world_checkpoint(w);
    assert_int_equal(cursor_needed(w->core), w->core->scanned + 1);
}

static void a_broker_goes_with_what_waits_in_lanes(void **state)
{
    struct world *w = *state;
    w->plan = never;
    world_trigger_annotated(w, "t", ORDERED, "f", "");
    send_key(w, 1, 500);
    send_key(w, 2, 10);
    WORLD_UNTIL(w, w->in_flight == 2);
    world_rest(w);
    world_delete(w, &resource_kind_broker, "b");
    world_rest(w);
    const struct trigger *t = world_trigger_find(w, "t");
    assert_int_equal(t->lanes.count, 0);
    assert_int_equal(t->waiting_count, 0);
    assert_int_equal(w->in_flight, 0);
    assert_int_equal(w->core->lanes_behind, 0);
}

/* ---- with the rest ---- */

static void a_probe_keeps_its_place(void **state)
{
    struct world *w = *state;
    w->plan = down;
    world_trigger_annotated(w, "t", ORDERED ",\"sluice.dev/circuit-breaker\":\"1\"", "f",
                            ",\"delivery\":{\"retry\":1,\"backoffDelay\":\"PT1S\"}");
    for (unsigned n = 0; n < 20; n++)
        for (unsigned key = 0; key < 20; key++)
            send_key(w, key, 1);
    WORLD_UNTIL(w, world_trigger_find(w, "t")->flow.breaker.open);
    world_pass(w, 1000 * CLOCK_SECOND);
    w->plan = NULL;
    world_pass(w, 100 * CLOCK_SECOND);
    WORLD_UNTIL(w, delivered(w) == 400);
    expect_order(w);
    assert_int_equal(world_rows(w, STORE_TABLE_DEAD), 0);
}

static void large_events_wait_in_the_log(void **state)
{
    struct world *w = *state;
    static char data[500000];
    memset(data, 'x', sizeof(data));
    w->plan = slow_1;
    world_trigger_annotated(w, "t", ORDERED, "f", "");
    const struct trigger *t = world_trigger_find(w, "t");
    w->partitionkey = "1";
    for (unsigned i = 0; i < 30; i++) {
        char id[16];
        snprintf(id, sizeof(id), "1-%u", i);
        assert_true(world_send_data(w, id, "t", slice_of(data, sizeof(data))) > 0);
    }
    send_key(w, 2, 100);
    WORLD_UNTIL(w, delivered(w) == 100);
    assert_in_range(t->waiting_bytes, 0, TRIGGER_WAITING_BYTES_MAX);
    w->plan = NULL;
    world_answer_all(w);
    WORLD_UNTIL(w, delivered(w) == 130);
    expect_order(w);
}

static void send_later(struct world *w, unsigned key, unsigned count, uint64_t in_ns)
{
    char name[16], id[32], time[CLOCK_RFC3339_SIZE];
    snprintf(name, sizeof(name), "%u", key);
    clock_format_rfc3339(world_realtime(w) + in_ns, 9, time);
    w->partitionkey = name;
    for (unsigned i = 0; i < count; i++) {
        snprintf(id, sizeof(id), "%u-%u", key, next_of[key]++);
        assert_true(world_send_with(w, id, "t", "deliverytime", time) > 0);
    }
    w->partitionkey = NULL;
}

static void fail_blocker(struct world *w, struct fake_call *c)
{
    (void)w;
    if (strcmp(c->id, "blocker") == 0)
        c->status = 503;
}

/* They hold no place while they wait, and take their turn when they are due: more of them than
 * there are rows in memory otherwise. */
static void delayed_events_of_a_blocked_key(void **state)
{
    struct world *w = *state;
    w->plan = fail_blocker;
    world_trigger_annotated(w, "t", ORDERED, "f",
                            ",\"delivery\":{\"retry\":3,\"backoffDelay\":\"PT1H\"}");
    send_later(w, 1, 700, 600 * CLOCK_SECOND);
    send_later(w, 2, 20, 601 * CLOCK_SECOND);
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_RETRIES) == 720);
    w->partitionkey = "1";
    assert_true(world_send(w, "blocker", "t") > 0);
    w->partitionkey = NULL;
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_RETRIES) == 721);
    world_pass(w, 1200 * CLOCK_SECOND);
    WORLD_UNTIL(w, delivered(w) == 20);
    assert_int_equal(world_seen(w, "f", "1-0"), 0);
    w->plan = NULL;
    world_pass(w, 3600 * CLOCK_SECOND);
    WORLD_UNTIL(w, delivered(w) == 20 + 701);
    expect_order(w);
    assert_int_equal(world_trigger_find(w, "t")->lanes.count, 0);
}

int main(void)
{
#define LANE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, world_teardown)
#define DISK_TEST(name) cmocka_unit_test_setup_teardown(name, setup_disk, world_teardown)
    const struct CMUnitTest tests[] = {
        LANE_TEST(one_of_a_key_at_a_time),
        LANE_TEST(knative_kafkas_name_means_the_same),
        LANE_TEST(a_retry_blocks_its_key_only),
        LANE_TEST(the_way_to_the_dead_letter_sink_blocks_nothing),
        LANE_TEST(a_hot_key_takes_no_room_from_others),
        LANE_TEST(a_slow_key_takes_no_room_from_others),
        LANE_TEST(all_keys_blocked),
        DISK_TEST(blocked_keys_survive_a_stop),
        DISK_TEST(blocked_keys_survive_a_crash),
        DISK_TEST(blocked_keys_survive_a_crash_after_a_checkpoint),
        DISK_TEST(a_crash_in_the_middle_of_catching_up),
        LANE_TEST(order_that_is_asked_for_later),
        LANE_TEST(order_that_is_not_asked_for_any_more),
        LANE_TEST(a_trigger_goes_with_its_lanes),
        LANE_TEST(a_broker_goes_with_what_waits_in_lanes),
        LANE_TEST(a_probe_keeps_its_place),
        LANE_TEST(large_events_wait_in_the_log),
        LANE_TEST(delayed_events_of_a_blocked_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
