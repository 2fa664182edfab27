/* SPDX-License-Identifier: Apache-2.0 */
/* Replays: what they deliver anew, what they leave alone, and that a crash repeats no step. */
#include "world.h"

#include "unit.h"

#include "broker/cursor.h"
#include "broker/replay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT 600u
#define MANY  2000u

/* As the route does it, without the request. */
static struct replay *replay(struct world *w, const char *json)
{
    struct error err = ERROR_INIT;
    struct trigger *t = world_trigger_find(w, "t");
    struct replay *r = replay_new(w->core);
    r->request = json_loads(json, 0, NULL);
    assert_non_null(r->request);
    if (replay_compile(r, &err) < 0 || replay_resolve(r, t, &err) < 0)
        fail_msg("%s", err.message);
    replay_start(t, r, NULL);
    return r;
}

static struct replay *running(struct world *w)
{
    return world_trigger_find(w, "t")->replay;
}

static bool over(struct world *w)
{
    const struct replay *r = running(w);
    return r == NULL || (r->state != REPLAY_READING && !r->writing && r->unfinished == 0 &&
                         world_rows(w, STORE_TABLE_RETRIES) == 0);
}

/* Those that were answered with success. */
static unsigned finished(const struct world *w, const char *id)
{
    unsigned n = 0;
    for (size_t i = 0; i < w->seen_count; i++)
        n += w->seen[i].finished && (id == NULL || strcmp(w->seen[i].id, id) == 0);
    return n;
}

static void deliver(struct world *w, unsigned count)
{
    world_trigger(w, "t", "f", "");
    world_send_many(w, "e", count, "t");
    WORLD_UNTIL(w, world_seen(w, "f", NULL) == count && w->core->settling == 0 &&
                       w->core->scanned == store_synced(w->store));
    w->seen_count = 0;
}

static void expect_each(struct world *w, unsigned from, unsigned to, unsigned of)
{
    char id[16];
    for (unsigned i = 0; i < of; i++) {
        snprintf(id, sizeof(id), "e%u", i);
        if (finished(w, id) != (i >= from && i <= to))
            fail_msg("%s came %u times", id, finished(w, id));
    }
}

static void a_replay_delivers_each_event_once_more(void **state)
{
    struct world *w = *state;
    deliver(w, COUNT);
    const struct replay *r = replay(w, "{\"from\":\"earliest\"}");
    WORLD_UNTIL(w, over(w));
    assert_int_equal(r->state, REPLAY_DONE);
    assert_int_equal(r->matched, COUNT);
    assert_int_equal(r->passed, 0);
    expect_each(w, 0, COUNT - 1, COUNT);
    assert_int_equal(world_rows(w, STORE_TABLE_PAYLOADS), 0);
    assert_int_equal(atomic_load(&w->core->counters.replayed), COUNT);
    assert_int_equal(atomic_load(&w->core->counters.matched), COUNT);
}

static void from_and_to_are_included(void **state)
{
    struct world *w = *state;
    deliver(w, 50);
    replay(w, "{\"from\":\"id:e10\",\"to\":\"id:/test#e19\"}");
    WORLD_UNTIL(w, over(w));
    expect_each(w, 10, 19, 50);
    uint64_t from = running(w)->from, to = running(w)->to;
    assert_int_equal(to - from, 9);
    char json[100];
    w->seen_count = 0;
    snprintf(json, sizeof(json), "{\"from\":\"position:%llu\",\"to\":\"position:%llu\"}",
             (unsigned long long)from, (unsigned long long)to);
    replay(w, json);
    WORLD_UNTIL(w, over(w));
    expect_each(w, 10, 19, 50);
    replay(w, "{\"from\":\"id:none\"}");
    WORLD_UNTIL(w, over(w));
    assert_int_equal(running(w)->state, REPLAY_FAILED);
    assert_string_equal(running(w)->message, "there is no event of the id in `from`");
}

static void only_what_both_filters_match(void **state)
{
    struct world *w = *state;
    world_trigger(w, "t", "f", ",\"filters\":[{\"prefix\":{\"type\":\"wanted\"}}]");
    world_send_many(w, "a", 20, "wanted.a");
    world_send_many(w, "b", 20, "wanted.b");
    world_send_many(w, "c", 20, "other");
    WORLD_UNTIL(w, world_seen(w, "f", NULL) == 40 && w->core->settling == 0 &&
                       w->core->scanned == store_synced(w->store));
    w->seen_count = 0;
    replay(w, "{\"from\":\"earliest\",\"filter\":{\"suffix\":{\"type\":\"b\"}}}");
    WORLD_UNTIL(w, over(w));
    assert_int_equal(running(w)->matched, 20);
    assert_int_equal(finished(w, NULL), 20);
    assert_int_equal(finished(w, "b7"), 1);
}

/* The trigger wanted none of them when they came. */
static void events_from_before_the_trigger_are_there(void **state)
{
    struct world *w = *state;
    world_send_many(w, "e", 30, "t");
    world_trigger(w, "t", "f", "");
    WORLD_UNTIL(w, w->core->scanned == store_synced(w->store));
    replay(w, "{\"from\":\"earliest\"}");
    WORLD_UNTIL(w, over(w));
    expect_each(w, 0, 29, 30);
}

static void three_ways(struct world *w, struct fake_call *c)
{
    (void)w;
    c->never = strcmp(c->id, "e1") == 0;
    if (strcmp(c->id, "e2") == 0)
        c->status = 503; /* comes again, in an hour */
    if (strcmp(c->id, "e3") == 0)
        c->status = 400; /* is dead at once */
}

/* e1 is under way, e2 waits for a retry, e3 is dead. */
static void what_has_not_ended_is_not_doubled(void **state)
{
    struct world *w = *state;
    w->plan = three_ways;
    world_trigger(w, "t", "f", ",\"delivery\":{\"retry\":3,\"backoffDelay\":\"PT1H\"}");
    world_send_many(w, "e", 5, "t");
    WORLD_UNTIL(w, finished(w, NULL) == 2 && world_rows(w, STORE_TABLE_RETRIES) == 1 &&
                       world_rows(w, STORE_TABLE_DEAD) == 1 && w->core->settling == 0);
    w->plan = NULL;
    w->seen_count = 0;
    const struct replay *r = replay(w, "{\"from\":\"earliest\"}");
    WORLD_UNTIL(w, r->state == REPLAY_DONE && r->unfinished == 0 && w->core->settling == 0);
    assert_int_equal(r->matched, 3);
    assert_int_equal(r->passed, 2);
    assert_int_equal(world_rows(w, STORE_TABLE_DEAD), 0);
    assert_int_equal(world_rows(w, STORE_TABLE_RETRIES), 1);
    assert_int_equal(world_trigger_find(w, "t")->dead_count, 0);
    assert_int_equal(finished(w, "e0") + finished(w, "e3") + finished(w, "e4"), 3);
    assert_int_equal(world_seen(w, "f", "e1") + world_seen(w, "f", "e2"), 0);
}

static void only_new_ones(struct world *w, struct fake_call *c)
{
    (void)w;
    c->never = c->id[0] == 'e';
}

/* The subscriber answers none of the replayed events. */
static void a_replay_leaves_room_for_new_events(void **state)
{
    struct world *w = *state;
    deliver(w, COUNT);
    w->plan = only_new_ones;
    world_trigger_annotated(w, "t", "\"sluice.dev/concurrency\":\"400\"", "f", "");
    const struct replay *r = replay(w, "{\"from\":\"earliest\"}");
    WORLD_UNTIL(w, r->unfinished == REPLAY_WINDOW);
    world_rest(w);
    assert_int_equal(r->unfinished, REPLAY_WINDOW);
    assert_int_equal(world_rows(w, STORE_TABLE_RETRIES), REPLAY_WINDOW);
    world_send_many(w, "new", 500, "t");
    WORLD_UNTIL(w, finished(w, NULL) == 500);
    assert_int_equal(cursor_needed(w->core) <= r->saved.at, 1);
    w->plan = NULL;
    world_answer_all(w);
    WORLD_UNTIL(w, over(w));
    assert_int_equal(finished(w, NULL), 500 + COUNT);
}

static void a_replay_keeps_to_its_rate(void **state)
{
    struct world *w = *state;
    deliver(w, 100);
    replay(w, "{\"from\":\"earliest\",\"rate\":\"5/s\"}");
    world_pass(w, 4 * CLOCK_SECOND);
    world_rest(w);
    assert_in_range(finished(w, NULL), 15, 25);
    world_pass(w, 20 * CLOCK_SECOND);
    WORLD_UNTIL(w, over(w));
    assert_int_equal(finished(w, NULL), 100);
}

static void one_that_is_cancelled_ends(void **state)
{
    struct world *w = *state;
    deliver(w, COUNT);
    w->plan = only_new_ones;
    struct replay *r = replay(w, "{\"from\":\"earliest\"}");
    WORLD_UNTIL(w, r->unfinished == REPLAY_WINDOW && !r->writing);
    replay_cancel(r, NULL);
    world_abandon(w); /* that is in the log */
    w->plan = NULL;
    w->seen_count = 0;
    world_open(w);
    assert_int_equal(running(w)->state, REPLAY_CANCELLED);
    assert_int_equal(running(w)->unfinished, REPLAY_WINDOW);
    WORLD_UNTIL(w, over(w));
    world_rest(w);
    assert_int_equal(finished(w, NULL), REPLAY_WINDOW);
}

static void with_the_broker_it_ends(void **state)
{
    struct world *w = *state;
    deliver(w, COUNT);
    w->plan = only_new_ones;
    const struct replay *r = replay(w, "{\"from\":\"earliest\"}");
    WORLD_UNTIL(w, r->unfinished == REPLAY_WINDOW);
    world_delete(w, &resource_kind_broker, "b");
    WORLD_UNTIL(w, !r->writing && world_rows(w, STORE_TABLE_RETRIES) == 0);
    assert_int_equal(r->state, REPLAY_FAILED);
    assert_int_equal(world_rows(w, STORE_TABLE_PAYLOADS), 0);
}

static void with_the_trigger_it_goes(void **state)
{
    struct world *w = *state;
    deliver(w, COUNT);
    for (unsigned turns = 0; turns < 6; turns++) {
        replay(w, "{\"from\":\"earliest\"}");
        for (unsigned i = 0; i < turns; i++)
            world_turn(w);
        world_delete(w, &resource_kind_trigger, "t");
        WORLD_UNTIL(w, w->core->settling == 0 && list_empty(&w->core->requeues));
        world_rest(w);
        WORLD_UNTIL(w, world_rows(w, STORE_TABLE_RETRIES) == 0); /* nothing tells of their end */
        WORLD_UNTIL(w, world_rows(w, STORE_TABLE_PAYLOADS) == 0);
        world_trigger(w, "t", "f", "");
        WORLD_UNTIL(w, w->core->scanned == store_synced(w->store));
    }
    world_abandon(w);
    world_open(w);
    assert_null(running(w));
}

static void slowly(struct world *w, struct fake_call *c)
{
    (void)w;
    c->delay_ns = CLOCK_MILLISECOND;
}

/* A crash after every few turns: each event comes once more, and once only. */
static void a_crash_repeats_no_step(void **state)
{
    struct world *w = *state;
    unsigned crashes = 0;
    srand(1);
    deliver(w, MANY);
    w->plan = slowly;
    replay(w, "{\"from\":\"id:e5\"}");
    while (!over(w)) {
        for (int i = rand() % 5; i >= 0; i--)
            world_turn(w);
        if (rand() % 5 == 0)
            world_checkpoint(w);
        crashes++;
        world_abandon(w);
        world_open(w);
        assert_true(crashes < 2000);
    }
    WORLD_UNTIL(w, w->core->settling == 0);
    assert_true(crashes > 2);
    assert_int_equal(running(w)->matched, MANY - 5);
    assert_int_equal(running(w)->state, REPLAY_DONE);
    expect_each(w, 5, MANY - 1, MANY);
}

/* All have the same key: one at a time, in the order of the log, and one that fails in between. */
static void fail_e500_once(struct world *w, struct fake_call *c)
{
    if (strcmp(c->id, "e500") == 0 && world_seen(w, "f", "e500") == 1)
        c->status = 503;
}

static void an_ordered_trigger_gets_it_in_order(void **state)
{
    struct world *w = *state;
    w->partitionkey = "k";
    deliver(w, COUNT);
    world_trigger_annotated(w, "t", "\"sluice.dev/order\":\"ordered\"", "f",
                            ",\"delivery\":{\"retry\":3,\"backoffDelay\":\"PT0.01S\"}");
    w->plan = fail_e500_once;
    w->in_flight_max = 0;
    replay(w, "{\"from\":\"earliest\"}");
    WORLD_UNTIL(w, over(w));
    assert_int_equal(w->in_flight_max, 1);
    assert_int_equal(w->seen_count, COUNT + 1);
    for (unsigned i = 0; i < w->seen_count; i++) {
        char id[16];
        snprintf(id, sizeof(id), "e%u", i - (i > 500));
        assert_string_equal(w->seen[i].id, id);
    }
    w->partitionkey = NULL;
}

#define REPLAY_TEST(name) cmocka_unit_test_setup_teardown(name, world_setup_disk, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        REPLAY_TEST(a_replay_delivers_each_event_once_more),
        REPLAY_TEST(from_and_to_are_included),
        REPLAY_TEST(only_what_both_filters_match),
        REPLAY_TEST(events_from_before_the_trigger_are_there),
        REPLAY_TEST(what_has_not_ended_is_not_doubled),
        REPLAY_TEST(a_replay_leaves_room_for_new_events),
        REPLAY_TEST(a_replay_keeps_to_its_rate),
        REPLAY_TEST(one_that_is_cancelled_ends),
        REPLAY_TEST(with_the_broker_it_ends),
        REPLAY_TEST(with_the_trigger_it_goes),
        REPLAY_TEST(a_crash_repeats_no_step),
        REPLAY_TEST(an_ordered_trigger_gets_it_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
