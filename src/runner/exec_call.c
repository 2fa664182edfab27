/* SPDX-License-Identifier: Apache-2.0 */
/* One request: a process with three pipes, within limits. It is over when the program's process has
 * ended; what it left running in its process group is killed then. */
#include "runner/exec.h"

#include "base/clock.h"
#include "base/fdio.h"
#include "base/memory.h"
#include "base/random.h"
#include "gateway/answer.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define HEADERS_MAX   128
#define VARIABLES_MAX 4096
#define TAIL_MAX      400
#define LINE_MAX_LOG  16384
#define READS_A_TURN  8

struct call {
    struct exec_server *server;
    struct http_request *request;
    struct event event;
    bool has_event;
    struct event_arena arena;
    struct buf input, output;
    struct buf line, tail; /* of what it writes to standard error */
    size_t input_at, logged;
    bool log_cut;
    pid_t pid;
    struct loop_watch in, out, err, process;
    struct loop_timer deadline;
    const char *limit; /* kind of the one that ended it, or NULL */
    int status;
};

/* ---- what goes in ---- */

struct headers {
    struct stdio_field list[HEADERS_MAX];
    unsigned count;
};

static void collect_header(void *ctx, struct slice name, struct slice value)
{
    struct headers *h = ctx;
    if (h->count < HEADERS_MAX)
        h->list[h->count++] = (struct stdio_field){name, value};
}

struct probe_kind {
    struct slice content_type;
    bool has_ce;
};

static void probe_header(void *ctx, struct slice name, struct slice value)
{
    struct probe_kind *p = ctx;
    if (name.len > 3 && strncasecmp(name.ptr, "ce-", 3) == 0)
        p->has_ce = true;
    else if (slice_is_nocase(name, "content-type"))
        p->content_type = value;
}

static void read_header(void *ctx, struct slice name, struct slice value)
{
    event_http_header(ctx, name, value);
}

/* 0, or negative: what claims to be an event is none. */
static int read_event(struct call *c, struct error *err)
{
    struct probe_kind p = {0};
    struct event_http_reader reader;
    http_request_each_header(c->request, probe_header, &p);
    enum event_mode mode = event_mode_of(p.content_type, p.has_ce);
    c->has_event = mode != EVENT_MODE_NONE;
    if (mode == EVENT_MODE_BATCH)
        return error_set(err, -ENOTSUP, "a function takes one event at a time, not a batch");
    if (mode == EVENT_MODE_STRUCTURED)
        return event_json_read(http_request_body(c->request), &c->event, &c->arena, err);
    if (mode == EVENT_MODE_NONE)
        return 0;
    event_http_begin(&reader, &c->event, &c->arena, err);
    http_request_each_header(c->request, read_header, &reader);
    return event_http_finish(&reader, http_request_body(c->request));
}

struct variables {
    char *all[VARIABLES_MAX + 1];
    size_t count, given;
    bool failed;
};

/* What was there before, the function's own among it, is not for a request to change. */
static void add_variable(void *ctx, struct slice variable)
{
    struct variables *v = ctx;
    struct slice name = stdio_variable_name(variable);
    for (size_t i = 0; i < v->given; i++)
        if (strncmp(v->all[i], name.ptr, name.len) == 0 && v->all[i][name.len] == '=')
            return;
    char *copy = v->count < VARIABLES_MAX ? slice_dup(variable) : NULL;
    v->failed |= copy == NULL;
    if (copy != NULL)
        v->all[v->count++] = copy;
}

/* What the runner says to this server is not the program's business. */
static bool is_servers(const char *variable)
{
    return strncmp(variable, "SLUICE_LISTEN_FD=", 17) == 0 ||
           strncmp(variable, "SLUICE_COMMAND=", 15) == 0;
}

static int make_input(struct call *c, struct variables *v)
{
    struct headers *h = calloc(1, sizeof(*h));
    if (h == NULL)
        return -ENOMEM;
    http_request_each_header(c->request, collect_header, h);
    const struct stdio_request request = {
        .event = c->has_event ? &c->event : NULL,
        .method = slice_text(http_request_method_text(c->request)),
        .path = http_request_path(c->request),
        .query = http_request_query(c->request),
        .body = http_request_body(c->request),
        .headers = h->list,
        .header_count = h->count,
    };
    for (char **at = environ; *at != NULL && v->count < VARIABLES_MAX; at++)
        if (!is_servers(*at))
            v->all[v->count++] = *at;
    v->given = v->count;
    stdio_input(&request, &c->input);
    int r = stdio_environment(&request, c->input.len, add_variable, v);
    free(h);
    return r < 0 || v->failed || !buf_ok(&c->input) ? -ENOMEM : 0;
}

/* ---- the process ---- */

static _Noreturn void run_child(const struct call *c, char **envp, const int ends[3])
{
    sigset_t none;
    sigemptyset(&none);
    (void)setpgid(0, 0);
    for (int i = 0; i < 3; i++)
        if (dup2(ends[i], i) < 0)
            _exit(127);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL);
    char **words = c->server->settings.words;
    execvpe(words[0], words, envp);
    dprintf(STDERR_FILENO, "cannot run %s: %s\n", words[0], strerror(errno));
    _exit(127);
}

static void close_all(int fds[6])
{
    for (int i = 0; i < 6; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

/* ours: to write its input, to read its output, to read its errors. */
static int spawn(struct call *c, char **envp, int ours[3])
{
    int fds[6] = {-1, -1, -1, -1, -1, -1};
    if (pipe2(fds, O_CLOEXEC) < 0 || pipe2(fds + 2, O_CLOEXEC) < 0 ||
        pipe2(fds + 4, O_CLOEXEC) < 0 || fdio_set_nonblocking(fds[1]) < 0 ||
        fdio_set_nonblocking(fds[2]) < 0 || fdio_set_nonblocking(fds[4]) < 0) {
        int r = -errno;
        close_all(fds);
        return r;
    }
    const int theirs[3] = {fds[0], fds[3], fds[5]};
    c->pid = fork();
    if (c->pid == 0)
        run_child(c, envp, theirs);
    int r = c->pid < 0 ? -errno : 0;
    if (r == 0)
        (void)setpgid(c->pid, c->pid);
    ours[0] = STEAL_FD(fds[1]);
    ours[1] = STEAL_FD(fds[2]);
    ours[2] = STEAL_FD(fds[4]);
    close_all(fds);
    return r;
}

/* ---- its output ---- */

static void close_watch(struct call *c, struct loop_watch *w)
{
    if (!w->active)
        return;
    loop_unwatch(c->server->loop, w);
    close(w->fd);
}

static void end_by(struct call *c, const char *limit)
{
    if (c->limit == NULL)
        c->limit = limit;
    if (c->pid > 0)
        (void)kill(-c->pid, SIGKILL);
}

static void on_input(struct loop_watch *w, uint32_t events)
{
    struct call *c = w->ctx;
    ssize_t n = write(w->fd, c->input.ptr + c->input_at, c->input.len - c->input_at);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    c->input_at += n > 0 ? (size_t)n : 0;
    if (n < 0 || c->input_at == c->input.len)
        close_watch(c, w); /* it need not read all */
}

static void read_output(struct call *c)
{
    size_t max = c->server->settings.response_bytes + STDIO_HEAD_MAX;
    for (int i = 0; i < READS_A_TURN && c->out.active; i++) {
        char *at = buf_reserve(&c->output, 16384);
        ssize_t n = at != NULL ? read(c->out.fd, at, 16384) : 0;
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0) {
            close_watch(c, &c->out);
            return;
        }
        c->output.len += (size_t)n;
        if (c->output.len > max) {
            end_by(c, "output");
            close_watch(c, &c->out);
        }
    }
}

static void on_output(struct loop_watch *w, uint32_t events)
{
    read_output(w->ctx);
}

static void log_line(struct call *c, struct slice line)
{
    if (c->logged + line.len > c->server->settings.log_bytes) {
        if (!c->log_cut)
            exec_log(true, SLICE("the rest of this call's log is left out: it has more bytes than "
                                 "the limit"));
        c->log_cut = true;
        return;
    }
    c->logged += line.len + 1;
    exec_log(false, line);
}

static void keep_tail(struct call *c, const char *bytes, size_t len)
{
    buf_add(&c->tail, bytes, len);
    if (c->tail.len > 4096) {
        memmove(c->tail.ptr, c->tail.ptr + c->tail.len - TAIL_MAX, TAIL_MAX);
        c->tail.len = TAIL_MAX;
    }
}

static void take_errors(struct call *c, const char *bytes, size_t len)
{
    keep_tail(c, bytes, len);
    while (len > 0) {
        const char *newline = memchr(bytes, '\n', len);
        size_t part = newline != NULL ? (size_t)(newline - bytes) : len;
        buf_add(&c->line, bytes, part);
        if (newline != NULL || c->line.len > LINE_MAX_LOG) {
            log_line(c, buf_slice(&c->line));
            buf_reset(&c->line);
        }
        part += newline != NULL;
        bytes += part;
        len -= part;
    }
}

static void read_errors(struct call *c)
{
    char bytes[8192];
    for (int i = 0; i < READS_A_TURN && c->err.active; i++) {
        ssize_t n = read(c->err.fd, bytes, sizeof(bytes));
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0)
            close_watch(c, &c->err);
        else
            take_errors(c, bytes, (size_t)n);
    }
}

static void on_errors(struct loop_watch *w, uint32_t events)
{
    read_errors(w->ctx);
}

static void on_deadline(struct loop_timer *t)
{
    end_by(t->ctx, "time");
}

/* ---- the end ---- */

static void call_free(struct call *c)
{
    close_watch(c, &c->in);
    close_watch(c, &c->out);
    close_watch(c, &c->err);
    close_watch(c, &c->process);
    loop_timer_cancel(c->server->loop, &c->deadline);
    event_arena_done(&c->arena);
    buf_done(&c->input);
    buf_done(&c->output);
    buf_done(&c->line);
    buf_done(&c->tail);
    c->server->running--;
    free(c);
}

static void fail(struct call *c, unsigned status, const char *kind, const char *message)
{
    struct slice id = c->has_event ? event_get(&c->event, "id") : slice_of(NULL, 0);
    const struct gateway_failure failure = {status, kind, message};
    exec_log(true, slice_text(message));
    gateway_answer_failure(c->request, id, &failure);
}

static void fail_limit(struct call *c)
{
    char message[160];
    const struct exec_settings *s = &c->server->settings;
    if (strcmp(c->limit, "time") == 0) {
        snprintf(message, sizeof(message),
                 "the function took longer than its time limit of %llu ms",
                 (unsigned long long)(s->timeout_ns / CLOCK_MILLISECOND));
        fail(c, 504, "time", message);
    } else {
        snprintf(message, sizeof(message), "the answer has more bytes than the limit of %llu",
                 (unsigned long long)s->response_bytes);
        fail(c, 500, "output", message);
    }
}

static void fail_exit(struct call *c)
{
    char message[TAIL_MAX + 160];
    struct slice tail = buf_slice(&c->tail);
    while (tail.len > 0 && memchr(" \r\n", tail.ptr[tail.len - 1], 3) != NULL)
        tail.len--;
    if (tail.len > TAIL_MAX)
        tail = slice_of(tail.ptr + tail.len - TAIL_MAX, TAIL_MAX);
    const char *colon = tail.len > 0 ? ": " : "";
    if (WIFSIGNALED(c->status))
        snprintf(message, sizeof(message), "the program was ended by signal %d%s" SLICE_FMT,
                 WTERMSIG(c->status), colon, SLICE_ARG(tail));
    else
        snprintf(message, sizeof(message), "the program ended with exit code %d%s" SLICE_FMT,
                 WEXITSTATUS(c->status), colon, SLICE_ARG(tail));
    fail(c, 500, "exit", message);
}

static void answer_output(struct call *c, struct stdio_reply *reply)
{
    char id[RANDOM_UUID_SIZE], now[CLOCK_RFC3339_SIZE], message[384];
    struct error err = ERROR_INIT;
    random_uuid(id);
    size_t now_len = clock_format_rfc3339(clock_realtime(), 3, now);
    const struct event_defaults defaults = {slice_text(id), slice_text(c->server->settings.source),
                                            slice_of(now, now_len)};
    int r = !buf_ok(&c->output)
                ? error_set(&err, -ENOMEM, "out of memory")
                : stdio_reply_read(buf_slice(&c->output), &defaults, &c->arena, reply, &err);
    if (r < 0) {
        snprintf(message, sizeof(message), "the program's reply is no good event: %s", err.message);
        fail(c, 500, "exception", message);
    } else if ((reply->is_event ? reply->event.data.len : reply->body.len) >
               c->server->settings.response_bytes) {
        c->limit = "output";
        fail_limit(c);
    } else if (reply->is_event) {
        gateway_answer_event(c->request, &reply->event);
    } else {
        gateway_answer_plain(c->request, reply);
    }
}

static void read_answer(struct call *c)
{
    struct stdio_reply *reply = calloc(1, sizeof(*reply)); /* too large for the stack */
    if (reply == NULL)
        fail(c, 503, "memory", "out of memory");
    else
        answer_output(c, reply);
    free(reply);
}

static void on_exit_of_process(struct loop_watch *w, uint32_t events)
{
    struct call *c = w->ctx;
    siginfo_t info = {0};
    /* The group outlives its first process as long as that is not waited for. */
    if (waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR)
        return;
    (void)kill(-c->pid, SIGKILL);
    while (waitpid(c->pid, &c->status, 0) < 0 && errno == EINTR)
        ;
    c->pid = 0;
    read_errors(c);
    for (size_t before = c->output.len + 1; c->out.active && c->output.len != before;) {
        before = c->output.len;
        read_output(c);
    }
    if (c->line.len > 0)
        log_line(c, buf_slice(&c->line));
    if (c->limit != NULL)
        fail_limit(c);
    else if (!WIFEXITED(c->status) || WEXITSTATUS(c->status) != 0)
        fail_exit(c);
    else
        read_answer(c);
    call_free(c);
}

static int watch_all(struct call *c, int ours[3])
{
    struct loop *loop = c->server->loop;
    const struct {
        struct loop_watch *watch;
        void (*ready)(struct loop_watch *w, uint32_t events);
        uint32_t events;
    } all[] = {
        {&c->in, on_input, EPOLLOUT},
        {&c->out, on_output, EPOLLIN},
        {&c->err, on_errors, EPOLLIN},
    };
    int r = 0;
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        *all[i].watch = (struct loop_watch){.ready = all[i].ready, .ctx = c};
        if (r == 0)
            r = loop_watch(loop, all[i].watch, ours[i], all[i].events);
        if (!all[i].watch->active)
            close(ours[i]);
    }
    int fd = c->pid > 0 ? (int)syscall(SYS_pidfd_open, c->pid, 0) : -1;
    c->process = (struct loop_watch){.ready = on_exit_of_process, .ctx = c};
    if (r == 0)
        r = fd < 0 ? -errno : loop_watch(loop, &c->process, fd, EPOLLIN);
    loop_timer_set(loop, &c->deadline, loop_now(loop) + c->server->settings.timeout_ns);
    return r;
}

static int start(struct call *c)
{
    int ours[3] = {-1, -1, -1};
    struct variables *v = calloc(1, sizeof(*v));
    if (v == NULL)
        return -ENOMEM;
    int r = make_input(c, v);
    if (r == 0) {
        r = spawn(c, v->all, ours);
        if (r == 0)
            r = watch_all(c, ours);
        else
            for (int i = 0; i < 3; i++)
                if (ours[i] >= 0)
                    close(ours[i]);
    }
    for (size_t i = v->given; i < v->count; i++)
        free(v->all[i]);
    free(v);
    return r;
}

void exec_call(struct exec_server *s, struct http_request *request)
{
    struct error err = ERROR_INIT;
    struct call *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        http_respond_errorf(request, 503, "no memory for the request");
        return;
    }
    c->server = s;
    c->request = request;
    c->deadline.due = on_deadline;
    c->deadline.ctx = c;
    s->running++;
    int r = read_event(c, &err);
    if (r < 0) {
        http_respond_error(request, r == -E2BIG ? 413 : 400, &err);
        call_free(c);
        return;
    }
    r = start(c);
    if (r < 0) {
        if (c->pid > 0) {
            (void)kill(-c->pid, SIGKILL);
            (void)waitpid(c->pid, NULL, 0);
        }
        http_respond_errorf(request, 503, "the program could not be started: %s", strerror(-r));
        call_free(c);
    }
}
