/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest awaits while the worker does something else: a timer, an answer from elsewhere.
 *
 * An operation belongs to the call whose guest began it. It is part of its owner's struct, and ends
 * in one of three ways: it is settled, its owner ends it, or its call ends first, which cancels it.
 *
 * Guests run inside guard_run() only, and with `isolation: event` each waiting call has an instance
 * of its own, so values of the guest mean nothing but in host functions and inside of
 * operation_settle(), which puts the right instance in place. That one is called from the loop (a
 * watch's callback), never from a host function. The guest that it runs may begin other operations
 * and its call may end, which cancels others, so who calls it looks at its own lists anew. */
#ifndef SLUICE_WORKER_OPERATION_H
#define SLUICE_WORKER_OPERATION_H

#include "base/list.h"
#include "worker/engine.h"

#include <stdbool.h>

#define OPERATION_CALL_MAX 16384 /* in flight at once, of one call */
#define OPERATION_MAX      65536 /* of all */

struct call;

/* All fields are operation.c's. */
struct operation {
    struct list node; /* of its call's */
    struct call *call;
    void (*cancel)(struct operation *op);
    engine_value resolve, reject; /* in the call's instance; 0: there is no promise */
    bool of_snapshot;             /* began while the function was loaded */
};

/* For host functions: begins the operation, and returns the promise to give back to the guest; 0
 * after engine_throw(), when too many are in flight: then it has not begun.
 * cancel(op): its call ended first; it is over by then and may be freed. It may come in the middle
 * of a host function and must leave the guest alone. */
engine_value operation_begin(struct operation *op, void (*cancel)(struct operation *op));
/* The same without a promise, for timers. 0 or -EAGAIN: too many are in flight. */
int operation_add(struct operation *op, void (*cancel)(struct operation *op));
/* It is over, and its promise stays as it is. cancel() is not called. Also in host functions. */
void operation_end(struct operation *op);

/* Makes the value that the promise is settled with, a value that it hands over; 0 after
 * engine_throw() or with another exception pending, which the promise is rejected with. It may be
 * left in the middle when the guest has no memory left, so what it allocates must be reachable
 * otherwise. */
typedef engine_value operation_make_fn(struct operation *op, bool *ret_reject);
/* Ends the operation, settles its promise, and runs the guest until it waits again or has answered.
 * make is not called when the call had to be ended before. The owner may free op afterwards. */
void operation_settle(struct operation *op, operation_make_fn *make);
/* ---- wait.c: the worker's loop ---- */

#define WORKER_WATCH_MAX 16
/* Calls ready(ctx, revents) from the loop whenever the descriptor is ready (events as poll(2)'s),
 * as long as any call waits. 0 or -ENOSPC. */
int worker_watch(int fd, short events, void (*ready)(void *ctx, short revents), void *ctx);
/* Other events for a watched descriptor; 0: none but errors. */
void worker_watch_events(int fd, short events);
void worker_unwatch(int fd);

#endif
