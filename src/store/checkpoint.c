/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints: a thread writes the frozen overlay and the owner's rows to LMDB in one transaction
 * that says up to which position it holds. The log thread goes on meanwhile. */
#include "store/disk.h"

#include "base/clock.h"

#include <errno.h>

#define DUE_NS        (30 * CLOCK_SECOND)
#define DUE_LOG_BYTES (UINT64_C(64) << 20)
#define DUE_ROWS      4096u
#define DUE_OVERLAY   (UINT64_C(1) << 20)

static int write_checkpoint(struct disk *d, uint64_t upto, const struct store_group *rows)
{
    /* Frozen rows that an earlier failure left first go back under the active ones. */
    int r = rows_thaw(&d->rows);
    if (r == 0)
        r = rows_freeze(&d->rows);
    if (r < 0)
        return r;
    struct table_state state = {.checkpoint = upto,
                                .epoch = d->epoch,
                                .begin = d->epoch_begin,
                                .synced = store_synced(&d->base)};
    uint64_t bytes = atomic_load(&d->counters.bytes);
    r = table_write(d->table, d->rows.frozen, rows, &state);
    if (r < 0) {
        (void)rows_thaw(&d->rows);
        return r;
    }
    rows_drop_frozen(&d->rows);
    atomic_store(&d->checkpoint.position, upto);
    atomic_store(&d->checkpoint.written_ns, clock_monotonic());
    atomic_store(&d->checkpoint.appended_bytes, bytes);
    return 0;
}

static void *run(void *arg)
{
    struct disk *d = arg;
    struct checkpoint *c = &d->checkpoint;
    pthread_setname_np(pthread_self(), "store-table");
    pthread_mutex_lock(&c->lock);
    for (;;) {
        while (!c->busy && !c->stopping)
            pthread_cond_wait(&c->changed, &c->lock);
        if (!c->busy)
            break;
        pthread_mutex_unlock(&c->lock);
        int r = write_checkpoint(d, c->upto, &c->rows);
        atomic_store(&c->time_ns, clock_monotonic());
        store_group_done(&c->rows);
        store_append_done_fn *done = c->done;
        void *ctx = c->ctx;
        uint64_t upto = c->upto;
        pthread_mutex_lock(&c->lock);
        c->busy = false;
        pthread_mutex_unlock(&c->lock);
        if (done != NULL)
            done(ctx, r, r == 0 ? upto : 0);
        pthread_mutex_lock(&c->lock);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

int checkpoint_start(struct disk *d)
{
    atomic_store(&d->checkpoint.time_ns, clock_monotonic());
    atomic_store(&d->checkpoint.written_ns, clock_monotonic());
    int r = pthread_create(&d->checkpoint.thread, NULL, run, d);
    d->checkpoint.running = r == 0;
    return -r;
}

void checkpoint_stop(struct disk *d)
{
    struct checkpoint *c = &d->checkpoint;
    if (!c->running)
        return;
    pthread_mutex_lock(&c->lock);
    c->stopping = true;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
    pthread_join(c->thread, NULL);
    c->running = false;
}

/* 0: the checkpoint thread has it now, and the rows with it. */
static int hand_over(struct disk *d, uint64_t upto, struct store_group *rows,
                     store_append_done_fn *done, void *ctx)
{
    struct checkpoint *c = &d->checkpoint;
    if (rows != NULL && rows->status < 0)
        return rows->status;
    if (upto > store_synced(&d->base) || upto < atomic_load(&c->position))
        return -EINVAL;
    int r = 0;
    pthread_mutex_lock(&c->lock);
    if (c->busy) {
        r = -EALREADY;
    } else if (c->stopping) {
        r = -ESHUTDOWN;
    } else {
        c->busy = true;
        c->upto = upto;
        c->done = done;
        c->ctx = ctx;
        store_group_init(&c->rows);
        if (rows != NULL) {
            c->rows = *rows;
            store_group_init(rows);
        }
        pthread_cond_broadcast(&c->changed);
    }
    pthread_mutex_unlock(&c->lock);
    return r;
}

void disk_checkpoint(struct store *s, uint64_t upto, struct store_group *rows,
                     store_append_done_fn *done, void *ctx)
{
    int r = hand_over(disk_of(s), upto, rows, done, ctx);
    if (r == 0)
        return;
    if (rows != NULL)
        store_group_done(rows);
    if (done != NULL)
        done(ctx, r, 0);
}

bool disk_checkpoint_due(const struct store *s)
{
    const struct disk *d = disk_of_const(s);
    uint64_t rows, bytes;
    if (store_synced(s) == atomic_load(&d->checkpoint.position))
        return false;
    rows_size((struct rows *)(uintptr_t)&d->rows, &rows, &bytes);
    return rows >= DUE_ROWS || bytes >= DUE_OVERLAY ||
           atomic_load(&d->counters.bytes) - atomic_load(&d->checkpoint.appended_bytes) >=
               DUE_LOG_BYTES ||
           clock_monotonic() - atomic_load(&d->checkpoint.time_ns) >= DUE_NS;
}
