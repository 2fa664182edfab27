/* SPDX-License-Identifier: Apache-2.0 */
/* The tables in LMDB. Its commits are atomic and durable by themselves (two syncs, no recovery
 * step); they run on the checkpoint thread only. The file is sparse and grows as it is written; the
 * map is only address space. */
#include "store/table.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "base/must.h"
#include "store/batch.h"
#include "store/log.h"

#include <errno.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define MAP_BYTES     (UINT64_C(64) << 30)
#define MAP_BYTES_MIN (UINT64_C(16) << 20)
#define READERS_MAX   1024
#define TABLE_FORMAT  1u

/* The row "state" of table 0. */
struct state_row {
    uint32_t version;
    uint32_t flags; /* zero */
    uint64_t checkpoint, epoch, begin, synced;
};
static_assert(sizeof(struct state_row) == 40, "format");
static_assert(offsetof(struct state_row, checkpoint) == 8, "format");

struct table {
    MDB_env *env;
    MDB_dbi dbi;
    /* The map may only be resized while no transaction is open: whoever resizes waits for the
     * readers, and new ones wait for it. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned readers;
    bool resizing;
    uint64_t map_bytes;
};

struct table_cursor {
    struct table *table;
    MDB_txn *txn;
    MDB_cursor *cursor;
    MDB_val key, value;
    bool end;
};

/* LMDB's own codes are positive or below -30000; the rest are errno. */
static int code_of(int r)
{
    if (r == 0)
        return 0;
    if (r == MDB_NOTFOUND)
        return -ENOENT;
    if (r == MDB_MAP_FULL)
        return -ENOSPC;
    if (r == MDB_READERS_FULL)
        return -EAGAIN;
    return r > 0 ? -r : -EBADMSG;
}

static MDB_val val_of(struct slice s)
{
    return (MDB_val){s.len, (void *)(uintptr_t)s.ptr};
}

/* Readers that this thread holds open. With one of them it enters again at once: whoever wants to
 * resize waits for this thread. */
static _Thread_local unsigned held;

static void readers_enter(struct table *t)
{
    pthread_mutex_lock(&t->lock);
    while (t->resizing && held == 0)
        pthread_cond_wait(&t->changed, &t->lock);
    t->readers++;
    held++;
    pthread_mutex_unlock(&t->lock);
}

static void readers_leave(struct table *t)
{
    must(held > 0);
    held--;
    pthread_mutex_lock(&t->lock);
    if (--t->readers == 0)
        pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->lock);
}

/* Doubles the map; waits until nobody reads. */
static int grow_map(struct table *t)
{
    pthread_mutex_lock(&t->lock);
    t->resizing = true;
    while (t->readers > 0)
        pthread_cond_wait(&t->changed, &t->lock);
    int r = mdb_env_set_mapsize(t->env, t->map_bytes * 2);
    if (r == 0)
        t->map_bytes *= 2;
    t->resizing = false;
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->lock);
    return code_of(r);
}

static int open_dbi(struct table *t)
{
    MDB_txn *txn;
    int r = mdb_txn_begin(t->env, NULL, 0, &txn);
    if (r != 0)
        return code_of(r);
    r = mdb_dbi_open(txn, NULL, 0, &t->dbi);
    if (r != 0) {
        mdb_txn_abort(txn);
        return code_of(r);
    }
    return code_of(mdb_txn_commit(txn));
}

/* An address space limit can forbid the generous map: try smaller ones. */
static int open_env(struct table *t, const char *dir)
{
    int r;
    for (;; t->map_bytes /= 4) {
        r = mdb_env_create(&t->env);
        if (r != 0)
            return code_of(r);
        mdb_env_set_maxreaders(t->env, READERS_MAX);
        mdb_env_set_mapsize(t->env, t->map_bytes);
        r = mdb_env_open(t->env, dir, MDB_NOTLS | MDB_NORDAHEAD, 0600);
        if (r == 0)
            return 0;
        mdb_env_close(t->env);
        t->env = NULL;
        if (r != ENOMEM || t->map_bytes <= MAP_BYTES_MIN)
            return code_of(r);
    }
}

int table_open(const char *dir, uint64_t map_bytes, struct table **ret, struct error *err)
{
    struct table *t = calloc(1, sizeof(*t));
    if (t == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->changed, NULL);
    t->map_bytes = map_bytes > 0 ? map_bytes : MAP_BYTES;
    int r = open_env(t, dir);
    if (r == 0)
        r = open_dbi(t);
    if (r < 0) {
        table_close(t);
        return error_set(err, r, "cannot open the tables in %s: %s", dir, strerror(-r));
    }
    *ret = t;
    return 0;
}

void table_close(struct table *t)
{
    if (t == NULL)
        return;
    must(t->readers == 0);
    if (t->env != NULL)
        mdb_env_close(t->env);
    pthread_cond_destroy(&t->changed);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

static const char state_key[] = "\0state";

static struct slice state_slice(void)
{
    return slice_of(state_key, sizeof(state_key) - 1);
}

int table_state(struct table *t, struct table_state *ret)
{
    autobuf out = BUF_INIT;
    struct state_row row;
    int r = table_get(t, state_slice(), &out, NULL);
    if (r == -ENOENT) {
        *ret = (struct table_state){0};
        return 0;
    }
    if (r < 0)
        return r;
    if (out.len != sizeof(row))
        return -EBADMSG;
    memcpy(&row, out.ptr, sizeof(row));
    if (row.version != TABLE_FORMAT)
        return -ENOTSUP;
    *ret = (struct table_state){row.checkpoint, row.epoch, row.begin, row.synced};
    return 0;
}

/* ---- writing ---- */

static int put(struct table *t, MDB_txn *txn, struct slice key, uint64_t position,
               struct slice value)
{
    MDB_val k = val_of(key), v = {sizeof(position) + value.len, NULL};
    int r = mdb_put(txn, t->dbi, &k, &v, MDB_RESERVE);
    if (r != 0)
        return r;
    bytes_put_le64(v.mv_data, position);
    if (value.len > 0)
        memcpy((char *)v.mv_data + sizeof(position), value.ptr, value.len);
    return 0;
}

static int delete (struct table *t, MDB_txn *txn, struct slice key)
{
    MDB_val k = val_of(key);
    int r = mdb_del(txn, t->dbi, &k, NULL);
    return r == MDB_NOTFOUND ? 0 : r;
}

static int write_overlay(struct table *t, MDB_txn *txn, const struct overlay *o)
{
    const struct overlay_row *row = overlay_seek(o, SLICE(""), false);
    int r = 0;
    for (; row != NULL && r == 0; row = overlay_next(row))
        r = row->deleted ? delete (t, txn, overlay_key(row))
                         : put(t, txn, overlay_key(row), row->position, overlay_value(row));
    return r;
}

static int write_record(struct table *t, MDB_txn *txn, const struct overlay *o,
                        const struct store_entry *e, uint64_t position)
{
    char bytes[1 + STORE_KEY_MAX];
    if ((e->type != STORE_RECORD_PUT && e->type != STORE_RECORD_DELETE) ||
        e->key.len > STORE_KEY_MAX)
        return EINVAL;
    bytes[0] = (char)e->scope;
    if (e->key.len > 0)
        memcpy(bytes + 1, e->key.ptr, e->key.len);
    struct slice key = slice_of(bytes, 1 + e->key.len);
    const struct overlay_row *newer = o != NULL ? overlay_find(o, key) : NULL;
    if (newer != NULL && newer->position > position)
        return 0;
    return e->type == STORE_RECORD_PUT ? put(t, txn, key, position, e->value)
                                       : delete (t, txn, key);
}

static int write_records(struct table *t, MDB_txn *txn, const struct overlay *o,
                         const struct store_group *rows, uint64_t position)
{
    if (rows == NULL || rows->bytes.len == 0)
        return 0;
    const char *records = rows->bytes.ptr + LOG_GROUP_ROOM;
    size_t len = rows->bytes.len - LOG_GROUP_ROOM, at = 0;
    struct store_entry e;
    int r;
    while ((r = record_next(records, len, &at, &e)) == 1) {
        r = write_record(t, txn, o, &e, position);
        if (r != 0)
            return r;
    }
    return r < 0 ? EINVAL : 0;
}

static int write_state(struct table *t, MDB_txn *txn, const struct table_state *state)
{
    struct state_row row = {.version = TABLE_FORMAT,
                            .checkpoint = state->checkpoint,
                            .epoch = state->epoch,
                            .begin = state->begin,
                            .synced = state->synced};
    return put(t, txn, state_slice(), state->checkpoint, slice_of(&row, sizeof(row)));
}

static int write_once(struct table *t, const struct overlay *o, const struct store_group *rows,
                      const struct table_state *state)
{
    MDB_txn *txn;
    int r = mdb_txn_begin(t->env, NULL, 0, &txn);
    if (r != 0)
        return r;
    if (o != NULL)
        r = write_overlay(t, txn, o);
    if (r == 0)
        r = write_records(t, txn, o, rows, state->checkpoint);
    if (r == 0)
        r = write_state(t, txn, state);
    if (r != 0) {
        mdb_txn_abort(txn);
        return r;
    }
    return mdb_txn_commit(txn);
}

int table_write(struct table *t, const struct overlay *o, const struct store_group *rows,
                const struct table_state *state)
{
    int r;
    while ((r = write_once(t, o, rows, state)) == MDB_MAP_FULL) {
        int grown = grow_map(t);
        if (grown < 0)
            return grown;
    }
    return code_of(r);
}

/* ---- reading ---- */

static struct slice row_of(MDB_val v, uint64_t *ret_position)
{
    const size_t head = sizeof(uint64_t);
    if (v.mv_size < head)
        return slice_of("", 0);
    if (ret_position != NULL)
        *ret_position = bytes_le64(v.mv_data);
    return slice_of((const char *)v.mv_data + head, v.mv_size - head);
}

int table_get(struct table *t, struct slice key, struct buf *out, uint64_t *ret_position)
{
    MDB_txn *txn;
    MDB_val k = val_of(key), v;
    readers_enter(t);
    int r = mdb_txn_begin(t->env, NULL, MDB_RDONLY, &txn);
    if (r == 0) {
        r = mdb_get(txn, t->dbi, &k, &v);
        if (r == 0)
            buf_add_slice(out, row_of(v, ret_position));
        mdb_txn_abort(txn);
    }
    readers_leave(t);
    return r == 0 && !buf_ok(out) ? -ENOMEM : code_of(r);
}

struct table_cursor *table_cursor_new(struct table *t, struct slice from)
{
    struct table_cursor *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return NULL;
    c->table = t;
    readers_enter(t);
    if (mdb_txn_begin(t->env, NULL, MDB_RDONLY, &c->txn) != 0 ||
        mdb_cursor_open(c->txn, t->dbi, &c->cursor) != 0) {
        table_cursor_free(c);
        return NULL;
    }
    c->key = val_of(from);
    c->end = mdb_cursor_get(c->cursor, &c->key, &c->value, MDB_SET_RANGE) != 0;
    return c;
}

void table_cursor_free(struct table_cursor *c)
{
    if (c == NULL)
        return;
    if (c->cursor != NULL)
        mdb_cursor_close(c->cursor);
    if (c->txn != NULL)
        mdb_txn_abort(c->txn);
    readers_leave(c->table);
    free(c);
}

bool table_cursor_row(const struct table_cursor *c, struct slice *ret_key, struct slice *ret_value,
                      uint64_t *ret_position)
{
    if (c == NULL || c->end)
        return false;
    *ret_key = slice_of(c->key.mv_data, c->key.mv_size);
    *ret_value = row_of(c->value, ret_position);
    return true;
}

void table_cursor_next(struct table_cursor *c)
{
    c->end = mdb_cursor_get(c->cursor, &c->key, &c->value, MDB_NEXT) != 0;
}
