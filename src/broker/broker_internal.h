/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this folder share. Everything here belongs to the loop thread, except the
 * directory (HTTP threads read it) and the atomic counters. Rows of the tables are described in
 * ROWS.md. */
#ifndef SLUICE_BROKER_BROKER_INTERNAL_H
#define SLUICE_BROKER_BROKER_INTERNAL_H

#include "base/list.h"
#include "broker/broker.h"
#include "broker/filter.h"
#include "broker/index.h"
#include "event/event.h"

#include <stdatomic.h>

/* Deliveries of one trigger that run at the same time, and that wait in memory. A trigger with more
 * to do falls behind: it leaves the shared scan and reads the log by itself until it has caught up.
 */
#define TRIGGER_WINDOW            48
#define TRIGGER_WAITING_MAX       256
#define TRIGGER_WAITING_BYTES_MAX (4u << 20)
#define TRIGGER_RETRYING_MAX      10000 /* beyond it no new events are taken from the log */

#define BROKER_TTL_DEFAULT       255 /* knativebrokerttl of an event that carries none */
#define DELIVERY_TIMEOUT_DEFAULT (30 * CLOCK_SECOND)
#define RETRY_DELAY_MAX          (3600 * CLOCK_SECOND)

/* ---- target.c: where something is delivered ---- */
enum target_kind { TARGET_NONE, TARGET_FUNCTION, TARGET_URL, TARGET_BROKER, TARGET_KIND_COUNT };

struct target {
    enum target_kind kind;
    char *namespace_name, *name; /* FUNCTION and BROKER */
    char *path;                  /* FUNCTION: "/…" */
    char *uri;                   /* for status and knativeerrordest; the URL for TARGET_URL */
};

/* From a Destination ({ref, uri}) of a resource in namespace_name. 0, or -EINVAL with the reason;
 * destination NULL: TARGET_NONE. */
int target_resolve(const json_t *destination, const char *namespace_name, struct target *ret,
                   struct error *err);
void target_done(struct target *t);

/* ---- broker.c: the core and its brokers ---- */
struct broker {
    struct resource *resource;
    uint32_t number;
    struct index index;
    struct list triggers; /* struct trigger */
    uint64_t retention_ns;
};

struct counters {
    atomic_uint_fast64_t taken, refused, matched, delivered, failed, retried, dead, replies, loops,
        in_flight, waiting;
};

struct directory;
struct tail;

struct broker_core {
    struct loop *loop;
    struct store *store;
    struct registry *registry;
    struct http_client *client;
    const struct sink_ops *functions;
    void *functions_ctx;
    char *base_url;

    struct directory *directory;
    atomic_uint ingress_running; /* requests at ingress that are not answered yet */
    atomic_uint ingress_lone;    /* how many in a row came one after the other */
    void **by_number; /* struct broker or struct trigger, by resource number; see number_kind */
    uint8_t *number_kind;
    size_t number_cap;

    struct store_reader *scan;
    uint64_t scanned; /* every event up to here has been matched, and is finished or outstanding */
    struct loop_message scan_wanted;
    atomic_bool scan_posted;
    atomic_uint
        listeners; /* triggers and tails: without any, the log thread need not wake the loop */
    bool running, quiet;

    struct list behind; /* triggers that read the log by themselves */
    struct list tails;
    unsigned settling;         /* appends whose outcome has not come back yet */
    uint64_t settled_position; /* of the last outcome that has */
    struct list orphans;       /* deliveries of deleted triggers, whose appends are on their way */
    bool closed;               /* the store is: no append comes back any more */
    bool checkpointing;
    struct loop_message checkpoint_ended;
    int checkpoint_error;
    struct buf forgotten; /* u32 numbers of deleted triggers whose cursor rows are to be deleted */
    size_t forgotten_written; /* bytes of it that the checkpoint on its way deletes */
    struct loop_timer housekeeping;
    uint64_t housekeeping_turns;

    struct buf header_text; /* scratch of delivery.c */
    struct counters counters;
};

enum { NUMBER_FREE, NUMBER_BROKER, NUMBER_TRIGGER };
int broker_number_put(struct broker_core *b, uint32_t number, int kind, void *object);
struct broker *broker_by_number(const struct broker_core *b, uint32_t number);
struct trigger *trigger_by_number(const struct broker_core *b, uint32_t number);
struct broker *broker_find(const struct broker_core *b, const char *namespace_name,
                           const char *name);
void broker_each_trigger(struct broker_core *b, void (*each)(struct trigger *t));
void broker_scan_wake(struct broker_core *b);

/* ---- directory.c: what HTTP threads know of brokers ---- */
struct directory *directory_new(void);
void directory_free(struct directory *d);
/* The broker's number, 0 when there is none. Any thread. */
uint32_t directory_find(struct directory *d, struct slice namespace_name, struct slice name);
int directory_put(struct directory *d, const char *namespace_name, const char *name,
                  uint32_t number);
void directory_remove(struct directory *d, const char *namespace_name, const char *name);

/* ---- ingress.c: HTTP threads ---- */
http_handler_fn ingress_post, ingress_options, ingress_post_host, ingress_options_host;

/* ---- trigger.c ---- */
struct policy { /* Knative's delivery spec; the trigger's replaces the broker's */
    unsigned retry;
    bool linear;
    uint64_t delay_ns, timeout_ns, retry_after_max_ns;
    struct target dead_letter;
};

struct position_set { /* sorted */
    uint64_t *positions;
    size_t first, len, cap; /* positions[first] to positions[len - 1] */
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
    bool ready; /* deliveries may start */

    uint64_t start; /* only events after this position are for it */
    uint64_t
        behind; /* 0: fed by the shared scan; else the position from which it reads by itself */
    struct list behind_link;
    struct store_reader *catch_up;

    struct list waiting; /* deliveries with their event in memory */
    unsigned waiting_count, in_flight;
    unsigned retrying_count; /* deliveries that a row in RETRIES stands for */
    unsigned refused; /* outcomes that the store had no room for; none is delivered meanwhile */
    size_t waiting_bytes;
    struct list outstanding; /* deliveries whose end is not in the log yet, in no order */
    struct list retrying;    /* deliveries that a row in RETRIES stands for */
    struct position_set
        done_before;  /* finished before the restart, and coming up again: to be skipped */
    bool row_written; /* the cursor row in the tables says more than nothing */
};

void trigger_changed(void *ctx, enum registry_change change, struct resource *resource,
                     const json_t *before);
/* Something that readiness depends on may have changed. */
void trigger_refresh(struct trigger *t);
void trigger_attach(struct trigger *t, struct broker *broker);
void trigger_detach(struct trigger *t);
struct event_hold;
struct delivery;
/* The shared scan found that the event is the trigger's. */
void trigger_offer(struct trigger *t, const struct store_entry *entry, struct event_hold **hold);
void trigger_pump(struct trigger *t);
/* Reads on for a trigger that is behind; bounded work. */
void trigger_catch_up(struct trigger *t);
void trigger_free(struct trigger *t);
/* No more room in memory for waiting deliveries. */
bool trigger_full(const struct trigger *t);
/* A row in RETRIES stands for the delivery now. */
void trigger_retrying(struct trigger *t, struct delivery *d);
/* Puts a delivery whose event is there at the end of the queue. */
void trigger_queue(struct trigger *t, struct delivery *d);

int position_set_add(struct position_set *s, uint64_t position);
bool position_set_take(struct position_set *s, uint64_t position);
void position_set_drop_below(struct position_set *s, uint64_t position);

/* ---- delivery.c: one event for one trigger ---- */
struct event_hold { /* an encoded event, shared by the deliveries of several triggers */
    unsigned refs;
    uint32_t len;
    char bytes[];
};
struct event_hold *event_hold_new(struct slice encoded);
struct event_hold *event_hold_ref(struct event_hold *h);
void event_hold_unref(struct event_hold *h);

enum delivery_stage { STAGE_SUBSCRIBER, STAGE_DEAD_LETTER, STAGE_COUNT };
enum delivery_outcome { OUTCOME_NONE, OUTCOME_DONE, OUTCOME_RETRY, OUTCOME_DEAD, OUTCOME_COUNT };

#define DELIVERY_MAGIC     0x64656c69u
#define DELIVERY_ERROR_MAX 200
#define DELIVERY_BODY_MAX  1024 /* of an error answer, kept with the dead letter */

struct delivery {
    unsigned magic;
    struct trigger *trigger; /* NULL: deleted meanwhile */
    struct broker_core *core;
    uint32_t trigger_number;
    struct list link;        /* in trigger->waiting, or alone */
    struct list outstanding; /* in trigger->outstanding or trigger->retrying, or core->orphans */
    uint64_t position, time_ns;
    struct event_hold *event; /* NULL while it waits for a retry */
    struct http_call *call;
    struct buf body; /* of a structured-mode request */

    enum delivery_stage stage;
    unsigned attempts; /* made in this stage */
    bool in_tables;    /* a row in RETRIES stands for it, not the cursor */
    uint64_t due_ns;   /* realtime, part of the row's key */
    uint64_t delay_ns;
    struct loop_timer due;

    enum delivery_outcome outcome;
    uint64_t next_due_ns, next_delay_ns;
    unsigned code; /* of the last failure; 0: no answer */
    char error[DELIVERY_ERROR_MAX];
    struct buf error_body;
    struct buf reply; /* encoded event to append with the end */
    uint32_t reply_broker;

    bool settling;        /* an append is on its way */
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

/* ---- outcome.c: the end of a delivery becomes a group in the log ---- */
void outcome_append(struct delivery *d);

/* ---- row.c: keys and values of RETRIES, DEAD and PAYLOADS (ROWS.md) ---- */
struct retry_row {
    uint64_t due_ns, position; /* key */
    uint32_t trigger;          /* key */
    uint32_t attempts, code, stage;
    uint64_t delay_ns, time_ns;
    struct slice error;
};
void row_retry_key(uint64_t due_ns, uint32_t trigger, uint64_t position, struct buf *out);
void row_retry_value(const struct retry_row *row, struct buf *out);
/* -EBADMSG when it is none. error borrows from value. */
int row_retry_read(struct slice key, struct slice value, struct retry_row *ret);
struct dead_row {
    uint32_t trigger;  /* key */
    uint64_t position; /* key */
    uint32_t attempts, code;
    uint64_t time_ns, event_time_ns;
    struct slice error, body;
};
/* Also the key of PAYLOADS. */
void row_object_key(uint32_t trigger, uint64_t position, struct buf *out);
void row_dead_value(const struct dead_row *row, struct buf *out);
int row_dead_read(struct slice key, struct slice value, struct dead_row *ret);

/* ---- retry.c ---- */
void retry_schedule(struct delivery *d);
/* All rows of RETRIES, at start. */
int retry_load(struct broker_core *b);
/* Removes what the tables hold for a deleted trigger. */
void retry_forget(struct broker_core *b, uint32_t trigger);
/* The same for triggers whose deletion a crash cut short; at start. */
void retry_forget_orphans(struct broker_core *b);

/* ---- cursor.c: checkpoint rows and recovery ---- */
/* The position after which the trigger wants events, logged once. */
void cursor_log_start(struct trigger *t);
/* The trigger is deleted: its rows go with the next checkpoint. */
void cursor_forget(struct broker_core *b, uint32_t trigger);
/* The same for triggers whose deletion a crash cut short; at start. */
void cursor_forget_orphans(struct broker_core *b);
int cursor_load(struct trigger *t);
uint64_t cursor_load_scan(struct broker_core *b);
void cursor_checkpoint(struct broker_core *b);
uint64_t cursor_needed(const struct broker_core *b);
/* Positions that replay found finished, handed to their triggers as these come up. */
void cursor_take_replay(struct broker_core *b, struct broker_replay *replay);

/* ---- tail.c and dead.c: looking in ---- */
http_handler_fn tail_serve, dead_serve;
void tail_pump_all(struct broker_core *b);
void tail_end_all(struct broker_core *b);
/* When no HTTP thread runs any more. */
void tail_free_all(struct broker_core *b);

#endif
