/* SPDX-License-Identifier: Apache-2.0 */
#include "function/function_internal.h"
#include "function/report.h"

#include "base/clock.h"
#include "base/encoding.h"
#include "base/log.h"
#include "base/must.h"
#include "runner/protocol.h"
#include "worker/protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define START_LONGEST         (20 * CLOCK_SECOND)
#define PROCESS_START_LONGEST (60 * CLOCK_SECOND) /* an interpreter, with its packages */
#define STOP_GRACE            (5 * CLOCK_SECOND)
/* The worker ends a call at its limit by itself; when it has not, it hangs. */
#define HANG_MARGIN (5 * CLOCK_SECOND)
#define KILL_AGAIN  CLOCK_SECOND
#define BACKLOG     1024

static struct function_host *host_of(const struct worker *w)
{
    return w->version->function->host;
}

static struct slice number_key(const struct worker *w)
{
    return slice_of(&w->number, sizeof(w->number));
}

/* ---- its socket ---- */

static int open_listener(struct worker *w)
{
    struct function_host *h = host_of(w);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int len = snprintf(w->socket_path, sizeof(w->socket_path), "%s/w%llu.sock", h->run_folder,
                       (unsigned long long)w->number);
    if (len < 0 || (size_t)len >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    memcpy(address.sun_path, w->socket_path, (size_t)len + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    (void)unlink(w->socket_path);
    /* The folder is 0700: nobody else reaches the socket. */
    if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(fd, BACKLOG) < 0) {
        int r = -errno;
        close(fd);
        return r;
    }
    return fd;
}

/* A description of its own for each worker, since reading moves its offset. */
static int reopen(int fd)
{
    char path[32];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int own = open(path, O_RDONLY | O_CLOEXEC);
    return own < 0 ? -errno : own;
}

/* ---- its reports ---- */

static void report_failed(struct worker *w, const struct worker_report *r)
{
    w->failed = true;
    if (r->file.len > 0)
        error_set(&w->failure, -EINVAL, SLICE_FMT ":%u:%u: " SLICE_FMT, SLICE_ARG(r->file),
                  (unsigned)r->line, (unsigned)r->column, SLICE_ARG(r->message));
    else
        error_set(&w->failure, -EINVAL, SLICE_FMT, SLICE_ARG(r->message));
}

static const char *level_of(struct slice level)
{
    static const char *const levels[] = {"info", "warn", "error", "debug"};
    for (size_t i = 0; i < COUNT_OF(levels); i++)
        if (slice_is(level, levels[i]))
            return levels[i];
    return "info";
}

static void report_log(struct worker *w, const struct worker_report *r)
{
    function_log_add(w->version->function->log, r->time_ns > 0 ? r->time_ns : clock_realtime(),
                     level_of(r->level), r->event, r->text);
}

static void report_limit(struct worker *w, const struct worker_report *r)
{
    autobuf text = BUF_INIT;
    buf_printf(&text, "call ended (" SLICE_FMT "): " SLICE_FMT, SLICE_ARG(r->limit),
               SLICE_ARG(r->message));
    function_log_add(w->version->function->log, clock_realtime(), "error", r->event,
                     buf_slice(&text));
}

static void report_ready(struct worker *w)
{
    if (w->state != WORKER_STARTING)
        return;
    struct function_host *h = host_of(w);
    w->state = WORKER_READY;
    w->ready_at = w->progress = loop_now(h->loop);
    loop_timer_cancel(h->loop, &w->deadline);
    if (w->calls > 0)
        loop_timer_set(h->loop, &w->deadline,
                       w->progress + w->version->spec.timeout_ns + HANG_MARGIN);
    health_begin(w);
    version_worker_ready(w);
}

/* A line that makes no sense is passed over. */
static void read_report(struct worker *w, struct slice line)
{
    struct worker_report r;
    struct event_arena arena = {0};
    if (worker_report_read(line, &arena, &r) == 0) {
        if (slice_is(r.kind, "log"))
            report_log(w, &r);
        else if (slice_is(r.kind, "ready"))
            report_ready(w);
        else if (slice_is(r.kind, "failed"))
            report_failed(w, &r);
        else if (slice_is(r.kind, "limit"))
            report_limit(w, &r);
    }
    event_arena_done(&arena);
}

static void take_bytes(struct worker *w, const char *bytes, size_t len)
{
    while (len > 0) {
        const char *end = memchr(bytes, '\n', len);
        size_t part = end != NULL ? (size_t)(end - bytes) : len;
        if (w->line.len + part > WORKER_REPORT_MAX)
            w->line_too_long = true;
        else
            buf_add(&w->line, bytes, part);
        if (end == NULL)
            return;
        if (!w->line_too_long && buf_ok(&w->line) && w->line.len > 0)
            read_report(w, buf_slice(&w->line));
        buf_reset(&w->line);
        w->line_too_long = false;
        bytes += part + 1;
        len -= part + 1;
    }
}

static void worker_close_report(struct worker *w)
{
    if (w->report < 0)
        return;
    loop_unwatch(host_of(w)->loop, &w->report_watch);
    close(STEAL_FD(w->report));
}

/* At most so many reads a turn: a function that prints without end must not keep the loop. */
static void worker_read_reports(struct worker *w, int reads)
{
    for (int i = 0; i < reads && w->report >= 0; i++) {
        char bytes[16384];
        ssize_t n = read(w->report, bytes, sizeof(bytes));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n <= 0)
            worker_close_report(w);
        else
            take_bytes(w, bytes, (size_t)n);
        if (n < (ssize_t)sizeof(bytes)) /* all that is there; the end comes with the next event */
            break;
    }
    function_log_flush(w->version->function->log);
}

/* A worker holds its pipe as long as it lives: one that has closed it is at its end, or nobody
 * knows what it is. */
static void worker_on_report(struct loop_watch *watch, uint32_t events)
{
    struct worker *w = watch->ctx;
    worker_read_reports(w, 4);
    if (w->report < 0 && worker_usable(w))
        worker_kill(w);
}

/* ---- its life ---- */

/* The worker guards loading with the limit of a call itself; this is for when it does not. */
static uint64_t start_longest(const struct version *v)
{
    uint64_t longest = v->spec.timeout_ns + HANG_MARGIN;
    if (v->spec.form == FUNCTION_PROCESS)
        return PROCESS_START_LONGEST;
    return longest < START_LONGEST ? longest : START_LONGEST;
}

static void worker_on_deadline(struct loop_timer *t)
{
    struct worker *w = t->ctx;
    struct function_host *h = host_of(w);
    uint64_t now = loop_now(h->loop), longest = w->version->spec.timeout_ns + HANG_MARGIN;
    const char *what = "had to be killed after it was told to end";
    if (w->lost) {
        what = "is killed once more";
    } else if (w->state == WORKER_READY) {
        if (w->calls == 0)
            return;
        if (now < w->progress + longest) {
            loop_timer_set(h->loop, &w->deadline, w->progress + longest);
            return;
        }
        what = "hangs: it ended no call within the time limit, and is killed";
    } else if (w->state == WORKER_STARTING) {
        what = "was not ready in time, and is killed";
        if (!w->failed) {
            w->failed = true;
            error_set(&w->failure, -ETIMEDOUT, "it did not load in time (%.1f s)",
                      (double)start_longest(w->version) / CLOCK_SECOND);
        }
    }
    log_warn("function %s/%s: worker %llu (pid %d) %s", w->version->function->namespace_name,
             w->version->function->name, (unsigned long long)w->number, (int)w->pid, what);
    worker_kill(w);
    loop_timer_set(h->loop, &w->deadline, now + KILL_AGAIN); /* until its end is told */
}

static int open_bundle(struct version *v)
{
    const json_t *metadata = json_object_get(v->function->resource->object, "metadata");
    if (v->bundle < 0)
        v->bundle = bundle_make(&v->spec, metadata, v->generation);
    return v->bundle < 0 ? v->bundle : reopen(v->bundle);
}

static void worker_on_process_exit(struct process *p, int status)
{
    worker_exited(p->ctx, status);
}

/* A program that accepts need not know of sockets that do not block. */
static int set_blocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0 ? -errno : 0;
}

static int send_to_runner(struct worker *w, int listener, int report)
{
    struct version *v = w->version;
    struct function_host *h = host_of(w);
    autoclose int bundle = open_bundle(v);
    autofree char *folder = folder_path(v->function, v->digest, "");
    char uid[16];
    snprintf(uid, sizeof(uid), "%u", v->uid);
    if (bundle < 0 || folder == NULL)
        return bundle < 0 ? bundle : -ENOMEM;
    const char *const argv[] = {
        h->runner_path, "worker", "--runtime", v->spec.runtime->folder, "--folder", folder,
        "--uid",        uid,      NULL};
    const struct process_descriptor descriptors[] = {
        {bundle, RUNNER_BUNDLE_FD}, {listener, RUNNER_LISTENER_FD}, {report, RUNNER_REPORT_FD}};
    w->process.exited = worker_on_process_exit;
    w->process.ctx = w;
    int r = set_blocking(listener);
    if (r == 0)
        r = process_spawn(&w->process, h->loop, argv, descriptors, COUNT_OF(descriptors));
    if (r == 0)
        w->pid = w->process.pid;
    return r;
}

static void worker_signal(struct worker *w, int signal_number)
{
    if (w->version->spec.form == FUNCTION_PROCESS)
        process_kill(&w->process, signal_number);
    else
        (void)zygote_kill(host_of(w)->zygote, w->number, signal_number);
}

static int worker_send(struct worker *w, int report)
{
    struct version *v = w->version;
    autoclose int listener = open_listener(w);
    if (listener < 0)
        return listener;
    if (v->spec.form == FUNCTION_PROCESS)
        return send_to_runner(w, listener, report);
    autoclose int bundle = open_bundle(v);
    if (bundle < 0)
        return bundle;
    const struct zygote_start start = {
        .worker = w->number,
        .bundle = bundle,
        .listener = listener,
        .report = report,
        .module = v->module,
    };
    return zygote_start(host_of(w)->zygote, &start);
}

static int worker_launch(struct worker *w)
{
    struct function_host *h = host_of(w);
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    w->report = ends[0];
    w->report_watch = (struct loop_watch){.ready = worker_on_report, .ctx = w};
    int r = loop_watch(h->loop, &w->report_watch, w->report, EPOLLIN);
    if (r < 0)
        close(STEAL_FD(w->report));
    if (r == 0)
        r = map_put(&h->workers, number_key(w), w);
    if (r == 0)
        r = worker_send(w, ends[1]);
    close(ends[1]);
    return r;
}

int worker_start(struct version *v, struct worker **ret, struct error *err)
{
    struct function_host *h = v->function->host;
    struct worker *w = calloc(1, sizeof(*w));
    if (w == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    w->version = v;
    w->number = ++h->last_worker;
    w->report = -1;
    w->deadline.due = worker_on_deadline;
    w->deadline.ctx = w;
    list_append(&v->workers, &w->link);
    int r = worker_launch(w);
    if (r < 0) {
        w->state = WORKER_GONE;
        worker_free(w);
        return error_set(err, r, "cannot start a worker: %s",
                         r == -EAGAIN ? "the zygote is not ready" : strerror(-r));
    }
    w->started_at = loop_now(h->loop);
    loop_timer_set(h->loop, &w->deadline, w->started_at + start_longest(v));
    v->usable++;
    h->stats.worker_starts++;
    h->stats.workers++;
    *ret = w;
    return 0;
}

void worker_free(struct worker *w)
{
    struct function_host *h = host_of(w);
    worker_close_report(w);
    health_end(w);
    process_end(&w->process);
    loop_timer_cancel(h->loop, &w->deadline);
    map_remove(&h->workers, number_key(w));
    if (w->state != WORKER_GONE)
        h->stats.workers--;
    if (w->socket_path[0] != '\0')
        (void)unlink(w->socket_path);
    list_remove(&w->link);
    buf_done(&w->line);
    free(w);
}

static void worker_ask_to_end(struct worker *w)
{
    struct function_host *h = host_of(w);
    if (w->asked_to_stop)
        return;
    w->asked_to_stop = true;
    worker_signal(w, SIGTERM);
    loop_timer_set(h->loop, &w->deadline, loop_now(h->loop) + STOP_GRACE);
}

void worker_stop(struct worker *w)
{
    if (!worker_usable(w))
        return;
    struct function_host *h = host_of(w);
    w->state = WORKER_STOPPING;
    w->version->usable--;
    if (w->calls == 0)
        worker_ask_to_end(w);
    else
        loop_timer_set(h->loop, &w->deadline,
                       loop_now(h->loop) + w->version->spec.timeout_ns + HANG_MARGIN);
}

void worker_kill(struct worker *w)
{
    if (worker_usable(w)) {
        w->lost = true;
        w->version->usable--;
    }
    worker_signal(w, SIGKILL);
}

void worker_overran(struct worker *w)
{
    if (w->version->spec.form != FUNCTION_PROCESS || !worker_usable(w))
        return;
    struct function_log *log = w->version->function->log;
    function_log_add(log, clock_realtime(), "error", slice_of(NULL, 0),
                     SLICE("call ended (time): the process is replaced, since it may hang"));
    function_log_flush(log);
    host_of(w)->stats.restarts_time++;
    worker_stop(w);
}

void worker_call_begin(struct worker *w)
{
    struct function_host *h = host_of(w);
    if (w->calls++ > 0)
        return;
    h->stats.workers_busy++;
    w->progress = loop_now(h->loop);
    if (w->state == WORKER_READY && !heap_contains(&w->deadline.node))
        loop_timer_set(h->loop, &w->deadline,
                       w->progress + w->version->spec.timeout_ns + HANG_MARGIN);
}

void worker_call_end(struct worker *w)
{
    struct function_host *h = host_of(w);
    must(w->calls > 0);
    w->progress = loop_now(h->loop);
    if (--w->calls > 0)
        return;
    h->stats.workers_busy--;
    if (w->state == WORKER_STOPPING)
        worker_ask_to_end(w);
    if (w->state == WORKER_GONE)
        version_release_worker(w);
}

void worker_started(struct worker *w, int value)
{
    if (value > 0)
        w->pid = value;
    else
        worker_exited(w, -1);
}

void worker_exited(struct worker *w, int status)
{
    if (w->state == WORKER_GONE)
        return;
    struct function_host *h = host_of(w);
    worker_read_reports(w, 64); /* what it said last */
    worker_close_report(w);
    health_end(w);
    loop_timer_cancel(h->loop, &w->deadline);
    (void)unlink(w->socket_path);
    h->stats.worker_exits++;
    h->stats.workers--;
    if (worker_usable(w))
        w->version->usable--;
    enum worker_state was = w->state;
    w->state = WORKER_GONE;
    version_worker_gone(w, was, status);
}
