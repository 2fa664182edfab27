/* SPDX-License-Identifier: Apache-2.0 */
/* A trigger: its filter, subscriber and policy, its deliveries, and how far it has read. Loop
 * thread. */
#ifndef SLUICE_BROKER_TRIGGER_H
#define SLUICE_BROKER_TRIGGER_H

#include "base/list.h"
#include "broker/broker_internal.h"
#include "broker/event_hold.h"
#include "broker/flow.h"
#include "broker/lane.h"
#include "broker/policy.h"
#include "broker/position_set.h"
#include "broker/row.h"
#include "broker/trigger_measure.h"
#include "resource/filter.h"

/* Deliveries of one trigger that run at the same time, and that wait in memory. A trigger with more
 * to do falls behind: it leaves the shared scan and reads the log by itself until it has caught up.
 */
#define TRIGGER_WINDOW            48 /* unless an annotation says so */
#define TRIGGER_WAITING_MAX       256
#define TRIGGER_WAITING_BYTES_MAX (4u << 20)
#define TRIGGER_RETRYING_MAX      10000 /* beyond it no new events are taken from the log */
#define TRIGGER_ASIDE_MAX         1024  /* of those whose time has not come, or has passed */
#define TRIGGER_RETRIES_TURN      256   /* due retries taken before others have their turn */

/* Deliveries of all triggers that run or wait with their event in memory, beyond which each may
 * have its share of so many and no more: what they are goes into every checkpoint, whose rows are
 * one group (STORE_GROUP_MAX). Those that wait for a retry have rows of their own. */
#define TRIGGERS_DELIVERIES_MAX (1u << 20)
#define TRIGGER_SHARE_MIN       4

struct delivery;

/* The rows in RETRIES of one class that are in memory: all before `from`, in the order of keys. */
struct retry_window {
    uint64_t from_due, from_position; /* UINT64_MAX: all there are */
    unsigned loaded;
    bool nearer; /* one of the others is due before some that are in memory */
};

#define TRIGGER_MAGIC 0x74726967u

struct trigger {
    unsigned magic;
    struct broker_core *core;
    struct resource *resource;
    uint32_t number;
    struct broker *broker; /* NULL while there is none */
    struct list broker_link;
    struct filter *filter; /* NULL while the filter is not usable */
    struct target subscriber;
    struct policy policy;
    bool ready;             /* deliveries to the subscriber may start */
    bool dead_letter_ready; /* those to the dead-letter sink may */

    uint64_t start;              /* only events after this position are for it */
    uint64_t created;            /* position of its creation; 0: an earlier version wrote it */
    struct start_search *search; /* NULL, or it looks for its start (start.h) */
    uint64_t
        behind; /* 0: fed by the shared scan; else the position from which it reads by itself */
    struct list behind_link;
    struct store_reader *catch_up;
    bool unreadable; /* counted as one that stands where the log cannot be read */
    bool stalled;    /* until that is tried again */

    struct flow flow;
    struct lanes lanes;
    struct list waiting;      /* deliveries with their event in memory, to the subscriber */
    struct list waiting_sink; /* the same, to the dead-letter sink */
    unsigned waiting_count, in_flight;
    unsigned waiting_retries; /* of those that wait; while it is behind, at most half of them */
    unsigned retrying_count;  /* rows in RETRIES of deliveries that have failed before */
    unsigned aside;   /* deliveries that are put off or expired, with an outcome on its way */
    unsigned refused; /* outcomes that the store had no room for; none is delivered meanwhile */
    size_t waiting_bytes, waiting_retry_bytes;
    unsigned retries_taken;  /* from `crowded`, since the loop last had its turn */
    struct loop_timer go_on; /* runs when these were many: the others had their turn */
    uint64_t dead_count;     /* rows in DEAD */
    uint64_t dropped;        /* deliveries that went with its last broker */
    unsigned leaving;        /* more of them may, when their outcomes have come back */
    struct list outstanding; /* deliveries whose end is not in the log yet, in no order */
    struct list retrying;    /* deliveries that a row in RETRIES stands for */
    struct retry_window windows[RETRY_CLASS_COUNT];
    struct loop_timer refill; /* runs when there is room for more of the rows */
    bool keeps_retries;       /* all that have failed before are in memory */
    struct list crowded;   /* those of them that are due, for which there is no room; without their
                              event */
    struct list held;      /* those of them that are due, for a dead-letter sink that is not ready;
                              without their event */
    struct replay *replay; /* the last; NULL: there was none */
    struct position_set
        done_before;  /* finished before the restart, and coming up again: to be skipped */
    bool row_written; /* the cursor row in the tables says more than nothing */
    struct trigger_measure measure;
};

void trigger_changed(void *ctx, enum registry_change change, struct resource *resource,
                     const json_t *before);
/* Something that readiness depends on may have changed. */
void trigger_refresh(struct trigger *t);
void trigger_attach(struct trigger *t, struct broker *broker);
/* Its broker is deleted, and with it all that the trigger has not delivered. */
void trigger_broker_gone(struct trigger *t);
void trigger_free(struct trigger *t);

/* ---- trigger_stream.c: from the log ---- */
/* The shared scan found that the event is the trigger's. */
void trigger_offer(struct trigger *t, const struct store_entry *entry, const struct event *event,
                   struct event_hold **hold);
/* One record of the log, for a trigger that reads by itself; again: for its lanes only. False:
 * there is no room, come again. */
bool trigger_read(struct trigger *t, const struct store_entry *entry, bool again);
/* Is there room for more? */
bool trigger_takes_more(const struct trigger *t);
/* One more event is counted as the trigger's. */
void trigger_matched(struct trigger *t);
/* Reads by itself from that position on. */
void trigger_fall_behind(struct trigger *t, uint64_t position);
/* It does not, any more. */
void trigger_caught_up(struct trigger *t);
/* Reads on for a trigger that is behind: a bounded number of records, at most *left, which it
 * counts down. True: it can go on at once. */
bool trigger_catch_up(struct trigger *t, unsigned *left);
/* The log cannot be read there: it stays where it is, and tries again from time to time, rather
 * than pass over events. */
void trigger_stall(struct trigger *t, uint64_t position, int error);
/* What it reads can be read, or is not wanted any more. */
void trigger_readable(struct trigger *t);
/* Now and then: tries again what did not succeed. */
void trigger_tend(struct trigger *t);

/* ---- trigger_dispatch.c: what waits in memory, and to the subscriber ---- */
bool trigger_is_full(const struct trigger *t);
/* Room in memory for retries that are due: while the trigger is behind, new events have half. */
bool trigger_takes_retries(const struct trigger *t);
/* Puts a delivery whose event is there at the end of the queue. */
void trigger_queue(struct trigger *t, struct delivery *d);
/* One leaves the queue, d->link aside; its event is still there. */
void trigger_unqueue(struct trigger *t, const struct delivery *d);
/* Keeps a delivery that is due until the dead-letter sink can take it; false when it can now. */
bool trigger_hold(struct trigger *t, struct delivery *d);
void trigger_pump(struct trigger *t);

#endif
