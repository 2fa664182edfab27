/* SPDX-License-Identifier: Apache-2.0 */
/* One event through every persisted step: taken, retried twice, a dead letter, its dead-letter sink
 * retried, redriven, delivered. The process is killed, or the power cut, within each changing call
 * of the disk in turn. Whenever that is, each step has happened or has not: the event stands in one
 * place, and what follows is the same. */
#include "world.h"

#include "unit.h"

#include "base/memory.h"
#include "broker/requeue.h"
#include "broker/row.h"
#include "power_disk.h"

#include <string.h>

#define ATTEMPTS      3
#define SINK_ATTEMPTS 2
#define CALLS_MAX     1000

static const char delivery[] =
    ",\"delivery\":{\"retry\":2,\"backoffDelay\":\"PT0.001S\",\"deadLetterSink\":{\"ref\":{"
    "\"apiVersion\":\"sluice.dev/v1\",\"kind\":\"Function\",\"name\":\"sink\"}}}";

static struct {
    bool mended; /* the subscriber takes the event now */
    bool redrive_called;
    unsigned to_subscriber, to_sink, taken;
} story;

static void plan(struct world *w, struct fake_call *c)
{
    (void)w;
    if (strcmp(c->to, "sink") == 0) {
        c->status = ++story.to_sink < SINK_ATTEMPTS ? 503 : 200;
    } else {
        story.to_subscriber++;
        story.taken += story.mended;
        c->status = story.mended ? 200 : 503;
    }
}

static bool at_rest(struct world *w)
{
    const struct trigger *t = world_trigger_find(w, "t");
    return w->core->scanned == store_synced(w->store) && t->behind == 0 &&
           list_empty(&t->outstanding) && world_rows(w, STORE_TABLE_RETRIES) == 0 &&
           w->core->settling == 0 && w->in_flight == 0;
}

/* 1 when it is there, with what its row says. */
static unsigned dead_letter(struct world *w, struct dead_row *ret)
{
    struct store_scan *scan =
        store_scan_new(w->store, STORE_TABLE_DEAD, slice_of("", 0), slice_of(NULL, 0));
    struct slice key, value;
    unsigned count = 0;
    while (store_scan_next(scan, &key, &value, NULL) == 1) {
        assert_int_equal(row_dead_read(key, value, ret), 0);
        count++;
    }
    store_scan_free(scan);
    ret->error = ret->body = slice_of("", 0); /* they lived as long as the scan */
    return count;
}

static void redrive_done(void *ctx, int error, unsigned count)
{
    (void)error;
    (void)count;
    *(bool *)ctx = true;
}

static void redrive(struct world *w, const struct dead_row *row, bool *ret_done)
{
    story.mended = story.redrive_called = true;
    struct requeue *q = requeue_new(w->core, RETRY_REDRIVEN);
    assert_non_null(q);
    assert_true(requeue_dead(q, world_trigger_find(w, "t"), row));
    requeue_append(q, redrive_done, ret_done);
}

/* From wherever it stands to its end, or until the disk is off. */
static void go_on(struct world *w, struct power_disk *disk)
{
    static bool done; /* may be told after a cut */
    struct dead_row row;
    WORLD_UNTIL_BY(world_step, w, power_disk_is_off(disk) || at_rest(w));
    if (power_disk_is_off(disk) || dead_letter(w, &row) == 0)
        return;
    assert_int_equal(row.attempts, ATTEMPTS);
    assert_int_equal(row.code, 503);
    assert_true(story.to_sink >= SINK_ATTEMPTS);
    done = false;
    redrive(w, &row, &done);
    WORLD_UNTIL_BY(world_step, w, power_disk_is_off(disk) || (done && at_rest(w)));
}

static void expect_one_place(struct world *w)
{
    struct dead_row row;
    const struct trigger *t = world_trigger_find(w, "t");
    unsigned cursor = 0;
    list_for_each (node, &t->outstanding)
        cursor++;
    /* On its way to the sink it is a dead letter already. */
    unsigned rows = world_rows(w, STORE_TABLE_RETRIES), dead = dead_letter(w, &row);
    assert_true(cursor + rows <= 1 && dead <= 1);
    assert_true(cursor == 0 || dead == 0);
}

static void expect_the_end(struct world *w)
{
    struct dead_row row;
    assert_int_equal(dead_letter(w, &row), 0);
    assert_int_equal(world_rows(w, STORE_TABLE_RETRIES), 0);
    assert_int_equal(world_rows(w, STORE_TABLE_PAYLOADS), 0);
    assert_int_equal(world_trigger_find(w, "t")->dead_count, 0);
    assert_true(story.redrive_called);
    /* One attempt more when its outcome had not come to the disk. */
    assert_in_range(story.taken, 1, 2);
    assert_in_range(story.to_subscriber, ATTEMPTS + 1, ATTEMPTS + 2);
    assert_in_range(story.to_sink, SINK_ATTEMPTS, SINK_ATTEMPTS + 1);
}

/* False when all was done before so many calls. */
static bool ended_within(unsigned call, void (*end)(struct power_disk *d))
{
    struct world w;
    struct power_disk *disk = power_disk_new(call);
    memset(&story, 0, sizeof(story));
    world_init(&w, false);
    w.options.segment_bytes = 256 << 10;
    w.options.io = power_disk_io(disk);
    w.plan = plan;
    world_open(&w);
    world_broker(&w, "b");
    world_trigger(&w, "t", "f", delivery);
    world_rest(&w);
    power_disk_arm(disk, call);
    bool acknowledged = world_send(&w, "e", "t") > 0;
    go_on(&w, disk);
    bool was_ended = power_disk_is_off(disk);
    world_abandon(&w);
    (was_ended ? end : power_disk_revive)(disk);
    world_open(&w);
    expect_one_place(&w);
    go_on(&w, disk);
    assert_true(!acknowledged || world_events(&w, "t") == 1);
    if (world_events(&w, "t") == 1)
        expect_the_end(&w);
    else
        assert_int_equal(story.to_subscriber, 0);
    world_done(&w);
    power_disk_free(disk);
    return was_ended;
}

static void each_call(void (*end)(struct power_disk *d))
{
    unsigned call = 1;
    while (ended_within(call, end))
        assert_true(++call < CALLS_MAX);
    /* At least a write and a sync for each of the seven groups. */
    assert_true(call > 14);
}

static void a_kill_leaves_each_step_done_or_not(void **state)
{
    (void)state;
    each_call(power_disk_revive);
}

static void a_power_cut_leaves_each_step_done_or_not(void **state)
{
    (void)state;
    each_call(power_disk_restart);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kill_leaves_each_step_done_or_not),
        cmocka_unit_test(a_power_cut_leaves_each_step_done_or_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
