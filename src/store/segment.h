/* SPDX-License-Identifier: Apache-2.0 */
/* The segment files of the log: which there are, what each begins with, and a sparse index. */
#ifndef SLUICE_STORE_SEGMENT_H
#define SLUICE_STORE_SEGMENT_H

#include "store/batch.h"
#include "store/store.h"

#include <pthread.h>
#include <stdatomic.h>

#define SEGMENT_BYTES_DEFAULT (UINT64_C(64) << 20)
#define SEGMENT_BYTES_MIN     (UINT64_C(64) << 10)
#define SEGMENT_NAME_SIZE     32
#define SEGMENT_MARK_BYTES    (256u << 10) /* at least this far between two marks */

/* A batch that begins at offset. */
struct segment_mark {
    uint64_t first, time_ns, offset;
};

struct segment {
    uint64_t number;
    uint64_t bytes;               /* of the file */
    uint64_t first;               /* position of the first record */
    atomic_uint_fast64_t time_ns; /* of the first batch */
    uint64_t salt;
    uint32_t chain;                 /* crc of the header, which the first batch is chained to */
    atomic_uint_fast64_t end;       /* offset after the last synced batch, as far as is known */
    atomic_uint_fast64_t following; /* first position of the next segment; 0: this is the last */
    atomic_bool retired;            /* readers must look for their position again */
    atomic_bool poisoned;           /* a sync failed: never sync it again */
    atomic_bool digested;           /* it has a digest, or none can be made now */
    /* Under the list's lock: */
    int fd; /* -1: not open */
    unsigned users;
    struct segment_mark *marks;
    uint32_t marks_len, marks_cap;
};

struct segments {
    const struct store_io *io;
    const char *folder;
    pthread_mutex_t lock;
    struct segment **list; /* oldest first; the last is written to */
    size_t len, cap;
    atomic_uint_fast64_t first; /* lowest position kept */
};

void segments_init(struct segments *s, const struct store_io *io, const char *folder);
void segments_done(struct segments *s);
/* DIR/log/NUMBER.log, allocated; NULL when out of memory. */
char *segments_path(const struct segments *s, uint64_t number);
/* The number in a segment's file name; false when it is none. */
bool segment_parse_name(const char *name, uint64_t *ret_number);

/* Makes the struct; fd may be -1. NULL: out of memory. */
struct segment *segment_new(const struct segment_header *h, uint32_t chain, int fd);
void segment_free(struct segments *s, struct segment *g);
/* Adds it as the newest. -ENOMEM. */
int segments_append(struct segments *s, struct segment *g);

/* The segment that holds position (the oldest when it is below all); its file is open until the
 * release. 0 or negative errno of opening; -ENOENT when there are none. */
int segments_acquire(struct segments *s, uint64_t position, struct segment **ret);
/* The last segment whose first batch is older than time_ns, else the oldest. */
int segments_acquire_time(struct segments *s, uint64_t time_ns, struct segment **ret);
/* The same for one that is known to be in the list. */
int segments_hold(struct segments *s, struct segment *g);
void segments_release(struct segments *s, struct segment *g);

/* Remembers where a batch begins, when it is far enough from the mark before. */
void segments_note(struct segments *s, struct segment *g, const struct batch_header *h,
                   uint64_t offset);
/* The last mark at or before position, or before time_ns: where to begin to look. */
uint64_t segments_mark_position(struct segments *s, struct segment *g, uint64_t position);
uint64_t segments_mark_time(struct segments *s, struct segment *g, uint64_t time_ns);

#endif
