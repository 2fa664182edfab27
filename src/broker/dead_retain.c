/* SPDX-License-Identifier: Apache-2.0 */
/* Rows leave DEAD and PAYLOADS in groups, one on its way at a time. The number of a trigger's rows
 * is known; for their age the table is walked a piece at a time. */
#include "broker/dead_retain.h"

#include "base/bytes.h"
#include "base/clock.h"
#include "base/log.h"
#include "broker/delivery.h"
#include "broker/requeue.h"
#include "broker/row.h"
#include "broker/unfinished.h"

#include <errno.h>

#define REMOVE_MAX 512  /* rows that go in one group */
#define WALK_MAX   1000 /* rows that are looked at in one turn */

struct dead_retain {
    struct broker_core *core;
    uint64_t max, age_ns;
    struct buf at; /* where the walk goes on; empty: at the beginning */

    bool removing;   /* a group is on its way */
    struct buf keys; /* of the rows in it */
    struct loop_message came_back;
    int error;
};

struct dead_retain *dead_retain_new(struct broker_core *b, uint64_t max, uint64_t age_ns)
{
    struct dead_retain *r = calloc(1, sizeof(*r));
    if (r != NULL)
        *r = (struct dead_retain){.core = b, .max = max, .age_ns = age_ns};
    return r;
}

void dead_retain_free(struct dead_retain *r)
{
    if (r == NULL)
        return;
    buf_done(&r->at);
    buf_done(&r->keys);
    free(r);
}

void dead_retain_count(struct trigger *t, int64_t rows)
{
    t->dead_count += (uint64_t)rows;
    atomic_fetch_add_explicit(&t->core->counters.dead_kept, (uint64_t)rows, memory_order_relaxed);
}

int dead_retain_load(struct broker_core *b)
{
    struct store_scan *scan =
        store_scan_new(b->store, STORE_TABLE_DEAD, (struct slice){"", 0}, (struct slice){NULL, 0});
    if (scan == NULL)
        return -ENOMEM;
    struct slice key, value;
    while (store_scan_next(scan, &key, &value, NULL) == 1) {
        struct trigger *t =
            key.len >= sizeof(uint32_t) ? trigger_by_number(b, bytes_be32(key.ptr)) : NULL;
        if (t != NULL)
            dead_retain_count(t, 1);
    }
    store_scan_free(scan);
    return 0;
}

/* ---- removing ---- */

/* False: somebody else changes the letter right now. */
static bool remove_row(struct dead_retain *r, struct slice key, struct store_group *g)
{
    if (!requeue_claim(r->core, key))
        return false;
    store_group_add(g, STORE_RECORD_DELETE, STORE_TABLE_DEAD, key, (struct slice){"", 0});
    store_group_add(g, STORE_RECORD_DELETE, STORE_TABLE_PAYLOADS, key, (struct slice){"", 0});
    buf_add_slice(&r->keys, key);
    return true;
}

static size_t removed(const struct dead_retain *r)
{
    return r->keys.len / ROW_OBJECT_KEY_SIZE;
}

static void release(struct dead_retain *r)
{
    for (size_t at = 0; at < r->keys.len; at += ROW_OBJECT_KEY_SIZE)
        requeue_release(r->core, slice_of(r->keys.ptr + at, ROW_OBJECT_KEY_SIZE));
}

/* The oldest rows of a trigger that has too many: those of the lowest positions. */
static void remove_excess(struct dead_retain *r, struct trigger *t, struct unfinished *u,
                          struct store_group *g)
{
    uint64_t excess = t->dead_count - r->max;
    autobuf from = BUF_INIT;
    autobuf to = BUF_INIT;
    row_object_key(t->number, 0, &from);
    row_object_key(t->number + 1, 0, &to);
    struct store_scan *scan =
        store_scan_new(r->core->store, STORE_TABLE_DEAD, buf_slice(&from), buf_slice(&to));
    struct slice key, value;
    while (scan != NULL && excess > 0 && removed(r) < REMOVE_MAX &&
           store_scan_next(scan, &key, &value, NULL) == 1) {
        struct dead_row row;
        if (key.len != ROW_OBJECT_KEY_SIZE ||
            (row_dead_read(key, value, &row) == 0 && unfinished_has(u, t, row.position)))
            continue;
        excess -= remove_row(r, key, g) ? 1 : 0;
    }
    store_scan_free(scan);
}

static void remove_all_excess(struct dead_retain *r, struct unfinished *u, struct store_group *g)
{
    for (uint32_t i = 0; r->max > 0 && i < r->core->number_cap && removed(r) < REMOVE_MAX; i++) {
        struct trigger *t = trigger_by_number(r->core, i);
        if (t != NULL && t->dead_count > r->max)
            remove_excess(r, t, u, g);
    }
}

static bool is_too_old(const struct dead_retain *r, const struct dead_row *row, uint64_t now)
{
    return r->age_ns > 0 && row->time_ns < now && now - row->time_ns > r->age_ns;
}

/* Goes on where the last walk ended, and begins anew at the end of the table. */
static void remove_old(struct dead_retain *r, struct unfinished *u, struct store_group *g)
{
    uint64_t now = loop_realtime(r->core->loop);
    struct store_scan *scan =
        store_scan_new(r->core->store, STORE_TABLE_DEAD,
                       r->at.len > 0 ? buf_slice(&r->at) : slice_of("", 0), slice_of(NULL, 0));
    struct slice key, value;
    bool more = false;
    for (unsigned n = 0; scan != NULL && store_scan_next(scan, &key, &value, NULL) == 1; n++) {
        struct dead_row row;
        more = n == WALK_MAX || removed(r) == REMOVE_MAX;
        if (more)
            break;
        if (row_dead_read(key, value, &row) < 0)
            continue;
        struct trigger *t = trigger_by_number(r->core, row.trigger);
        if (t == NULL || (is_too_old(r, &row, now) && !unfinished_has(u, t, row.position)))
            remove_row(r, key, g);
    }
    buf_reset(&r->at);
    if (more)
        buf_add_slice(&r->at, key);
    store_scan_free(scan);
}

/* Loop thread. */
static void removal_came_back(struct loop_message *m)
{
    struct dead_retain *r = container_of(m, struct dead_retain, came_back);
    size_t rows = removed(r);
    r->removing = false;
    release(r);
    if (r->error != 0) { /* they are found again */
        buf_reset(&r->keys);
        return;
    }
    for (size_t i = 0; i < rows; i++) {
        struct trigger *t =
            trigger_by_number(r->core, bytes_be32(r->keys.ptr + i * ROW_OBJECT_KEY_SIZE));
        if (t != NULL && t->dead_count > 0)
            dead_retain_count(t, -1);
    }
    buf_reset(&r->keys);
    atomic_fetch_add_explicit(&r->core->counters.dead_removed, rows, memory_order_relaxed);
    log_info("%zu dead letters were removed: they were too old, or too many of one trigger", rows);
    if (rows == REMOVE_MAX &&
        r->core->running) /* there may be more: keep up with those that come */
        dead_retain_tend(r);
}

/* The thread that committed, or the loop's when the store refuses at once. */
static void removal_appended(void *ctx, int error, uint64_t position)
{
    struct dead_retain *r = ctx;
    r->error = error;
    loop_post(r->core->loop, &r->came_back);
}

void dead_retain_tend(struct dead_retain *r)
{
    if (r->removing)
        return;
    struct unfinished u = {.positions = BUF_INIT};
    struct store_group g;
    store_group_init(&g);
    g.internal = true;
    remove_all_excess(r, &u, &g);
    if (removed(r) == 0)
        remove_old(r, &u, &g);
    buf_done(&u.positions);
    if (!buf_ok(&r->keys)) { /* out of memory: the next turn tries again */
        buf_done(&r->keys);
        store_group_done(&g);
    } else if (removed(r) > 0) {
        r->removing = true;
        r->came_back.receive = removal_came_back;
        store_append(r->core->store, &g, removal_appended, r);
    } else {
        store_group_done(&g);
    }
}
