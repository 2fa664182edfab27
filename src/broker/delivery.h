/* SPDX-License-Identifier: Apache-2.0 */
/* One event for one trigger, from its match to its end in the log. Loop thread. */
#ifndef SLUICE_BROKER_DELIVERY_H
#define SLUICE_BROKER_DELIVERY_H

#include "broker/broker_internal.h"
#include "broker/event_hold.h"
#include "broker/row.h"
#include "broker/trigger.h"

enum delivery_stage { STAGE_SUBSCRIBER, STAGE_DEAD_LETTER, STAGE_COUNT };
enum delivery_outcome {
    OUTCOME_NONE,
    OUTCOME_DONE,
    OUTCOME_RETRY,
    OUTCOME_DEAD,
    OUTCOME_DELAYED,
    OUTCOME_EXPIRED,
    OUTCOME_COUNT
};

#define DELIVERY_MAGIC     0x64656c69u
#define DELIVERY_ERROR_MAX 200
#define DELIVERY_BODY_MAX  1024        /* of an error answer, kept with the dead letter */
#define DELIVERY_ANSWERED  "answered " /* begins the error of an attempt that had an answer */

struct delivery {
    unsigned magic;
    struct trigger *trigger; /* NULL: deleted meanwhile */
    struct broker_core *core;
    uint32_t trigger_number;
    struct list link;        /* in trigger->waiting, crowded or held, or alone */
    struct list outstanding; /* in trigger->outstanding or trigger->retrying, or core->orphans */
    uint64_t position, time_ns;
    const struct type_name *type, *reply_type; /* for metrics: of the event, of its reply */
    struct event_hold *event;                  /* NULL while it waits for a retry */
    struct http_call *call;
    struct buf body; /* of a structured-mode request */

    enum delivery_stage stage;
    enum retry_origin origin;
    unsigned attempts; /* made in this stage */
    struct lane *lane; /* of its partitionkey; or NULL */
    enum lane_place place;
    bool probe;     /* of the circuit breaker */
    bool silent;    /* what came back says that the subscriber is dead: nothing, 429, 5xx */
    bool timed;     /* the event says when it may be delivered */
    bool aside;     /* it is not to be delivered now: its outcome is on its way */
    bool in_tables; /* a row in RETRIES stands for it, not the cursor */
    enum retry_class row_class, next_class; /* of its row, and of the one on its way */
    bool unreadable;                        /* counted as one whose event cannot be read now */
    bool payload_gone;                      /* its row in PAYLOADS is: the next row needs another */
    uint64_t due_ns; /* as retry_now() tells the time of its class; part of the row's key */
    uint64_t delay_ns;
    struct loop_timer due;

    enum delivery_outcome outcome;
    uint64_t next_due_ns, next_delay_ns;
    uint64_t began_ns, ended_ns; /* the attempt: monotonic, 0: none; realtime, 0: not yet */
    uint64_t took_ns;            /* until its answer */
    uint32_t latency_us;
    unsigned answered; /* the status of a good answer; 0: there was none */
    unsigned code;     /* of the last failure; 0: no answer */
    char error[DELIVERY_ERROR_MAX];
    struct buf error_body;
    struct buf reply; /* encoded event to append with the end */
    uint32_t reply_broker;

    bool settling;        /* an append is on its way */
    bool refused;         /* the store had no room for it: it is tried again */
    bool dropped;         /* its broker was deleted meanwhile */
    bool dead_letter_row; /* the group on its way holds a row for the dead-letter sink */
    uint32_t records;     /* in that group */
    struct loop_message settled;
    int settle_error;
    uint64_t settle_position;
};

struct delivery *delivery_new(struct trigger *t, uint64_t position, uint64_t time_ns);
void delivery_free(struct delivery *d);
/* Sends it; d->event must be there. */
void delivery_start(struct delivery *d);
/* Notes why an attempt failed; code 0: no answer. */
void delivery_fail(struct delivery *d, unsigned code, const char *reason, struct slice body);
/* Ends the attempt: a retry that the policy does not allow is a dead letter. */
void delivery_conclude(struct delivery *d, enum delivery_outcome outcome);

/* Its end, d->outcome, becomes a group in the log (outcome.c). */
void outcome_append(struct delivery *d);
/* The record that takes it out of the cursor. */
void outcome_add_finish(struct store_group *g, const struct delivery *d);

#endif
