/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/instance.h"

#include "base/clock.h"
#include "base/fdio.h"
#include "base/memory.h"
#include "cli/place.h"
#include "cli/subprocess.h"
#include "http/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

/* Numbers of the descriptors in the program: what sluice-runner wants. */
enum { FD_BUNDLE = 3, FD_LISTENER = 4, FD_REPORT = 5, FD_MODULE = 6 };

#define LINE_MAX_BYTES (64u << 10)

/* ---- the code ---- */

static bool runs_in_worker(const struct project *p)
{
    return strcmp(p->runtime, "js") == 0 || strcmp(p->runtime, "wasm") == 0;
}

bool instance_knows_itself(const struct project *p)
{
    return runs_in_worker(p);
}

int instance_code_make(const struct project *p, struct instance_code *ret)
{
    struct instance_code c = {0};
    if (strcmp(p->runtime, "http") == 0) {
        terminal_error("%s: a function of the runtime http serves already, at its own URL",
                       p->path);
        return -EINVAL;
    }
    bool wasm = strcmp(p->runtime, "wasm") == 0;
    c.bundle = project_bundle(p);
    if (c.bundle != NULL && wasm)
        c.module = project_compile(p);
    if (c.bundle == NULL || (wasm && c.module == NULL)) {
        instance_code_done(&c);
        return -EINVAL;
    }
    *ret = c;
    return 0;
}

void instance_code_done(struct instance_code *c)
{
    free(STEAL(c->bundle));
    free(STEAL(c->module));
}

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

bool instance_code_same(const struct instance_code *a, const struct instance_code *b)
{
    return same_text(a->bundle, b->bundle) && same_text(a->module, b->module);
}

/* ---- starting ---- */

int instance_listen(const char *listen, char address[280])
{
    struct http_listen l = {.fd = -1};
    struct http_guard guard = {0};
    struct error err = ERROR_INIT;
    if (http_listen_open(listen, &l, &guard, &err) < 0) {
        terminal_error("%s", err.message);
        return -1;
    }
    snprintf(address, 280, "%s", l.address);
    return l.fd;
}

static int bundle_file(const char *bundle)
{
    int fd = memfd_create("sluice-bundle", MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = fdio_write_all(fd, bundle, strlen(bundle));
    if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
        r = -errno;
    if (r < 0)
        close(fd);
    return r < 0 ? r : fd;
}

static int start_worker(const struct instance_code *code, int bundle, int listener, int report,
                        struct instance *i)
{
    autofree char *found = place_program("sluice-worker");
    const char *named = getenv("SLUICE_WORKER");
    const char *worker = named != NULL && named[0] != '\0' ? named : found;
    if (worker == NULL) {
        terminal_error("the sluice-worker program is not beside sluice");
        return -ENOENT;
    }
    autoclose int module = code->module != NULL ? open(code->module, O_RDONLY | O_CLOEXEC) : -1;
    const char *const argv[] = {worker,
                                "serve",
                                "--bundle",
                                "/proc/self/fd/3",
                                "--listen",
                                "fd:4",
                                "--report",
                                "fd:5",
                                module >= 0 ? "--module" : NULL,
                                "/proc/self/fd/6",
                                NULL};
    const struct subprocess_descriptor descriptors[] = {
        {bundle, FD_BUNDLE}, {listener, FD_LISTENER}, {report, FD_REPORT}, {module, FD_MODULE}};
    int r = subprocess_start(argv, descriptors, module >= 0 ? 4 : 3, &i->pid);
    if (r < 0)
        terminal_error("cannot run %s: %s", worker, strerror(-r));
    return r;
}

static int start(const struct project *p, const struct instance_code *code, int listener,
                 struct instance *i)
{
    autoclose int bundle = bundle_file(code->bundle);
    int ends[2];
    if (bundle < 0)
        return bundle;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    i->report = ends[0];
    autoclose int writing = ends[1];
    int r = fdio_set_nonblocking(i->report);
    if (r == 0)
        r = runs_in_worker(p) ? start_worker(code, bundle, listener, writing, i)
                              : instance_start_process(p, bundle, listener, writing, i);
    if (r < 0)
        return r;
    i->pidfd = (int)syscall(SYS_pidfd_open, i->pid, 0);
    return i->pidfd < 0 ? -errno : 0;
}

int instance_start(const struct project *p, const struct instance_code *code, int listener,
                   struct instance *ret)
{
    struct instance i = {.pidfd = -1, .report = -1, .line = BUF_INIT, .folder = STEAL(ret->folder)};
    int r = start(p, code, listener, &i);
    if (r < 0) {
        terminal_error("the function cannot be started: %s", strerror(-r));
        instance_end(&i, true);
        return r;
    }
    *ret = i;
    return 0;
}

/* ---- reports ---- */

static void print_failure(const json_t *report)
{
    const char *file = json_string_value(json_object_get(report, "file"));
    const char *message = json_string_value(json_object_get(report, "message"));
    int line = (int)json_integer_value(json_object_get(report, "line"));
    int column = (int)json_integer_value(json_object_get(report, "column"));
    if (file != NULL && line > 0)
        terminal_error("%s:%d:%d: %s", file, line, column, message != NULL ? message : "");
    else
        terminal_error("%s", message != NULL ? message : "the function could not be loaded");
}

static void take_report(struct instance *i, struct slice line, instance_log_fn *log, void *ctx)
{
    json_t *report = json_loadb(line.ptr, line.len, 0, NULL);
    const char *kind = json_string_value(json_object_get(report, "report"));
    const char *message = json_string_value(json_object_get(report, "message"));
    if (kind == NULL) {
        terminal_error("the function server said \"" SLICE_FMT "\"", SLICE_ARG(line));
    } else if (strcmp(kind, "ready") == 0) {
        i->state = INSTANCE_READY;
    } else if (strcmp(kind, "draining") == 0) {
        i->state = INSTANCE_DRAINING;
    } else if (strcmp(kind, "failed") == 0) {
        i->state = INSTANCE_FAILED;
        print_failure(report);
    } else if (strcmp(kind, "log") == 0) {
        log(ctx, report);
    } else if (strcmp(kind, "limit") == 0) {
        terminal_error("a call was ended: %s", message != NULL ? message : "a limit");
    }
    json_decref(report);
}

bool instance_read(struct instance *i, instance_log_fn *log, void *ctx)
{
    for (;;) {
        char *at = buf_reserve(&i->line, 8192);
        ssize_t n = at != NULL ? read(i->report, at, 8192) : 0;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN;
        if (n == 0)
            return false;
        i->line.len += (size_t)n;
        char *begin = i->line.ptr, *end;
        size_t left = i->line.len;
        while ((end = memchr(begin, '\n', left)) != NULL) {
            take_report(i, slice_of(begin, (size_t)(end - begin)), log, ctx);
            left -= (size_t)(end - begin) + 1;
            begin = end + 1;
        }
        memmove(i->line.ptr, begin, left);
        i->line.len = left < LINE_MAX_BYTES ? left : 0;
    }
}

/* ---- the end ---- */

void instance_stop(const struct instance *i)
{
    if (i->pid > 0)
        kill(i->pid, SIGTERM);
}

void instance_end(struct instance *i, bool at_once)
{
    if (i->pid > 0) {
        kill(i->pid, at_once ? SIGKILL : SIGTERM);
        while (waitpid(i->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    i->pid = 0;
    if (i->pidfd >= 0)
        close(STEAL_FD(i->pidfd));
    if (i->report >= 0)
        close(STEAL_FD(i->report));
    buf_done(&i->line);
    if (i->folder != NULL)
        (void)fdio_remove_tree(i->folder);
    free(STEAL(i->folder));
}

/* ---- log lines ---- */

static const struct {
    const char *level;
    enum terminal_style style;
} styles[] = {
    {"debug", TERMINAL_DIM},
    {"info", TERMINAL_PLAIN},
    {"warn", TERMINAL_YELLOW},
    {"error", TERMINAL_RED},
};

static enum terminal_style style_of(const char *level)
{
    for (size_t i = 0; i < COUNT_OF(styles); i++) {
        if (strcmp(styles[i].level, level) == 0)
            return styles[i].style;
    }
    return TERMINAL_PLAIN;
}

static void print_time(uint64_t ns, FILE *out)
{
    time_t seconds = (time_t)(ns / CLOCK_SECOND);
    struct tm parts = {0};
    localtime_r(&seconds, &parts);
    fprintf(out, "%s%02d:%02d:%02d.%03u%s ", terminal_style(out, TERMINAL_DIM), parts.tm_hour,
            parts.tm_min, parts.tm_sec, (unsigned)(ns % CLOCK_SECOND / CLOCK_MILLISECOND),
            terminal_style(out, TERMINAL_PLAIN));
}

/* Each further line of the text is indented. */
static void print_lines(struct slice text, FILE *out)
{
    while (text.len > 0) {
        const char *end = memchr(text.ptr, '\n', text.len);
        size_t len = end != NULL ? (size_t)(end - text.ptr) : text.len;
        terminal_print_safe(out, slice_of(text.ptr, len));
        if (end == NULL)
            return;
        fputs("\n    ", out);
        text = slice_of(end + 1, text.len - len - 1);
    }
}

void instance_print_log(const json_t *report, FILE *out)
{
    const char *level = json_string_value(json_object_get(report, "level"));
    const char *event = json_string_value(json_object_get(report, "event"));
    const char *text = json_string_value(json_object_get(report, "text"));
    level = level != NULL ? level : "info";
    print_time((uint64_t)json_integer_value(json_object_get(report, "time")), out);
    fprintf(out, "%s%-5s%s ", terminal_style(out, style_of(level)), level,
            terminal_style(out, TERMINAL_PLAIN));
    if (event != NULL && event[0] != '\0') {
        fprintf(out, "%s[", terminal_style(out, TERMINAL_DIM));
        terminal_print_safe(out, slice_text(event));
        fprintf(out, "]%s ", terminal_style(out, TERMINAL_PLAIN));
    }
    print_lines(slice_text(text != NULL ? text : ""), out);
    fputc('\n', out);
}
