/* SPDX-License-Identifier: Apache-2.0 */
/* The core: ingress on HTTP threads, and on the loop thread the brokers' scans of the log, the
 * triggers' index, deliveries, retries, dead letters. */
#ifndef SLUICE_BROKER_BROKER_H
#define SLUICE_BROKER_BROKER_H

#include "base/loop.h"
#include "broker/sink.h"
#include "http/client.h"
#include "http/server.h"
#include "resource/registry.h"
#include "store/store.h"

struct broker_core;

struct broker_core_options {
    struct loop *loop;
    struct store *store;
    struct registry *registry;
    struct http_client *client;
    const char *base_url; /* http://HOST:PORT, set by broker_core_set_address later when NULL */
    uint64_t dead_letters_max;    /* of one trigger; 0: no limit */
    uint64_t dead_letters_age_ns; /* none is kept for longer; 0: no limit */
};

int broker_core_new(const struct broker_core_options *options, struct broker_core **ret,
                    struct error *err);
/* Lets go of the log: before store_close(). */
void broker_core_release_log(struct broker_core *b);
/* After store_close(), which still tells of synced groups. */
void broker_core_free(struct broker_core *b);
void broker_core_set_sink(struct broker_core *b, const struct sink_ops *functions, void *ctx);
void broker_core_set_address(struct broker_core *b, const char *base_url);
/* Replay of records past the checkpoint, while the store opens: pass as replay to store_open with a
 * replay state that broker_core_new() takes over afterwards. */
struct broker_replay;
struct broker_replay *broker_replay_new(void);
void broker_replay_free(struct broker_replay *r);
store_replay_fn broker_replay_record;
/* Starts scanning: after registry_load(). Takes the replay state. */
int broker_core_start(struct broker_core *b, struct broker_replay *replay, struct error *err);
/* No new deliveries; those in flight may end within their time-out. A last checkpoint is written by
 * broker_core_free. */
void broker_core_quiesce(struct broker_core *b);
/* True when nothing is in flight and every outcome is in the log, or was refused by it (then its
 * event is delivered again after the next start). */
bool broker_core_idle(struct broker_core *b);
/* Begins a checkpoint; broker_core_checkpointing() is true until it is written. */
void broker_core_checkpoint(struct broker_core *b);
bool broker_core_checkpointing(const struct broker_core *b);
/* A function's sink state changed. */
void broker_core_sink_changed(struct broker_core *b, const char *namespace_name, const char *name);
size_t broker_core_routes(struct broker_core *b, struct http_route *routes, size_t max);

struct broker_core_stats {
    uint64_t taken, refused, matched, delivered, failed, retried, dead, replies, loops, in_flight,
        waiting;
    uint64_t dead_kept;       /* now: dead letters */
    uint64_t dead_removed;    /* those that were too old, or too many */
    uint64_t redriven;        /* dead letters that are delivered anew */
    uint64_t replayed;        /* events that replays deliver anew */
    uint64_t lost;            /* deliveries given up because their event was gone */
    uint64_t delayed;         /* deliveries put off by deliverytime */
    uint64_t expired;         /* those that ended because of expirytime */
    uint64_t duplicates;      /* events passed over, as they had come before */
    uint64_t dedup_forgotten; /* those that came before, and had to be forgotten early */
    uint64_t dropped;         /* deliveries that went with their broker */
    uint64_t undecodable;     /* records that are no event for this version, passed over */
    uint64_t unreadable;    /* now: places in log or tables that cannot be read; deliveries wait */
    uint64_t paused;        /* now: triggers that are paused */
    uint64_t breakers_open; /* now: triggers whose circuit breaker is open */
    uint64_t probes;        /* of subscribers whose breaker was open */
    uint64_t settling;      /* now: ends of attempts on their way to the log */
    uint64_t tails;         /* now: readers of /-/events */
    uint64_t tails_cut;     /* those that took nothing for too long */
};
void broker_core_stats(const struct broker_core *b, struct broker_core_stats *ret);

#endif
