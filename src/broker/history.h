/* SPDX-License-Identifier: Apache-2.0 */
/* What became of an event, as far as the log says: deliveries, their attempts, and the events that
 * they were answered with, as a tree. Reading it is the inspector's thread's, the tree belongs to
 * whoever has the request. */
#ifndef SLUICE_BROKER_HISTORY_H
#define SLUICE_BROKER_HISTORY_H

#include "base/buf.h"
#include "broker/attempt.h"
#include "broker/inspect.h"

#define HISTORY_EVENTS_MAX 1000        /* of one tree */
#define HISTORY_STEPS_MAX  10000       /* of all its deliveries */
#define HISTORY_DEPTH_MAX  32          /* events above each other; deeper ones are only named */
#define HISTORY_CAUSES_MAX 32          /* events that led to the one asked for */
#define HISTORY_DATA_MAX   (64u << 10) /* of an answer's data; larger ones are left out */
#define HISTORY_BYTES_MAX  (4u << 20)  /* of events and bodies; beyond it they are left out */

enum history_kind {
    HISTORY_ATTEMPT,   /* or another end that a record says: facts.end */
    HISTORY_SCHEDULED, /* put among the retries, to be tried at a time */
    HISTORY_REDRIVEN,  /* from the dead letters */
    HISTORY_REPLAYED,  /* from the log */
    HISTORY_EDITED,    /* the dead letter has another event now */
    HISTORY_REMOVED,   /* from the dead letters or the retries */
    HISTORY_KIND_COUNT,
};

/* One thing that happened to a delivery. */
struct history_step {
    enum history_kind kind;
    struct attempt facts;
    uint64_t position, time_ns; /* of the record */
    uint64_t due_ns;            /* the next attempt; 0: none */
    struct buf error, body;
    uint64_t reply; /* position of the event that it was answered with; 0: none */
};

enum history_state {
    HISTORY_UNKNOWN,
    HISTORY_WAITING,   /* matched, and not tried yet */
    HISTORY_BEHIND,    /* the trigger matches and has not read so far */
    HISTORY_IN_FLIGHT, /* the first attempt is under way */
    HISTORY_DELAYED,   /* its time has not come */
    HISTORY_RETRYING,
    HISTORY_DELIVERED,
    HISTORY_DEAD,
    HISTORY_DEAD_LETTER_WAITING, /* dead, and to be sent to the dead-letter sink */
    HISTORY_DEAD_LETTER_SENT,
    HISTORY_DROPPED,
    HISTORY_EXPIRED,
    HISTORY_GONE, /* removed by hand, by limits, or with the trigger */
    HISTORY_STATE_COUNT,
};

struct history_delivery {
    uint32_t trigger;
    enum history_state state;
    uint64_t due_ns; /* while it is to be tried again */
    struct history_step *steps;
    uint32_t count, cap;
};

struct history_event {
    uint64_t position, time_ns;
    uint32_t broker, depth;
    struct buf encoded;
    uint64_t data_bytes;
    bool data_left_out; /* of encoded */
    bool matched;       /* the scan has passed it */
    struct history_delivery *deliveries;
    uint32_t count, cap;
};

/* The event in whose end of delivery another one was written. */
struct history_cause {
    uint64_t position, time_ns;
    uint32_t broker, trigger, attempt;
    struct buf encoded; /* without its data; empty: the log has it no more */
};

struct history {
    struct history_event *events; /* the first is what was asked for; by position, ascending */
    uint32_t count, cap;
    uint32_t steps;
    uint64_t bytes;
    struct history_cause causes[HISTORY_CAUSES_MAX]; /* the nearest first */
    uint32_t cause_count;
    /* Of an event that no trigger took: the last one before it of its broker, source and id. */
    uint64_t same_position, same_time_ns; /* 0: there is none */
    uint64_t read_to;                     /* the last position that was looked at */
    bool cut;                             /* there is more than may be shown */
    bool out_of_memory;
};

/* -ENOENT: no event stands there, or none any more. -EBADMSG, -EIO: the log cannot be read. */
int history_read(struct history *h, struct inspect_job *job, uint64_t position);
void history_done(struct history *h);
/* NULL: that is none of the tree. */
struct history_event *history_find(const struct history *h, uint64_t position);
/* Makes one when there is none; NULL: out of memory. */
struct history_delivery *history_delivery(struct history *h, struct history_event *e,
                                          uint32_t trigger);
/* Takes what a record says of events of the tree. */
void history_take(struct history *h, struct inspect_job *job, const struct store_entry *entry);
/* The event that one of the tree was answered with joins it. */
void history_add_reply(struct history *h, struct inspect_job *job, uint64_t position,
                       uint32_t depth);
/* Room for one more; the array may move. */
bool history_grow(void **array, uint32_t count, uint32_t *cap, size_t size);
/* delivered, dead…; of static life. */
const char *history_state_name(enum history_state state);
/* Loop thread: what is matched, waits or is under way, and has no record yet. */
void history_add_outstanding(struct history *h, struct broker_core *core);
/* Loop thread: as JSON. */
void history_write(const struct history *h, struct inspect_job *job, struct buf *out);

/* ---- GET /-/events/{position} ---- */
http_handler_fn history_serve;

#endif
