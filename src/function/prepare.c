/* SPDX-License-Identifier: Apache-2.0 */
/* Runs sluice-runner prepare (runner/protocol.h) for functions that are processes: their files and
 * packages are put into a folder of their own. A few at a time: package managers are hungry. */
#include "function/function_internal.h"

#include "base/clock.h"
#include "base/fdio.h"
#include "base/must.h"
#include "runner/protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#define AT_ONCE      2
#define LINE_MAX_LEN (64u << 10)
#define LONGEST      (1800 * CLOCK_SECOND) /* the runner has tighter limits of its own */

struct prepare {
    struct list link; /* in queue->waiting or queue->running */
    bool running;
    struct prepare_queue *queue;
    struct version *version;
    struct process process;
    struct loop_watch watch;
    int output; /* -1: closed */
    struct buf line;
    json_t *outcome;
    struct loop_timer longest;
};

static void queue_next(struct prepare_queue *q);

static void prepare_close(struct prepare *p)
{
    if (p->output < 0)
        return;
    loop_unwatch(p->queue->loop, &p->watch);
    close(STEAL_FD(p->output));
}

static void prepare_free(struct prepare *p)
{
    struct prepare_queue *q = p->queue;
    prepare_close(p);
    process_end(&p->process);
    loop_timer_cancel(q->loop, &p->longest);
    list_remove(&p->link);
    q->running_count -= p->running ? 1 : 0;
    json_decref(p->outcome);
    buf_done(&p->line);
    free(p);
}

/* ---- what it says ---- */

static void take_progress(const struct prepare *p, const json_t *progress)
{
    const char *text = json_string_value(json_object_get(progress, "text"));
    if (text != NULL)
        function_log_add(p->version->function->log, clock_realtime(), "info", slice_of(NULL, 0),
                         slice_text(text));
}

static void take_line(struct prepare *p)
{
    json_t *line = json_loadb(p->line.ptr, p->line.len, 0, NULL);
    const json_t *progress = json_object_get(line, "progress");
    if (progress != NULL) {
        take_progress(p, progress);
    } else if (json_object_get(line, "ok") != NULL) {
        json_decref(p->outcome);
        p->outcome = json_incref(line);
    }
    json_decref(line);
}

static void take_bytes(struct prepare *p, const char *bytes, size_t len)
{
    for (const char *end; (end = memchr(bytes, '\n', len)) != NULL;) {
        buf_add(&p->line, bytes, (size_t)(end - bytes));
        if (buf_ok(&p->line) && p->line.len > 0 && p->line.len <= LINE_MAX_LEN)
            take_line(p);
        buf_reset(&p->line);
        len -= (size_t)(end + 1 - bytes);
        bytes = end + 1;
    }
    if (p->line.len + len <= LINE_MAX_LEN)
        buf_add(&p->line, bytes, len);
}

static void prepare_read(struct prepare *p, int reads)
{
    for (int i = 0; i < reads && p->output >= 0; i++) {
        char bytes[16384];
        ssize_t n = read(p->output, bytes, sizeof(bytes));
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            break;
        if (n <= 0)
            prepare_close(p);
        else
            take_bytes(p, bytes, (size_t)n);
    }
    function_log_flush(p->version->function->log);
}

static void prepare_on_output(struct loop_watch *w, uint32_t events)
{
    prepare_read(w->ctx, 4);
}

/* ---- its end ---- */

static int read_outcome(const struct prepare *p, int wait_status, const char **ret_reason,
                        struct error *err)
{
    const char *reason = json_string_value(json_object_get(p->outcome, "reason"));
    const char *message = json_string_value(json_object_get(p->outcome, "message"));
    const char *field = json_string_value(json_object_get(p->outcome, "field"));
    if (json_is_true(json_object_get(p->outcome, "ok"))) {
        int r = folder_set_ready(p->version->function, p->version->digest);
        return r == 0 ? 0 : error_set(err, r, "its folder cannot be marked: %s", strerror(-r));
    }
    if (reason != NULL)
        *ret_reason = reason;
    if (message != NULL)
        return error_field(err, -EINVAL, field != NULL ? field : "", "%s", message);
    return error_set(err, -EPROTO, "sluice-runner prepare ended without a result (wait status %d)",
                     wait_status);
}

static void prepare_finish(struct prepare *p, int status, const char *reason,
                           const struct error *err)
{
    struct prepare_queue *q = p->queue;
    struct version *v = p->version;
    char reason_copy[48];
    snprintf(reason_copy, sizeof(reason_copy), "%s", reason);
    v->prepare = NULL;
    q->failures += status < 0;
    prepare_free(p);
    version_prepared(v, status, reason_copy, err);
    queue_next(q);
}

static void prepare_on_exit(struct process *process, int status)
{
    struct prepare *p = process->ctx;
    prepare_read(p, 64);
    struct error err = ERROR_INIT;
    const char *reason = "PrepareFailed";
    int r = read_outcome(p, status, &reason, &err);
    prepare_finish(p, r, reason, &err);
}

static void prepare_on_longest(struct loop_timer *t)
{
    struct prepare *p = t->ctx;
    process_kill(&p->process, SIGTERM);
    loop_timer_set(p->queue->loop, t, loop_now(p->queue->loop) + 10 * CLOCK_SECOND);
}

/* ---- start ---- */

static int prepare_spawn(struct prepare *p)
{
    struct prepare_queue *q = p->queue;
    struct version *v = p->version;
    struct function *f = v->function;
    autofree char *folder = folder_path(f, v->digest, "");
    char uid[16];
    snprintf(uid, sizeof(uid), "%u", v->uid);
    if (folder == NULL)
        return -ENOMEM;
    const char *const argv[] = {
        q->runner_path, "prepare", "--runtime", v->spec.runtime->folder, "--folder", folder,
        "--uid",        uid,       NULL};
    autoclose int bundle =
        bundle_make(&v->spec, json_object_get(f->resource->object, "metadata"), v->generation);
    int r = bundle < 0 ? bundle : folder_make_parent(f);
    if (r < 0)
        return r;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    p->output = ends[0];
    p->watch = (struct loop_watch){.ready = prepare_on_output, .ctx = p};
    const struct process_descriptor descriptors[] = {{ends[1], 1}, {bundle, RUNNER_BUNDLE_FD}};
    r = fdio_set_nonblocking(ends[0]);
    if (r == 0)
        r = loop_watch(q->loop, &p->watch, ends[0], EPOLLIN);
    if (r < 0)
        close(STEAL_FD(p->output));
    if (r == 0)
        r = process_spawn(&p->process, q->loop, argv, descriptors, COUNT_OF(descriptors));
    close(ends[1]);
    if (r == 0)
        loop_timer_set(q->loop, &p->longest, loop_now(q->loop) + LONGEST);
    return r;
}

static void queue_next(struct prepare_queue *q)
{
    while (q->running_count < AT_ONCE && !list_empty(&q->waiting)) {
        struct prepare *p = list_entry(list_shift(&q->waiting), struct prepare, link);
        list_append(&q->running, &p->link);
        p->running = true;
        q->running_count++;
        q->prepares++;
        int r = prepare_spawn(p);
        if (r < 0) {
            struct error err = ERROR_INIT;
            error_set(&err, r, "cannot run %s prepare: %s", q->runner_path, strerror(-r));
            prepare_finish(p, r, "PrepareFailed", &err);
            return; /* it has gone on by itself */
        }
    }
}

static void queue_on_kick(struct loop_timer *t)
{
    queue_next(t->ctx);
}

int prepare_start(struct prepare_queue *q, struct version *v)
{
    struct prepare *p = calloc(1, sizeof(*p));
    if (p == NULL)
        return -ENOMEM;
    *p = (struct prepare){.queue = q, .version = v, .output = -1, .line = BUF_INIT};
    p->process.exited = prepare_on_exit;
    p->process.ctx = p;
    p->longest.due = prepare_on_longest;
    p->longest.ctx = p;
    list_append(&q->waiting, &p->link);
    v->prepare = p;
    /* Never from within: the caller has yet to say that it is being prepared. */
    loop_timer_set(q->loop, &q->kick, loop_now(q->loop));
    return 0;
}

void prepare_cancel(struct prepare *p)
{
    struct prepare_queue *q = p->queue;
    p->version->prepare = NULL;
    prepare_free(p);
    loop_timer_set(q->loop, &q->kick, loop_now(q->loop));
}

void prepare_queue_init(struct prepare_queue *q, struct loop *loop, const char *runner_path)
{
    *q = (struct prepare_queue){.loop = loop, .runner_path = runner_path};
    list_init(&q->waiting);
    list_init(&q->running);
    q->kick.due = queue_on_kick;
    q->kick.ctx = q;
}

void prepare_queue_done(struct prepare_queue *q)
{
    if (q->loop == NULL)
        return;
    must(list_empty(&q->waiting) && list_empty(&q->running)); /* went with their versions */
    loop_timer_cancel(q->loop, &q->kick);
}
