/* SPDX-License-Identifier: Apache-2.0 */
/* sluice function test: the project's cases against the function in its runtime, without a broker.
 */
#include "base/clock.h"
#include "base/memory.h"
#include "cli/exchange.h"
#include "cli/instance.h"
#include "cli/testcase.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define START_NS (120 * CLOCK_SECOND) /* packages may have to be installed */
#define LOG_NS   CLOCK_SECOND         /* for expected lines that come behind the answer */

struct test {
    const struct cli_call *call;
    struct instance instance;
    struct direct *http;
    char address[280];
    json_t *printed; /* texts of the current case's log lines */
    bool json;
    json_t *results;
    struct table *table;
    struct buf complaints; /* of all cases, for the end */
    unsigned passed, failed;
};

static void keep_log(void *ctx, const json_t *report)
{
    struct test *t = ctx;
    json_t *text = json_object_get(report, "text");
    if (text != NULL)
        json_array_append(t->printed, text);
}

/* Reads reports until done() holds. False: too late, or the process ended. */
static bool wait_for(struct test *t, bool (*done)(const struct test *t, const void *ctx),
                     const void *ctx, uint64_t limit_ns)
{
    uint64_t deadline = clock_monotonic() + limit_ns;
    for (;;) {
        bool more = instance_read(&t->instance, keep_log, t);
        if (done(t, ctx))
            return true;
        uint64_t now = clock_monotonic();
        if (!more || now >= deadline)
            return false;
        struct pollfd p = {.fd = t->instance.report, .events = POLLIN};
        (void)poll(&p, 1, (int)((deadline - now) / CLOCK_MILLISECOND) + 1);
    }
}

static bool has_started(const struct test *t, const void *ctx)
{
    return t->instance.state != INSTANCE_STARTING;
}

static bool has_log(const struct test *t, const void *ctx)
{
    return testcase_missing_log(ctx, t->printed) == NULL;
}

/* ---- one case ---- */

static int send_request(struct test *t, const struct testcase_request *q,
                        struct remote_reply *reply, struct error *err)
{
    autobuf url = BUF_INIT;
    buf_printf(&url, "http://%s%s%s", t->address, q->path[0] == '/' ? "" : "/", q->path);
    if (!buf_ok(&url))
        return error_set(err, -ENOMEM, "out of memory");
    struct remote_request request = {.method = q->method,
                                     .headers = buf_slice(&q->headers),
                                     .body = buf_slice(&q->body),
                                     .has_body = q->has_body};
    struct exchange x = {.request = &request,
                         .reply = reply,
                         .url = url.ptr,
                         .server = "the function",
                         .limit_ns = EXCHANGE_ANSWER_SECONDS * CLOCK_SECOND};
    int status = exchange_split(&x, err);
    return status < 0 ? status : direct_exchange(t->http, &x, err);
}

static void run_request(struct test *t, const struct testcase *c, struct buf *complaints)
{
    struct testcase_request q;
    struct remote_reply reply = {0};
    struct error err = ERROR_INIT;
    if (testcase_request(c, &q, &err) < 0) {
        buf_printf(complaints, "%s\n", err.message);
        return;
    }
    if (send_request(t, &q, &reply, &err) < 0) {
        buf_printf(complaints, "%s\n", err.message);
    } else {
        const struct testcase_answer answer = {reply.status, buf_slice(&reply.headers),
                                               buf_slice(&reply.body)};
        testcase_compare(c, &answer, complaints);
    }
    if (!wait_for(t, has_log, c, LOG_NS))
        buf_printf(complaints, "log: no line with \"%s\"\n", testcase_missing_log(c, t->printed));
    testcase_request_done(&q);
    remote_reply_done(&reply);
}

static void add_log_lines(const struct test *t, struct buf *out)
{
    size_t i;
    json_t *line;
    json_array_foreach(t->printed, i, line)
        buf_printf(out, "it printed: %s\n", json_string_value(line));
}

static void note_result(struct test *t, const struct testcase *c, const struct buf *complaints,
                        uint64_t ns)
{
    bool passed = complaints->len == 0;
    char time[32];
    snprintf(time, sizeof(time), "%.1f ms", (double)ns / 1e6);
    *(passed ? &t->passed : &t->failed) += 1;
    if (t->json) {
        json_array_append_new(
            t->results, json_pack("{s:s, s:s, s:b, s:f, s:s, s:O}", "name", c->name, "file",
                                  c->file, "passed", passed, "milliseconds", (double)ns / 1e6,
                                  "complaints", passed ? "" : complaints->ptr, "log", t->printed));
        return;
    }
    table_add(t->table, passed ? "passed" : "FAILED");
    table_add(t->table, c->name);
    table_add(t->table, time);
    if (!passed)
        buf_printf(&t->complaints, "\n%s: %s\n%s", c->file, c->name, complaints->ptr);
}

static void run_case(struct test *t, const struct testcase *c)
{
    autobuf complaints = BUF_INIT;
    uint64_t start = clock_monotonic();
    json_decref(t->printed); /* the results may hold the last one */
    t->printed = json_array();
    run_request(t, c, &complaints);
    uint64_t end = clock_monotonic();
    if (complaints.len > 0)
        add_log_lines(t, &complaints);
    note_result(t, c, &complaints, end - start);
}

/* ---- all of them ---- */

static void print_complaints(struct slice text)
{
    while (text.len > 0) {
        const char *end = memchr(text.ptr, '\n', text.len);
        size_t len = end != NULL ? (size_t)(end - text.ptr) : text.len;
        terminal_print_safe(stdout, slice_of(text.ptr, len));
        putchar('\n');
        text = slice_of(text.ptr + len + (end != NULL), text.len - len - (end != NULL));
    }
}

static void print_results(struct test *t)
{
    if (t->json) {
        json_dumpf(t->results, stdout, JSON_INDENT(2));
        putchar('\n');
        return;
    }
    table_print(t->table, stdout);
    print_complaints(buf_slice(&t->complaints));
    printf("\n%u passed, %u failed\n", t->passed, t->failed);
}

static int start(struct test *t, const struct project *p)
{
    struct instance_code code;
    int listener = instance_listen("127.0.0.1:0", t->address);
    int status = listener < 0 ? -EINVAL : instance_code_make(p, &code);
    if (status == 0) {
        status = instance_start(p, &code, listener, &t->instance);
        instance_code_done(&code);
    }
    if (listener >= 0)
        close(listener);
    if (status < 0)
        return status;
    if (!wait_for(t, has_started, NULL, START_NS)) {
        terminal_error("the function's process ended before it was ready");
        return -EIO;
    }
    return t->instance.state == INSTANCE_READY ? 0 : -EIO;
}

static bool is_wanted(const struct cli_call *call, const struct testcase *c)
{
    const char *part = cli_call_value(call, "case");
    return part == NULL || strstr(c->name, part) != NULL;
}

static int run_all(struct test *t, const struct testcases *cases)
{
    for (size_t i = 0; i < cases->count; i++) {
        if (is_wanted(t->call, &cases->items[i]))
            run_case(t, &cases->items[i]);
    }
    if (t->passed + t->failed == 0) {
        terminal_error("no case has this text in its name");
        return CLI_FAILED;
    }
    print_results(t);
    return t->failed == 0 ? CLI_OK : CLI_FAILED;
}

static int test_project(struct test *t, const struct project *p, const struct testcases *cases)
{
    t->http = direct_new();
    t->printed = json_array();
    t->results = json_array();
    t->table = table_new(3);
    if (t->http == NULL || t->printed == NULL || t->results == NULL || t->table == NULL) {
        terminal_error("out of memory");
        return CLI_FAILED;
    }
    table_add(t->table, "RESULT");
    table_add(t->table, "CASE");
    table_add(t->table, "TIME");
    int code = start(t, p) == 0 ? run_all(t, cases) : CLI_FAILED;
    direct_free(STEAL(t->http));
    instance_end(&t->instance, false);
    return code;
}

/* Where the cases are: as it was said, or beside the project. */
static int load_cases(const struct cli_call *call, const struct project *p, struct testcases *cases)
{
    const char *named = cli_call_value(call, "cases");
    autobuf path = BUF_INIT;
    buf_printf(&path, "%s/tests", p->folder);
    if (!buf_ok(&path))
        return -ENOMEM;
    if (named == NULL && access(path.ptr, F_OK) < 0) {
        terminal_error("%s has no folder tests with cases in it", p->folder);
        terminal_hint("--cases FILE says where they are; docs/functions-cli.md tells their form");
        return -ENOENT;
    }
    int status = testcases_load(cases, named != NULL ? named : path.ptr);
    if (status == 0 && cases->count == 0) {
        terminal_error("%s has no cases in it", named != NULL ? named : path.ptr);
        return -ENOENT;
    }
    return status;
}

int cli_function_test(const struct cli_call *call)
{
    struct project project;
    struct testcases cases = {0};
    const struct project_options options = {.call = call, .namespace_name = "default"};
    struct test t = {.call = call,
                     .instance = {.pidfd = -1, .report = -1},
                     .json = strcmp(cli_call_value(call, "output"), "json") == 0,
                     .complaints = BUF_INIT};
    if (project_load(call->arguments[0], &options, &project) < 0)
        return CLI_FAILED;
    int code =
        load_cases(call, &project, &cases) == 0 ? test_project(&t, &project, &cases) : CLI_FAILED;
    testcases_done(&cases);
    project_done(&project);
    json_decref(t.printed);
    json_decref(t.results);
    table_free(t.table);
    buf_done(&t.complaints);
    return code;
}
