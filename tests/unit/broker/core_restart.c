/* SPDX-License-Identifier: Apache-2.0 */
/* Retries and their waits; what a stop, a crash and a full disk leave. */
#include "world.h"

#include "unit.h"

#include "broker/cursor.h"
#include "broker/row.h"

#include "power_disk.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MINUTE (60 * CLOCK_SECOND)
#define HOUR   (60 * MINUTE)

static void fail_twice(struct world *w, struct fake_call *c)
{
    if (world_seen(w, c->to, c->id) <= 2)
        c->status = 503;
}

static uint64_t gap_s(const struct world *w, size_t i)
{
    return (w->seen[i].at_ns - w->seen[i - 1].at_ns) / CLOCK_SECOND;
}

static void linear_and_exponential_waits(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *policy;
        uint64_t first, second;
    } rows[] = {{"linear", 600, 1200}, {"exponential", 600, 1200}};
    w->plan = fail_twice;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char more[200], id[8];
        snprintf(more, sizeof(more),
                 ",\"delivery\":{\"retry\":3,\"backoffDelay\":\"PT10M\",\"backoffPolicy\":\"%s\"}",
                 rows[i].policy);
        world_trigger(w, "t", "f", more);
        snprintf(id, sizeof(id), "%zu", i);
        w->seen_count = 0;
        world_send(w, id, "t");
        WORLD_UNTIL(w, world_rows(w, STORE_TABLE_RETRIES) == 1 && w->core->settling == 0);
        world_pass(w, HOUR);
        assert_int_equal(w->seen_count, 3);
        assert_in_range(gap_s(w, 1), rows[i].first - 1, rows[i].first + 60);
        assert_in_range(gap_s(w, 2), rows[i].second - 1, rows[i].second + 60);
    }
}

static const struct delivery *first_retry(const struct trigger *t)
{
    return list_entry(t->retrying.next, struct delivery, outstanding);
}

static void fail_once_with_a_wish(struct world *w, struct fake_call *c)
{
    c->status = 429;
    c->retry_after = "700";
}

static void retry_after_is_heeded_up_to_its_limit(void **state)
{
    struct world *w = *state;
    w->plan = fail_once_with_a_wish;
    world_trigger(w, "t", "f", ",\"delivery\":{\"retry\":3,\"backoffDelay\":\"PT0.1S\"}");
    world_trigger(w, "capped", "f",
                  ",\"delivery\":{\"retry\":3,\"backoffDelay\":\"PT0.1S\",\"retryAfterMax\":"
                  "\"PT200S\"}");
    world_send(w, "1", "t");
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_RETRIES) == 2 && w->core->settling == 0);
    assert_int_equal(first_retry(world_trigger_find(w, "t"))->delay_ns, 700 * CLOCK_SECOND);
    assert_int_equal(first_retry(world_trigger_find(w, "capped"))->delay_ns, 200 * CLOCK_SECOND);
}

static void fail_always(struct world *w, struct fake_call *c)
{
    c->status = 500;
}

static void a_long_delay_stays_within_the_limit(void **state)
{
    struct world *w = *state;
    w->plan = fail_always;
    world_trigger(w, "t", "f", ",\"delivery\":{\"retry\":3,\"backoffDelay\":\"P7D\"}");
    world_send(w, "1", "t");
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_RETRIES) == 1 && w->core->settling == 0);
    assert_int_equal(first_retry(world_trigger_find(w, "t"))->delay_ns, RETRY_DELAY_MAX);
}

static void retries_survive_a_restart(void **state)
{
    struct world *w = *state;
    w->plan = fail_twice;
    world_trigger(w, "t", "f", ",\"delivery\":{\"retry\":3,\"backoffDelay\":\"PT10M\"}");
    world_send(w, "1", "t");
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_RETRIES) == 1 && w->core->settling == 0);
    world_abandon(w);
    world_open(w);
    assert_int_equal(world_rows(w, STORE_TABLE_RETRIES), 1);
    world_pass(w, 11 * MINUTE);
    WORLD_UNTIL(w, w->seen_count == 2 && w->in_flight == 0 && w->core->settling == 0);
    world_stop(w);
    world_open(w);
    world_pass(w, HOUR);
    WORLD_UNTIL(w, w->seen_count == 3 && world_rows(w, STORE_TABLE_RETRIES) == 0);
    world_abandon(w);
    world_open(w);
    world_rest(w);
    assert_int_equal(w->seen_count, 3);
    assert_int_equal(world_rows(w, STORE_TABLE_PAYLOADS), 0);
}

/* The rows of a trigger that is not there any more go at the next start. */
static void rows_without_a_trigger_are_swept(void **state)
{
    struct world *w = *state;
    w->plan = fail_always;
    world_trigger(w, "t", "f", ",\"delivery\":{\"retry\":1,\"backoffDelay\":\"PT5M\"}");
    world_send_many(w, "e", 100, "t");
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_RETRIES) == 100 && w->core->settling == 0);
    struct trigger *t = world_trigger_find(w, "t");
    struct store_group rows;
    store_group_init(&rows);
    autobuf from = BUF_INIT;
    for (uint64_t i = 1; i <= 3; i++) { /* as if of a trigger with another number */
        row_object_key(t->number + 1000, i, &from);
        store_group_add(&rows, STORE_RECORD_PUT, STORE_TABLE_PAYLOADS, buf_slice(&from),
                        SLICE("x"));
        store_group_add(&rows, STORE_RECORD_PUT, STORE_TABLE_DEAD, buf_slice(&from), SLICE("x"));
    }
    store_append(w->store, &rows, NULL, NULL);
    world_abandon(w);
    world_open(w);
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_PAYLOADS) == 100);
    assert_int_equal(world_rows(w, STORE_TABLE_DEAD), 0);
    assert_int_equal(world_rows(w, STORE_TABLE_RETRIES), 100);
}

static void some_never(struct world *w, struct fake_call *c)
{
    c->never = (w->seen_count % 3) == 0;
}

/* What was finished is not delivered again, what was not is. */
static void expect_the_rest(struct world *w, size_t before)
{
    const struct trigger *t = world_trigger_find(w, "t");
    WORLD_UNTIL(w, w->core->scanned == store_synced(w->store));
    WORLD_UNTIL(w, t->behind == 0);
    WORLD_UNTIL(w, w->in_flight == 0 && list_empty(&t->outstanding));
    for (unsigned i = 0; i < 1000; i++) {
        char id[16];
        snprintf(id, sizeof(id), "e%u", i);
        unsigned finished = 0;
        for (size_t n = 0; n < w->seen_count; n++)
            finished += strcmp(w->seen[n].id, id) == 0 && w->seen[n].finished;
        assert_int_equal(finished, 1);
    }
    assert_true(w->seen_count > before);
}

static void a_crash_loses_nothing_and_repeats_nothing(void **state)
{
    struct world *w = *state;
    for (unsigned checkpoints = 0; checkpoints < 3; checkpoints++) {
        w->plan = some_never;
        w->seen_count = 0;
        world_trigger(w, "t", "f", "");
        world_send_many(w, "e", 1000, "t");
        WORLD_UNTIL(w, w->seen_count >= 30);
        for (unsigned n = 0; n < checkpoints; n++) {
            world_checkpoint(w);
            for (unsigned i = 0; i < 3 && w->in_flight < TRIGGER_WINDOW; i++)
                world_turn(w);
        }
        WORLD_UNTIL(w, w->core->settling == 0);
        world_abandon(w);
        size_t before = w->seen_count;
        w->plan = NULL;
        world_open(w);
        expect_the_rest(w, before);
        world_delete(w, &resource_kind_trigger, "t");
    }
}

/* What the replay found finished must outlive a checkpoint that comes before the scan has passed
 * it. */
static void a_checkpoint_right_after_a_restart_forgets_nothing(void **state)
{
    struct world *w = *state;
    world_trigger(w, "t", "f", "");
    world_send_many(w, "e", 300, "t");
    WORLD_UNTIL(w, w->seen_count == 300);
    world_rest(w);
    for (unsigned i = 0; i < 3; i++) {
        world_abandon(w);
        world_open(w);
        broker_core_checkpoint(w->core);
        if (i < 2)
            continue;
        world_rest(w);
    }
    assert_int_equal(w->seen_count, 300);
    world_checkpoint(w);
    world_abandon(w);
    world_open(w);
    world_rest(w);
    assert_int_equal(w->seen_count, 300);
    assert_int_equal(world_trigger_find(w, "t")->done_before.len, 0);
}

static void reply_always(struct world *w, struct fake_call *c)
{
    if (strcmp(c->type, "ask") != 0)
        return;
    snprintf(c->reply_id, sizeof(c->reply_id), "re-%.60s", c->id);
    snprintf(c->reply_type, sizeof(c->reply_type), "answer");
    c->reply_bytes = 1000;
}

static void open_on(struct world *w, struct power_disk *disk)
{
    world_init(w, false);
    w->options.segment_bytes = 256 << 10;
    w->options.io = power_disk_io(disk);
    world_open(w);
    world_broker(w, "b");
}

static void outcomes_are_appended_again_when_there_is_room(void **state)
{
    struct world *w = *state;
    world_done(w);
    struct power_disk *disk = power_disk_new(1);
    open_on(w, disk);
    w->plan = reply_always;
    world_trigger(w, "t", "f", ",\"filter\":{\"attributes\":{\"type\":\"ask\"}}");
    world_send_many(w, "e", 400, "ask");
    power_disk_fail(disk, POWER_PWRITE, 1, 4, -ENOSPC);
    WORLD_UNTIL(w, world_trigger_find(w, "t")->refused > 0);
    world_rest(w);
    assert_in_range(w->seen_count, 1, 4 * TRIGGER_WINDOW); /* it does not go on without the log */
    WORLD_UNTIL(w, world_events(w, "answer") == 400);
    assert_true(power_disk_failures(disk) > 0);
    world_rest(w);
    assert_int_equal(w->seen_count, 400);
    world_abandon(w);
    power_disk_revive(disk);
    world_open(w);
    world_rest(w);
    assert_int_equal(w->seen_count, 400);
    world_abandon(w);
    power_disk_free(disk);
}

/* Closes the world of the fixture and opens one on a disk that can fail. */
static struct power_disk *on_failing_disk(struct world *w)
{
    world_done(w);
    struct power_disk *disk = power_disk_new(1);
    open_on(w, disk);
    return disk;
}

static void leave_failing_disk(struct world *w, struct power_disk *disk)
{
    world_abandon(w);
    power_disk_free(disk);
}

#define COUNTER(w, name) atomic_load(&(w)->core->counters.name)

/* The scan waits where the log cannot be read, says so, and goes on by itself. */
static void the_scan_goes_on_when_the_log_can_be_read_again(void **state)
{
    struct world *w = *state;
    struct power_disk *disk = on_failing_disk(w);
    world_trigger(w, "t", "f", "");
    world_send(w, "1", "t");
    WORLD_UNTIL(w, world_seen(w, "f", "1") == 1);
    world_rest(w);
    uint64_t scanned = w->core->scanned;
    power_disk_fail(disk, POWER_PREAD, 1, 2, -EIO);
    world_send(w, "2", "t");
    WORLD_UNTIL(w, COUNTER(w, unreadable) == 1);
    assert_true(w->core->scanned == scanned);
    assert_int_equal(w->core->scan_error, -EIO);
    WORLD_UNTIL(w, world_seen(w, "f", "2") == 1);
    assert_int_equal(COUNTER(w, unreadable), 0);
    assert_int_equal(power_disk_failures(disk), 2);
    leave_failing_disk(w, disk);
}

/* Damage stays damage: nothing behind it is passed over, nothing ends, and it is said. */
static void damage_in_the_log_is_not_passed_over(void **state)
{
    struct world *w = *state;
    struct power_disk *disk = on_failing_disk(w);
    world_trigger(w, "t", "f", "");
    world_rest(w);
    power_disk_fail(disk, POWER_PREAD, 1, 1, -EIO); /* so that the damage comes before the read */
    world_send(w, "damaged-event", "t");
    WORLD_UNTIL(w, COUNTER(w, unreadable) == 1);
    uint64_t len;
    char *log = power_disk_bytes(disk, "0000000000000001.log", &len);
    assert_non_null(log);
    char *at = memmem(log, len, "damaged-event", 13);
    assert_non_null(at);
    *at ^= 1;
    world_send(w, "2", "t");
    world_pass(w, MINUTE); /* it tries again and again */
    assert_int_equal(w->core->scan_error, -EIO);
    assert_int_equal(COUNTER(w, unreadable), 1);
    assert_int_equal(w->seen_count, 0);
    *at ^= 1;
    WORLD_UNTIL(w, world_seen(w, "f", "2") == 1);
    assert_int_equal(world_seen(w, "f", "damaged-event"), 1);
    assert_int_equal(COUNTER(w, unreadable), 0);
    leave_failing_disk(w, disk);
}

static bool ready;

static enum sink_state when_ready(struct world *w, const char *name)
{
    return ready ? SINK_READY : SINK_WAITING;
}

static void a_trigger_catches_up_when_the_log_can_be_read_again(void **state)
{
    struct world *w = *state;
    struct power_disk *disk = on_failing_disk(w);
    ready = false;
    w->state = when_ready;
    world_trigger(w, "t", "f", "");
    world_send_many(w, "e", 1000, "t");
    WORLD_UNTIL(w, w->core->scanned == store_synced(w->store));
    const struct trigger *t = world_trigger_find(w, "t");
    assert_true(t->behind != 0);
    power_disk_fail(disk, POWER_PREAD, 1, 2, -EIO);
    ready = true;
    broker_core_sink_changed(w->core, "default", "f");
    WORLD_UNTIL(w, COUNTER(w, unreadable) == 1);
    WORLD_UNTIL(w, w->seen_count == 1000);
    WORLD_UNTIL(w, t->behind == 0);
    assert_int_equal(COUNTER(w, unreadable), 0);
    leave_failing_disk(w, disk);
}

static bool has_start(struct world *w, uint32_t trigger)
{
    autobuf key = BUF_INIT;
    autobuf value = BUF_INIT;
    buf_add_byte(&key, 'b');
    buf_add_be32(&key, trigger);
    return store_get(w->store, STORE_TABLE_CURSORS, buf_slice(&key), &value, NULL) == 0;
}

static void append_and_forget(struct world *w, enum store_record_type type, enum store_table table,
                              const struct buf *key, struct slice value)
{
    struct store_group g;
    store_group_init(&g);
    store_group_add(&g, type, table, buf_slice(key), value);
    store_append(w->store, &g, NULL, NULL);
}

static void delete_start(struct world *w, uint32_t trigger)
{
    autobuf key = BUF_INIT;
    buf_add_byte(&key, 'b');
    buf_add_be32(&key, trigger);
    append_and_forget(w, STORE_RECORD_DELETE, STORE_TABLE_CURSORS, &key, SLICE(""));
}

static void start_again(struct world *w)
{
    world_abandon(w);
    world_open(w);
}

/* The group of the creation says where the trigger starts: a crash behind it, before anybody heard
 * of the trigger, and one more behind its first status, move nothing. */
static void a_start_is_known_as_soon_as_the_trigger_is_there(void **state)
{
    struct world *w = *state;
    ready = true;
    w->state = when_ready;
    world_send(w, "before", "t");
    world_trigger_unheard(w, "t", "f");
    start_again(w);
    const struct trigger *t = world_trigger_find(w, "t");
    assert_true(has_start(w, t->number));
    WORLD_UNTIL(w, json_object_get(t->resource->object, "status") != NULL);
    start_again(w);
    world_send(w, "after", "t");
    WORLD_UNTIL(w, world_seen(w, "f", "after") == 1);
    assert_int_equal(world_seen(w, "f", "before"), 0);
}

static void a_start_goes_with_its_trigger(void **state)
{
    struct world *w = *state;
    world_trigger(w, "t", "f", "");
    uint32_t number = world_trigger_find(w, "t")->number;
    assert_true(has_start(w, number));
    world_rest(w); /* its status is written */
    world_delete_unheard(w, &resource_kind_trigger, "t");
    assert_false(has_start(w, number));
    world_trigger(w, "t", "f", "");
    assert_int_not_equal(world_trigger_find(w, "t")->number, number);
}

/* Of earlier versions, which wrote it in a group of its own: later writes of the trigger do not
 * move its start. */
static void a_start_without_a_row_loses_no_event(void **state)
{
    struct world *w = *state;
    ready = false;
    w->state = when_ready;
    world_trigger(w, "t", "f", "");
    uint32_t number = world_trigger_find(w, "t")->number;
    world_send(w, "1", "t");
    world_trigger(w, "t", "f", ",\"delivery\":{\"retry\":1}");
    delete_start(w, number);
    ready = true;
    start_again(w);
    WORLD_UNTIL(w, world_seen(w, "f", "1") == 1);
    WORLD_UNTIL(w, has_start(w, number)); /* and it is fixed now */
}

/* Without its row the event of a retry is taken from the log, and has a row again. */
static void a_retry_without_payload_reads_the_log(void **state)
{
    struct world *w = *state;
    w->plan = fail_twice;
    world_trigger(w, "t", "f", ",\"delivery\":{\"retry\":3,\"backoffDelay\":\"PT10M\"}");
    int64_t position = world_send(w, "1", "t");
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_RETRIES) == 1 && w->core->settling == 0);
    autobuf key = BUF_INIT;
    row_object_key(world_trigger_find(w, "t")->number, (uint64_t)position, &key);
    append_and_forget(w, STORE_RECORD_DELETE, STORE_TABLE_PAYLOADS, &key, SLICE(""));
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_PAYLOADS) == 0);
    world_pass(w, 11 * MINUTE);
    WORLD_UNTIL(w, world_seen(w, "f", "1") == 2 && w->in_flight == 0 && w->core->settling == 0);
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_PAYLOADS) == 1);
    world_pass(w, HOUR);
    WORLD_UNTIL(w, world_seen(w, "f", "1") == 3 && world_rows(w, STORE_TABLE_RETRIES) == 0);
    assert_int_equal(world_rows(w, STORE_TABLE_PAYLOADS), 0);
    assert_int_equal(COUNTER(w, lost), 0);
}

/* The limit holds for what an earlier life left, and for rows of triggers that are gone. */
static void dead_letters_are_counted_at_start(void **state)
{
    struct world *w = *state;
    w->plan = fail_always;
    world_trigger(w, "t", "f", ",\"delivery\":{\"retry\":0}");
    world_send_many(w, "e", 10, "t");
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_DEAD) == 10 && w->core->settling == 0);
    autobuf key = BUF_INIT;
    autobuf value = BUF_INIT;
    row_object_key(world_trigger_find(w, "t")->number + 1000, 1, &key);
    row_dead_value(&(struct dead_row){.attempts = 1}, &value);
    append_and_forget(w, STORE_RECORD_PUT, STORE_TABLE_DEAD, &key, buf_slice(&value));
    world_abandon(w);
    w->dead_letters_max = 3;
    world_open(w);
    assert_int_equal(COUNTER(w, dead_kept), 10);
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_DEAD) == 3);
    WORLD_UNTIL(w, COUNTER(w, dead_kept) == 3);
    assert_int_equal(world_rows(w, STORE_TABLE_PAYLOADS), 3);
}

/* One whose event is nowhere ends as a dead letter that says so; it is not tried for ever. */
static void a_retry_whose_event_is_gone_is_dead(void **state)
{
    struct world *w = *state;
    world_trigger(w, "t", "f",
                  ",\"delivery\":{\"deadLetterSink\":{\"uri\":\"http://127.0.0.1:9/\"}}");
    autobuf key = BUF_INIT;
    autobuf value = BUF_INIT;
    uint32_t number = world_trigger_find(w, "t")->number;
    for (uint64_t position = 1; position <= 2; position++) { /* no events stand there */
        row_retry_value(&(struct retry_row){.attempts = 1}, &value);
        row_retry_key(number, RETRY_AGAIN, clock_realtime(), position, &key);
        append_and_forget(w, STORE_RECORD_PUT, STORE_TABLE_RETRIES, &key, buf_slice(&value));
    }
    row_object_key(number, 2, &key); /* and this is none */
    append_and_forget(w, STORE_RECORD_PUT, STORE_TABLE_PAYLOADS, &key, SLICE("no event"));
    world_abandon(w);
    world_open(w);
    WORLD_UNTIL(w, COUNTER(w, lost) == 2);
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_RETRIES) == 0);
    assert_int_equal(world_rows(w, STORE_TABLE_DEAD), 2);
    assert_int_equal(w->seen_count, 0);
    row_object_key(number, 1, &key);
    buf_reset(&value);
    struct dead_row row;
    assert_int_equal(store_get(w->store, STORE_TABLE_DEAD, buf_slice(&key), &value, NULL), 0);
    assert_int_equal(row_dead_read(buf_slice(&key), buf_slice(&value), &row), 0);
    assert_true(slice_starts(row.error, "the event is neither"));
    WORLD_UNTIL(w, world_trigger_find(w, "t")->retrying_count == 0);
}

static void reply_with_too_much(struct world *w, struct fake_call *c)
{
    reply_always(w, c);
    c->reply_bytes = 900 << 10;
}

static void a_reply_that_no_segment_holds_is_dead(void **state)
{
    struct world *w = *state;
    world_abandon(w);
    w->options.segment_bytes = 128 << 10;
    world_open(w);
    w->plan = reply_with_too_much;
    world_trigger(w, "t", "f", "");
    world_send(w, "1", "ask");
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_DEAD) == 1);
    world_rest(w);
    assert_int_equal(w->seen_count, 1);
}

/* The event fits into a segment, the group with its row does not, and never will. */
static void a_row_that_no_segment_holds_is_dead(void **state)
{
    static char data[64 << 10];
    struct world *w = *state;
    world_abandon(w);
    w->options.segment_bytes = sizeof(data);
    world_open(w);
    w->plan = fail_always;
    world_trigger(w, "t", "f", "");
    memset(data, 'x', sizeof(data));
    size_t len = sizeof(data);
    while (world_send_data(w, "1", "t", slice_of(data, len)) < 0)
        len -= 8;
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_DEAD) == 1);
    assert_int_equal(world_rows(w, STORE_TABLE_RETRIES), 0);
    assert_int_equal(world_rows(w, STORE_TABLE_PAYLOADS), 0);
    assert_int_equal(COUNTER(w, dead), 1);
    world_send(w, "2", "t"); /* nothing holds the trigger up */
    WORLD_UNTIL(w, world_seen(w, "f", "2") == 1);
}

int main(void)
{
#define CORE_TEST(name) cmocka_unit_test_setup_teardown(name, world_setup_disk, world_teardown)
    const struct CMUnitTest tests[] = {
        CORE_TEST(linear_and_exponential_waits),
        CORE_TEST(retry_after_is_heeded_up_to_its_limit),
        CORE_TEST(a_long_delay_stays_within_the_limit),
        CORE_TEST(retries_survive_a_restart),
        CORE_TEST(a_crash_loses_nothing_and_repeats_nothing),
        CORE_TEST(a_checkpoint_right_after_a_restart_forgets_nothing),
        CORE_TEST(rows_without_a_trigger_are_swept),
        CORE_TEST(outcomes_are_appended_again_when_there_is_room),
        CORE_TEST(the_scan_goes_on_when_the_log_can_be_read_again),
        CORE_TEST(damage_in_the_log_is_not_passed_over),
        CORE_TEST(a_trigger_catches_up_when_the_log_can_be_read_again),
        CORE_TEST(a_start_is_known_as_soon_as_the_trigger_is_there),
        CORE_TEST(a_start_goes_with_its_trigger),
        CORE_TEST(a_start_without_a_row_loses_no_event),
        CORE_TEST(a_retry_without_payload_reads_the_log),
        CORE_TEST(a_retry_whose_event_is_gone_is_dead),
        CORE_TEST(dead_letters_are_counted_at_start),
        CORE_TEST(a_reply_that_no_segment_holds_is_dead),
        CORE_TEST(a_row_that_no_segment_holds_is_dead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
