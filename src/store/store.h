/* SPDX-License-Identifier: Apache-2.0 */
/* The store: one append-only log of everything that happens, and ordered tables that are its
 * checkpoints. Formats in FORMAT.md. Twins: disk (log segments + LMDB) and memory; tests/unit/store
 * runs one contract over both.
 *
 * A record has a type, a broker (or trigger) number, a key and a value. EVENT records are what
 * readers get; PUT and DELETE change tables; every other type belongs to the layer above and is
 * given back to it by readers and by replay. Records appended together are one group: all or
 * nothing after any crash. Each record gets a position: dense, ascending from 1, never reused. */
#ifndef SLUICE_STORE_STORE_H
#define SLUICE_STORE_STORE_H

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"
#include "observe/histogram.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store;
struct store_reader;
struct store_scan;

enum store_record_type {
    STORE_RECORD_EVENT = 1,  /* scope: broker number; value: encoded event */
    STORE_RECORD_PUT = 2,    /* scope: table; key, value */
    STORE_RECORD_DELETE = 3, /* scope: table; key */
    STORE_RECORD_FINISH =
        4, /* scope: trigger number; key: 8 bytes, little-endian position of the event */
    STORE_RECORD_TYPE_COUNT,
};

/* DESIGN §4. Keys are big-endian so that their order is the order of time. */
enum store_table {
    STORE_TABLE_CURSORS = 1,
    STORE_TABLE_RETRIES,
    STORE_TABLE_DEAD,
    STORE_TABLE_PAYLOADS, /* events that retries and dead letters hold: trigger, position → encoded
                             event */
    STORE_TABLE_ATTEMPTS,
    STORE_TABLE_RESOURCES,
    STORE_TABLE_EXECUTIONS,
    STORE_TABLE_DEDUP,
    STORE_TABLE_NUMBERS, /* names → the numbers that records use for brokers and triggers */
    STORE_TABLE_COUNT,
};

#define STORE_KEY_MAX   480         /* bytes of a table key (LMDB's own limit is 511) */
#define STORE_GROUP_MAX (32u << 20) /* bytes of one group */

/* The few file-system calls that the store makes, so that tests can make the Nth fail, or cut the
 * power. Semantics are POSIX's, results are negative errno. dir and path are as the store was given
 * them. */
struct store_io {
    void *ctx;
    int (*open)(void *ctx, const char *path, int flags, int mode);
    int (*close)(void *ctx, int fd);
    int64_t (*pwrite)(void *ctx, int fd, const void *bytes, size_t len, uint64_t offset);
    int64_t (*pread)(void *ctx, int fd, void *bytes, size_t len, uint64_t offset);
    int (*sync_data)(void *ctx, int fd);
    int (*allocate)(void *ctx, int fd,
                    uint64_t len); /* reserve and zero, so that later syncs write no metadata */
    int64_t (*size)(void *ctx, int fd);
    int (*rename)(void *ctx, const char *from, const char *to);
    int (*unlink)(void *ctx, const char *path);
    int (*sync_folder)(void *ctx, const char *path);
    /* Calls each with every name in the folder, in no order, until it returns non-zero. */
    int (*list)(void *ctx, const char *path, int (*each)(void *each_ctx, const char *name),
                void *each_ctx);
};
/* The real one. */
extern const struct store_io store_io_posix;

struct store_options {
    const char *dir;        /* NULL: the memory twin */
    uint64_t segment_bytes; /* 0: 64 MiB; at least 64 KiB. A group that does not fit into one is
                               refused with -EMSGSIZE */
    uint64_t size_max;      /* bytes of all segments and spares, at least three; 0: no limit but the
                               disk */
    uint64_t memory_max;    /* memory twin: bytes kept; 0: 64 MiB. Beyond it groups are refused with
                               -ENOSPC until store_retain lets some go */
    uint64_t map_bytes;     /* address space for the tables at the start, doubled when they fill it,
                               whole pages; 0: 64 GiB, or what the process may have */
    const struct store_io *io;  /* NULL: store_io_posix */
    uint64_t (*now)(void *ctx); /* realtime ns; NULL: clock_realtime */
    void *now_ctx;
};

/* Called for each record past the checkpoint, in order, on the opening thread: PUT and DELETE are
 * already applied then. */
struct store_entry {
    uint64_t position;
    uint64_t time_ns; /* when it was appended; never goes backwards */
    uint16_t type;
    uint32_t scope;
    struct slice key, value;
};
typedef int store_replay_fn(void *ctx, const struct store_entry *entry);

/* Takes DIR/lock exclusively (-EBUSY: another broker runs there), recovers, and starts the log
 * thread. Corruption below the known synced position: -EBADMSG with file and offset in err. replay
 * may be NULL. */
int store_open(const struct store_options *options, store_replay_fn *replay, void *replay_ctx,
               struct store **ret, struct error *err);
/* Ends the threads; what was appended before is synced and answered first. */
void store_close(struct store *s);

/* ---- writing: any thread ---- */
struct store_group {
    struct buf bytes; /* encoded records */
    uint32_t records;
    bool internal; /* finishing and dead-lettering: may use the reserved room on a full disk */
    bool held;     /* store_append() only queues it: the caller will have more, and calls
                      store_flush() after them */
    int status;    /* first error of the builders below */
};
void store_group_init(struct store_group *g);
void store_group_done(struct store_group *g);
void store_group_add(struct store_group *g, enum store_record_type type, uint32_t scope,
                     struct slice key, struct slice value);
/* The same when the value is made in place: begin, append the value to g->bytes, end. */
void store_group_begin(struct store_group *g, enum store_record_type type, uint32_t scope,
                       struct slice key);
void store_group_end(struct store_group *g);

/* error: 0 when the group is on disk, else negative errno (-ENOSPC, -EMSGSIZE, -EINVAL, -ENOMEM,
 * -ESHUTDOWN…) and nothing of it will ever be read. Only after -EIO, with which the store stops, it
 * may turn out at the next start that the disk has it. position is its first record's. Called on
 * the thread that commits, in order of positions, after tables show the group; must not block. */
typedef void store_append_done_fn(void *ctx, int error, uint64_t position);
/* Appends the group (emptied: the store owns its bytes) and returns at once. done is always called,
 * possibly before this returns when the store refuses. done may be NULL. */
void store_append(struct store *s, struct store_group *g, store_append_done_fn *done, void *ctx);

/* Sees to it that everything queued so far is committed: on this thread, which waits for the sync,
 * while syncs are quick; else on the log thread, without waiting for it. While another thread
 * commits, it waits for its turn first, but no longer than a commit may take and be called quick
 * (50 ms). */
void store_flush(struct store *s);

/* The last position that is synced (0: none). Any thread. */
uint64_t store_synced(const struct store *s);
/* Called on the thread that commits after each sync, after the groups' done functions, with the new
 * synced position. Set once, before the first append. */
void store_set_synced_notify(struct store *s, void (*notify)(void *ctx, uint64_t synced),
                             void *ctx);

/* ---- reading the log: a reader belongs to one thread ---- */
/* From the first kept record at or after position. NULL: out of memory. */
struct store_reader *store_reader_new(struct store *s, uint64_t position);
void store_reader_free(struct store_reader *r);
/* 1: *ret_entry is the next synced record, valid until the next call on r. 0: at the end, try again
 * after the next sync. -EBADMSG: corrupt. */
int store_reader_next(struct store_reader *r, struct store_entry *ret_entry);
/* The position that the next call looks for. */
uint64_t store_reader_position(const struct store_reader *r);
/* The lowest position still kept. */
uint64_t store_first(const struct store *s);
/* One EVENT record by position, value copied to out. 0, -ENOENT (gone or not an event). */
int store_read_event(struct store *s, uint64_t position, uint32_t *ret_broker,
                     uint64_t *ret_time_ns, struct buf *out);
/* The lowest position whose time is at or after time_ns (store_synced() + 1 when none). */
uint64_t store_find_time(struct store *s, uint64_t time_ns);

/* ---- looking for records: any thread, for as long as it takes to read a segment ---- */
/* What a record is about: an EVENT has a key (a hash of its id), others speak of an event. */
struct store_topic {
    bool has_key;
    uint64_t key;
    uint64_t about; /* position; 0: of none */
};
/* The same for all time, since digests of segments are made by it and kept. */
typedef void store_topic_fn(const struct store_entry *entry, struct store_topic *ret);
struct store_search {      /* either of them */
    const uint64_t *about; /* positions of events, ascending */
    size_t about_count;
    bool by_key;
    uint64_t key;
};
/* Where to read on: from begin on, before end, then ask again with end. Nothing when they are
 * equal. What is passed over has no EVENT with that key, no record that speaks of one of those
 * events, and none of these; what is not may have none either. */
struct store_found {
    uint64_t begin, end;
    uint64_t bytes_read; /* of the log, to find that out */
};
void store_find(struct store *s, uint64_t position, const struct store_search *search,
                store_topic_fn *topic, struct store_found *ret);
/* Sees to the digest of one full segment, the newest that nobody has seen to: who looks later need
 * not wait for it. False: there is none. One thread at a time. */
bool store_digest(struct store *s, store_topic_fn *topic);

/* ---- tables: any thread; a read after an acknowledged write sees it ---- */
/* 0 or -ENOENT. ret_position (may be NULL): position of the PUT that wrote it. */
int store_get(struct store *s, enum store_table t, struct slice key, struct buf *out,
              uint64_t *ret_position);
/* Rows with from <= key, in order, as of about now. to.ptr NULL: to the end; else key < to. A scan
 * belongs to one thread, which may call store_get() meanwhile, and should end soon: tables cannot
 * grow while it is open. */
struct store_scan *store_scan_new(struct store *s, enum store_table t, struct slice from,
                                  struct slice to);
/* 1: a row, valid until the next call. 0: end. */
int store_scan_next(struct store_scan *c, struct slice *ret_key, struct slice *ret_value,
                    uint64_t *ret_position);
void store_scan_free(struct store_scan *c);

/* ---- checkpoint and retention: called by the owner of the state (the broker's loop thread) ----
 */
/* Writes the overlay and the given rows (PUT and DELETE records; cursors and such, that are derived
 * and not logged) in one durable LMDB transaction that holds up to position upto: replay will begin
 * after it. The caller says by upto that the rows reflect every record up to it and nothing not yet
 * synced. Asynchronous; done on a store thread; one at a time (-EALREADY otherwise). rows is
 * emptied. */
void store_checkpoint(struct store *s, uint64_t upto, struct store_group *rows,
                      store_append_done_fn *done, void *ctx);
/* True when time, log bytes or overlay size since the last checkpoint ask for one. */
bool store_checkpoint_due(const struct store *s);
/* Segments whose records are all below needed, below the last checkpoint, and older than
 * keep_since_ns (0: any age) may go; called now and then, and when it is due. Then age does not
 * protect. */
void store_retain(struct store *s, uint64_t needed, uint64_t keep_since_ns);
/* True when the log is over size_max, or over half of memory_max: groups are refused soon. */
bool store_retain_due(const struct store *s);
/* Called on the thread that commits when retention becomes due, and again when it does after a
 * store_retain() that was enough; must not block. Set once, before the first append. */
void store_set_retain_notify(struct store *s, void (*notify)(void *ctx), void *ctx);

/* ---- condition ---- */
struct store_stats {
    uint64_t synced, first, checkpoint; /* positions */
    uint64_t log_bytes, segments, overlay_rows, overlay_bytes;
    uint64_t appended_groups, appended_records, appended_bytes, syncs, sync_ns_total, sync_ns_max,
        sync_failures, refused_full;
    struct histogram_sums sync_times;   /* of the log; the twin in memory has none */
    struct histogram_sums batch_groups; /* groups that one sync made durable */
    uint64_t checkpoint_age_ns;         /* since the last checkpoint, or the start */
    uint64_t epoch;
    int condition; /* 0 well; -ENOSPC full, until there is room; -EIO a sync failed since the start,
                      and the log went on in a new segment or stopped */
    bool stopped;  /* takes nothing more */
};
void store_stats(const struct store *s, struct store_stats *ret);

#endif
