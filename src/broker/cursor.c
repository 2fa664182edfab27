/* SPDX-License-Identifier: Apache-2.0 */
/* What the checkpoint says of the scan and of each trigger, and how both are found again after a
 * stop or a crash: the rows of the checkpoint, then the FINISH records after it, then the scan goes
 * on where it was (see ROWS.md). */
#include "broker/cursor.h"

#include "base/bytes.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/must.h"
#include "broker/delivery.h"
#include "broker/drop.h"
#include "broker/replay.h"
#include "broker/start.h"
#include "broker/timing.h"

#include <errno.h>

#define ROW_FIXED_SIZE 12 /* of a trigger's row: see ROWS.md, "c" */

struct broker_replay {
    struct {
        uint32_t trigger;
        uint64_t position;
    } * finished;
    size_t len, cap;
};

struct broker_replay *broker_replay_new(void)
{
    return calloc(1, sizeof(struct broker_replay));
}

void broker_replay_free(struct broker_replay *r)
{
    if (r != NULL)
        free(r->finished);
    free(r);
}

int broker_replay_record(void *ctx, const struct store_entry *entry)
{
    struct broker_replay *r = ctx;
    if (entry->type != STORE_RECORD_FINISH)
        return 0;
    if (entry->key.len != sizeof(uint64_t))
        return -EBADMSG;
    if (r->len == r->cap) {
        size_t cap = r->cap == 0 ? 1024 : r->cap * 2;
        void *grown = realloc(r->finished, cap * sizeof(*r->finished));
        if (grown == NULL)
            return -ENOMEM;
        r->finished = grown;
        r->cap = cap;
    }
    r->finished[r->len].trigger = entry->scope;
    r->finished[r->len++].position = bytes_le64(entry->key.ptr);
    return 0;
}

/* ---- recovery ---- */

void cursor_load_scan(struct broker_core *b)
{
    autobuf value = BUF_INIT;
    b->known = UINT64_MAX; /* earlier versions did not say it */
    if (store_get(b->store, STORE_TABLE_CURSORS, SLICE("s"), &value, NULL) < 0 ||
        value.len < sizeof(uint64_t)) {
        b->known = 0;
        return;
    }
    b->scanned = bytes_le64(value.ptr);
    if (value.len >= 2 * sizeof(uint64_t))
        b->known = bytes_le64(value.ptr + sizeof(uint64_t));
}

static int load_outstanding(struct trigger *t, uint64_t position)
{
    autobuf event = BUF_INIT;
    uint32_t broker;
    uint64_t time_ns;
    if (t->broker == NULL) { /* deleted just before the end */
        drop_count(t, 1);
        return 0;
    }
    int r = store_read_event(t->core->store, position, &broker, &time_ns, &event);
    if (r == 0 && broker != t->broker->number) { /* an earlier one's, of the same name */
        drop_count(t, 1);
        return 0;
    }
    if (r == -ENOENT) { /* retention never passes unfinished work; a foreign file may lack it */
        atomic_fetch_add_explicit(&t->core->counters.lost, 1, memory_order_relaxed);
        log_error("trigger %s/%s: the event at position %llu is not in the log any more: it cannot "
                  "be delivered",
                  t->resource->namespace_name, t->resource->name, (unsigned long long)position);
        return 0;
    }
    if (r < 0)
        return r;
    struct delivery *d = delivery_new(t, position, time_ns);
    if (d == NULL || (d->event = event_hold_new(buf_slice(&event))) == NULL) {
        free(d);
        return -ENOMEM;
    }
    struct event decoded = {0};
    d->timed = event_decode(buf_slice(&event), &decoded) == 0 && timing_is_given(&decoded);
    list_append(&t->outstanding, &d->outstanding);
    int entered = lane_enter(t, d);
    trigger_queue(t, d);
    return entered;
}

static int load_row(struct trigger *t, struct slice row)
{
    if (row.len < ROW_FIXED_SIZE)
        return -EBADMSG;
    t->row_written = true;
    t->behind = t->broker != NULL ? bytes_le64(row.ptr) : 0;
    if (t->behind != 0)
        list_append(&t->core->behind, &t->behind_link);
    size_t at = ROW_FIXED_SIZE, unfinished_end = at + (size_t)bytes_le32(row.ptr + 8) * 8;
    if (unfinished_end > row.len)
        return -EBADMSG;
    int r = 0;
    for (; r == 0 && at < unfinished_end; at += 8) {
        uint64_t position = bytes_le64(row.ptr + at);
        if (!position_set_take(&t->done_before, position))
            r = load_outstanding(t, position);
    }
    for (; r == 0 && at + 8 <= row.len; at += 8)
        r = position_set_add(&t->done_before, bytes_le64(row.ptr + at));
    return r;
}

/* The finished positions are in t->done_before already. */
int cursor_load(struct trigger *t, uint64_t known)
{
    autobuf key = BUF_INIT;
    autobuf value = BUF_INIT;
    start_load(t);
    start_key('c', t->number, &key);
    int r = lane_row_load(t);
    if (r < 0)
        return r;
    if (store_get(t->core->store, STORE_TABLE_CURSORS, buf_slice(&key), &value, NULL) == 0)
        r = load_row(t, buf_slice(&value));
    else if (t->created > known && t->broker != NULL &&
             (t->start < t->core->scanned || t->search != NULL))
        trigger_fall_behind(t, t->start + 1);
    if (t->behind == 0)
        start_end_search(t);
    return r;
}

void cursor_take_replay(struct broker_core *b, struct broker_replay *replay)
{
    for (size_t i = 0; replay != NULL && i < replay->len; i++) {
        struct trigger *t = trigger_by_number(b, replay->finished[i].trigger);
        if (t != NULL)
            must(position_set_add(&t->done_before, replay->finished[i].position) == 0);
    }
    broker_replay_free(replay);
}

/* ---- checkpoint ---- */

/* What lies below does not come up again. */
static uint64_t comes_up_from(const struct trigger *t)
{
    uint64_t from = t->behind != 0 ? t->behind : t->core->scanned + 1, lanes = lanes_first(t);
    return lanes < from ? lanes : from;
}

static bool row_needed(const struct trigger *t)
{
    return t->behind != 0 || !list_empty(&t->outstanding) || t->done_before.len > 0;
}

static void add_row(struct trigger *t, struct store_group *g)
{
    autobuf key = BUF_INIT;
    autobuf value = BUF_INIT;
    start_key('c', t->number, &key);
    lane_row_add(t, g);
    position_set_drop_below(&t->done_before, comes_up_from(t));
    if (!row_needed(t)) {
        if (t->row_written)
            store_group_add(g, STORE_RECORD_DELETE, STORE_TABLE_CURSORS, buf_slice(&key),
                            (struct slice){"", 0});
        t->row_written = false;
        return;
    }
    buf_add_u64(&value, t->behind);
    buf_add_u32(&value, 0);
    uint32_t count = 0;
    list_for_each (node, &t->outstanding) {
        buf_add_u64(&value, list_entry(node, struct delivery, outstanding)->position);
        count++;
    }
    if (buf_ok(&value))
        bytes_put_le32(value.ptr + 8, count);
    else
        g->status = -ENOMEM;
    for (size_t i = t->done_before.first; i < t->done_before.len; i++)
        buf_add_u64(&value, t->done_before.positions[i]);
    if (!buf_ok(&value))
        g->status = -ENOMEM;
    store_group_add(g, STORE_RECORD_PUT, STORE_TABLE_CURSORS, buf_slice(&key), buf_slice(&value));
    t->row_written = true;
}

/* Its rows that are logged went with the resource. */
void cursor_forget(struct broker_core *b, uint32_t trigger)
{
    buf_add_u32(&b->forgotten, trigger);
}

static void add_forgotten(struct broker_core *b, struct store_group *g)
{
    if (!buf_ok(&b->forgotten)) { /* out of memory: the next start finds their rows */
        buf_done(&b->forgotten);
        return;
    }
    autobuf key = BUF_INIT;
    for (size_t at = 0; at < b->forgotten.len; at += sizeof(uint32_t)) {
        lane_row_forget(bytes_le32(b->forgotten.ptr + at), g);
        start_key('c', bytes_le32(b->forgotten.ptr + at), &key);
        store_group_add(g, STORE_RECORD_DELETE, STORE_TABLE_CURSORS, buf_slice(&key),
                        (struct slice){"", 0});
    }
}

static void forget_row(struct broker_core *b, struct slice key)
{
    struct store_group group;
    store_group_init(&group);
    group.internal = true;
    store_group_add(&group, STORE_RECORD_DELETE, STORE_TABLE_CURSORS, key, SLICE(""));
    store_append(b->store, &group, NULL, NULL);
}

/* Rows that are logged may be left, too: by earlier versions, or by what was on its way. */
void cursor_forget_orphans(struct broker_core *b)
{
    struct store_scan *scan =
        store_scan_new(b->store, STORE_TABLE_CURSORS, SLICE(""), slice_of(NULL, 0));
    struct slice key, value;
    while (scan != NULL && store_scan_next(scan, &key, &value, NULL) == 1) {
        if (key.len != 1 + sizeof(uint32_t))
            continue;
        uint32_t trigger = bytes_be32(key.ptr + 1);
        if (trigger_by_number(b, trigger) != NULL)
            continue;
        if (strchr(START_ROWS, key.ptr[0]) != NULL)
            forget_row(b, key);
        else if (key.ptr[0] == 'c' || key.ptr[0] == 'l')
            cursor_forget(b, trigger);
    }
    store_scan_free(scan);
}

static void row_may_be_there(struct trigger *t)
{
    t->row_written = true;
    t->lanes.row_written = true;
}

/* Loop thread. */
static void checkpoint_ended(struct loop_message *m)
{
    struct broker_core *b = container_of(m, struct broker_core, checkpoint_ended);
    b->checkpointing = false;
    if (b->checkpoint_error != 0) { /* rows that it was to delete are still there */
        broker_each_trigger(b, row_may_be_there);
        return;
    }
    size_t rest = b->forgotten.len - b->forgotten_written;
    if (b->forgotten_written > 0)
        memmove(b->forgotten.ptr, b->forgotten.ptr + b->forgotten_written, rest);
    b->forgotten.len = rest;
}

/* A store thread. */
static void checkpoint_done(void *ctx, int error, uint64_t position)
{
    struct broker_core *b = ctx;
    b->checkpoint_error = error;
    loop_post(b->loop, &b->checkpoint_ended);
}

static void add_rows(struct broker_core *b, struct store_group *g)
{
    autobuf value = BUF_INIT;
    buf_add_u64(&value, b->scanned);
    buf_add_u64(&value, b->known);
    store_group_add(g, STORE_RECORD_PUT, STORE_TABLE_CURSORS, SLICE("s"), buf_slice(&value));
    for (uint32_t i = 0; i < b->number_cap; i++)
        if (b->number_kind[i] == NUMBER_TRIGGER)
            add_row(b->by_number[i], g);
    add_forgotten(b, g);
}

void cursor_checkpoint(struct broker_core *b)
{
    if (b->checkpointing)
        return;
    /* Every FINISH up to here has been seen: all of them when no append is on its way. */
    uint64_t synced = store_synced(b->store);
    if (b->settling == 0 && synced > b->settled_position)
        b->settled_position = synced;
    struct store_group rows;
    store_group_init(&rows);
    add_rows(b, &rows);
    if (rows.status < 0) {
        log_error("no checkpoint can be made (%s): it is tried again", strerror(-rows.status));
        store_group_done(&rows);
        broker_each_trigger(b, row_may_be_there);
        return;
    }
    b->checkpointing = true;
    b->forgotten_written = b->forgotten.len;
    b->checkpoint_ended.receive = checkpoint_ended;
    store_checkpoint(b->store, b->settled_position, &rows, checkpoint_done, b);
}

uint64_t cursor_needed(const struct broker_core *b)
{
    uint64_t needed = b->scanned + 1;
    for (uint32_t i = 0; i < b->number_cap; i++) {
        if (b->number_kind[i] != NUMBER_TRIGGER)
            continue;
        const struct trigger *t = b->by_number[i];
        uint64_t comes_up = comes_up_from(t);
        needed = comes_up < needed ? comes_up : needed;
        if (replay_needed(t) < needed)
            needed = replay_needed(t);
        list_for_each (node, &t->outstanding) {
            const struct delivery *d = list_entry(node, struct delivery, outstanding);
            needed = d->position < needed ? d->position : needed;
        }
    }
    return needed;
}
