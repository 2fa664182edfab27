/* SPDX-License-Identifier: Apache-2.0 */
/* Runs sluice-builder for one module after the other: the compiler needs up to gigabytes, so two at
 * a time would be a way to exhaust the machine. */
#include "function/function_internal.h"

#include "base/clock.h"
#include "base/fdio.h"
#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>

#define REPORT_MAX    (256u << 10)
#define BUILD_LONGEST (900 * CLOCK_SECOND) /* the builder has tighter limits of its own */
#define MODULE_PAGE   UINT64_C(65536)

struct build {
    struct list link;
    struct build_queue *queue;
    struct slice bytes;
    const char *export_name;
    uint64_t memory_bytes;
    build_done_fn *done;
    void *ctx;
    struct process process;
    struct loop_watch watch; /* the report */
    int report;
    struct buf text;
    struct loop_timer longest;
};

static void queue_next(struct build_queue *q);

/* ---- the report ---- */

static int read_success(const json_t *report, struct build_result *result, struct error *err)
{
    const char *path = json_string_value(json_object_get(report, "path"));
    if (path == NULL)
        return error_set(err, -EPROTO, "the builder's report has no path");
    result->module = open(path, O_RDONLY | O_CLOEXEC);
    if (result->module < 0)
        return error_set(err, -errno, "cannot open %s: %s", path, strerror(errno));
    result->cached = json_is_true(json_object_get(report, "cached"));
    result->landlock = json_is_true(json_object_get(report, "landlock"));
    result->milliseconds = (unsigned)json_integer_value(json_object_get(report, "milliseconds"));
    return 0;
}

/* reason_text lives as long as the report. */
static int read_report(const json_t *report, struct build_result *result, struct error *err)
{
    if (json_is_true(json_object_get(report, "ok")))
        return read_success(report, result, err);
    const char *message = json_string_value(json_object_get(report, "message"));
    const char *field = json_string_value(json_object_get(report, "field"));
    const char *reason = json_string_value(json_object_get(report, "reason"));
    result->reason = reason != NULL ? reason : "BuildFailed";
    return error_field(err, -EINVAL, field != NULL ? field : "", "%s",
                       message != NULL ? message : "the builder ended without a report");
}

static void build_free(struct build *b)
{
    struct build_queue *q = b->queue;
    if (b->report >= 0) {
        loop_unwatch(q->loop, &b->watch);
        close(b->report);
    }
    loop_timer_cancel(q->loop, &b->longest);
    list_remove(&b->link);
    if (q->running == b)
        q->running = NULL;
    buf_done(&b->text);
    free(b);
}

static void build_finish(struct build *b, struct build_result *result, const struct error *err)
{
    struct build_queue *q = b->queue;
    build_done_fn *done = b->done;
    void *ctx = b->ctx;
    q->failures += result->status < 0 ? 1 : 0;
    q->cached += result->cached ? 1 : 0;
    q->builds += result->cached ? 0 : 1;
    build_free(b);
    done(ctx, result, err);
    queue_next(q);
}

static void build_fail(struct build *b, int status, const char *what)
{
    struct error err = ERROR_INIT;
    struct build_result result = {.status = status, .module = -1, .reason = "BuildFailed"};
    error_set(&err, status, "%s: %s", what, strerror(-status));
    build_finish(b, &result, &err);
}

static void build_on_report(struct loop_watch *w, uint32_t events)
{
    struct build *b = w->ctx;
    for (;;) {
        char *at = buf_reserve(&b->text, 4096);
        if (at == NULL || b->text.len > REPORT_MAX) {
            process_kill(&b->process, SIGKILL);
            loop_unwatch(b->queue->loop, w);
            return;
        }
        ssize_t n = read(b->report, at, 4096);
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            loop_unwatch(b->queue->loop, w);
        if (n <= 0)
            return;
        b->text.len += (size_t)n;
    }
}

static void build_on_exit(struct process *p, int status)
{
    struct build *b = p->ctx;
    build_on_report(&b->watch, 0);
    struct error err = ERROR_INIT;
    struct build_result result = {.module = -1, .reason = "BuildFailed"};
    json_error_t ignored;
    json_t *report =
        b->text.ptr != NULL ? json_loadb(b->text.ptr, b->text.len, JSON_ALLOW_NUL, &ignored) : NULL;
    result.status = report != NULL
                        ? read_report(report, &result, &err)
                        : error_set(&err, -EPROTO,
                                    "the builder ended without a report (wait status %d)", status);
    build_finish(b, &result, &err);
    json_decref(report);
}

static void build_on_longest(struct loop_timer *t)
{
    struct build *b = t->ctx;
    process_kill(&b->process, SIGTERM);
}

/* ---- start ---- */

static int build_spawn(struct build *b)
{
    struct build_queue *q = b->queue;
    char pages[24];
    uint64_t wanted = b->memory_bytes / MODULE_PAGE;
    snprintf(pages, sizeof(pages), "%llu", (unsigned long long)(wanted > 65536 ? 65536 : wanted));
    const char *export_name = b->export_name != NULL ? b->export_name : ""; /* the usual ones */
    const char *const argv[] = {q->builder_path, "--cache",    q->cache,    "--memory-pages",
                                pages,           "--function", export_name, NULL};
    autoclose int module = fdio_memory_file("sluice-module", b->bytes);
    if (module < 0)
        return module;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    b->report = ends[0];
    b->watch = (struct loop_watch){.ready = build_on_report, .ctx = b};
    const struct process_descriptor descriptors[] = {{module, 0}, {ends[1], 1}};
    int r = fdio_set_nonblocking(ends[0]);
    if (r == 0)
        r = loop_watch(q->loop, &b->watch, ends[0], EPOLLIN);
    if (r == 0)
        r = process_spawn(&b->process, q->loop, argv, descriptors, 2);
    close(ends[1]);
    if (r == 0)
        loop_timer_set(q->loop, &b->longest, loop_now(q->loop) + BUILD_LONGEST);
    return r;
}

static void queue_next(struct build_queue *q)
{
    while (q->running == NULL && !list_empty(&q->waiting)) {
        struct build *b = list_entry(list_shift(&q->waiting), struct build, link);
        q->running = b;
        int r = build_spawn(b);
        if (r < 0) {
            build_fail(b, r, q->builder_path);
            return; /* it has gone on by itself */
        }
    }
}

static void queue_on_kick(struct loop_timer *t)
{
    queue_next(t->ctx);
}

struct build *build_start(struct build_queue *q, struct slice bytes, const char *export_name,
                          uint64_t memory_bytes, build_done_fn *done, void *ctx)
{
    struct build *b = calloc(1, sizeof(*b));
    if (b == NULL)
        return NULL;
    *b = (struct build){.queue = q,
                        .bytes = bytes,
                        .export_name = export_name,
                        .memory_bytes = memory_bytes,
                        .done = done,
                        .ctx = ctx,
                        .report = -1,
                        .text = BUF_INIT};
    b->process.exited = build_on_exit;
    b->process.ctx = b;
    b->longest.due = build_on_longest;
    b->longest.ctx = b;
    list_append(&q->waiting, &b->link);
    /* Never from within: the caller has yet to note what is returned. */
    loop_timer_set(q->loop, &q->kick, loop_now(q->loop));
    return b;
}

void build_cancel(struct build *b)
{
    struct build_queue *q = b->queue;
    if (b->process.pid > 0)
        process_stop(&b->process);
    build_free(b);
    loop_timer_set(q->loop, &q->kick, loop_now(q->loop));
}

/* ---- the queue ---- */

/* Beside the worker: installed, or in a build folder. */
char *find_beside(const char *program, const char *const *places)
{
    const char *slash = strrchr(program, '/');
    int folder = slash != NULL ? (int)(slash - program) : 1;
    for (; *places != NULL; places++) {
        char *path;
        if (asprintf(&path, "%.*s/%s", folder, slash != NULL ? program : ".", *places) < 0)
            return NULL;
        if (access(path, X_OK) == 0)
            return path;
        free(path);
    }
    return NULL;
}

static char *find_builder(const char *worker_path)
{
    static const char *const places[] = {"sluice-builder", "../function/sluice-builder",
                                         "../libexec/sluice/sluice-builder", NULL};
    return find_beside(worker_path, places);
}

/* What a killed builder left behind. The folder is ours alone: DIR is locked. */
static void sweep(const char *cache)
{
    DIR *folder = opendir(cache);
    if (folder == NULL)
        return;
    for (struct dirent *e; (e = readdir(folder)) != NULL;) {
        char *path;
        if (strncmp(e->d_name, "tmp.", 4) != 0 || asprintf(&path, "%s/%s", cache, e->d_name) < 0)
            continue;
        (void)fdio_remove_tree(path);
        free(path);
    }
    closedir(folder);
}

int build_queue_init(struct build_queue *q, struct loop *loop, const char *builder_path,
                     const char *worker_path, const char *cache, struct error *err)
{
    *q = (struct build_queue){.loop = loop};
    list_init(&q->waiting);
    q->kick.due = queue_on_kick;
    q->kick.ctx = q;
    int r = fdio_make_folders(cache, 0700);
    if (r < 0)
        return error_set(err, r, "cannot make %s: %s", cache, strerror(-r));
    q->builder_path = builder_path != NULL ? strdup(builder_path) : find_builder(worker_path);
    q->cache = strdup(cache);
    if (q->builder_path == NULL)
        return error_set(err, -ENOENT, "sluice-builder is not beside %s", worker_path);
    if (q->cache == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    sweep(cache);
    return 0;
}

void build_queue_done(struct build_queue *q)
{
    if (q->loop == NULL)
        return;
    if (q->running != NULL)
        build_cancel(q->running);
    while (!list_empty(&q->waiting))
        build_cancel(list_entry(q->waiting.next, struct build, link));
    loop_timer_cancel(q->loop, &q->kick);
    free(q->builder_path);
    free(q->cache);
}
