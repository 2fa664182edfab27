/* SPDX-License-Identifier: Apache-2.0 */
/* The loaded function: what program.c sets up and call.c runs. */
#ifndef SLUICE_WORKER_PROGRAM_H
#define SLUICE_WORKER_PROGRAM_H

#include "base/clock.h"
#include "base/memory.h"
#include "worker/worker_internal.h"

/* After the soft limit JavaScript is interrupted with a stack trace; what cannot be interrupted is
 * unwound this much later. */
#define PROGRAM_GRACE_NS (50 * CLOCK_MILLISECOND)

struct program {
    struct bundle *bundle;
    struct module *module; /* NULL for js */
    engine_value load, handle_event, handle_request, resume_wasm;
    bool loaded, failed;
    struct engine_failure failure;
};

extern struct program program;

/* Subtracts what stands before the user's first line. */
void program_fix_column(struct engine_failure *f);

/* One request at a time: the worker has one thread. */
struct call {
    struct http_request *request; /* NULL between requests */
    struct event event;
    bool has_event;
    struct slice event_id; /* empty for plain requests */
    struct buf text;       /* for what goes into the guest, and answers */
    uint64_t log_bytes;
    bool log_cut;

    /* What came out. */
    bool replied, is_event_reply, failed, too_large;
    unsigned status;
    struct buf head;   /* "name: value\n"… */
    struct buf body;   /* for an event: its JSON */
    int ended;         /* as guard_run() */
    bool interrupted;  /* by the soft limit, whether or not that shows in the answer */
    bool module_ended; /* it was the module's call that did */

    bool wants_module;
    union worker_module_value arguments[MODULE_VALUES_MAX];
};

extern struct call call;

/* ---- call.c: host functions for answering ---- */
extern const struct engine_function call_functions[];
extern const size_t call_function_count;

/* ---- request.c ---- */
int request_read_event(const struct http_request *r, struct event *e, struct event_arena *arena,
                       struct error *err);
/* Whether a media type is JSON's, or built on it. */
bool request_is_json(struct slice content_type);
/* What the event's data are to the guest. */
enum engine_data request_data_form(const struct event *e);
/* {method, path, query, headers}; 0: an exception is pending. */
engine_value request_value(const struct http_request *r);

/* ---- answer.c: answers call.request from what came out ---- */
void answer_send(void);

#endif
