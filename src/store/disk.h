/* SPDX-License-Identifier: Apache-2.0 */
/* The disk twin: log segments and LMDB in one folder. Its parts share this struct; each says which
 * thread may touch what. */
#ifndef SLUICE_STORE_DISK_H
#define SLUICE_STORE_DISK_H

#include "store/rows.h"
#include "store/segment.h"
#include "store/store_internal.h"
#include "store/table.h"

/* Log thread, and the opening one before it starts. */
struct writer {
    struct segment *active;
    uint64_t offset; /* where the next batch goes */
    uint64_t dirty;  /* a refused write may have left bytes up to here; 0: none */
    uint64_t next;   /* position of the next record */
    uint64_t time_ns;
    uint32_t chain;      /* crc of the last batch of all */
    bool header_pending; /* the active segment's header is not on disk yet */
    struct segment_header header;
    struct buf batch;
    unsigned quiet; /* batches in a row that left most of a large buffer unused */
};

/* Files made ready ahead of the log. They are numbered on from the active segment; the last of them
 * is the reserve, which only internal groups may begin. */
#define SPARES_WANTED 2u
#define SPARES_FIRST                                                                               \
    (UINT64_C(4) << 20) /* the first file of a new log is small: it is waited for */
struct spares {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    bool running, stopping, kicked;
    int error;           /* of the last attempt; 0: well */
    uint64_t next;       /* number of the first spare */
    unsigned count;      /* spares ready */
    uint64_t recycle;    /* number of a retired file that may be renamed; 0: none */
    uint64_t live;       /* segments in use, for size_max */
    uint64_t full_since; /* monotonic; a write found no room */
};

struct checkpoint {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    bool running, stopping, busy;
    uint64_t upto;
    struct store_group rows;
    store_append_done_fn *done;
    void *ctx;
    atomic_uint_fast64_t position;       /* of the last one that was written */
    atomic_uint_fast64_t time_ns;        /* of the last one, or try; monotonic */
    atomic_uint_fast64_t written_ns;     /* of the last one that was written, or the start */
    atomic_uint_fast64_t appended_bytes; /* what had been appended then */
};

struct counters {
    atomic_uint_fast64_t groups, records, bytes, syncs, sync_ns_total, sync_ns_max, sync_failures,
        refused_full;
    struct histogram sync_times, batch_groups;
    atomic_bool full, stopped;
};

struct disk {
    struct store base;
    const struct store_io *io;
    uint64_t (*now)(void *ctx);
    void *now_ctx;
    char *dir, *folder;
    uint64_t segment_bytes, size_max;
    int lock_fd;
    uint64_t epoch, epoch_begin; /* begin: its first position */
    struct segments segments;
    struct rows rows;
    struct table *table;
    struct writer writer;
    struct spares spares;
    struct checkpoint checkpoint;
    struct counters counters;
};

static inline struct disk *disk_of(struct store *s)
{
    return (struct disk *)(void *)s;
}
static inline const struct disk *disk_of_const(const struct store *s)
{
    return (const struct disk *)(const void *)s;
}

int disk_open(const struct store_options *options, store_replay_fn *replay, void *replay_ctx,
              struct store **ret, struct error *err);

/* recover.c: finds the end of the log, replays, makes the tail clean. */
int recover(struct disk *d, store_replay_fn *replay, void *replay_ctx, struct error *err);

/* writer.c: log_commit_fn. */
struct log_group *writer_commit(void *ctx, struct log_group *first);
/* Begins the first segment of a new log. Opening thread. */
int writer_begin(struct disk *d, uint64_t bytes);
void writer_done(struct disk *d);

/* spare.c */
int spares_start(struct disk *d);
void spares_stop(struct disk *d);
/* Makes the first one of a new log on the calling thread, before the background thread runs. */
int spares_make_first(struct disk *d, uint64_t *ret_bytes);
/* The number of a file that is ready to be the next segment, or a negative errno when there is none
 * and none can be made. Waits while one is being made. Ordinary takers leave the reserve. It is
 * taken by spares_taken(). Log thread. */
int spares_take(struct disk *d, bool internal, uint64_t *ret_number);
void spares_taken(struct disk *d);
/* A write found no room: say so until the background thread has looked again. */
void spares_set_full(struct disk *d);
/* True while ordinary groups are to be refused; *ret_error says why. */
bool spares_short(struct disk *d, int *ret_error);
/* A segment went: its file may be used again (reusable) or is gone. */
void spares_give(struct disk *d, uint64_t number, bool reusable);

/* reader.c */
struct store_reader *disk_reader_new(struct store *s, uint64_t position);
void disk_reader_free(struct store_reader *r);
int disk_reader_next(struct store_reader *r, struct store_entry *ret_entry);
uint64_t disk_reader_position(const struct store_reader *r);
uint64_t disk_find_time(struct store *s, uint64_t time_ns);

/* digest.c */
void disk_find(struct store *s, uint64_t position, const struct store_search *search,
               store_topic_fn *topic, struct store_found *ret);
bool disk_digest(struct store *s, store_topic_fn *topic);
/* The segment is gone, and what was kept of it goes. */
void digest_forget(struct disk *d, uint64_t number);
/* Those of segments that are gone, at start. */
void digest_sweep(struct disk *d);

/* checkpoint.c */
int checkpoint_start(struct disk *d);
void checkpoint_stop(struct disk *d);
void disk_checkpoint(struct store *s, uint64_t upto, struct store_group *rows,
                     store_append_done_fn *done, void *ctx);
bool disk_checkpoint_due(const struct store *s);

/* retain.c */
void disk_retain(struct store *s, uint64_t needed, uint64_t keep_since_ns);
bool disk_retain_due(const struct store *s);

#endif
