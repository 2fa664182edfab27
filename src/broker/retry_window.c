/* SPDX-License-Identifier: Apache-2.0 */
/* Which rows of RETRIES are in memory: of each trigger and class those that are due first. One that
 * is due later than all of them is forgotten until there is room; when one comes that is due sooner
 * and there is no room, the later half is forgotten. */
#include "broker/retry.h"

#include "base/bytes.h"
#include "base/log.h"
#include "base/must.h"
#include "broker/drop.h"
#include "broker/retry_keys.h"

#include <errno.h>
#include <stdio.h>

static unsigned most(const struct trigger *t, enum retry_class c)
{
    unsigned windows = t->core->retry_windows, share = RETRY_MEMORY / (windows > 0 ? windows : 1);
    if (c == RETRY_AGAIN && t->keeps_retries)
        return UINT32_MAX;
    if (c == RETRY_NEW && t->keeps_retries) /* a lane that is blocked may have many of the first */
        return RETRY_WINDOW_LANES;
    return share > RETRY_WINDOW_MAX   ? RETRY_WINDOW_MAX
           : share < RETRY_WINDOW_MIN ? RETRY_WINDOW_MIN
                                      : share;
}

static bool has_all(const struct retry_window *w)
{
    return w->from_due == UINT64_MAX;
}

static bool in_window(const struct retry_window *w, uint64_t due_ns, uint64_t position)
{
    return due_ns < w->from_due || (due_ns == w->from_due && position < w->from_position);
}

/* From there on rows may be in the table only. */
static void end_before(struct retry_window *w, uint64_t due_ns, uint64_t position)
{
    if (!in_window(w, due_ns, position))
        return;
    w->from_due = due_ns;
    w->from_position = position;
}

static void open_end(struct retry_window *w)
{
    w->from_due = w->from_position = UINT64_MAX;
}

static void count(struct trigger *t, enum retry_class c, int by)
{
    struct retry_window *w = &t->windows[c];
    t->core->retry_windows -= w->loaded > 0 ? 1 : 0;
    w->loaded += (unsigned)by;
    t->core->retry_windows += w->loaded > 0 ? 1 : 0;
}

/* ---- room ---- */

static bool wants_more(const struct trigger *t, enum retry_class c)
{
    const struct retry_window *w = &t->windows[c];
    return !has_all(w) && (w->nearer || w->loaded < most(t, c) / 2);
}

static void refill_if_wanted(struct trigger *t)
{
    for (int c = 0; c < RETRY_CLASS_COUNT; c++)
        if (wants_more(t, (enum retry_class)c) && !heap_contains(&t->refill.node))
            loop_timer_set(t->core->loop, &t->refill, loop_now(t->core->loop) + 1);
}

/* The row stays, and is read again when there is room. */
static void forget(struct delivery *d)
{
    struct trigger *t = d->trigger;
    end_before(&t->windows[d->row_class], d->due_ns, d->position);
    count(t, d->row_class, -1);
    d->in_tables = false; /* it is still counted */
    delivery_free(d);
}

/* It does nothing but wait for its time. */
static bool only_waits(const struct delivery *d, enum retry_class c)
{
    return d->row_class == c && !d->settling && !d->refused && d->event == NULL &&
           list_empty(&d->link) && heap_contains(&d->due.node);
}

static int compare_dues(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The later half of those that wait and are due after that. False: there is none. */
static bool make_room(struct trigger *t, enum retry_class c, uint64_t after_ns)
{
    uint64_t dues[RETRY_WINDOW_MAX];
    size_t n = 0;
    list_for_each (node, &t->retrying) {
        const struct delivery *d = list_entry(node, struct delivery, outstanding);
        if (only_waits(d, c) && d->due_ns > after_ns && n < COUNT_OF(dues))
            dues[n++] = d->due_ns;
    }
    if (n == 0)
        return false;
    qsort(dues, n, sizeof(dues[0]), compare_dues);
    list_for_each_safe (node, following, &t->retrying) {
        struct delivery *d = list_entry(node, struct delivery, outstanding);
        if (only_waits(d, c) && d->due_ns >= dues[n / 2])
            forget(d);
    }
    return true;
}

/* ---- deliveries that come and go ---- */

void retry_enter(struct delivery *d)
{
    struct trigger *t = d->trigger;
    if (d->in_tables)
        retry_leave(d);
    d->in_tables = true;
    d->row_class = d->next_class;
    count(t, d->row_class, 1);
    if (d->row_class != RETRY_NEW)
        t->retrying_count++;
    list_remove(&d->outstanding);
    list_append(&t->retrying, &d->outstanding);
    lane_hold(t, d);
}

void retry_leave(struct delivery *d)
{
    struct trigger *t = d->trigger;
    count(t, d->row_class, -1);
    if (d->row_class != RETRY_NEW)
        t->retrying_count--;
    refill_if_wanted(t);
}

void retry_wait(struct delivery *d)
{
    struct trigger *t = d->trigger;
    struct retry_window *w = &t->windows[d->row_class];
    unsigned max = most(t, d->row_class);
    bool stays = max == UINT32_MAX || in_window(w, d->due_ns, d->position);
    if (stays && w->loaded > max)
        stays = make_room(t, d->row_class, d->due_ns);
    if (stays)
        retry_schedule(d);
    else
        forget(d);
    refill_if_wanted(t);
}

void retry_added(struct trigger *t, enum retry_class c, uint64_t due_ns, uint64_t position)
{
    struct retry_window *w = &t->windows[c];
    if (c != RETRY_NEW)
        t->retrying_count++;
    if (in_window(w, due_ns, position))
        w->nearer = true;
    end_before(w, due_ns, position);
    refill_if_wanted(t);
}

void retry_keep_all(struct trigger *t, bool keep)
{
    t->windows[RETRY_AGAIN].nearer = keep && !t->keeps_retries;
    t->keeps_retries = keep;
    refill_if_wanted(t);
}

/* ---- from the table ---- */

static struct store_scan *scan_from(const struct trigger *t, enum retry_class c, uint64_t due_ns,
                                    uint64_t position, enum retry_class end)
{
    autobuf from = BUF_INIT;
    autobuf to = BUF_INIT;
    row_retry_key(t->number, c, due_ns, position, &from);
    row_retry_key(t->number, end, 0, 0, &to);
    return store_scan_new(t->core->store, STORE_TABLE_RETRIES, buf_slice(&from), buf_slice(&to));
}

static int load_row(struct trigger *t, const struct retry_row *row)
{
    struct delivery *d = delivery_new(t, row->position, row->time_ns);
    if (d == NULL)
        return -ENOMEM;
    d->stage = (enum delivery_stage)row->stage;
    d->origin = row->origin;
    d->attempts = row->attempts;
    d->code = row->code;
    d->due_ns = row->due_ns;
    d->delay_ns = row->delay_ns;
    d->in_tables = true;
    d->row_class = row->class;
    snprintf(d->error, sizeof(d->error), SLICE_FMT, SLICE_ARG(row->error));
    list_append(&t->retrying, &d->outstanding);
    count(t, d->row_class, 1);
    retry_schedule(d);
    return lane_load(t, d);
}

/* Rows from a place on, as far as there is room. */
static int load_rows(struct trigger *t, enum retry_class c, struct store_scan *scan,
                     const struct retry_keys *known)
{
    struct retry_window *w = &t->windows[c];
    struct slice key, value;
    int r = 0;
    while (r == 0 && store_scan_next(scan, &key, &value, NULL) == 1) {
        struct retry_row row;
        if (retry_keys_have(known, key))
            continue;
        if ((r = row_retry_read(key, value, &row)) < 0)
            break;
        if (!in_window(w, row.due_ns, row.position))
            break; /* from here on they have just been forgotten */
        bool room = w->loaded < most(t, c) || make_room(t, c, row.due_ns);
        if (room)
            r = load_row(t, &row);
        if (r < 0 || !room) {
            end_before(w, row.due_ns, row.position);
            break;
        }
    }
    return r;
}

static int load(struct trigger *t, enum retry_class c)
{
    struct retry_window *w = &t->windows[c];
    struct retry_keys known;
    int r = retry_keys_collect(&known, t, false);
    if (r < 0)
        return r;
    struct store_scan *scan =
        scan_from(t, c, w->from_due, w->from_position, (enum retry_class)(c + 1));
    if (scan != NULL) {
        w->nearer = false;
        open_end(w);
        r = load_rows(t, c, scan, &known);
        store_scan_free(scan);
    } else {
        r = -ENOMEM;
    }
    retry_keys_done(&known);
    return r;
}

static void refill(struct loop_timer *timer)
{
    struct trigger *t = must_be((struct trigger *)timer->ctx, TRIGGER_MAGIC);
    int r = 0;
    for (int c = 0; c < RETRY_CLASS_COUNT && r == 0; c++)
        if (wants_more(t, (enum retry_class)c))
            r = load(t, (enum retry_class)c);
    if (r == 0)
        return;
    log_error("trigger %s/%s: deliveries that wait cannot be read (%s): tried again",
              t->resource->namespace_name, t->resource->name, strerror(-r));
    loop_timer_set(t->core->loop, &t->refill, loop_now(t->core->loop) + CLOCK_SECOND);
}

/* ---- life ---- */

void retry_window_init(struct trigger *t)
{
    for (int c = 0; c < RETRY_CLASS_COUNT; c++)
        open_end(&t->windows[c]);
    t->refill.due = refill;
    t->refill.ctx = t;
}

void retry_window_done(struct trigger *t)
{
    loop_timer_cancel(t->core->loop, &t->refill);
    for (int c = 0; c < RETRY_CLASS_COUNT; c++)
        count(t, (enum retry_class)c, -(int)t->windows[c].loaded);
}

uint64_t retry_forget_waiting(struct trigger *t, struct store_group *g)
{
    struct retry_keys settling;
    struct store_scan *scan = scan_from(t, RETRY_NEW, 0, 0, RETRY_CLASS_COUNT);
    uint64_t forgotten = 0;
    struct slice key, value;
    if (retry_keys_collect(&settling, t, true) < 0) {
        store_scan_free(scan);
        return 0;
    }
    while (scan != NULL && store_scan_next(scan, &key, &value, NULL) == 1) {
        if (retry_keys_have(&settling, key))
            continue;
        retry_forget_row(t->core, key, g);
        forgotten++;
    }
    store_scan_free(scan);
    retry_keys_done(&settling);
    loop_timer_cancel(t->core->loop, &t->refill);
    t->retrying_count = 0;
    for (int c = 0; c < RETRY_CLASS_COUNT; c++) {
        open_end(&t->windows[c]);
        t->retrying_count += c != RETRY_NEW ? t->windows[c].loaded : 0;
    }
    return forgotten;
}

/* Counts those that have failed before. A row that is due later than its delay from now was written
 * before the clock was set back. */
static int count_failed(struct trigger *t)
{
    struct broker_core *b = t->core;
    struct store_scan *scan = scan_from(t, RETRY_AGAIN, 0, 0, RETRY_CLASS_COUNT);
    struct slice key, value;
    int r = scan != NULL ? 0 : -ENOMEM;
    while (r == 0 && store_scan_next(scan, &key, &value, NULL) == 1) {
        struct retry_row row;
        if ((r = row_retry_read(key, value, &row)) < 0)
            break;
        t->retrying_count++;
        uint64_t now = retry_now(b, row.class);
        if (row.due_ns > now && row.due_ns - now > row.delay_ns)
            b->retry_clock += row.due_ns - now - row.delay_ns;
    }
    store_scan_free(scan);
    return r;
}

static int load_trigger(struct trigger *t)
{
    int r = 0;
    for (int c = 0; c < RETRY_CLASS_COUNT && r == 0; c++) {
        t->windows[c].from_due = t->windows[c].from_position = 0;
        r = load(t, (enum retry_class)c);
    }
    return r;
}

static void drop_rows(struct trigger *t)
{
    struct store_group g;
    retry_forget_begin(&g);
    drop_count(t, retry_forget_waiting(t, &g));
    retry_forget_end(t->core, &g);
}

/* The first trigger from that number on that has rows. */
static bool next_with_rows(struct broker_core *b, uint64_t from, uint32_t *ret_number)
{
    autobuf key = BUF_INIT;
    row_retry_key((uint32_t)from, RETRY_NEW, 0, 0, &key);
    struct store_scan *scan =
        store_scan_new(b->store, STORE_TABLE_RETRIES, buf_slice(&key), (struct slice){NULL, 0});
    struct slice found, value;
    bool any = from <= UINT32_MAX && scan != NULL &&
               store_scan_next(scan, &found, &value, NULL) == 1 && found.len >= sizeof(uint32_t);
    if (any)
        *ret_number = bytes_be32(found.ptr);
    store_scan_free(scan);
    return any;
}

static int each_with_rows(struct broker_core *b, int (*each)(struct trigger *t))
{
    uint32_t number;
    int r = 0;
    for (uint64_t from = 0; r == 0 && next_with_rows(b, from, &number);
         from = (uint64_t)number + 1) {
        struct trigger *t = trigger_by_number(b, number);
        if (t == NULL) /* deleted just before the end: retry_forget_orphans() */
            continue;
        if (t->broker != NULL)
            r = each(t);
        else if (each == load_trigger)
            drop_rows(t);
    }
    return r;
}

int retry_load(struct broker_core *b)
{
    b->realtime_ahead = loop_realtime(b->loop) - loop_monotonic(b->loop);
    b->retry_clock = b->realtime_ahead;
    int r = each_with_rows(b, count_failed);
    return r == 0 ? each_with_rows(b, load_trigger) : r;
}
