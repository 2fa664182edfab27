/* SPDX-License-Identifier: Apache-2.0 */
/* Dead letters that go back to the deliveries, get another event, or are deleted; and what a crash
 * or a power cut makes of it. */
#include "world.h"

#include "unit.h"

#include "broker/requeue.h"
#include "broker/row.h"
#include "power_disk.h"

#include <stdio.h>
#include <string.h>

#define TWO_TRIES ",\"delivery\":{\"retry\":1,\"backoffDelay\":\"PT0.001S\"}"

static void refuse(struct world *w, struct fake_call *c)
{
    (void)w;
    c->status = 503;
}

/* Of trigger t: the n-th dead letter. */
static struct dead_row nth_dead(struct world *w, unsigned n)
{
    static struct buf key, value;
    struct store_scan *scan =
        store_scan_new(w->store, STORE_TABLE_DEAD, slice_of("", 0), slice_of(NULL, 0));
    struct slice k = {0}, v = {0};
    struct dead_row row;
    for (unsigned i = 0; i <= n; i++)
        assert_int_equal(store_scan_next(scan, &k, &v, NULL), 1);
    buf_done(&key);
    buf_done(&value);
    buf_add_slice(&key, k);
    buf_add_slice(&value, v);
    store_scan_free(scan);
    assert_int_equal(row_dead_read(buf_slice(&key), buf_slice(&value), &row), 0);
    return row;
}

static void make_dead(struct world *w, const char *more, unsigned count)
{
    w->plan = refuse;
    world_trigger(w, "t", "f", more);
    world_send_many(w, "e", count, "t");
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_DEAD) == count && w->core->settling == 0);
    world_rest(w);
    w->plan = NULL;
    w->seen_count = 0;
}

static struct {
    bool called;
    int error;
    unsigned count;
} last;

static void done(void *ctx, int error, unsigned count)
{
    (void)ctx;
    last.called = true;
    last.error = error;
    last.count = count;
}

static struct requeue *begin(struct world *w)
{
    struct requeue *q = requeue_new(w->core, RETRY_REDRIVEN);
    assert_non_null(q);
    last.called = false;
    return q;
}

static void redrive(struct world *w, unsigned n)
{
    struct requeue *q = begin(w);
    struct dead_row row = nth_dead(w, n);
    assert_true(requeue_dead(q, world_trigger_find(w, "t"), &row));
    requeue_append(q, done, NULL);
}

static void expect_nothing_left(struct world *w)
{
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_RETRIES) == 0 && w->core->settling == 0);
    assert_int_equal(world_rows(w, STORE_TABLE_DEAD), 0);
    assert_int_equal(world_rows(w, STORE_TABLE_PAYLOADS), 0);
    assert_int_equal(world_trigger_find(w, "t")->dead_count, 0);
    assert_int_equal(w->core->dead_claims.len, 0);
}

static void a_redriven_letter_is_delivered_as_if_it_were_new(void **state)
{
    struct world *w = *state;
    make_dead(w, TWO_TRIES, 1);
    redrive(w, 0);
    WORLD_UNTIL(w, world_seen(w, "f", "e0") == 1);
    expect_nothing_left(w);
    assert_int_equal(last.count, 1);
    assert_int_equal(atomic_load(&w->core->counters.redriven), 1);
    world_rest(w);
    assert_int_equal(world_seen(w, "f", NULL), 1);
}

static void one_that_fails_again_is_dead_again(void **state)
{
    struct world *w = *state;
    make_dead(w, TWO_TRIES, 1);
    w->plan = refuse;
    redrive(w, 0);
    WORLD_UNTIL(w, world_seen(w, "f", "e0") == 2 && world_rows(w, STORE_TABLE_DEAD) == 1);
    assert_int_equal(nth_dead(w, 0).attempts, 2);
    assert_int_equal(world_rows(w, STORE_TABLE_PAYLOADS), 1);
    WORLD_UNTIL(w, w->core->settling == 0);
    assert_int_equal(world_trigger_find(w, "t")->dead_count, 1);
}

static void another_event_takes_its_place(void **state)
{
    struct world *w = *state;
    autobuf encoded = BUF_INIT;
    struct event e = {.version = EVENT_V1};
    make_dead(w, TWO_TRIES, 1);
    event_set(&e, "id", SLICE("mended"));
    event_set(&e, "source", SLICE("/test"));
    event_set(&e, "type", SLICE("t"));
    event_encode(&e, &encoded);
    struct requeue *q = begin(w);
    assert_true(
        requeue_edit(q, world_trigger_find(w, "t"), nth_dead(w, 0).position, buf_slice(&encoded)));
    requeue_append(q, done, NULL);
    WORLD_UNTIL(w, last.called);
    redrive(w, 0);
    WORLD_UNTIL(w, world_seen(w, "f", "mended") == 1);
    expect_nothing_left(w);
    assert_int_equal(world_seen(w, "f", "e0"), 0);
    assert_int_equal(world_events(w, "t"), 1); /* the log has the one that came */
}

static void a_deleted_letter_is_gone(void **state)
{
    struct world *w = *state;
    make_dead(w, TWO_TRIES, 3);
    struct requeue *q = begin(w);
    struct dead_row row = nth_dead(w, 1);
    assert_true(requeue_delete(q, world_trigger_find(w, "t"), row.position));
    assert_false(requeue_delete(q, world_trigger_find(w, "t"), row.position));
    assert_false(requeue_dead(q, world_trigger_find(w, "t"), &row));
    requeue_append(q, done, NULL);
    WORLD_UNTIL(w, last.called);
    assert_int_equal(world_rows(w, STORE_TABLE_DEAD), 2);
    assert_int_equal(world_rows(w, STORE_TABLE_PAYLOADS), 2);
    assert_int_equal(world_trigger_find(w, "t")->dead_count, 2);
}

static void never_sink(struct world *w, struct fake_call *c)
{
    (void)w;
    c->status = 503;
    c->never = strcmp(c->to, "sink") == 0;
}

static void one_on_its_way_to_the_sink_stays(void **state)
{
    struct world *w = *state;
    w->plan = never_sink;
    world_trigger(w, "t", "f",
                  ",\"delivery\":{\"retry\":0,\"deadLetterSink\":{\"ref\":{\"apiVersion\":"
                  "\"sluice.dev/v1\",\"kind\":\"Function\",\"name\":\"sink\"}}}");
    world_send(w, "e0", "t");
    WORLD_UNTIL(w, world_seen(w, "sink", "e0") == 1);
    struct requeue *q = begin(w);
    struct dead_row row = nth_dead(w, 0);
    assert_false(requeue_dead(q, world_trigger_find(w, "t"), &row));
    assert_false(requeue_delete(q, world_trigger_find(w, "t"), row.position));
    requeue_free(q);
    w->plan = NULL;
    world_answer_all(w);
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_RETRIES) == 0 && w->core->settling == 0);
    w->seen_count = 0;
    redrive(w, 0);
    WORLD_UNTIL(w, world_seen(w, "f", "e0") == 1);
    expect_nothing_left(w);
}

static void its_trigger_goes_meanwhile(void **state)
{
    struct world *w = *state;
    make_dead(w, TWO_TRIES, 1);
    world_delete_unheard(w, &resource_kind_trigger, "t");
    redrive(w, 0);
    WORLD_UNTIL(w, last.called);
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_RETRIES) + world_rows(w, STORE_TABLE_DEAD) +
                           world_rows(w, STORE_TABLE_PAYLOADS) ==
                       0);
    world_rest(w);
    assert_int_equal(w->seen_count, 0);
}

static void its_broker_goes_meanwhile(void **state)
{
    struct world *w = *state;
    make_dead(w, TWO_TRIES, 1);
    redrive(w, 0);
    world_delete(w, &resource_kind_broker, "b");
    WORLD_UNTIL(w, last.called);
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_RETRIES) == 0);
    assert_int_equal(world_rows(w, STORE_TABLE_DEAD), 0);
}

/* The process dies when the group is on disk. */
static void after_a_crash_it_has_happened(void **state)
{
    struct world *w = *state;
    make_dead(w, TWO_TRIES, 2);
    redrive(w, 0);
    world_abandon(w);
    world_open(w);
    WORLD_UNTIL(w, world_seen(w, "f", "e0") == 1);
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_RETRIES) == 0);
    assert_int_equal(world_rows(w, STORE_TABLE_DEAD), 1);
    assert_int_equal(world_trigger_find(w, "t")->dead_count, 1);
    world_rest(w);
    assert_int_equal(world_seen(w, "f", NULL), 1);
}

/* The power goes before the group is on disk, or as the rest of it is written. */
static void after_a_power_cut_it_has_happened_or_not(void **state)
{
    struct world *w = *state;
    for (unsigned call = 1; call <= 4; call++) {
        struct power_disk *disk = power_disk_new(call);
        world_abandon(w);
        world_done(w);
        world_init(w, false);
        w->options.segment_bytes = 256 << 10;
        w->options.io = power_disk_io(disk);
        world_open(w);
        world_broker(w, "b");
        make_dead(w, TWO_TRIES, 1);
        world_checkpoint(w);
        power_disk_arm(disk, call);
        redrive(w, 0);
        WORLD_UNTIL(w, last.called || power_disk_is_off(disk));
        world_abandon(w);
        power_disk_restart(disk);
        w->seen_count = 0;
        world_open(w);
        world_rest(w);
        unsigned dead = world_rows(w, STORE_TABLE_DEAD);
        unsigned seen = world_seen(w, "f", "e0");
        assert_int_equal(dead + seen > 0, 1);
        assert_int_equal(world_rows(w, STORE_TABLE_PAYLOADS), dead);
        assert_int_equal(world_rows(w, STORE_TABLE_RETRIES), 0);
        world_abandon(w);
        power_disk_free(disk);
        w->options.io = NULL;
    }
    world_done(w);
    world_init(w, false);
    world_open(w);
}

#define REQUEUE_TEST(name) cmocka_unit_test_setup_teardown(name, world_setup_disk, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        REQUEUE_TEST(a_redriven_letter_is_delivered_as_if_it_were_new),
        REQUEUE_TEST(one_that_fails_again_is_dead_again),
        REQUEUE_TEST(another_event_takes_its_place),
        REQUEUE_TEST(a_deleted_letter_is_gone),
        REQUEUE_TEST(one_on_its_way_to_the_sink_stays),
        REQUEUE_TEST(its_trigger_goes_meanwhile),
        REQUEUE_TEST(its_broker_goes_meanwhile),
        REQUEUE_TEST(after_a_crash_it_has_happened),
        REQUEUE_TEST(after_a_power_cut_it_has_happened_or_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
