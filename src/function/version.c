/* SPDX-License-Identifier: Apache-2.0 */
#include "function/function_internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/must.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define TRY_AGAIN   (100 * CLOCK_MILLISECOND)
#define PROOFS_KEPT 64

static struct loop *loop_of(const struct version *v)
{
    return v->function->host->loop;
}

/* One for calls that wait, and for a first worker to show that it loads. */
static unsigned least_workers(const struct version *v)
{
    bool wanted = v->state == VERSION_STARTING || !list_empty(&v->function->waiting);
    return v->spec.scale_min > 0 ? v->spec.scale_min : wanted;
}

/* ---- workers ---- */

void version_schedule(struct version *v, uint64_t delay)
{
    if (!heap_contains(&v->restart.node))
        loop_timer_set(loop_of(v), &v->restart, loop_now(loop_of(v)) + delay);
}

/* Starts workers until wanted are usable; tries again later when it cannot. */
struct worker *version_fill(struct version *v, unsigned wanted)
{
    struct worker *last = NULL;
    while (v->usable < wanted) {
        struct error err = ERROR_INIT;
        int r = worker_start(v, &last, &err);
        if (r == 0)
            continue;
        if (r != -EAGAIN)
            log_warn("function %s/%s: %s", v->function->namespace_name, v->function->name,
                     err.message);
        version_schedule(v, TRY_AGAIN);
        return NULL;
    }
    return last;
}

static void version_on_restart(struct loop_timer *t)
{
    struct version *v = t->ctx;
    version_fill(v, least_workers(v));
    function_dispatch(v->function);
    function_update(v->function);
}

static void arm_idle(struct version *v)
{
    loop_timer_set(loop_of(v), &v->idle, loop_now(loop_of(v)) + v->spec.idle_ns);
}

/* As many workers as the busiest moment of the last idle time needed are kept. */
static void version_on_idle(struct loop_timer *t)
{
    struct version *v = t->ctx;
    unsigned needed = (v->peak_calls + v->spec.concurrency - 1) / v->spec.concurrency;
    if (needed < v->spec.scale_min)
        needed = v->spec.scale_min;
    list_for_each_safe (node, following, &v->workers) {
        struct worker *w = list_entry(node, struct worker, link);
        if (v->usable > needed && w->state == WORKER_READY && w->calls == 0)
            worker_stop(w);
    }
    v->peak_calls = v->calls;
    if (v->usable > v->spec.scale_min)
        arm_idle(v);
}

static struct worker *least_busy(const struct version *v)
{
    struct worker *best = NULL;
    list_for_each (node, &v->workers) {
        struct worker *w = list_entry(node, struct worker, link);
        if (worker_usable(w) && (best == NULL || w->calls < best->calls))
            best = w;
    }
    return best;
}

struct worker *version_pick(struct version *v)
{
    struct worker *w = least_busy(v);
    if (w != NULL && w->calls >= v->spec.concurrency)
        w = NULL;
    bool waits = heap_contains(&v->restart.node); /* after a crash, or for the zygote */
    if (w == NULL && v->usable < v->spec.scale_max && !waits) {
        bool cold = v->usable == 0;
        w = version_fill(v, v->usable + 1);
        if (w != NULL)
            w->cold = cold;
    }
    if (w != NULL && !heap_contains(&v->idle.node))
        arm_idle(v);
    return w;
}

bool version_ready(const struct version *v)
{
    return v->state == VERSION_SERVING &&
           (v->usable > 0 || v->crashes == 0 || !heap_contains(&v->restart.node));
}

static void version_serve(struct version *v);

void version_worker_ready(struct worker *w)
{
    struct version *v = w->version;
    struct function_host_stats *stats = &v->function->host->stats;
    if (w->cold) {
        stats->cold_starts++;
        stats->cold_start_ns += w->ready_at - w->started_at;
    }
    if (v->state == VERSION_STARTING) {
        version_serve(v);
        return;
    }
    if (v->crashes > 0)
        function_update(v->function);
}

void version_release_worker(struct worker *w)
{
    struct version *v = w->version;
    worker_free(w);
    if (list_empty(&v->workers) && v->bundle >= 0)
        close(STEAL_FD(v->bundle));
    if (list_empty(&v->workers))
        function_log_rest(v->function->log);
    version_end_when_idle(v);
}

void version_end_when_idle(struct version *v)
{
    if (v->state == VERSION_RETIRING && list_empty(&v->workers) && v->calls == 0)
        function_version_retired(v->function, v);
}

/* ---- build and start ---- */

/* Many deploys in a short time leave many workers that nobody has called yet: beyond a few they are
 * not kept for their idle time. */
static void drop_proof(struct version *v)
{
    if (v->spec.scale_min > 0 || v->calls > 0 || !list_empty(&v->function->waiting) ||
        v->function->host->stats.workers <= PROOFS_KEPT)
        return;
    list_for_each_safe (node, following, &v->workers)
        worker_stop(list_entry(node, struct worker, link));
}

static void version_serve(struct version *v)
{
    launch_end(v);
    v->state = VERSION_SERVING;
    v->crashes = 0;
    version_fill(v, v->spec.scale_min);
    if (v->spec.form != FUNCTION_URL)
        arm_idle(v);
    function_version_serving(v->function, v);
    drop_proof(v);
}

/* A server that starts with many functions does not start a worker for each: those that served
 * before get theirs with the first call. */
static void version_launch(struct version *v)
{
    if (v->spec.form == FUNCTION_URL || (v->proven && v->spec.scale_min == 0)) {
        version_serve(v);
        return;
    }
    v->state = VERSION_STARTING;
    launch_begin(v);
    function_update(v->function);
}

static void version_on_build(void *ctx, const struct build_result *result, const struct error *err)
{
    struct version *v = ctx;
    struct function_host *h = v->function->host;
    v->build = NULL;
    buf_done(&v->spec.module); /* not needed any more: the compiled one is held open */
    if (result->status < 0) {
        function_version_failed(v->function, v, result->reason, err);
        return;
    }
    if (!result->landlock && !h->landlock_missing_told) {
        h->landlock_missing_told = true;
        log_warn("this kernel has no Landlock: compilers of modules can read files that their user "
                 "can read");
    }
    v->module = result->module;
    log_info("function %s/%s: module %s in %u ms", v->function->namespace_name, v->function->name,
             result->cached ? "taken from the cache" : "built", result->milliseconds);
    version_launch(v);
}

int version_new(struct function *f, int64_t generation, struct function_spec *spec,
                struct version **ret)
{
    struct version *v = calloc(1, sizeof(*v));
    if (v == NULL)
        return -ENOMEM;
    v->function = f;
    v->generation = generation;
    v->module = v->bundle = -1;
    v->spec = *spec;
    *spec = (struct function_spec){0};
    list_init(&v->link);
    list_init(&v->workers);
    launch_init(v);
    v->restart.due = version_on_restart;
    v->restart.ctx = v;
    v->idle.due = version_on_idle;
    v->idle.ctx = v;
    *ret = v;
    return 0;
}

void version_prepared(struct version *v, int status, const char *reason, const struct error *err)
{
    if (status < 0)
        function_version_failed(v->function, v, reason, err);
    else
        version_launch(v);
}

/* Its folder, and who owns it. */
static void version_prepare(struct version *v)
{
    struct function *f = v->function;
    struct error err = ERROR_INIT;
    int r = f->host->runner_path != NULL ? folder_digest(&v->spec, v->digest) : -ENOENT;
    if (r == 0)
        r = uid_take(f->host->folders.uids, f->identity, &v->uid);
    if (r == 0 && folder_is_ready(f, v->digest)) {
        version_launch(v);
        return;
    }
    v->state = VERSION_BUILDING;
    if (r == 0)
        r = prepare_start(&f->host->prepares, v);
    if (r < 0) {
        error_set(&err, r, "its folder cannot be prepared: %s",
                  f->host->runner_path == NULL ? "the program sluice-runner is not installed"
                                               : strerror(-r));
        function_version_failed(f, v, "PrepareFailed", &err);
        return;
    }
    function_update(f);
}

void version_begin(struct version *v)
{
    if (v->spec.form == FUNCTION_PROCESS) {
        version_prepare(v);
        return;
    }
    if (v->spec.form != FUNCTION_WASM) {
        version_launch(v);
        return;
    }
    v->state = VERSION_BUILDING;
    v->build = build_start(&v->function->host->builds, buf_slice(&v->spec.module),
                           v->spec.export_name, v->spec.memory_bytes, version_on_build, v);
    if (v->build == NULL) {
        struct error err = ERROR_INIT;
        error_set(&err, -ENOMEM, "out of memory");
        function_version_failed(v->function, v, "BuildFailed", &err);
        return;
    }
    function_update(v->function);
}

void version_retry(struct version *v)
{
    if (heap_contains(&v->restart.node) && v->crashes == 0)
        loop_timer_set(loop_of(v), &v->restart, loop_now(loop_of(v)));
}

/* Takes the new spec over: of what its workers know nothing is another. */
void version_rescale(struct version *v, int64_t generation, struct function_spec *spec)
{
    function_spec_done(&v->spec);
    v->spec = *spec;
    v->generation = generation;
    *spec = (struct function_spec){0};
    buf_done(&v->spec.module); /* it is built */
    list_for_each_safe (node, following, &v->workers) {
        struct worker *w = list_entry(node, struct worker, link);
        if (v->usable > v->spec.scale_max)
            worker_stop(w);
    }
    if (!heap_contains(&v->restart.node))
        version_fill(v, v->spec.scale_min);
    v->peak_calls = v->calls;
    arm_idle(v);
}

void version_retire(struct version *v)
{
    v->state = VERSION_RETIRING;
    loop_timer_cancel(loop_of(v), &v->restart);
    loop_timer_cancel(loop_of(v), &v->idle);
    list_append(&v->function->retiring, &v->link);
    list_for_each_safe (node, following, &v->workers)
        worker_stop(list_entry(node, struct worker, link));
    version_end_when_idle(v);
}

void version_free(struct version *v)
{
    launch_end(v);
    if (v->build != NULL)
        build_cancel(v->build);
    if (v->prepare != NULL)
        prepare_cancel(v->prepare);
    loop_timer_cancel(loop_of(v), &v->restart);
    loop_timer_cancel(loop_of(v), &v->idle);
    while (!list_empty(&v->workers)) {
        struct worker *w = list_entry(v->workers.next, struct worker, link);
        must(w->calls == 0);
        if (w->state != WORKER_GONE)
            worker_kill(w);
        worker_free(w);
    }
    list_remove(&v->link);
    if (v->module >= 0)
        close(v->module);
    if (v->bundle >= 0)
        close(v->bundle);
    function_spec_done(&v->spec);
    free(v);
}
