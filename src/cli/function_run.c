/* SPDX-License-Identifier: Apache-2.0 */
/* sluice function run: one function on a port, without a broker, and again after every change. Each
 * version is a process with the same listening socket: the new one takes over when it has loaded,
 * the old one finishes what it has begun. */
#include "base/clock.h"
#include "base/list.h"
#include "base/loop.h"
#include "base/memory.h"
#include "cli/code.h"
#include "cli/instance.h"
#include "cli/watcher.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

#define SETTLE_NS      (80 * CLOCK_MILLISECOND) /* editors write a file in several steps */
#define LATE_NS        CLOCK_SECOND             /* then it serves, whatever the one before says */
#define CRASH_FIRST_NS (500 * CLOCK_MILLISECOND)
#define CRASH_LAST_NS  (10 * CLOCK_SECOND)

struct run {
    const struct cli_call *call;
    const char *path;
    struct loop *loop;
    int listener, signals;
    char address[280];
    struct loop_watch signal_watch, change_watch;
    struct loop_timer settled, restart;
    struct watcher *watcher;
    struct list versions;
    struct version *current, *next;
    struct instance_code code; /* of the newest version that was started */
    struct project project;    /* the same */
    uint64_t crash_delay;
    bool announced, ending;
    bool taking_over; /* the version before may still take a connection */
    struct loop_timer late;
};

struct version {
    struct list link;
    struct run *run;
    struct instance instance;
    struct loop_watch report, end;
    uint64_t started_ns;
    bool trial; /* on a socket of its own, to see whether it loads */
};

static void print_log(void *ctx, const json_t *report)
{
    instance_print_log(report, stdout);
    fflush(stdout);
}

/* ---- versions ---- */

static void version_free(struct version *v)
{
    struct run *r = v->run;
    loop_unwatch(r->loop, &v->report);
    loop_unwatch(r->loop, &v->end);
    instance_end(&v->instance, true);
    list_remove(&v->link);
    if (r->current == v)
        r->current = NULL;
    if (r->next == v)
        r->next = NULL;
    free(v);
}

static void announce(struct run *r, const struct version *v)
{
    unsigned ms = (unsigned)((loop_now(r->loop) - v->started_ns) / CLOCK_MILLISECOND);
    if (!r->announced)
        printf("listening on http://%s\n", r->address);
    else
        terminal_progress("the new version serves (%u ms)", ms);
    r->announced = true;
    fflush(stdout);
}

static void say_what_serves(const struct run *r)
{
    terminal_progress(r->current != NULL ? "the version before goes on serving"
                                         : "waiting for a change");
}

static void start_one(struct run *r, int listener, bool trial, char *folder);

/* It loaded: from here on it takes the requests, and the one before only ends its own. */
static void take_over(struct version *v)
{
    struct run *r = v->run;
    if (v->trial) {
        r->next = NULL;
        start_one(r, r->listener, false, STEAL(v->instance.folder));
        instance_stop(&v->instance);
        return;
    }
    struct version *before = r->current;
    r->current = v;
    r->next = NULL;
    if (before == NULL) {
        announce(r, v);
        return;
    }
    instance_stop(&before->instance);
    r->taking_over = true;
    loop_timer_set(r->loop, &r->late, loop_now(r->loop) + LATE_NS);
}

static void took_over(struct run *r)
{
    if (r->taking_over && r->current != NULL && !r->ending)
        announce(r, r->current);
    r->taking_over = false;
    loop_timer_cancel(r->loop, &r->late);
}

static void on_late(struct loop_timer *t)
{
    took_over(t->ctx);
}

static void on_report(struct loop_watch *w, uint32_t events)
{
    struct version *v = w->ctx;
    bool more = instance_read(&v->instance, print_log, NULL);
    if (v == v->run->next && v->instance.state == INSTANCE_READY)
        take_over(v);
    if (v != v->run->current && v->instance.state == INSTANCE_DRAINING)
        took_over(v->run);
    if (!more)
        loop_unwatch(v->run->loop, w);
}

static void on_crash(struct run *r)
{
    terminal_error("the function's process ended; it starts again in %.1f s",
                   (double)r->crash_delay / 1e9);
    loop_timer_set(r->loop, &r->restart, loop_now(r->loop) + r->crash_delay);
    r->crash_delay = 2 * r->crash_delay < CRASH_LAST_NS ? 2 * r->crash_delay : CRASH_LAST_NS;
}

static void on_end(struct loop_watch *w, uint32_t events)
{
    struct version *v = w->ctx;
    struct run *r = v->run;
    bool serving = v == r->current, failed = v == r->next, trial = v->trial;
    (void)instance_read(&v->instance, print_log, NULL);
    if (failed && v->instance.state != INSTANCE_FAILED)
        terminal_error("the function's process ended before it was ready");
    version_free(v);
    if (!serving && !failed && !trial)
        took_over(r);
    if (r->ending && list_empty(&r->versions))
        loop_stop(r->loop);
    if (serving && !r->ending)
        on_crash(r);
    if (failed && !r->ending)
        say_what_serves(r);
}

static void start_one(struct run *r, int listener, bool trial, char *folder)
{
    struct version *v = calloc(1, sizeof(*v));
    if (v != NULL) {
        v->trial = trial;
        v->instance.folder = STEAL(folder);
    }
    if (v == NULL || instance_start(&r->project, &r->code, listener, &v->instance) < 0) {
        free(folder);
        free(v);
        say_what_serves(r);
        return;
    }
    v->run = r;
    v->started_ns = loop_now(r->loop);
    v->report = (struct loop_watch){.ready = on_report, .ctx = v};
    v->end = (struct loop_watch){.ready = on_end, .ctx = v};
    list_append(&r->versions, &v->link);
    if (loop_watch(r->loop, &v->report, v->instance.report, EPOLLIN) < 0 ||
        loop_watch(r->loop, &v->end, v->instance.pidfd, EPOLLIN) < 0) {
        terminal_error("out of descriptors");
        version_free(v);
        return;
    }
    if (r->next != NULL)
        instance_stop(&r->next->instance);
    r->next = v;
}

/* The version before would answer for one that cannot tell by itself that it is ready. */
static void start_version(struct run *r)
{
    bool trial = r->current != NULL && !instance_knows_itself(&r->project);
    char address[280];
    int listener = trial ? instance_listen("127.0.0.1:0", address) : r->listener;
    if (listener >= 0)
        start_one(r, listener, trial, NULL);
    if (trial && listener >= 0)
        close(listener);
}

/* ---- changes ---- */

/* Reads the code anew, and starts it when it is not what runs. */
static void load(struct run *r)
{
    struct project project;
    struct instance_code code;
    const struct project_options options = {.call = r->call, .namespace_name = "default"};
    watcher_update(r->watcher, r->path);
    if (project_load(r->path, &options, &project) < 0) {
        say_what_serves(r);
        return;
    }
    if (instance_code_make(&project, &code) < 0) {
        project_done(&project);
        say_what_serves(r);
        return;
    }
    bool same = r->code.bundle != NULL && instance_code_same(&code, &r->code);
    instance_code_done(same ? &code : &r->code);
    project_done(same ? &project : &r->project);
    if (same)
        return;
    r->code = code;
    r->project = project;
    r->crash_delay = CRASH_FIRST_NS;
    loop_timer_cancel(r->loop, &r->restart);
    start_version(r);
}

static void on_settled(struct loop_timer *t)
{
    load(t->ctx);
}

static void on_restart(struct loop_timer *t)
{
    start_version(t->ctx);
}

static void on_change(struct loop_watch *w, uint32_t events)
{
    struct run *r = w->ctx;
    if (watcher_take(r->watcher))
        loop_timer_set(r->loop, &r->settled, loop_now(r->loop) + SETTLE_NS);
}

/* ---- the end ---- */

static void on_signal(struct loop_watch *w, uint32_t events)
{
    struct run *r = w->ctx;
    struct signalfd_siginfo info;
    if (read(r->signals, &info, sizeof(info)) != sizeof(info))
        return;
    bool again = r->ending;
    r->ending = true;
    loop_timer_cancel(r->loop, &r->settled);
    loop_timer_cancel(r->loop, &r->restart);
    loop_timer_cancel(r->loop, &r->late);
    list_for_each (node, &r->versions) {
        struct version *v = list_entry(node, struct version, link);
        if (again)
            kill(v->instance.pid, SIGKILL);
        else
            instance_stop(&v->instance);
    }
    if (list_empty(&r->versions))
        loop_stop(r->loop);
}

static int catch_signals(struct run *r)
{
    sigset_t caught;
    sigemptyset(&caught);
    sigaddset(&caught, SIGINT);
    sigaddset(&caught, SIGTERM);
    sigaddset(&caught, SIGHUP);
    sigprocmask(SIG_BLOCK, &caught, NULL);
    r->signals = signalfd(-1, &caught, SFD_CLOEXEC | SFD_NONBLOCK);
    return r->signals < 0 ? -errno : loop_watch(r->loop, &r->signal_watch, r->signals, EPOLLIN);
}

static int prepare(struct run *r)
{
    list_init(&r->versions);
    r->signal_watch = (struct loop_watch){.ready = on_signal, .ctx = r};
    r->change_watch = (struct loop_watch){.ready = on_change, .ctx = r};
    r->settled = (struct loop_timer){.due = on_settled, .ctx = r};
    r->late = (struct loop_timer){.due = on_late, .ctx = r};
    r->restart = (struct loop_timer){.due = on_restart, .ctx = r};
    r->crash_delay = CRASH_FIRST_NS;
    r->loop = loop_new();
    r->watcher = watcher_new();
    if (r->loop == NULL || r->watcher == NULL)
        return -EMFILE;
    int status = catch_signals(r);
    if (status == 0)
        status = loop_watch(r->loop, &r->change_watch, watcher_fd(r->watcher), EPOLLIN);
    return status;
}

static void clean_up(struct run *r)
{
    list_for_each_safe (node, next, &r->versions)
        version_free(list_entry(node, struct version, link));
    instance_code_done(&r->code);
    project_done(&r->project);
    if (r->loop != NULL) {
        loop_unwatch(r->loop, &r->signal_watch);
        loop_unwatch(r->loop, &r->change_watch);
        loop_free(r->loop);
    }
    watcher_free(r->watcher);
    if (r->signals >= 0)
        close(r->signals);
    if (r->listener >= 0)
        close(r->listener);
}

int cli_function_run(const struct cli_call *call)
{
    struct run r = {.call = call, .path = call->arguments[0], .listener = -1, .signals = -1};
    if (access(r.path, R_OK) < 0) {
        terminal_error("%s: %s", r.path, strerror(errno));
        return CLI_FAILED;
    }
    r.listener = instance_listen(cli_call_value(call, "listen"), r.address);
    if (r.listener < 0)
        return CLI_FAILED;
    int status = prepare(&r);
    if (status < 0) {
        terminal_error("cannot watch for changes: %s", strerror(-status));
    } else {
        load(&r);
        loop_run(r.loop);
    }
    clean_up(&r);
    return status < 0 ? CLI_FAILED : CLI_OK;
}
