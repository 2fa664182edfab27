/* SPDX-License-Identifier: Apache-2.0 */
/* The loaded function: what program.c sets up and call.c runs. */
#ifndef SLUICE_WORKER_PROGRAM_H
#define SLUICE_WORKER_PROGRAM_H

#include "base/clock.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/memory.h"
#include "worker/operation.h"
#include "worker/settings.h"
#include "worker/worker_internal.h"

/* After the soft limit JavaScript is interrupted with a stack trace; what cannot be interrupted is
 * unwound this much later. */
#define PROGRAM_GRACE_NS (50 * CLOCK_MILLISECOND)

struct program {
    struct bundle *bundle;
    struct module *module; /* NULL for js */
    engine_value load, handle_event, handle_request, handle_health, resume_wasm, fire_timer,
        shutdown, module_source;
    bool loading, loaded;
    bool native; /* it needs no JavaScript: see native.h */
    struct engine_failure failure;
};

extern struct program program;

/* Subtracts what stands before the user's first line. */
void program_fix_column(struct engine_failure *f);

enum call_state { CALL_FREE, CALL_QUEUED, CALL_RUNS, CALL_WAITS };

/* What ended a call from outside, while its guest waited. */
enum call_fate {
    CALL_GOES_ON,
    CALL_LATE,          /* its time was up */
    CALL_INSTANCE_LOST, /* another call ended the instance that they shared */
    CALL_NO_ROOM,       /* its instance could not be kept */
};

/* Which web pages may read the answer. */
enum call_cors {
    CALL_CORS_NONE, /* it does not say: no page asks */
    CALL_CORS_ANY,
    CALL_CORS_OWN, /* what the function's cors() gave */
};

/* One request. The worker has one thread: of the calls that are not answered yet one runs at most,
 * and the others wait for their operations. */
struct call {
    struct list node; /* of the queue, or of those that wait */
    enum call_state state;
    uint32_t number; /* what runtimes/js knows it by */

    struct http_request *request; /* NULL: the guest runs for no request */
    uint64_t begun;               /* monotonic: when the request came */
    enum settings_page page;      /* the function's own check that it asks for; COUNT: none */
    struct event event;
    struct event_arena arena;
    bool has_event;
    struct slice event_id; /* empty for plain requests */
    uint64_t deadline;     /* monotonic */
    struct heap_node due;  /* at the deadline, while it waits */
    struct list operations;
    unsigned operation_count;
    struct snapshot_parked *parked; /* its instance, while another one is in place */

    struct buf text; /* for what goes into the guest, and answers */
    uint64_t log_bytes;
    bool log_cut;

    /* What came out. */
    bool replied, is_event_reply, failed, too_large;
    bool refused; /* body: what is wrong with the request */
    enum call_cors cors;
    struct buf origin; /* for CALL_CORS_OWN; empty: none */
    unsigned status;
    struct buf head;   /* "name: value\n"… */
    struct buf body;   /* for an event: its JSON */
    int ended;         /* as guard_run() */
    bool interrupted;  /* by the soft limit, whether or not that shows in the answer */
    bool module_ended; /* it was the module's call that did */
    enum call_fate fate;

    bool wants_module;
};

/* The one that the guest runs for; between calls one that has no request. Never NULL. */
extern struct call *call;

#define CALL_HEAD_MAX 65536 /* bytes of an answer's headers */

/* The call has its time from now on. NULL: no memory. */
struct call *call_new(struct http_request *request, uint64_t now);
void call_start(struct call *c, uint64_t waited);
void call_free(struct call *c);
/* Runs fn(ctx) in the guest for the call, which is answered, or waits, or is over afterwards. Not
 * inside guard_run(). */
void call_run(struct call *c, void (*fn)(void *ctx), void *ctx);
/* The same for no request, to load the function or to shut it down: how it ended is left to the
 * caller, who lets it wait (wait_turn()) and then ends it, and with it what it left behind if calls
 * have instances of their own. */
const struct call *call_run_loading(void (*fn)(void *ctx), uint64_t deadline);
void call_end_loading(void);
/* In the guest, after its code was entered: runs its jobs. threw: an exception is pending. */
void call_finish_entry(bool threw);
unsigned call_waiting_count(void);
/* When the first call that waits must end, UINT64_MAX: none does. */
uint64_t call_next_due(void);
void call_end_late(uint64_t now);

bool call_is_answered(void);
/* The guest answers for, and asks about, the call with that number from here on; false: there is
 * none that waits. */
bool call_switch(uint32_t number);
/* Back to the one before; the other is answered if the guest did so. */
void call_switch_back(uint32_t number);
/* ---- reply.c: host functions for answering ---- */
extern const struct engine_function call_functions[];
extern const size_t call_function_count;

/* ---- module_call.c: an export, called for JavaScript ---- */
extern const struct engine_function module_call_functions[];
extern const size_t module_call_function_count;
/* Calls the export as the guest has said. The results become text for resumeWasm(). As guard_run().
 */
int module_call_run(struct buf *results_text);

/* ---- page.c ---- */
/* Which of the worker's own pages it asks for, or SETTINGS_PAGE_COUNT. */
enum settings_page page_of(const struct http_request *request);

/* ---- request.c ---- */
/* 1: there is an event, 0: a plain request, negative: it is refused. */
int request_read_event(const struct http_request *r, struct event *e, struct event_arena *arena,
                       struct error *err);
/* The same for a call, with what else its headers decide. */
int request_read(struct call *c, struct error *err);
/* How such an error is answered. */
unsigned request_error_status(int status);
/* Whether a media type is JSON's, or built on it. */
bool request_is_json(struct slice content_type);
/* What the event's data are to the guest. */
enum engine_data request_data_form(const struct event *e);
/* {method, path, query, headers}; 0: an exception is pending. */
engine_value request_value(const struct http_request *r);

/* ---- answer.c: answers call.request from what came out ---- */
void answer_send(void);
/* The same where nobody waits for an answer: it is only logged. */
void answer_report(void);
/* What the guest threw, with its stack, into the call's log. */
void answer_log_failure(const struct engine_failure *f);

/* ---- operation.c ---- */
unsigned operation_count(void);
/* keep: but for those that began while the function was loaded. */
void operation_cancel_all(struct call *c, bool keep);
/* In the guest: frees what those held that were cancelled; lost: it went with the instance. */
void operation_drop_stale(bool lost);
/* From one call to another. */
void operation_give(struct call *from, struct call *to);

/* ---- timer.c ---- */
extern const struct engine_function timer_functions[];
extern const size_t timer_function_count;
uint64_t timer_next_due(void); /* UINT64_MAX: there is none */
void timer_run_due(uint64_t now);

/* ---- admission.c ---- */
enum admission_reason {
    ADMISSION_QUEUE,
    ADMISSION_DELAY,
    ADMISSION_MEMORY,
    ADMISSION_TIME,
    ADMISSION_REASON_COUNT
};
struct admission_counts {
    uint64_t refused[ADMISSION_REASON_COUNT];
};
extern struct admission_counts admission_counts;
/* The loop is about to look for requests. */
void admission_begin_turn(void);
/* When queued calls want attention; 0: now, UINT64_MAX: there are none. */
uint64_t admission_next_due(void);
void admission_run_queue(uint64_t now);
/* Calls wait, or requests for their turn. */
bool admission_is_busy(void);
/* Answers 503 when the next call would be refused for the length of the queue: whether it did. */
bool admission_refuse_full(struct http_request *request);

/* ---- wait.c ---- */
/* The worker is told to end; set by the handlers of SIGTERM and SIGINT, which are blocked but while
 * it waits with that mask, so that none is lost between test and wait. */
extern volatile sig_atomic_t wait_stopping;
sigset_t wait_mask(void);
/* The process is to end as soon as nothing is under way: what it cannot do without is gone. */
void wait_end_when_idle(void);
bool wait_is_over(void); /* now */
/* Waits for whatever comes first, until that time at most, and does it. server: NULL while the
 * function is loaded. */
void wait_turn(struct http_server *server, uint64_t until, const sigset_t *mask);

#endif
