/* SPDX-License-Identifier: Apache-2.0 */
/* The interface: hands calls on to the twin. */
#include "store/store.h"

#include "store/disk.h"
#include "store/memory.h"
#include "store/store_internal.h"

#include <errno.h>

int store_open(const struct store_options *options, store_replay_fn *replay, void *replay_ctx,
               struct store **ret, struct error *err)
{
    if (options->dir == NULL)
        return memory_open(options, ret, err);
    return disk_open(options, replay, replay_ctx, ret, err);
}

void store_close(struct store *s)
{
    if (s != NULL)
        s->ops->close(s);
}

static int check_group(const struct store *s, const struct store_group *g)
{
    if (g->status < 0)
        return g->status;
    if (g->records == 0)
        return -EINVAL;
    if (g->bytes.len - LOG_GROUP_ROOM > s->group_max)
        return -EMSGSIZE;
    return atomic_load(&s->log.stopping) ? -ESHUTDOWN : 0;
}

void store_append(struct store *s, struct store_group *g, store_append_done_fn *done, void *ctx)
{
    int r = check_group(s, g);
    if (r == 0) {
        log_push(&s->log, g, done, ctx);
        return;
    }
    store_group_done(g);
    if (done != NULL)
        done(ctx, r, 0);
}

void store_flush(struct store *s)
{
    log_flush(&s->log);
}

uint64_t store_synced(const struct store *s)
{
    return atomic_load_explicit(&s->log.synced, memory_order_acquire);
}

void store_set_synced_notify(struct store *s, void (*notify)(void *ctx, uint64_t synced), void *ctx)
{
    s->log.notify = notify;
    s->log.notify_ctx = ctx;
}

struct store_reader *store_reader_new(struct store *s, uint64_t position)
{
    return s->ops->reader_new(s, position > 0 ? position : 1);
}

void store_reader_free(struct store_reader *r)
{
    if (r != NULL)
        r->store->ops->reader_free(r);
}

int store_reader_next(struct store_reader *r, struct store_entry *ret_entry)
{
    return r->store->ops->reader_next(r, ret_entry);
}

uint64_t store_reader_position(const struct store_reader *r)
{
    return r->store->ops->reader_position(r);
}

uint64_t store_first(const struct store *s)
{
    return s->ops->first(s);
}

int store_read_event(struct store *s, uint64_t position, uint32_t *ret_broker,
                     uint64_t *ret_time_ns, struct buf *out)
{
    struct store_entry e;
    if (position < store_first(s) || position > store_synced(s))
        return -ENOENT;
    struct store_reader *r = store_reader_new(s, position);
    if (r == NULL)
        return -ENOMEM;
    int n = store_reader_next(r, &e);
    if (n == 0 || (n == 1 && (e.position != position || e.type != STORE_RECORD_EVENT)))
        n = -ENOENT;
    if (n == 1) {
        buf_add_slice(out, e.value);
        if (ret_broker != NULL)
            *ret_broker = e.scope;
        if (ret_time_ns != NULL)
            *ret_time_ns = e.time_ns;
        n = buf_ok(out) ? 0 : -ENOMEM;
    }
    store_reader_free(r);
    return n;
}

uint64_t store_find_time(struct store *s, uint64_t time_ns)
{
    return s->ops->find_time(s, time_ns);
}

void store_find(struct store *s, uint64_t position, const struct store_search *search,
                store_topic_fn *topic, struct store_found *ret)
{
    *ret = (struct store_found){.begin = position, .end = UINT64_MAX};
    if (s->ops->find != NULL)
        s->ops->find(s, position, search, topic, ret);
}

bool store_digest(struct store *s, store_topic_fn *topic)
{
    return s->ops->digest != NULL && s->ops->digest(s, topic);
}

int store_get(struct store *s, enum store_table t, struct slice key, struct buf *out,
              uint64_t *ret_position)
{
    return rows_get(s->ops->rows(s), t, key, out, ret_position);
}

struct store_scan *store_scan_new(struct store *s, enum store_table t, struct slice from,
                                  struct slice to)
{
    return rows_scan_new(s->ops->rows(s), t, from, to);
}

void store_checkpoint(struct store *s, uint64_t upto, struct store_group *rows,
                      store_append_done_fn *done, void *ctx)
{
    s->ops->checkpoint(s, upto, rows, done, ctx);
}

bool store_checkpoint_due(const struct store *s)
{
    return s->ops->checkpoint_due(s);
}

void store_retain(struct store *s, uint64_t needed, uint64_t keep_since_ns)
{
    s->ops->retain(s, needed, keep_since_ns);
    /* What becomes due between the two is told a second time, not never. */
    atomic_store(&s->retain_told, false);
    if (s->ops->retain_due(s))
        atomic_store(&s->retain_told, true);
}

bool store_retain_due(const struct store *s)
{
    return s->ops->retain_due(s);
}

void store_set_retain_notify(struct store *s, void (*notify)(void *ctx), void *ctx)
{
    s->retain_notify = notify;
    s->retain_notify_ctx = ctx;
}

void store_tell_retain_due(struct store *s)
{
    if (s->retain_notify != NULL && !atomic_load(&s->retain_told) &&
        !atomic_exchange(&s->retain_told, true))
        s->retain_notify(s->retain_notify_ctx);
}

void store_stats(const struct store *s, struct store_stats *ret)
{
    *ret = (struct store_stats){0};
    s->ops->stats(s, ret);
}
