/* SPDX-License-Identifier: Apache-2.0 */
/* The queue of groups and the thread that commits them; both twins stand on it. */
#ifndef SLUICE_STORE_LOG_H
#define SLUICE_STORE_LOG_H

#include "store/store.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>

struct overlay_row;

/* The queue's node lives in the first bytes of a group's buffer, so that appending allocates
 * nothing. */
struct log_group {
    struct log_group *next;
    store_append_done_fn *done;
    void *ctx;
    uint64_t position;        /* of its first record, once committed */
    struct overlay_row *rows; /* its table changes, ready to be put into the overlay */
    uint32_t length;          /* bytes of records, which begin at LOG_GROUP_ROOM */
    uint32_t records;
    uint32_t open; /* builder: where the record that is being built begins; 0: none */
    int error;
    bool internal;
    bool tables; /* has PUT or DELETE records */
};
#define LOG_GROUP_ROOM 72u
static_assert(sizeof(struct log_group) <= LOG_GROUP_ROOM, "node fits in front of the records");
static_assert(LOG_GROUP_ROOM % 8 == 0, "records are aligned");

static inline char *log_group_records(struct log_group *g)
{
    return (char *)g + LOG_GROUP_ROOM;
}

/* Commits groups from the front of the list, at least one: sets position or error of each, applies
 * their rows, and publishes. Returns the first that it left for the next turn. Under the log's
 * turn. */
typedef struct log_group *log_commit_fn(void *ctx, struct log_group *first);

struct log {
    _Atomic(struct log_group *) head; /* newest first */
    _Atomic uint32_t sleeping;        /* futex: 1 while the thread waits for work */
    atomic_bool stopping;
    atomic_uint_fast64_t synced;
    void (*notify)(void *ctx, uint64_t synced);
    void *notify_ctx;
    uint64_t notified;              /* the last position that notify was told */
    pthread_mutex_t turn;           /* whoever commits: the log thread, or one that flushes */
    atomic_uint_fast64_t began;     /* the commit under way, monotonic; 0: none */
    atomic_uint_fast64_t commit_ns; /* what the last commit took */
    atomic_uint_fast64_t shy_until; /* monotonic; before it only the log thread commits */
    log_commit_fn *commit;
    void *commit_ctx;
    pthread_t thread;
    bool running;
};

int log_start(struct log *l, log_commit_fn *commit, void *ctx);
/* Everything queued is committed and answered first. */
void log_stop(struct log *l);
/* Takes the group over; any thread. */
void log_push(struct log *l, struct store_group *g, store_append_done_fn *done, void *ctx);
void log_flush(struct log *l);
/* The same for a node that the twin made itself, with malloc. */
void log_push_node(struct log *l, struct log_group *node);
/* Log thread: all up to position is on disk. */
void log_publish(struct log *l, uint64_t synced);

#endif
