/* SPDX-License-Identifier: Apache-2.0 */
/* The core: what it is made of, for the files of this folder; each other noun has a header of its
 * own. Everything here belongs to the loop thread, except the directory (HTTP threads read it) and
 * the atomic counters. */
#ifndef SLUICE_BROKER_BROKER_INTERNAL_H
#define SLUICE_BROKER_BROKER_INTERNAL_H

#include "base/list.h"
#include "base/map.h"
#include "broker/broker.h"
#include "broker/directory.h"
#include "broker/index.h"
#include "broker/ingress_measure.h"
#include "broker/target.h"
#include "event/event.h"

#include <stdatomic.h>

struct dedup;

struct broker {
    struct resource *resource;
    uint32_t number;
    struct index index;
    struct list triggers; /* struct trigger */
    uint64_t retention_ns;
    struct ingress_measure *measure;
    struct target dead_letter; /* for triggers without delivery options */
    bool ready;                /* for its status and theirs alone: events are taken anyhow */
    struct dedup *dedup;       /* NULL: off */
};

struct counters {
    atomic_uint_fast64_t taken, refused, matched, delivered, failed, retried, dead, replies, loops,
        in_flight, waiting, lost, delayed, expired, duplicates, dedup_forgotten, dropped,
        undecodable, dead_removed;
    atomic_uint_fast64_t unreadable;                    /* gauge: places that cannot be read */
    atomic_uint_fast64_t paused, breakers_open, probes; /* gauges of triggers, counter */
    atomic_uint_fast64_t redriven, replayed;            /* deliveries that are made anew */
    atomic_uint_fast64_t dead_kept;                     /* gauge: rows in DEAD */
    atomic_uint_fast64_t tails, tails_cut;              /* gauge, counter */
};

struct trigger;

struct broker_core {
    struct loop *loop;
    struct store *store;
    struct registry *registry;
    struct http_client *client;
    const struct sink_ops *functions;
    void *functions_ctx;
    char *base_url;

    struct directory *directory;
    void **by_number; /* struct broker or struct trigger, by resource number; see number_kind */
    uint8_t *number_kind;
    size_t number_cap;

    struct store_reader *scan;
    uint64_t scanned; /* every event up to here has been matched, and is finished or outstanding */
    uint64_t known;   /* every trigger that was created up to here is in by_number, or was */
    struct loop_message scan_wanted;
    atomic_bool scan_posted;
    atomic_uint
        listeners;    /* triggers and tails: without any, the log thread need not wake the loop */
    int scan_error;   /* why the log could not be read there; 0: it could */
    bool scan_paused; /* until it is tried again */
    bool running, quiet;

    uint64_t deliveries_max; /* TRIGGERS_DELIVERIES_MAX, fewer in tests */
    uint64_t requests_max;   /* in flight, beyond which each trigger may have its share (flow.c) */
    struct list behind;      /* triggers that read the log by themselves */
    struct list dedups;      /* struct dedup */
    uint32_t dedup_max;      /* DEDUP_SET_MAX, fewer in tests */
    struct list sweeping;    /* triggers with lanes that read on (lane_sweep.c) */
    unsigned lanes_behind;   /* lanes of all triggers that have more in the log */
    struct list tails;
    struct inspector *inspector;
    uint64_t inspect_bytes_max; /* INSPECT_BYTES_MAX, fewer in tests */
    struct dead_retain *dead_retain;
    unsigned settling;         /* appends whose outcome has not come back yet */
    uint64_t settled_position; /* of the last outcome that has */
    struct list starts;        /* rows of start.c on their way to the log */
    struct list requeues;      /* groups of requeue.c on their way to the log */
    struct map dead_claims;    /* keys of dead letters that somebody changes right now */
    struct list replays;
    struct list orphans; /* deliveries of deleted triggers, whose appends are on their way */
    bool closed;         /* the store is: no append comes back any more */
    bool checkpointing;
    struct loop_message checkpoint_ended;
    int checkpoint_error;
    struct buf forgotten; /* u32 numbers of deleted triggers whose cursor rows are to be deleted */
    size_t forgotten_written; /* bytes of it that the checkpoint on its way deletes */
    /* Retries: what is added to the monotonic clock for the time that they are due by; windows that
     * have something in memory; by how much realtime is ahead, when last looked at. */
    uint64_t retry_clock, realtime_ahead;
    unsigned retry_windows;
    struct loop_timer housekeeping;
    uint64_t housekeeping_turns;
    struct loop_message retain_wanted;
    atomic_bool retain_posted;
    struct loop_timer retain; /* until the checkpoint that retention waits for has ended */

    struct buf header_text; /* scratch of request.c */
    struct counters counters;
    struct ingress_measures *ingress_measures;
    unsigned trigger_series; /* of all triggers' measures */
};

enum { NUMBER_FREE, NUMBER_BROKER, NUMBER_TRIGGER };
int broker_number_put(struct broker_core *b, uint32_t number, int kind, void *object);
struct broker *broker_by_number(const struct broker_core *b, uint32_t number);
struct trigger *trigger_by_number(const struct broker_core *b, uint32_t number);
struct broker *broker_find(const struct broker_core *b, const char *namespace_name,
                           const char *name);
void broker_each_trigger(struct broker_core *b, void (*each)(struct trigger *t));

/* ---- broker_status.c ---- */
/* Looks anew whether the broker's dead-letter sink is there; tells its triggers, and says so. */
void broker_refresh(struct broker_core *b, struct broker *broker);
/* Those that a broker is the subscriber or the dead-letter sink of: one has come or gone. */
void broker_refresh_forwarding(struct broker_core *b);
/* All brokers and triggers, when the core starts. */
void broker_refresh_all(struct broker_core *b);

struct inspector;

/* ---- ingress.c and tail.c: what the core's routes are served by, on HTTP threads ---- */
http_handler_fn ingress_post, ingress_options, ingress_post_host, ingress_options_host;
http_handler_fn tail_serve, attempts_serve;
void tail_pump_all(struct broker_core *b);
/* Now and then: cuts those whose readers are stuck. */
void tail_tend_all(struct broker_core *b);
void tail_end_all(struct broker_core *b);
/* When no HTTP thread runs any more. */
void tail_free_all(struct broker_core *b);

#endif
