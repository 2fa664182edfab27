/* SPDX-License-Identifier: Apache-2.0 */
/* Watches over one program in its sandbox: what it prints, whether it is ready, how it ends, and
 * its ways out to the network. */
#include "base/clock.h"
#include "base/encoding.h"
#include "base/memory.h"
#include "runner/confine.h"
#include "runner/output.h"
#include "runner/probe.h"
#include "runner/protocol.h"
#include "runner/relay.h"
#include "runner/report.h"
#include "runner/runner.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOG_RATE      (UINT64_C(256) << 10) /* bytes a second of each of the two streams */
#define START_LONGEST (120 * CLOCK_SECOND)
/* A program's way to say: a call did not end at its time limit, put another in my place. */
#define EXIT_REPLACE 75
#define MESSAGE_MAX  480

struct supervisor {
    const struct sandbox_options *o;
    struct loop *loop;
    struct sandbox sandbox;
    struct output out, err;
    struct probe probe;
    struct relay *relay;
    struct loop_watch control, signals;
    struct loop_timer deadline;
    int signal_fd;
    bool ready, ending;
    int status; /* the program's wait status */
    char problem[SANDBOX_MESSAGE_MAX];
    uint64_t refused_at; /* when the last refusal was told */
    void (*on_ready)(void *ctx);
    void *ctx;
};

/* ---- what it prints ---- */

static void print_out(void *ctx, struct slice line)
{
    report_log("info", line);
}

static void print_err(void *ctx, struct slice line)
{
    report_log("error", line);
}

static void on_refused(void *ctx, const char *host, uint16_t port)
{
    struct supervisor *s = ctx;
    autobuf text = BUF_INIT;
    uint64_t now = loop_now(s->loop);
    if (s->refused_at != 0 && now - s->refused_at < CLOCK_SECOND)
        return;
    s->refused_at = now;
    buf_printf(&text, "no way to %s:%u: it is not in network.allow", host, (unsigned)port);
    report_log("warn", buf_slice(&text));
}

/* ---- its life ---- */

static void on_control(struct loop_watch *w, uint32_t events)
{
    struct supervisor *s = w->ctx;
    char bytes[SANDBOX_MESSAGE_MAX];
    ssize_t n = recv(s->sandbox.control, bytes, sizeof(bytes) - 1, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        loop_stop(s->loop);
        return;
    }
    bytes[n] = '\0';
    if (bytes[0] == SANDBOX_ERROR) {
        snprintf(s->problem, sizeof(s->problem), "%s", bytes + 1);
    } else if (bytes[0] == SANDBOX_EXITED && n == 1 + (ssize_t)sizeof(int)) {
        memcpy(&s->status, bytes + 1, sizeof(int));
        loop_stop(s->loop);
    }
}

static void on_signal(struct loop_watch *w, uint32_t events)
{
    struct supervisor *s = w->ctx;
    struct signalfd_siginfo info;
    if (read(s->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info) || s->ending)
        return;
    s->ending = true;
    sandbox_end(&s->sandbox);
    loop_timer_set(s->loop, &s->deadline, loop_now(s->loop) + RUNNER_GRACE_MS * CLOCK_MILLISECOND);
}

static void on_deadline(struct loop_timer *t)
{
    struct supervisor *s = t->ctx;
    if (!s->ending)
        snprintf(s->problem, sizeof(s->problem),
                 "it was not ready in %d s: GET /health/readiness must answer 200 (it %s %u)",
                 (int)(START_LONGEST / CLOCK_SECOND),
                 s->probe.status != 0 ? "answered" : "did not answer:", s->probe.status);
    loop_stop(s->loop);
}

static void on_program_ready(void *ctx)
{
    struct supervisor *s = ctx;
    s->ready = true;
    if (!s->ending)
        loop_timer_cancel(s->loop, &s->deadline);
    report_ready();
    if (s->on_ready != NULL)
        s->on_ready(s->ctx);
}

/* ---- start ---- */

static int catch_signals(struct supervisor *s)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return -errno;
    (void)signal(SIGPIPE, SIG_IGN);
    s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return s->signal_fd < 0 ? -errno : 0;
}

static int watch_all(struct supervisor *s)
{
    s->control = (struct loop_watch){.ready = on_control, .ctx = s};
    s->signals = (struct loop_watch){.ready = on_signal, .ctx = s};
    s->out = (struct output){.fd = -1, .print = print_out, .ctx = s};
    s->err = (struct output){.fd = -1, .print = print_err, .ctx = s};
    int r = loop_watch(s->loop, &s->signals, s->signal_fd, EPOLLIN);
    if (r == 0)
        r = loop_watch(s->loop, &s->control, s->sandbox.control, EPOLLIN);
    if (r == 0)
        r = output_begin(&s->out, s->loop, STEAL_FD(s->sandbox.out), LOG_RATE);
    if (r == 0)
        r = output_begin(&s->err, s->loop, STEAL_FD(s->sandbox.err), LOG_RATE);
    if (r == 0)
        r = probe_begin(&s->probe, s->loop, s->o->listener, on_program_ready, s);
    if (r == 0 && s->sandbox.lan_count > 0) {
        s->relay = relay_new(s->loop, &s->o->bundle->allow, s->sandbox.lan, s->sandbox.lan_count,
                             on_refused, s);
        r = s->relay != NULL ? 0 : -ENOMEM;
    }
    s->deadline = (struct loop_timer){.due = on_deadline, .ctx = s};
    loop_timer_set(s->loop, &s->deadline, loop_now(s->loop) + START_LONGEST);
    return r;
}

static void tell_missing(const struct supervisor *s)
{
    autobuf text = BUF_INIT;
    if (s->sandbox.missing[0] == '\0')
        return;
    buf_printf(&text, "not confined by: %s", s->sandbox.missing);
    report_log("warn", buf_slice(&text));
}

/* The bytes of a function come by here: the runner keeps no more rights than it needs to see it
 * end, unless there are folders of other users that it has to remove then. */
static int confine_self(const struct supervisor *s)
{
    static const char *const kept[] = {"/sys/fs/cgroup", NULL};
    bool tidies = s->o->standalone || s->sandbox.tmp[0] != '\0';
    return tidies ? 0 : confine_supervisor(kept);
}

/* ---- the end ---- */

static struct slice last_line(struct slice text)
{
    while (text.len > 0 && text.ptr[text.len - 1] == '\n')
        text.len--;
    const char *newline = text.len > 0 ? memrchr(text.ptr, '\n', text.len) : NULL;
    return newline == NULL ? text
                           : slice_of(newline + 1, (size_t)(text.ptr + text.len - newline) - 1);
}

/* FILE:LINE: MESSAGE, as compilers write it. */
static bool split_position(struct slice line, struct slice *ret_file, unsigned *ret_line,
                           struct slice *ret_message)
{
    const char *colon = line.len > 0 ? memchr(line.ptr, ':', line.len) : NULL;
    if (colon == NULL || colon == line.ptr)
        return false;
    struct slice file = slice_of(line.ptr, (size_t)(colon - line.ptr));
    struct slice rest = slice_of(colon + 1, line.len - file.len - 1);
    const char *end = rest.len > 0 ? memchr(rest.ptr, ':', rest.len) : NULL;
    uint64_t number;
    if (end == NULL || memchr(file.ptr, ' ', file.len) != NULL ||
        encoding_parse_u64(slice_of(rest.ptr, (size_t)(end - rest.ptr)), &number) < 0 ||
        number == 0 || number > 1000000000 || rest.ptr + rest.len - end < 3 || end[1] != ' ')
        return false;
    *ret_file = file;
    *ret_line = (unsigned)number;
    *ret_message = slice_of(end + 2, (size_t)(rest.ptr + rest.len - end) - 2);
    return true;
}

static void describe_status(int status, struct buf *out)
{
    if (WIFSIGNALED(status))
        buf_printf(out, "was ended by signal %d (%s)", WTERMSIG(status),
                   strsignal(WTERMSIG(status)));
    else
        buf_printf(out, "ended with status %d", WEXITSTATUS(status));
}

/* The last lines that it wrote to standard error, as one. */
static void add_tail(struct slice tail, struct buf *out)
{
    size_t room = out->len < MESSAGE_MAX ? MESSAGE_MAX - out->len : 0;
    while (tail.len > 0 && tail.ptr[tail.len - 1] == '\n')
        tail.len--;
    if (tail.len > room) {
        const char *from = tail.ptr + tail.len - room, *end = tail.ptr + tail.len;
        const char *line = memchr(from, '\n', (size_t)(end - from));
        tail = slice_of(line != NULL ? line + 1 : from, 0);
        tail.len = (size_t)(end - tail.ptr);
    }
    for (size_t i = 0; i < tail.len; i++)
        if (tail.ptr[i] == '\n')
            buf_add_text(out, " | ");
        else
            buf_add_byte(out, tail.ptr[i]);
}

static void report_start_failure(const struct supervisor *s, struct slice tail)
{
    struct slice file = {0}, message;
    unsigned number = 0;
    autobuf text = BUF_INIT;
    if (s->problem[0] != '\0') {
        report_failed(slice_text(s->problem), file, 0);
        return;
    }
    if (split_position(last_line(tail), &file, &number, &message)) {
        report_failed(message, file, number);
        return;
    }
    buf_add_text(&text, "the program ");
    describe_status(s->status, &text);
    buf_add_text(&text, " before it was ready");
    if (tail.len > 0)
        buf_add_text(&text, ": ");
    add_tail(tail, &text);
    report_failed(buf_slice(&text), file, 0);
}

static int report_end(const struct supervisor *s, bool memory)
{
    autobuf text = BUF_INIT;
    if (memory) {
        report_limit("memory", "the memory limit was reached: limits.memory");
        return RUNNER_EXIT_LIMIT;
    }
    if (WIFEXITED(s->status) && WEXITSTATUS(s->status) == EXIT_REPLACE) {
        report_limit("time",
                     "a call did not end at its time limit: another worker takes its place");
        return RUNNER_EXIT_LIMIT;
    }
    buf_add_text(&text, "the program ");
    describe_status(s->status, &text);
    report_log("error", buf_slice(&text));
    return RUNNER_EXIT_PROGRAM;
}

/* What it wrote last is read before all is taken down. */
static int finish(struct supervisor *s)
{
    autobuf tail = BUF_INIT;
    probe_end(&s->probe);
    relay_free(s->relay);
    loop_unwatch(s->loop, &s->control);
    loop_unwatch(s->loop, &s->signals);
    loop_timer_cancel(s->loop, &s->deadline);
    bool memory = sandbox_finish(&s->sandbox);
    if (s->out.loop != NULL)
        output_end(&s->out);
    if (s->err.loop != NULL) {
        output_drain(&s->err);
        buf_add_slice(&tail, buf_slice(&s->err.tail));
        output_end(&s->err);
    }
    if (s->ending && s->ready)
        return RUNNER_EXIT_ENDED;
    if (!s->ready && memory && s->problem[0] == '\0')
        snprintf(s->problem, sizeof(s->problem),
                 "the memory limit was reached before it was ready: limits.memory");
    if (!s->ready) {
        if (!s->ending)
            report_start_failure(s, buf_slice(&tail));
        return s->ending ? RUNNER_EXIT_ENDED : RUNNER_EXIT_FAILED;
    }
    return report_end(s, memory);
}

int worker_run(const struct sandbox_options *o, void (*ready)(void *ctx), void *ctx)
{
    struct supervisor s = {.o = o, .on_ready = ready, .ctx = ctx, .signal_fd = -1};
    struct error err = ERROR_INIT;
    s.sandbox = (struct sandbox){.control = -1, .out = -1, .err = -1};
    int r = catch_signals(&s);
    if (r < 0)
        error_set(&err, r, "cannot watch for signals: %s", strerror(-r));
    if (r == 0)
        r = sandbox_start(o, &s.sandbox, &err);
    if (r == 0) {
        s.loop = loop_new(); /* after the fork: its descriptors are nobody else's */
        r = s.loop == NULL ? error_set(&err, -ENOMEM, "out of memory") : 0;
    }
    if (r < 0) {
        report_failed(slice_text(err.message), slice_of(NULL, 0), 0);
        sandbox_finish(&s.sandbox);
        return RUNNER_EXIT_FAILED;
    }
    tell_missing(&s);
    r = watch_all(&s);
    if (r == 0)
        r = confine_self(&s);
    if (r < 0)
        snprintf(s.problem, sizeof(s.problem), "cannot watch the program: %s", strerror(-r));
    else
        loop_run(s.loop);
    int status = finish(&s);
    loop_free(s.loop);
    close(s.signal_fd);
    return status;
}
