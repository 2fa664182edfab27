/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and values of the tables RETRIES, DEAD and PAYLOADS: see ROWS.md. */
#ifndef SLUICE_BROKER_ROW_H
#define SLUICE_BROKER_ROW_H

#include "base/buf.h"
#include "base/slice.h"

#include <stdint.h>

/* A trigger's rows in RETRIES stand in the order of this, then of when they are due. */
enum retry_class {
    RETRY_NEW,   /* no attempt was made in this stage: delayed, or to be delivered anew */
    RETRY_AGAIN, /* the subscriber has failed */
    RETRY_SINK,  /* for the dead-letter sink */
    RETRY_CLASS_COUNT
};

/* Why the delivery is made. */
enum retry_origin { RETRY_MATCHED, RETRY_REDRIVEN, RETRY_REPLAYED, RETRY_ORIGIN_COUNT };

#define ROW_RETRY_KEY_SIZE 21

struct retry_row {
    uint64_t due_ns, position; /* key */
    uint32_t trigger;          /* key */
    enum retry_class class;    /* key */
    uint32_t attempts, code, stage;
    enum retry_origin origin;
    uint64_t delay_ns, time_ns;
    /* The attempt that failed last; time 0: none was made, or the row is from before there were
     * these. */
    uint64_t attempt_time_ns;
    uint32_t latency_us;
    struct slice error, body;
};
void row_retry_key(uint32_t trigger, enum retry_class c, uint64_t due_ns, uint64_t position,
                   struct buf *out);
void row_retry_value(const struct retry_row *row, struct buf *out);
/* Sets what the key says, nothing else. -EBADMSG when it is none. */
int row_retry_read_key(struct slice key, struct retry_row *ret);
/* -EBADMSG when it is none. error and body borrow from value. */
int row_retry_read(struct slice key, struct slice value, struct retry_row *ret);
struct dead_row {
    uint32_t trigger;  /* key */
    uint64_t position; /* key */
    uint32_t attempts, code;
    uint32_t latency_us; /* of the last attempt; 0 in rows from before there was this */
    uint64_t time_ns, event_time_ns;
    struct slice error, body;
};
#define ROW_OBJECT_KEY_SIZE 12
/* Also the key of PAYLOADS. */
void row_object_key(uint32_t trigger, uint64_t position, struct buf *out);
/* -EBADMSG when it is none. */
int row_object_read(struct slice key, uint32_t *ret_trigger, uint64_t *ret_position);
void row_dead_value(const struct dead_row *row, struct buf *out);
int row_dead_read(struct slice key, struct slice value, struct dead_row *ret);

#endif
