/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include "base/log.h"
#include "base/must.h"
#include "worker/program.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define FIXTURE_HEADERS_MAX 16
#define FIXTURE_REPORTS_MAX (1024 * 1024)

struct http_request {
    const char *method;
    char *path, *query, *body_text;
    struct http_header headers[FIXTURE_HEADERS_MAX];
    size_t header_count;
    struct slice body;
    struct answer answer;
    bool is_answered;
};

static struct answer *last; /* for messages */
static int report_pipe[2];
static char reports[FIXTURE_REPORTS_MAX];
static size_t report_len;
static struct bundle bundle;

/* ---- in place of http/server.c and http/response.c ---- */

const char *http_request_method_text(const struct http_request *r)
{
    return r->method;
}

struct slice http_request_path(const struct http_request *r)
{
    return slice_text(r->path);
}

struct slice http_request_query(const struct http_request *r)
{
    return slice_text(r->query);
}

enum http_method http_request_method(const struct http_request *r)
{
    return strcmp(http_request_method_text(r), "GET") == 0 ? HTTP_GET : HTTP_POST;
}

unsigned http_request_minor_version(const struct http_request *r)
{
    return 1;
}

struct slice http_request_body(const struct http_request *r)
{
    return r->body;
}

void http_request_each_header(const struct http_request *r,
                              void (*each)(void *ctx, struct slice name, struct slice value),
                              void *ctx)
{
    for (size_t i = 0; i < r->header_count; i++)
        each(ctx, r->headers[i].name, r->headers[i].value);
}

static struct answer *begin_answer(struct http_request *r, unsigned status)
{
    expect(!r->is_answered);
    r->is_answered = true;
    last = &r->answer;
    last->status = status;
    return last;
}

void http_respond(struct http_request *r, const struct http_response *response)
{
    struct answer *answer = begin_answer(r, response->status);
    if (response->content_type != NULL)
        buf_printf(&answer->headers, "Content-Type: %s\n", response->content_type);
    for (size_t i = 0; i < response->header_count; i++) {
        buf_add_slice(&answer->headers, response->headers[i].name);
        buf_add_text(&answer->headers, ": ");
        buf_add_slice(&answer->headers, response->headers[i].value);
        buf_add_byte(&answer->headers, '\n');
    }
    buf_add_slice(&answer->body, response->body);
}

void http_respond_error(struct http_request *r, unsigned status, const struct error *err)
{
    buf_add_text(&begin_answer(r, status)->body, err->message);
}

void http_respond_errorf(struct http_request *r, unsigned status, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    buf_add_text(&begin_answer(r, status)->body, text);
}

void http_respond_empty(struct http_request *r, unsigned status)
{
    begin_answer(r, status);
}

const char *http_status_text(unsigned status)
{
    return status == 504 ? "Gateway Timeout" : "Internal Server Error";
}

/* Not used by what is tested here. */
int http_server_start(const struct http_server_options *options, struct http_server **ret,
                      struct error *err)
{
    abort();
}

const char *http_server_address(const struct http_server *s)
{
    abort();
}

int http_server_fd(struct http_server *s)
{
    abort();
}

int http_server_timeout_ms(struct http_server *s)
{
    abort();
}

void http_server_run_once(struct http_server *s, int timeout_ms, const sigset_t *waiting)
{
    abort();
}

/* ---- the fixture ---- */

_Noreturn void fixture_expect_failed(const char *file, int line, const char *condition)
{
    char text[1024];
    int n = snprintf(text, sizeof(text), "%s:%d: %s\n  status %u\n  body %.400s\n", file, line,
                     condition, last != NULL ? last->status : 0,
                     last != NULL && last->body.ptr != NULL ? last->body.ptr : "");
    (void)!write(STDERR_FILENO, text, (size_t)n);
    _exit(1);
}

void fixture_contains(const char *file, int line, const char *text, const char *part)
{
    if (strstr(text, part) != NULL)
        return;
    char message[2048];
    snprintf(message, sizeof(message), "\"%.900s\" contains \"%.900s\"", text, part);
    fixture_expect_failed(file, line, message);
}

void fixture_prepare(void)
{
    struct error err = ERROR_INIT;
    log_setup("test", LOG_LEVEL_WARN, false);
    if (guard_init(&err) < 0 || engine_init(&err) < 0 || program_prepare(&err) < 0) {
        fprintf(stderr, "%s\n", err.message);
        abort();
    }
}

bool fixture_run(void (*test)(void), int *ended)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        struct error err = ERROR_INIT;
        entropy_reset();
        /* cmocka has put its own handlers in place of the guard's. */
        if (guard_init(&err) < 0 || pipe2(report_pipe, O_NONBLOCK | O_CLOEXEC) != 0 ||
            guard_start_timer(&err) < 0)
            _exit(3);
        fcntl(report_pipe[1], F_SETPIPE_SZ, FIXTURE_REPORTS_MAX);
        report_setup(report_pipe[1], false);
        test();
        _exit(0);
    }
    int status = -1;
    if (pid > 0)
        waitpid(pid, &status, 0);
    if (ended != NULL)
        *ended = status;
    return status == 0;
}

bool fixture_load_bundle(const char *json, struct module *module)
{
    struct error err = ERROR_INIT;
    if (bundle_parse(slice_text(json), &bundle, &err) < 0) {
        report_failed_text(err.message);
        return false;
    }
    return program_load(&bundle, module) == 0;
}

void fixture_load(const char *isolation, const char *limits, const char *source)
{
    struct buf json = BUF_INIT;
    buf_printf(&json,
               "{\"namespace\":\"ns\",\"name\":\"f\",\"runtime\":\"js\",\"isolation\":\"%s\","
               "\"limits\":{%s},\"env\":{\"LEVEL\":\"debug\"},\"files\":{\"index.js\":",
               isolation, limits);
    buf_add_json_string(&json, slice_text(source));
    buf_add_text(&json, "}}");
    if (!fixture_load_bundle(json.ptr, NULL))
        fixture_expect_failed(__FILE__, __LINE__, fixture_reports());
    buf_done(&json);
}

static void add_header(struct http_request *r, const char *name, const char *value)
{
    r->headers[r->header_count++] = (struct http_header){slice_text(name), slice_text(value)};
}

static struct http_request *new_request(const char *method, const char *path, const char *body)
{
    struct http_request *r = calloc(1, sizeof(*r));
    must(r != NULL);
    const char *query = strchr(path, '?');
    r->method = method;
    r->query = query != NULL ? strdup(query + 1) : strdup("");
    r->path = strndup(path, query != NULL ? (size_t)(query - path) : strlen(path));
    r->body_text = strdup(body);
    r->body = slice_text(r->body_text);
    return r;
}

static struct http_request *handle(struct http_request *r)
{
    admission_begin_turn();
    call_handle(r, NULL);
    return r;
}

const struct answer *fixture_finish(struct http_request *r)
{
    while (!r->is_answered)
        wait_turn(NULL, UINT64_MAX, NULL);
    static struct answer answer;
    buf_done(&answer.headers);
    buf_done(&answer.body);
    answer = r->answer;
    last = &answer;
    free(r->path);
    free(r->query);
    free(r->body_text);
    free(r);
    return &answer;
}

bool fixture_is_answered(const struct http_request *r)
{
    return r->is_answered;
}

struct http_request *fixture_begin(const char *path, const char *id, const char *data)
{
    struct http_request *r = new_request("POST", path, data);
    add_header(r, "Host", "localhost");
    add_header(r, "ce-specversion", "1.0");
    add_header(r, "ce-id", id);
    add_header(r, "ce-type", "test.type");
    add_header(r, "ce-source", "/test");
    add_header(r, "Content-Type", "application/json");
    return handle(r);
}

const struct answer *fixture_event(const char *data)
{
    return fixture_finish(fixture_begin("/", "event-1", data));
}

const struct answer *fixture_post(const struct http_header *headers, size_t count, const char *body)
{
    struct http_request *r = new_request("POST", "/", body);
    for (size_t i = 0; i < count && i < FIXTURE_HEADERS_MAX; i++)
        r->headers[r->header_count++] = headers[i];
    return fixture_finish(handle(r));
}

const struct answer *fixture_request(const char *method, const char *path, const char *type,
                                     const char *body)
{
    struct http_request *r = new_request(method, path, body);
    add_header(r, "Host", "localhost");
    if (type != NULL)
        add_header(r, "Content-Type", type);
    return fixture_finish(handle(r));
}

const char *fixture_reports(void)
{
    ssize_t n;
    while ((n = read(report_pipe[0], reports + report_len, sizeof(reports) - 1 - report_len)) > 0)
        report_len += (size_t)n;
    reports[report_len] = '\0';
    return reports;
}

const char *fixture_body(const struct answer *a)
{
    return a->body.ptr != NULL ? a->body.ptr : "";
}
