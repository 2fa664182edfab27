/* SPDX-License-Identifier: Apache-2.0 */
/* Makes segment files ready ahead of the log, on a thread of its own: filled with zeros, so that a
 * sync of the log writes data and no file-system metadata; or retired ones under a new name, whose
 * old batches can never be taken for new ones (number, salt and chain differ). */
#include "store/disk.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>

#define RETRY_NS (200 * CLOCK_MILLISECOND)

static int fill_file(struct disk *d, const char *path, uint64_t bytes)
{
    int fd = d->io->open(d->io->ctx, path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return fd;
    int r = d->io->allocate(d->io->ctx, fd, bytes);
    if (r == 0)
        r = d->io->sync_data(d->io->ctx, fd);
    d->io->close(d->io->ctx, fd);
    /* After a failed sync the file is not to be trusted: the next attempt makes another. */
    if (r < 0)
        d->io->unlink(d->io->ctx, path);
    return r;
}

static int rename_file(struct disk *d, uint64_t number, const char *path)
{
    char *old = segments_path(&d->segments, number);
    if (old == NULL)
        return -ENOMEM;
    int r = d->io->rename(d->io->ctx, old, path);
    if (r < 0)
        d->io->unlink(d->io->ctx, old);
    free(old);
    return r;
}

/* Makes the file of that number. recycle: number of the file to rename, 0: none. */
static int make(struct disk *d, uint64_t number, uint64_t bytes, uint64_t recycle)
{
    char *path = segments_path(&d->segments, number);
    if (path == NULL)
        return -ENOMEM;
    int r = -ENOENT;
    if (recycle != 0)
        r = rename_file(d, recycle, path);
    if (r < 0)
        r = fill_file(d, path, bytes);
    /* Left by an attempt that failed late. */
    if (r == -EEXIST)
        d->io->unlink(d->io->ctx, path);
    free(path);
    return r < 0 ? r : d->io->sync_folder(d->io->ctx, d->folder);
}

static bool allowed_locked(const struct disk *d)
{
    const struct spares *p = &d->spares;
    uint64_t most = d->size_max / d->segment_bytes;
    if (d->size_max == 0)
        return true;
    return p->live + p->count + 1 <= (most > 1 + SPARES_WANTED ? most : 1 + SPARES_WANTED);
}

static void wait_for_work(struct spares *p, bool retry)
{
    struct timespec until;
    if (!retry) {
        pthread_cond_wait(&p->changed, &p->lock);
        return;
    }
    uint64_t at = clock_monotonic() + RETRY_NS;
    until.tv_sec = (time_t)(at / CLOCK_SECOND);
    until.tv_nsec = (long)(at % CLOCK_SECOND);
    pthread_cond_timedwait(&p->changed, &p->lock, &until);
}

/* One attempt; the lock is let go meanwhile. */
static void make_locked(struct disk *d)
{
    struct spares *p = &d->spares;
    int r = -ENOSPC;
    if (allowed_locked(d)) {
        uint64_t number = p->next + p->count, recycle = p->recycle;
        p->recycle = 0;
        pthread_mutex_unlock(&p->lock);
        r = make(d, number, d->segment_bytes, recycle);
        pthread_mutex_lock(&p->lock);
        /* The log thread may have taken one meanwhile; numbers stay the same. */
        if (r == 0)
            p->count++;
    }
    p->error = r;
    pthread_cond_broadcast(&p->changed);
}

static void *run(void *arg)
{
    struct disk *d = arg;
    struct spares *p = &d->spares;
    pthread_setname_np(pthread_self(), "store-spare");
    pthread_mutex_lock(&p->lock);
    while (!p->stopping) {
        if (p->count < SPARES_WANTED) {
            make_locked(d);
        } else {
            p->error = 0;
            if (clock_monotonic() - p->full_since >= RETRY_NS)
                atomic_store(&d->counters.full, false);
        }
        if (!p->stopping && (p->count >= SPARES_WANTED || p->error != 0) && !p->kicked)
            wait_for_work(p, p->error != 0 || atomic_load(&d->counters.full));
        p->kicked = false;
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

int spares_make_first(struct disk *d, uint64_t *ret_bytes)
{
    uint64_t bytes = d->segment_bytes < SPARES_FIRST ? d->segment_bytes : SPARES_FIRST;
    int r = make(d, d->spares.next, bytes, 0);
    if (r < 0)
        return r;
    d->spares.count = 1;
    *ret_bytes = bytes;
    return 0;
}

int spares_start(struct disk *d)
{
    int r = pthread_create(&d->spares.thread, NULL, run, d);
    d->spares.running = r == 0;
    return -r;
}

void spares_stop(struct disk *d)
{
    struct spares *p = &d->spares;
    if (!p->running)
        return;
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    pthread_join(p->thread, NULL);
    p->running = false;
}

int spares_take(struct disk *d, bool internal, uint64_t *ret_number)
{
    struct spares *p = &d->spares;
    unsigned need = internal ? 1 : 2;
    int r = 0;
    pthread_mutex_lock(&p->lock);
    while (p->count < need && p->error == 0 && p->running && !p->stopping)
        pthread_cond_wait(&p->changed, &p->lock);
    if (p->count >= need) {
        *ret_number = p->next;
    } else {
        r = p->error < 0 ? p->error : -ESHUTDOWN;
        atomic_store(&d->counters.full, r == -ENOSPC);
    }
    pthread_mutex_unlock(&p->lock);
    return r;
}

void spares_taken(struct disk *d)
{
    struct spares *p = &d->spares;
    pthread_mutex_lock(&p->lock);
    p->next++;
    p->count--;
    p->live++;
    p->kicked = true;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
}

bool spares_short(struct disk *d, int *ret_error)
{
    struct spares *p = &d->spares;
    pthread_mutex_lock(&p->lock);
    bool is_short = p->count == 0 && p->error != 0;
    if (is_short) {
        *ret_error = p->error;
        atomic_store(&d->counters.full, p->error == -ENOSPC);
    }
    pthread_mutex_unlock(&p->lock);
    return is_short;
}

void spares_set_full(struct disk *d)
{
    struct spares *p = &d->spares;
    pthread_mutex_lock(&p->lock);
    atomic_store(&d->counters.full, true);
    p->full_since = clock_monotonic();
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
}

void spares_give(struct disk *d, uint64_t number, bool reusable)
{
    struct spares *p = &d->spares;
    pthread_mutex_lock(&p->lock);
    p->live--;
    bool use = reusable && p->recycle == 0 && p->count < SPARES_WANTED;
    if (use)
        p->recycle = number;
    p->kicked = true;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    if (use)
        return;
    char *path = segments_path(&d->segments, number);
    if (path != NULL)
        d->io->unlink(d->io->ctx, path);
    free(path);
}
