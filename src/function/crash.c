/* SPDX-License-Identifier: Apache-2.0 */
/* Workers that end without having been asked. A function that ran well gets another at once; one
 * whose workers end again and again waits longer each time, and its status says so. */
#include "function/function_internal.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define RESTART_FIRST  (100 * CLOCK_MILLISECOND)
#define RESTART_MOST   (60 * CLOCK_SECOND)
#define STABLE_AFTER   (10 * CLOCK_SECOND) /* a worker that lived longer is no crash in a row */
#define DEPLOY_CRASHES 3                   /* that many, and the deploy has failed */

/* The first is an accident, and not waited for. */
static uint64_t backoff(unsigned crashes)
{
    if (crashes <= 1)
        return 0;
    unsigned doublings = crashes - 2 < 12 ? crashes - 2 : 12;
    uint64_t delay = RESTART_FIRST << doublings;
    return delay < RESTART_MOST ? delay : RESTART_MOST;
}

static void describe_end(int status, struct error *err)
{
    if (status == -1)
        error_set(err, -EIO, "the worker could not be started");
    else if (WIFSIGNALED(status))
        error_set(err, -EIO, "the worker was ended by signal %d (%s)", WTERMSIG(status),
                  strsignal(WTERMSIG(status)));
    else
        error_set(err, -EIO, "the worker ended with status %d", WEXITSTATUS(status));
}

static void note(struct version *v, const struct error *err, uint64_t delay)
{
    struct function *f = v->function;
    char until[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(clock_realtime() + delay, 0, until);
    snprintf(v->last_end, sizeof(v->last_end), "%s", err->message);
    snprintf(v->next_start, sizeof(v->next_start), "%s", until);
    log_warn("function %s/%s: %s; started again after %.1f s", f->namespace_name, f->name,
             err->message, (double)delay / CLOCK_SECOND);
    function_log_add(f->log, clock_realtime(), "error", slice_of(NULL, 0),
                     slice_text(err->message));
    function_log_flush(f->log);
}

static void fail_start(struct version *v, bool failed, const struct error *err)
{
    if (failed || ++v->crashes >= DEPLOY_CRASHES)
        function_version_failed(v->function, v, failed ? "LoadFailed" : "WorkerCrashed", err);
    else
        version_schedule(v, backoff(v->crashes));
}

static void note_crash(struct version *v, uint64_t ready_at, const struct error *err)
{
    struct function *f = v->function;
    uint64_t now = loop_now(f->host->loop);
    if (ready_at != 0 && now - ready_at > STABLE_AFTER)
        v->crashes = 0;
    v->crashes++;
    v->restarts++;
    f->host->stats.restarts_crash++;
    note(v, err, backoff(v->crashes));
    version_schedule(v, backoff(v->crashes));
    function_update(f);
}

void version_worker_gone(struct worker *w, enum worker_state was, int status)
{
    struct version *v = w->version;
    struct error failure = w->failure;
    bool failed = w->failed;
    uint64_t ready_at = w->ready_at;
    enum version_state state = v->state;
    if (!failed)
        describe_end(status, &failure);
    if (w->calls == 0)
        version_release_worker(w); /* a retiring version may be gone with it */
    if (state == VERSION_RETIRING)
        return;
    function_dispatch(v->function);
    if (was == WORKER_STOPPING) {
        function_update(v->function);
    } else if (status == -1 && !failed) {
        v->function->host->stats.restarts_zygote++;
        version_schedule(v, RESTART_FIRST);
        function_update(v->function);
    } else if (state == VERSION_STARTING) {
        fail_start(v, failed, &failure);
    } else {
        note_crash(v, ready_at, &failure);
    }
}
