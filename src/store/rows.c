/* SPDX-License-Identifier: Apache-2.0 */
/* Reads of the tables, merged from the active overlay, the frozen one and LMDB, newest first. A
 * scan holds what it began with: both overlays and an LMDB snapshot that were taken together. */
#include "store/rows.h"

#include "base/must.h"
#include "store/batch.h"
#include "store/log.h"
#include "store/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct store_scan {
    struct rows *rows;
    struct overlay *layers[2]; /* active, frozen or NULL */
    struct table_cursor *table;
    struct buf at;    /* key of the last row, or where to begin */
    struct buf value; /* of the last row */
    struct buf end;   /* first key beyond; empty when none */
    uint64_t position;
    bool after;
};

int rows_init(struct rows *r)
{
    r->active = overlay_new();
    if (r->active == NULL)
        return -ENOMEM;
    return -pthread_rwlock_init(&r->lock, NULL);
}

void rows_done(struct rows *r)
{
    if (r->active == NULL)
        return;
    overlay_unref(r->active);
    overlay_unref(r->frozen);
    pthread_rwlock_destroy(&r->lock);
    r->active = r->frozen = NULL;
}

/* ---- changing: log thread, or the opening one ---- */

static bool is_table_record(const struct store_entry *e)
{
    return (e->type == STORE_RECORD_PUT || e->type == STORE_RECORD_DELETE) && e->scope > 0 &&
           e->scope <= UINT8_MAX && e->key.len <= STORE_KEY_MAX;
}

static struct overlay_row *row_of(const struct store_entry *e)
{
    bool deleted = e->type == STORE_RECORD_DELETE;
    return overlay_row_new((uint8_t)e->scope, e->key, deleted ? slice_of("", 0) : e->value,
                           deleted);
}

int rows_prepare(struct log_group *g)
{
    struct overlay_row *first = NULL, *last = NULL;
    struct store_entry e;
    size_t at = 0;
    if (!g->tables)
        return 0;
    for (uint64_t i = 0; record_next(log_group_records(g), g->length, &at, &e) == 1; i++) {
        if (!is_table_record(&e))
            continue;
        struct overlay_row *row = row_of(&e);
        if (row == NULL) {
            g->rows = first;
            rows_discard(g);
            return -ENOMEM;
        }
        row->position = i; /* relative, until the group has its position */
        if (last == NULL)
            first = row;
        else
            last->next[0] = row;
        last = row;
    }
    g->rows = first;
    return 0;
}

void rows_discard(struct log_group *g)
{
    while (g->rows != NULL) {
        struct overlay_row *row = g->rows;
        g->rows = row->next[0];
        free(row);
    }
}

void rows_apply(struct rows *r, struct log_group *g)
{
    if (g->rows == NULL)
        return;
    pthread_rwlock_wrlock(&r->lock);
    while (g->rows != NULL) {
        struct overlay_row *row = g->rows;
        g->rows = row->next[0];
        row->position += g->position;
        overlay_insert(r->active, row);
    }
    pthread_rwlock_unlock(&r->lock);
}

int rows_replay(struct rows *r, const struct store_entry *e)
{
    if (!is_table_record(e))
        return 0;
    struct overlay_row *row = row_of(e);
    if (row == NULL)
        return -ENOMEM;
    row->position = e->position;
    pthread_rwlock_wrlock(&r->lock);
    overlay_insert(r->active, row);
    pthread_rwlock_unlock(&r->lock);
    return 0;
}

int rows_merge(struct rows *r, const struct store_entry *e)
{
    if (!is_table_record(e))
        return -EINVAL;
    struct overlay_row *row = row_of(e);
    if (row == NULL)
        return -ENOMEM;
    row->position = e->position;
    pthread_rwlock_wrlock(&r->lock);
    const struct overlay_row *old = overlay_find(r->active, overlay_key(row));
    if (old == NULL || old->position <= row->position)
        overlay_insert(r->active, row);
    else
        free(row);
    pthread_rwlock_unlock(&r->lock);
    return 0;
}

void rows_sweep(struct rows *r, uint64_t position)
{
    pthread_rwlock_wrlock(&r->lock);
    overlay_sweep(r->active, position);
    pthread_rwlock_unlock(&r->lock);
}

int rows_freeze(struct rows *r)
{
    struct overlay *fresh = overlay_new();
    int ret = -EALREADY;
    if (fresh == NULL)
        return -ENOMEM;
    pthread_rwlock_wrlock(&r->lock);
    if (r->frozen == NULL) {
        r->frozen = r->active;
        r->active = fresh;
        fresh = NULL;
        ret = 0;
    }
    pthread_rwlock_unlock(&r->lock);
    overlay_unref(fresh);
    return ret;
}

void rows_drop_frozen(struct rows *r)
{
    pthread_rwlock_wrlock(&r->lock);
    struct overlay *frozen = r->frozen;
    r->frozen = NULL;
    pthread_rwlock_unlock(&r->lock);
    overlay_unref(frozen);
}

/* Rows are copied, since a scan may still stand on the frozen overlay. */
int rows_thaw(struct rows *r)
{
    pthread_rwlock_wrlock(&r->lock);
    struct overlay *frozen = r->frozen;
    const struct overlay_row *row =
        frozen != NULL ? overlay_seek(frozen, slice_of("", 0), false) : NULL;
    int ret = 0;
    for (; row != NULL; row = overlay_next(row)) {
        struct slice key = overlay_key(row);
        if (overlay_find(r->active, key) != NULL)
            continue;
        struct overlay_row *copy =
            overlay_row_new((uint8_t)key.ptr[0], slice_of(key.ptr + 1, key.len - 1),
                            overlay_value(row), row->deleted);
        if (copy == NULL) {
            ret = -ENOMEM;
            break;
        }
        copy->position = row->position;
        overlay_insert(r->active, copy);
    }
    if (ret == 0)
        r->frozen = NULL;
    pthread_rwlock_unlock(&r->lock);
    if (ret == 0)
        overlay_unref(frozen);
    return ret;
}

void rows_size(struct rows *r, uint64_t *ret_rows, uint64_t *ret_bytes)
{
    pthread_rwlock_rdlock(&r->lock);
    *ret_rows = overlay_rows(r->active) + (r->frozen != NULL ? overlay_rows(r->frozen) : 0);
    *ret_bytes = overlay_bytes(r->active) + (r->frozen != NULL ? overlay_bytes(r->frozen) : 0);
    pthread_rwlock_unlock(&r->lock);
}

/* ---- reading: any thread ---- */

static const struct overlay_row *find_row(const struct rows *r, struct slice key)
{
    const struct overlay_row *row = overlay_find(r->active, key);
    if (row == NULL && r->frozen != NULL)
        row = overlay_find(r->frozen, key);
    return row;
}

int rows_get(struct rows *r, enum store_table t, struct slice key, struct buf *out,
             uint64_t *ret_position)
{
    char bytes[1 + STORE_KEY_MAX];
    if (key.len > STORE_KEY_MAX)
        return -ENOENT;
    bytes[0] = (char)t;
    if (key.len > 0)
        memcpy(bytes + 1, key.ptr, key.len);
    struct slice whole = slice_of(bytes, key.len + 1);
    pthread_rwlock_rdlock(&r->lock);
    const struct overlay_row *row = find_row(r, whole);
    bool found = row != NULL, deleted = found && row->deleted;
    if (found && !deleted) {
        buf_add_slice(out, overlay_value(row));
        if (ret_position != NULL)
            *ret_position = row->position;
    }
    pthread_rwlock_unlock(&r->lock);
    if (!found)
        return r->table != NULL ? table_get(r->table, whole, out, ret_position) : -ENOENT;
    if (deleted)
        return -ENOENT;
    return buf_ok(out) ? 0 : -ENOMEM;
}

struct store_scan *rows_scan_new(struct rows *r, enum store_table t, struct slice from,
                                 struct slice to)
{
    struct store_scan *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return NULL;
    c->rows = r;
    buf_add_byte(&c->at, (char)t);
    buf_add_slice(&c->at, from);
    buf_add_byte(&c->end, (char)(to.ptr != NULL ? t : t + 1));
    if (to.ptr != NULL)
        buf_add_slice(&c->end, to);
    bool ok = buf_ok(&c->at) && buf_ok(&c->end);
    if (ok && r->table != NULL) {
        /* Overlays first: a checkpoint that ends between the two shows its rows twice, not never.
         */
        pthread_rwlock_rdlock(&r->lock);
        c->layers[0] = overlay_ref(r->active);
        c->layers[1] = overlay_ref(r->frozen);
        pthread_rwlock_unlock(&r->lock);
        c->table = table_cursor_new(r->table, buf_slice(&c->at));
        ok = c->table != NULL;
    } else if (ok) {
        pthread_rwlock_rdlock(&r->lock);
        c->layers[0] = overlay_ref(r->active);
        pthread_rwlock_unlock(&r->lock);
    }
    if (!ok) {
        store_scan_free(c);
        return NULL;
    }
    return c;
}

struct candidate {
    struct slice key, value;
    uint64_t position;
    bool deleted, any;
};

/* Takes the row when it comes before the candidate; an earlier layer wins among equals. */
static void offer(struct candidate *best, const struct candidate *row)
{
    if (row->any && (!best->any || slice_compare(row->key, best->key) < 0))
        *best = *row;
}

static void offer_overlay(struct candidate *best, const struct store_scan *c,
                          const struct overlay *o)
{
    const struct overlay_row *row = o != NULL ? overlay_seek(o, buf_slice(&c->at), c->after) : NULL;
    if (row == NULL)
        return;
    offer(best, &(struct candidate){overlay_key(row), overlay_value(row), row->position,
                                    row->deleted, true});
}

/* The cursor never stands before `at`, so it needs moving only past the row that was given. */
static void offer_table(struct candidate *best, const struct store_scan *c)
{
    struct candidate row = {.deleted = false};
    row.any = table_cursor_row(c->table, &row.key, &row.value, &row.position);
    if (row.any && c->after && slice_compare(row.key, buf_slice(&c->at)) <= 0) {
        table_cursor_next(c->table);
        row.any = table_cursor_row(c->table, &row.key, &row.value, &row.position);
    }
    offer(best, &row);
}

/* 1: moved to the next row, which may be a deleted one. 0: end. */
static int step(struct store_scan *c, bool *ret_deleted)
{
    struct candidate best = {.any = false};
    pthread_rwlock_rdlock(&c->rows->lock);
    offer_overlay(&best, c, c->layers[0]);
    offer_overlay(&best, c, c->layers[1]);
    offer_table(&best, c);
    bool found = best.any && slice_compare(best.key, buf_slice(&c->end)) < 0;
    if (found) {
        buf_reset(&c->at);
        buf_reset(&c->value);
        buf_add_slice(&c->at, best.key);
        if (!best.deleted)
            buf_add_slice(&c->value, best.value);
        c->position = best.position;
        c->after = true;
        *ret_deleted = best.deleted;
    }
    pthread_rwlock_unlock(&c->rows->lock);
    if (!buf_ok(&c->at) || !buf_ok(&c->value))
        return -ENOMEM;
    return found ? 1 : 0;
}

int store_scan_next(struct store_scan *c, struct slice *ret_key, struct slice *ret_value,
                    uint64_t *ret_position)
{
    bool deleted;
    int r;
    do
        r = step(c, &deleted);
    while (r == 1 && deleted);
    if (r <= 0)
        return r;
    *ret_key = slice_of(c->at.ptr + 1, c->at.len - 1);
    *ret_value = slice_of(c->value.len > 0 ? c->value.ptr : "", c->value.len);
    if (ret_position != NULL)
        *ret_position = c->position;
    return 1;
}

void store_scan_free(struct store_scan *c)
{
    if (c == NULL)
        return;
    table_cursor_free(c->table);
    overlay_unref(c->layers[0]);
    overlay_unref(c->layers[1]);
    buf_done(&c->at);
    buf_done(&c->value);
    buf_done(&c->end);
    free(c);
}
