/* SPDX-License-Identifier: Apache-2.0 */
/* The order of a trigger's events with the same partitionkey. Each key has a lane while one of its
 * events is under way: that one alone is delivered, again and again as the policy says, and those
 * behind it wait: a few in memory, the others where they are in the log, from where they are read
 * again when their turn comes (lane_sweep.c). So a key that is blocked takes no room from others.
 *
 * In a lane are: those that may go now (one; more only after the order was asked for while they
 * were under way), those that failed and hold the lane until their retry, those that wait in
 * memory, and rows of RETRIES that are due and did not hold it (delayed, redriven or replayed
 * events). Loop thread. */
#ifndef SLUICE_BROKER_LANE_H
#define SLUICE_BROKER_LANE_H

#include "base/list.h"
#include "event/event.h"
#include "store/store.h"

#define LANE_QUEUE_MAX 32 /* events of one lane that wait in memory */
#define LANES_QUEUED_MAX                                                                           \
    96 /* and of all lanes of a trigger: far fewer than TRIGGER_WAITING_MAX                        \
        */
#define LANES_BEHIND_MAX 10000 /* lanes of one trigger that have more in the log */
/* Of all triggers, beyond which each has its share: they are in every checkpoint. */
#define LANES_BEHIND_ALL   (1u << 19)
#define LANES_BEHIND_SHARE 32

struct lane {
    struct lane *next; /* in its bucket */
    uint64_t id;       /* hash of the key; two keys of the same hash share a lane */
    unsigned active;   /* deliveries that may go, or are under way, or end */
    unsigned holding;  /* that wait for their retry */
    unsigned queued;
    struct list queue;    /* deliveries with their event, in the order of the log */
    struct list due;      /* deliveries without */
    uint64_t from;        /* its events from here on are still to be read; 0: there are none */
    uint64_t missed_in;   /* the sweep that has passed some of them */
    struct list starving; /* in lanes->starving: nothing else to do but to read on */
};

struct lanes {
    bool ordered;
    struct lane **buckets;
    size_t bucket_count, count;
    struct lane *spare;      /* so that events that come one by one need no memory */
    unsigned queued, behind; /* deliveries in queues; lanes that have more in the log */
    struct list starving;
    struct list link; /* in core->sweeping while some are */
    /* The sweep: all from `begin` to before `at` has been looked at. */
    struct store_reader *reader;
    bool sweeping;
    uint64_t number, begin, at;
    bool row_written; /* there is a row in the tables */
};

enum lane_place { LANE_NONE, LANE_QUEUED, LANE_ACTIVE, LANE_HOLDING, LANE_DUE };

struct trigger;
struct delivery;

void lanes_init(struct trigger *t);
void lanes_done(struct trigger *t);
/* The annotation. What is under way then is put into lanes. */
void lanes_set(struct trigger *t, bool ordered);
/* All that the last run left is loaded: they go. */
void lanes_begin(struct trigger *t);
/* Nothing of what was passed over is wanted any more. */
void lanes_forget(struct trigger *t);
/* Do events have lanes, now? */
bool lanes_used(const struct trigger *t);
/* The lowest position that is still to be read; UINT64_MAX: none. */
uint64_t lanes_first(const struct trigger *t);

/* ---- an event comes from the log ---- */
enum lane_verdict { LANE_TAKE, LANE_PASS, LANE_STAY };
/* STAY: there is no room even to remember that it was passed over. again: by the sweep. */
enum lane_verdict lane_judge(struct trigger *t, const struct event *e, uint64_t position,
                             bool again);
/* The sweep is done with it. */
void lane_taken_again(struct trigger *t, const struct event *e, uint64_t position);

/* Was it passed over, to be read again when its lane has come so far? */
bool lane_will_read(const struct trigger *t, const struct event *e, uint64_t position);

/* ---- a delivery's way ---- */
/* It has its event and wants to go: d->place says whether it may. 0 or -ENOMEM. */
int lane_enter(struct trigger *t, struct delivery *d);
/* Puts one that has to wait into its lane; false: it may go. */
bool lane_put(struct trigger *t, struct delivery *d);
/* Into a list of deliveries that wait, in the order of the log. */
void lane_insert(struct list *into, struct delivery *d);
/* It has failed, and a row stands for it until its retry. */
void lane_hold(struct trigger *t, struct delivery *d);
/* The same at the start, of a row that was read. 0 or negative errno. */
int lane_load(struct trigger *t, struct delivery *d);
/* It has ended; the next may go. */
void lane_leave(struct trigger *t, struct delivery *d);

/* ---- lane_table.c ---- */
/* NULL: there is none. */
struct lane *lane_find(const struct lanes *l, uint64_t id);
/* The same, but makes it; NULL: out of memory. */
struct lane *lane_make(struct lanes *l, uint64_t id);
void lane_free(struct lanes *l, struct lane *lane);
void lane_table_done(struct lanes *l);
struct lane *lane_first(const struct lanes *l, size_t *at); /* iteration */
struct lane *lane_following(const struct lanes *l, const struct lane *lane, size_t *at);

/* ---- for lane_sweep.c and lane_row.c ---- */
void lane_set_from(struct trigger *t, struct lane *lane, uint64_t from);
/* Does the sweep under way find the lane's next event, or that there is none? */
bool lane_is_served(const struct lanes *l, const struct lane *lane);
/* 0 or -ENOMEM. */
int lane_restore(struct trigger *t, uint64_t id, uint64_t from);
/* Whoever's turn it is now goes; the lane is freed when nothing is left. */
void lane_advance(struct trigger *t, struct lane *lane);

/* ---- lane_sweep.c ---- */
/* Reads on for lanes that have nothing else to do: a bounded number of records, at most *left,
 * which it counts down. True: it can go on at once. */
bool lane_sweep(struct trigger *t, unsigned *left);

/* ---- lane_row.c: in checkpoints; see ROWS.md, "l" ---- */
void lane_row_add(struct trigger *t, struct store_group *g);
int lane_row_load(struct trigger *t);
void lane_row_forget(uint32_t trigger, struct store_group *g);

#endif
