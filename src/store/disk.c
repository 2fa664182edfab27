/* SPDX-License-Identifier: Apache-2.0 */
/* The disk twin: opening, closing, and what the interface asks of it. */
#include "store/disk.h"

#include "base/clock.h"
#include "base/fdio.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

static uint64_t now_realtime(void *ctx)
{
    return clock_realtime();
}

static struct rows *disk_rows(struct store *s)
{
    return &disk_of(s)->rows;
}

static uint64_t disk_first(const struct store *s)
{
    return atomic_load(&disk_of_const(s)->segments.first);
}

static int condition_of(const struct counters *c)
{
    if (atomic_load(&c->stopped))
        return -EIO;
    if (atomic_load(&c->full))
        return -ENOSPC;
    return atomic_load(&c->sync_failures) > 0 ? -EIO : 0;
}

static void disk_stats(const struct store *s, struct store_stats *ret)
{
    struct disk *d = (struct disk *)(uintptr_t)disk_of_const(s);
    const struct counters *c = &d->counters;
    ret->synced = store_synced(s);
    ret->first = disk_first(s);
    ret->checkpoint = atomic_load(&d->checkpoint.position);
    pthread_mutex_lock(&d->segments.lock);
    ret->segments = d->segments.len;
    for (size_t i = 0; i < d->segments.len; i++)
        ret->log_bytes += d->segments.list[i]->bytes;
    pthread_mutex_unlock(&d->segments.lock);
    rows_size(&d->rows, &ret->overlay_rows, &ret->overlay_bytes);
    ret->appended_groups = atomic_load(&c->groups);
    ret->appended_records = atomic_load(&c->records);
    ret->appended_bytes = atomic_load(&c->bytes);
    ret->syncs = atomic_load(&c->syncs);
    ret->sync_ns_total = atomic_load(&c->sync_ns_total);
    ret->sync_ns_max = atomic_load(&c->sync_ns_max);
    ret->sync_failures = atomic_load(&c->sync_failures);
    ret->refused_full = atomic_load(&c->refused_full);
    histogram_add(&ret->sync_times, &c->sync_times);
    histogram_add(&ret->batch_groups, &c->batch_groups);
    ret->checkpoint_age_ns = clock_monotonic() - atomic_load(&d->checkpoint.written_ns);
    ret->epoch = d->epoch;
    ret->condition = condition_of(c);
    ret->stopped = atomic_load(&c->stopped);
}

static void free_disk(struct disk *d)
{
    writer_done(d);
    rows_done(&d->rows);
    table_close(d->table);
    segments_done(&d->segments);
    pthread_cond_destroy(&d->spares.changed);
    pthread_mutex_destroy(&d->spares.lock);
    pthread_cond_destroy(&d->checkpoint.changed);
    pthread_mutex_destroy(&d->checkpoint.lock);
    if (d->lock_fd >= 0)
        close(d->lock_fd);
    free(d->folder);
    free(d->dir);
    free(d);
}

static void stop_threads(struct disk *d)
{
    log_stop(&d->base.log);
    checkpoint_stop(d);
    spares_stop(d);
}

/* What is known to be synced is written down, so that the next start can tell damage to the last
 * batches from a torn tail. It is no loss when it cannot be. */
static void note_synced(struct disk *d)
{
    struct table_state state = {.checkpoint = atomic_load(&d->checkpoint.position),
                                .epoch = d->epoch,
                                .begin = d->epoch_begin,
                                .synced = store_synced(&d->base)};
    (void)table_write(d->table, NULL, NULL, &state);
}

static void disk_close(struct store *s)
{
    struct disk *d = disk_of(s);
    stop_threads(d);
    note_synced(d);
    free_disk(d);
}

static const struct store_ops disk_ops = {
    .close = disk_close,
    .reader_new = disk_reader_new,
    .reader_free = disk_reader_free,
    .reader_next = disk_reader_next,
    .reader_position = disk_reader_position,
    .first = disk_first,
    .find_time = disk_find_time,
    .find = disk_find,
    .digest = disk_digest,
    .rows = disk_rows,
    .checkpoint = disk_checkpoint,
    .checkpoint_due = disk_checkpoint_due,
    .retain = disk_retain,
    .retain_due = disk_retain_due,
    .stats = disk_stats,
};

static void init_condition(pthread_cond_t *c)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(c, &attributes);
    pthread_condattr_destroy(&attributes);
}

/* Exclusive until the process ends or the store is closed. */
static int take_lock(struct disk *d, struct error *err)
{
    autofree char *path = NULL;
    if (asprintf(&path, "%s/lock", d->dir) < 0)
        return error_set(err, -ENOMEM, "out of memory");
    d->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (d->lock_fd < 0)
        return error_set(err, -errno, "cannot open %s: %s", path, strerror(errno));
    if (flock(d->lock_fd, LOCK_EX | LOCK_NB) < 0) {
        int code = errno == EWOULDBLOCK ? -EBUSY : -errno;
        return error_set(err, code, "%s is held: another broker runs on this folder", path);
    }
    return 0;
}

static int make_folder(const char *path, struct error *err)
{
    int r = fdio_make_folders(path, 0700);
    return r < 0 ? error_set(err, r, "cannot make %s: %s", path, strerror(-r)) : 0;
}

static int open_tables(struct disk *d, uint64_t map_bytes, struct error *err)
{
    autofree char *path = NULL;
    if (asprintf(&path, "%s/tables", d->dir) < 0)
        return error_set(err, -ENOMEM, "out of memory");
    int r = make_folder(path, err);
    if (r == 0)
        r = table_open(path, map_bytes, &d->table, err);
    d->rows.table = d->table;
    return r;
}

static int open_parts(struct disk *d, uint64_t map_bytes, store_replay_fn *replay, void *replay_ctx,
                      struct error *err)
{
    int r = make_folder(d->folder, err);
    if (r == 0)
        r = take_lock(d, err);
    if (r == 0)
        r = open_tables(d, map_bytes, err);
    if (r == 0)
        r = store_io_posix.sync_folder(NULL, d->dir);
    if (r == 0)
        r = recover(d, replay, replay_ctx, err);
    if (r < 0)
        return r;
    digest_sweep(d);
    r = spares_start(d);
    if (r == 0)
        r = checkpoint_start(d);
    if (r == 0)
        r = log_start(&d->base.log, writer_commit, d);
    return r < 0 ? error_set(err, r, "cannot start the store's threads: %s", strerror(-r)) : 0;
}

static struct disk *new_disk(const struct store_options *o)
{
    struct disk *d = calloc(1, sizeof(*d));
    if (d == NULL)
        return NULL;
    d->base.ops = &disk_ops;
    d->lock_fd = -1;
    d->io = o->io != NULL ? o->io : &store_io_posix;
    d->now = o->now != NULL ? o->now : now_realtime;
    d->now_ctx = o->now_ctx;
    d->segment_bytes = o->segment_bytes > 0 ? o->segment_bytes : SEGMENT_BYTES_DEFAULT;
    d->segment_bytes = (d->segment_bytes + 4095) & ~UINT64_C(4095);
    d->size_max = o->size_max;
    uint64_t room = d->segment_bytes - SEGMENT_HEADER_BYTES - sizeof(struct batch_header);
    d->base.group_max = room < STORE_GROUP_MAX ? (size_t)room : STORE_GROUP_MAX;
    pthread_mutex_init(&d->spares.lock, NULL);
    init_condition(&d->spares.changed);
    pthread_mutex_init(&d->checkpoint.lock, NULL);
    init_condition(&d->checkpoint.changed);
    d->dir = strdup(o->dir);
    if (d->dir == NULL || asprintf(&d->folder, "%s/log", o->dir) < 0)
        d->folder = NULL;
    segments_init(&d->segments, d->io, d->folder);
    if (d->folder == NULL || rows_init(&d->rows) < 0) {
        free_disk(d);
        return NULL;
    }
    return d;
}

int disk_open(const struct store_options *options, store_replay_fn *replay, void *replay_ctx,
              struct store **ret, struct error *err)
{
    if (options->segment_bytes != 0 && options->segment_bytes < SEGMENT_BYTES_MIN)
        return error_set(err, -EINVAL, "segments must have at least 64 KiB");
    struct disk *d = new_disk(options);
    if (d == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    int r = open_parts(d, options->map_bytes, replay, replay_ctx, err);
    if (r < 0) {
        stop_threads(d);
        free_disk(d);
        return r;
    }
    *ret = &d->base;
    return 0;
}
