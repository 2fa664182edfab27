/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/operation.h"

#include "worker/program.h"

#include "base/must.h"

#include <errno.h>

#define STALE_MAX 256

static unsigned in_flight;

/* What cancelled operations held of a shared instance, until its guest runs again. */
static engine_value stale[STALE_MAX];
static unsigned stale_count;

unsigned operation_count(void)
{
    return in_flight;
}

int operation_add(struct operation *op, void (*cancel)(struct operation *op))
{
    if (call->operation_count >= OPERATION_CALL_MAX || in_flight >= OPERATION_MAX)
        return -EAGAIN;
    op->call = call;
    op->cancel = cancel;
    op->resolve = op->reject = 0;
    op->of_snapshot = program.loading;
    list_append(&call->operations, &op->node);
    call->operation_count++;
    in_flight++;
    return 0;
}

void operation_end(struct operation *op)
{
    list_remove(&op->node);
    must(op->call->operation_count > 0 && in_flight > 0);
    op->call->operation_count--;
    in_flight--;
}

engine_value operation_begin(struct operation *op, void (*cancel)(struct operation *op))
{
    if (operation_add(op, cancel) < 0)
        return engine_throw("too many operations are in flight");
    engine_value promise = engine_promise(&op->resolve, &op->reject);
    if (!engine_is_exception(promise))
        return promise;
    operation_end(op);
    return engine_pass(promise);
}

static void leave_stale(engine_value value)
{
    if (value != 0 && !program.bundle->isolate_events && stale_count < STALE_MAX)
        stale[stale_count++] = value;
}

void operation_drop_stale(bool lost)
{
    while (!lost && stale_count > 0)
        engine_drop(stale[--stale_count]);
    stale_count = 0;
}

void operation_cancel_all(struct call *c, bool keep)
{
    list_for_each_safe (node, next, &c->operations) {
        struct operation *op = list_entry(node, struct operation, node);
        if (keep && op->of_snapshot)
            continue;
        operation_end(op);
        leave_stale(op->resolve);
        leave_stale(op->reject);
        op->cancel(op);
    }
}

void operation_give(struct call *from, struct call *to)
{
    for (struct list *node; (node = list_shift(&from->operations)) != NULL;) {
        struct operation *op = list_entry(node, struct operation, node);
        op->call = to;
        list_append(&to->operations, node);
        to->operation_count++;
    }
    from->operation_count = 0;
}

struct settling {
    struct operation *op;
    operation_make_fn *make;
};

static void run_settle(void *ctx)
{
    const struct settling *s = ctx;
    bool reject = false;
    engine_value value = s->make(s->op, &reject);
    if (engine_is_exception(value)) {
        engine_drop(value);
        value = engine_take_exception();
        reject = true;
    }
    engine_value result = engine_call(reject ? s->op->reject : s->op->resolve, 1, &value);
    call_finish_entry(engine_is_exception(result));
    if (program.bundle->isolate_events && !program.loading)
        return; /* it goes with the instance */
    engine_drop(value);
    engine_drop(result);
    engine_drop(s->op->resolve);
    engine_drop(s->op->reject);
}

void operation_settle(struct operation *op, operation_make_fn *make)
{
    struct call *c = op->call;
    struct settling s = {op, make};
    operation_end(op);
    call_run(c, run_settle, &s);
}
