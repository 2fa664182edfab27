/* SPDX-License-Identifier: Apache-2.0 */
/* The memory twin: groups are kept as they were encoded, in a list by position; tables are an
 * overlay with nothing under it. The same queue and thread answer, so callers see one behaviour. */
#include "store/memory.h"

#include "base/clock.h"
#include "store/batch.h"
#include "store/store_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MEMORY_DEFAULT (UINT64_C(64) << 20)

/* One group. Readers hold it while an entry of it is out. */
struct chunk {
    uint64_t first, time_ns;
    uint32_t records, length;
    atomic_uint refs;
    char bytes[];
};

struct memory {
    struct store base;
    uint64_t (*now)(void *ctx);
    void *now_ctx;
    uint64_t max;
    struct rows rows;
    uint64_t next, time_ns; /* log thread */
    pthread_mutex_t lock;   /* the rest */
    struct chunk **list;    /* by position, from list[begin] on */
    size_t begin, len, cap;
    uint64_t bytes;
    uint64_t checkpoint;
    struct store_stats stats;
};

struct memory_reader {
    struct store_reader base;
    struct memory *memory;
    struct chunk *chunk;
    size_t at;
    uint64_t chunk_position, position;
};

static struct memory *memory_of(struct store *s)
{
    return (struct memory *)(void *)s;
}

static uint64_t now_realtime(void *ctx)
{
    return clock_realtime();
}

static void chunk_unref(struct chunk *c)
{
    if (c != NULL && atomic_fetch_sub(&c->refs, 1) == 1)
        free(c);
}

/* ---- writing: log thread ---- */

static int fit_list(struct memory *m)
{
    if (m->begin + m->len < m->cap)
        return 0;
    if (m->begin > m->cap / 2) {
        memmove(m->list, m->list + m->begin, m->len * sizeof(struct chunk *));
        m->begin = 0;
        return 0;
    }
    size_t cap = m->cap > 0 ? m->cap * 2 : 64;
    struct chunk **list = realloc(m->list, cap * sizeof(struct chunk *));
    if (list == NULL)
        return -ENOMEM;
    m->list = list;
    m->cap = cap;
    return 0;
}

/* An eighth more is reserved for internal groups. */
static bool has_room(const struct memory *m, const struct log_group *g)
{
    uint64_t max = g->internal ? m->max + m->max / 8 : m->max;
    return m->bytes + g->length <= max;
}

static struct chunk *chunk_new(struct memory *m, const struct log_group *g)
{
    struct chunk *c = malloc(sizeof(*c) + g->length);
    if (c == NULL)
        return NULL;
    uint64_t now = m->now(m->now_ctx);
    m->time_ns = now > m->time_ns ? now : m->time_ns;
    c->first = m->next;
    c->time_ns = m->time_ns;
    c->records = g->records;
    c->length = g->length;
    atomic_init(&c->refs, 1);
    memcpy(c->bytes, (const char *)g + LOG_GROUP_ROOM, g->length);
    return c;
}

static bool is_due(const struct memory *m)
{
    return m->bytes > m->max / 2;
}

static int add_locked(struct memory *m, const struct log_group *g)
{
    if (!has_room(m, g)) {
        m->stats.refused_full++;
        m->stats.condition = -ENOSPC;
        return -ENOSPC;
    }
    int r = fit_list(m);
    struct chunk *c = r == 0 ? chunk_new(m, g) : NULL;
    if (c == NULL)
        return -ENOMEM;
    m->list[m->begin + m->len++] = c;
    m->bytes += c->length;
    m->stats.condition = 0;
    m->stats.appended_groups++;
    m->stats.appended_records += g->records;
    m->stats.appended_bytes += g->length;
    return 0;
}

/* The rows go into the overlay at once; a newer row of the log stays. */
static int take_rows(struct memory *m, uint64_t upto, const struct store_group *rows)
{
    size_t at = 0;
    struct store_entry e;
    if (rows == NULL || rows->bytes.len == 0)
        return 0;
    const char *records = rows->bytes.ptr + LOG_GROUP_ROOM;
    while (record_next(records, rows->bytes.len - LOG_GROUP_ROOM, &at, &e) == 1) {
        e.position = upto;
        int r = rows_merge(&m->rows, &e);
        if (r < 0)
            return r;
    }
    return 0;
}

/* A checkpoint goes through the queue, as a node without records. */
struct request {
    struct log_group node;
    uint64_t upto;
    struct store_group rows;
};

static void commit_checkpoint(struct memory *m, struct request *q)
{
    pthread_mutex_lock(&m->lock);
    int r = q->upto < m->checkpoint ? -EINVAL : take_rows(m, q->upto, &q->rows);
    if (r == 0) {
        rows_sweep(&m->rows, q->upto);
        m->checkpoint = q->upto;
    }
    pthread_mutex_unlock(&m->lock);
    store_group_done(&q->rows);
    q->node.error = r;
    q->node.position = q->upto;
}

static int commit_group(struct memory *m, struct log_group *g)
{
    int r = rows_prepare(g);
    if (r < 0)
        return r;
    pthread_mutex_lock(&m->lock);
    r = add_locked(m, g);
    bool due = is_due(m);
    pthread_mutex_unlock(&m->lock);
    if (r < 0) {
        rows_discard(g);
        return r;
    }
    g->position = m->next;
    m->next += g->records;
    rows_apply(&m->rows, g);
    if (due)
        store_tell_retain_due(&m->base);
    return 0;
}

static struct log_group *memory_commit(void *ctx, struct log_group *first)
{
    struct memory *m = ctx;
    for (struct log_group *g = first; g != NULL; g = g->next) {
        if (g->records == 0)
            commit_checkpoint(m, (struct request *)g);
        else
            g->error = commit_group(m, g);
    }
    if (m->next - 1 > store_synced(&m->base))
        log_publish(&m->base.log, m->next - 1);
    return NULL;
}

/* ---- reading ---- */

static uint64_t first_locked(const struct memory *m)
{
    return m->len > 0 ? m->list[m->begin]->first : store_synced(&m->base) + 1;
}

static uint64_t memory_first(const struct store *s)
{
    struct memory *m = (struct memory *)(uintptr_t)s;
    pthread_mutex_lock(&m->lock);
    uint64_t first = first_locked(m);
    pthread_mutex_unlock(&m->lock);
    return first;
}

/* The first chunk that ends after position. */
static size_t find_locked(const struct memory *m, uint64_t position)
{
    size_t low = 0, high = m->len;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct chunk *c = m->list[m->begin + middle];
        if (c->first + c->records <= position)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct store_reader *memory_reader_new(struct store *s, uint64_t position)
{
    struct memory_reader *r = calloc(1, sizeof(*r));
    if (r == NULL)
        return NULL;
    r->base.store = s;
    r->memory = memory_of(s);
    r->position = position;
    return &r->base;
}

static struct memory_reader *reader_of(struct store_reader *r)
{
    return (struct memory_reader *)(void *)r;
}

static void memory_reader_free(struct store_reader *base)
{
    struct memory_reader *r = reader_of(base);
    chunk_unref(r->chunk);
    free(r);
}

static bool load(struct memory_reader *r)
{
    struct memory *m = r->memory;
    chunk_unref(r->chunk);
    r->chunk = NULL;
    pthread_mutex_lock(&m->lock);
    size_t i = find_locked(m, r->position);
    if (i < m->len) {
        r->chunk = m->list[m->begin + i];
        atomic_fetch_add(&r->chunk->refs, 1);
    }
    pthread_mutex_unlock(&m->lock);
    if (r->chunk == NULL)
        return false;
    r->at = 0;
    r->chunk_position = r->chunk->first;
    return true;
}

static int memory_reader_next(struct store_reader *base, struct store_entry *ret)
{
    struct memory_reader *r = reader_of(base);
    for (;;) {
        while (r->chunk != NULL &&
               record_next(r->chunk->bytes, r->chunk->length, &r->at, ret) == 1) {
            uint64_t position = r->chunk_position++;
            if (position < r->position)
                continue;
            ret->position = position;
            ret->time_ns = r->chunk->time_ns;
            r->position = position + 1;
            return 1;
        }
        if (r->position > store_synced(base->store) || !load(r))
            return 0;
    }
}

static uint64_t memory_reader_position(const struct store_reader *base)
{
    return ((const struct memory_reader *)(const void *)base)->position;
}

static uint64_t memory_find_time(struct store *s, uint64_t time_ns)
{
    struct memory *m = memory_of(s);
    uint64_t position = store_synced(s) + 1;
    pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < m->len; i++) {
        const struct chunk *c = m->list[m->begin + i];
        if (c->time_ns >= time_ns) {
            position = c->first < position ? c->first : position;
            break;
        }
    }
    pthread_mutex_unlock(&m->lock);
    return position;
}

static struct rows *memory_rows(struct store *s)
{
    return &memory_of(s)->rows;
}

/* ---- checkpoint and retention ---- */

static struct request *request_new(uint64_t upto, struct store_group *rows,
                                   store_append_done_fn *done, void *ctx)
{
    struct request *q = calloc(1, sizeof(*q));
    if (q == NULL)
        return NULL;
    q->node.done = done;
    q->node.ctx = ctx;
    q->upto = upto;
    store_group_init(&q->rows);
    if (rows != NULL) {
        q->rows = *rows;
        store_group_init(rows);
    }
    return q;
}

static void memory_checkpoint(struct store *s, uint64_t upto, struct store_group *rows,
                              store_append_done_fn *done, void *ctx)
{
    int r = rows != NULL ? rows->status : 0;
    if (r == 0 && upto > store_synced(s))
        r = -EINVAL;
    if (r == 0 && atomic_load(&s->log.stopping))
        r = -ESHUTDOWN;
    struct request *q = r == 0 ? request_new(upto, rows, done, ctx) : NULL;
    if (q != NULL) {
        log_push_node(&s->log, &q->node);
        return;
    }
    if (rows != NULL)
        store_group_done(rows);
    if (done != NULL)
        done(ctx, r < 0 ? r : -ENOMEM, 0);
}

/* Retention waits for checkpoints, so they are due when a good part of the room is used. */
static bool memory_checkpoint_due(const struct store *s)
{
    struct memory *m = (struct memory *)(uintptr_t)s;
    pthread_mutex_lock(&m->lock);
    bool due = m->checkpoint < store_synced(s) && m->bytes > m->max / 4;
    pthread_mutex_unlock(&m->lock);
    return due;
}

static bool memory_retain_due(const struct store *s)
{
    struct memory *m = (struct memory *)(uintptr_t)s;
    pthread_mutex_lock(&m->lock);
    bool due = is_due(m);
    pthread_mutex_unlock(&m->lock);
    return due;
}

/* When it is due an eighth more goes, so that it is not due again with the next group. */
static void memory_retain(struct store *s, uint64_t needed, uint64_t keep_since_ns)
{
    struct memory *m = memory_of(s);
    pthread_mutex_lock(&m->lock);
    uint64_t most = is_due(m) ? m->max / 2 - m->max / 8 : m->max / 2;
    uint64_t before = needed < m->checkpoint + 1 ? needed : m->checkpoint + 1;
    while (m->len > 0) {
        struct chunk *c = m->list[m->begin];
        bool protected = m->bytes <= most && keep_since_ns != 0 && c->time_ns >= keep_since_ns;
        if (c->first + c->records > before || protected)
            break;
        m->bytes -= c->length;
        m->begin++;
        m->len--;
        chunk_unref(c);
        m->stats.condition = 0;
    }
    pthread_mutex_unlock(&m->lock);
}

static void memory_stats(const struct store *s, struct store_stats *ret)
{
    struct memory *m = (struct memory *)(uintptr_t)s;
    pthread_mutex_lock(&m->lock);
    *ret = m->stats;
    ret->first = first_locked(m);
    ret->checkpoint = m->checkpoint;
    ret->log_bytes = m->bytes;
    pthread_mutex_unlock(&m->lock);
    ret->synced = store_synced(s);
    ret->epoch = 1;
    rows_size(&m->rows, &ret->overlay_rows, &ret->overlay_bytes);
}

/* ---- opening and closing ---- */

static void free_memory(struct memory *m)
{
    for (size_t i = 0; i < m->len; i++)
        chunk_unref(m->list[m->begin + i]);
    free(m->list);
    rows_done(&m->rows);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

static void memory_close(struct store *s)
{
    log_stop(&s->log);
    free_memory(memory_of(s));
}

static const struct store_ops memory_ops = {
    .close = memory_close,
    .reader_new = memory_reader_new,
    .reader_free = memory_reader_free,
    .reader_next = memory_reader_next,
    .reader_position = memory_reader_position,
    .first = memory_first,
    .find_time = memory_find_time,
    .rows = memory_rows,
    .checkpoint = memory_checkpoint,
    .checkpoint_due = memory_checkpoint_due,
    .retain = memory_retain,
    .retain_due = memory_retain_due,
    .stats = memory_stats,
};

int memory_open(const struct store_options *options, struct store **ret, struct error *err)
{
    struct memory *m = calloc(1, sizeof(*m));
    if (m == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    m->base.ops = &memory_ops;
    m->base.group_max = STORE_GROUP_MAX;
    m->now = options->now != NULL ? options->now : now_realtime;
    m->now_ctx = options->now_ctx;
    m->max = options->memory_max > 0 ? options->memory_max : MEMORY_DEFAULT;
    m->next = 1;
    pthread_mutex_init(&m->lock, NULL);
    int r = rows_init(&m->rows);
    if (r == 0)
        r = log_start(&m->base.log, memory_commit, m);
    if (r < 0) {
        free_memory(m);
        return error_set(err, r, "cannot start the store: %s", strerror(-r));
    }
    *ret = &m->base;
    return 0;
}
