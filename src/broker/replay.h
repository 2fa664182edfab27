/* SPDX-License-Identifier: Apache-2.0 */
/* A replay: a trigger is given events of the log anew. It is a durable job that moves through the
 * log in bounded turns: each step is a group of so many deliveries and the row that says how far
 * the job has come, so that a crash repeats nothing and loses nothing. One at a time for a trigger.
 * Loop thread. */
#ifndef SLUICE_BROKER_REPLAY_H
#define SLUICE_BROKER_REPLAY_H

#include "broker/rate.h"
#include "broker/trigger.h"
#include "http/server.h"

#define REPLAY_WINDOW 128 /* its deliveries that have not ended; new events have their share */

enum replay_state {
    REPLAY_READING,
    REPLAY_DONE,
    REPLAY_CANCELLED,
    REPLAY_FAILED,
    REPLAY_STATE_COUNT
};

struct replay {
    struct list link; /* in core->replays */
    struct broker_core *core;
    struct trigger *trigger; /* NULL: deleted meanwhile */
    json_t *request;         /* from, to, filter, rate: as they were asked for */
    struct filter *filter;   /* NULL: all that the trigger wants */
    struct rate rate;
    enum replay_state state;
    char message[100];            /* why it failed */
    bool seeks_from;              /* the event that it begins with has not been met */
    bool seeks_to;                /* the one that it ends with neither */
    uint64_t from, to;            /* positions, both included */
    uint64_t at, matched, passed; /* passed: matched, and not ended anyway */
    struct {
        uint64_t at, matched, passed;
        bool seeks_from, seeks_to;
        uint64_t from, to;
    } saved; /* what the row says */
    uint64_t started_ns, ended_ns;
    unsigned unfinished; /* deliveries of this and earlier replays */
    struct store_reader *reader;
    bool writing, changed;      /* its row is on its way; and there is more to say */
    struct http_request *asked; /* answered when the row is in the log */
    struct loop_timer timer;
};

/* ---- replay.c ---- */
/* Takes request, and answers when the job is in the log. r is complete but for what this sets. */
void replay_start(struct trigger *t, struct replay *r, struct http_request *asked);
void replay_cancel(struct replay *r, struct http_request *asked);
/* Goes on, at start; after that of the retries. 0 or negative errno. */
int replay_load(struct broker_core *b);
/* One of its deliveries has ended. */
void replay_ended(struct trigger *t);
void replay_broker_gone(struct trigger *t);
/* The lowest position that it still reads; UINT64_MAX: none. */
uint64_t replay_needed(const struct trigger *t);
/* Before store_close(). */
void replay_release_log(struct trigger *t);
/* The trigger goes. */
void replay_leave(struct trigger *t);
/* After store_close(). */
void replay_free_all(struct broker_core *b);
/* The last position that the trigger has dealt with. */
uint64_t replay_limit(const struct trigger *t);

/* ---- replay_row.c ---- */
struct replay *replay_new(struct broker_core *b);
void replay_free(struct replay *r);
const char *replay_state_name(enum replay_state s);
/* The value of the row "r" in CURSORS. */
void replay_write_row(const struct replay *r, struct buf *out);
int replay_read_row(struct replay *r, struct slice value);
/* filter and rate out of r->request. 0 or -EINVAL. */
int replay_compile(struct replay *r, struct error *err);
/* Where it begins and ends, now. -EINVAL with a message. Loop thread. */
int replay_resolve(struct replay *r, const struct trigger *t, struct error *err);
/* As GET shows it. */
void replay_write(const struct replay *r, struct buf *out);

/* ---- replay_serve.c ---- */
#define REPLAY_PATH     "/-/replay/{namespace}/{trigger}"
#define REPLAY_BODY_MAX (64u << 10)
http_handler_fn replay_post, replay_get, replay_delete;
void replay_answer(struct http_request *request, unsigned status, const struct replay *r);

#endif
