/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/exec.h"

#include "base/clock.h"
#include "base/encoding.h"
#include "base/fdio.h"
#include "base/memory.h"
#include "runner/runner.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define LISTENER_FD 3

struct serving {
    struct exec_server exec;
    struct http_server *http;
    struct loop_watch watch, signals;
    struct loop_timer timer;
};

void exec_log(bool is_error, struct slice line)
{
    autobuf text = BUF_INIT;
    buf_add_slice(&text, line);
    buf_add_byte(&text, '\n');
    if (buf_ok(&text))
        (void)fdio_write_all(is_error ? STDERR_FILENO : STDOUT_FILENO, text.ptr, text.len);
}

/* ---- settings ---- */

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    uint64_t value;
    return text != NULL && encoding_parse_u64(slice_text(text), &value) == 0 && value > 0
               ? value
               : otherwise;
}

/* A program of the code folder by its path, any other as it is (PATH is searched). */
static char *program_path(const char *word)
{
    char *path;
    const char *code = getenv("SLUICE_CODE");
    if (code == NULL || word[0] == '/' || asprintf(&path, "%s/%s", code, word) < 0)
        return strdup(word);
    if (access(path, F_OK) == 0)
        return path;
    free(path);
    return strdup(word);
}

static int read_words(struct exec_settings *s, struct error *err)
{
    const char *text = getenv("SLUICE_COMMAND"), *main_file = getenv("SLUICE_MAIN");
    json_t *words = text != NULL ? json_loads(text, 0, NULL) : NULL;
    size_t count = json_array_size(words);
    for (size_t i = 0; i < count && i < EXEC_WORDS_MAX; i++) {
        const char *word = json_string_value(json_array_get(words, i));
        s->words[i] = i == 0 ? program_path(word != NULL ? word : "") : strdup(word ? word : "");
    }
    json_decref(words);
    if (count == 0 && main_file != NULL)
        s->words[0] = program_path(main_file);
    if (s->words[0] == NULL || s->words[0][0] == '\0')
        return error_set(err, -ENOENT, "no program: name it in spec.main or spec.command");
    if (strchr(s->words[0], '/') != NULL && access(s->words[0], X_OK) < 0)
        return error_set(err, -errno, "%s cannot be run: %s", s->words[0], strerror(errno));
    return 0;
}

static int read_settings(struct exec_settings *s, struct error *err)
{
    const char *namespace_name = getenv("SLUICE_NAMESPACE"), *name = getenv("SLUICE_NAME");
    s->timeout_ns = number_of("SLUICE_TIMEOUT_MS", 30000) * CLOCK_MILLISECOND;
    s->request_bytes = number_of("SLUICE_REQUEST_BYTES", 1u << 20);
    s->response_bytes = number_of("SLUICE_RESPONSE_BYTES", 1u << 20);
    s->log_bytes = number_of("SLUICE_LOG_BYTES", 1u << 18);
    s->concurrency = (unsigned)number_of("SLUICE_CONCURRENCY", 16);
    snprintf(s->source, sizeof(s->source), "/functions/%.200s/%.200s",
             namespace_name != NULL ? namespace_name : "default", name != NULL ? name : "function");
    return read_words(s, err);
}

/* ---- requests ---- */

static void handle_health(struct http_request *request, void *ctx)
{
    const struct http_response response = {
        .status = 200, .content_type = "text/plain; charset=utf-8", .body = SLICE("OK")};
    http_respond(request, &response);
}

static void handle_call(struct http_request *request, void *ctx)
{
    struct serving *s = ctx;
    if (s->exec.running >= s->exec.settings.concurrency)
        http_respond_errorf(request, 503, "all %u calls at once that the function takes are busy",
                            s->exec.settings.concurrency);
    else
        exec_call(&s->exec, request);
}

static int start_http(struct serving *s, struct error *err)
{
    static struct http_route routes[] = {
        {HTTP_GET | HTTP_HEAD, "/health/liveness", handle_health, NULL, HTTP_ROLE_PUBLIC, 0, true,
         "answers as long as the server lives"},
        {HTTP_GET | HTTP_HEAD, "/health/readiness", handle_health, NULL, HTTP_ROLE_PUBLIC, 0, true,
         "answers once the program can be run"},
        {HTTP_ANY, "/{path...}", handle_call, NULL, HTTP_ROLE_PUBLIC, 0, true,
         "events and requests for the program"},
    };
    routes[2].ctx = s;
    routes[2].body_max = s->exec.settings.request_bytes;
    const char *fd = getenv("SLUICE_LISTEN_FD");
    const struct http_server_options options = {
        .listen_fd = fd != NULL ? LISTENER_FD : -1,
        .listen = fd != NULL ? NULL : "0.0.0.0:8080",
        .routes = routes,
        .route_count = COUNT_OF(routes),
    };
    return http_server_start(&options, &s->http, err);
}

/* ---- the loop ---- */

static void run_http(struct serving *s)
{
    http_server_run_once(s->http, 0, NULL);
}

static void on_http(struct loop_watch *w, uint32_t events)
{
    run_http(w->ctx);
}

static void on_timer(struct loop_timer *t)
{
    run_http(t->ctx);
}

/* Answers that were given in this turn go out, and the server's next date is kept. */
static void on_turn_end(void *ctx)
{
    struct serving *s = ctx;
    run_http(s);
    int wait = http_server_timeout_ms(s->http);
    if (wait >= 0)
        loop_timer_set(s->exec.loop, &s->timer,
                       loop_now(s->exec.loop) + (uint64_t)wait * CLOCK_MILLISECOND);
    else
        loop_timer_cancel(s->exec.loop, &s->timer);
    if (s->exec.ending && s->exec.running == 0)
        loop_stop(s->exec.loop);
}

static void on_signal(struct loop_watch *w, uint32_t events)
{
    struct serving *s = w->ctx;
    struct signalfd_siginfo info;
    (void)!read(w->fd, &info, sizeof(info));
    s->exec.ending = true;
    http_server_quiesce(s->http);
}

static int watch_all(struct serving *s)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return -errno;
    (void)signal(SIGPIPE, SIG_IGN);
    int signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    s->watch = (struct loop_watch){.ready = on_http, .ctx = s};
    s->signals = (struct loop_watch){.ready = on_signal, .ctx = s};
    s->timer = (struct loop_timer){.due = on_timer, .ctx = s};
    int r = signals < 0 ? -errno : loop_watch(s->exec.loop, &s->signals, signals, EPOLLIN);
    if (r == 0)
        r = loop_watch(s->exec.loop, &s->watch, http_server_fd(s->http), EPOLLIN);
    loop_set_end_of_turn(s->exec.loop, on_turn_end, s);
    return r;
}

int mode_exec(void)
{
    static struct serving s;
    struct error err = ERROR_INIT;
    int r = read_settings(&s.exec.settings, &err);
    if (r == 0) {
        (void)fcntl(LISTENER_FD, F_SETFD, FD_CLOEXEC);
        s.exec.loop = loop_new();
        r = s.exec.loop == NULL ? error_set(&err, -ENOMEM, "out of memory") : start_http(&s, &err);
    }
    if (r == 0 && (r = watch_all(&s)) < 0)
        error_set(&err, r, "cannot serve: %s", strerror(-r));
    if (r < 0) {
        exec_log(true, slice_text(err.message));
        return EXIT_FAILURE;
    }
    loop_run(s.exec.loop);
    return EXIT_SUCCESS;
}
