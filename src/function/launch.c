/* SPDX-License-Identifier: Apache-2.0 */
/* Starts of new versions: some at a time, so that a thousand deploys are no thousand processes. One
 * that takes long holds its place for a moment only: a function that never loads stands in nobody's
 * way. */
#include "function/function_internal.h"

#include "base/clock.h"

#define AT_ONCE 16
#define HOLD    CLOCK_SECOND

static void launch_kick(struct function_host *h)
{
    if (!list_empty(&h->launches))
        loop_timer_set(h->loop, &h->launch, loop_now(h->loop));
}

static void release(struct version *v)
{
    struct function_host *h = v->function->host;
    if (!v->launching)
        return;
    v->launching = false;
    h->launching--;
    loop_timer_cancel(h->loop, &v->hold);
    launch_kick(h);
}

static void launch_on_hold(struct loop_timer *t)
{
    release(t->ctx);
}

static void launch_next(struct function_host *h)
{
    while (h->launching < AT_ONCE && !list_empty(&h->launches)) {
        struct version *v = list_entry(list_shift(&h->launches), struct version, launch);
        list_init(&v->launch);
        v->launching = true;
        h->launching++;
        loop_timer_set(h->loop, &v->hold, loop_now(h->loop) + HOLD);
        version_fill(v, 1);
    }
}

static void launch_on_kick(struct loop_timer *t)
{
    launch_next(t->ctx);
}

void launches_init(struct function_host *h)
{
    list_init(&h->launches);
    h->launch.due = launch_on_kick;
    h->launch.ctx = h;
}

void launch_init(struct version *v)
{
    list_init(&v->launch);
    v->hold.due = launch_on_hold;
    v->hold.ctx = v;
}

void launch_begin(struct version *v)
{
    struct function_host *h = v->function->host;
    list_append(&h->launches, &v->launch);
    launch_next(h);
}

void launch_end(struct version *v)
{
    list_remove(&v->launch);
    release(v);
}
