/* SPDX-License-Identifier: Apache-2.0 */
/* sluice replay: POST, GET and DELETE /-/replay/{namespace}/{trigger}. */
#include "base/clock.h"
#include "base/memory.h"
#include "cli/inspect.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PAUSE_NS (200 * CLOCK_MILLISECOND)

static void make_path(const struct cli_call *call, struct buf *out)
{
    buf_add_text(out, "/-/replay/");
    remote_escape(slice_text(cli_call_value(call, "namespace")), out);
    buf_add_byte(out, '/');
    remote_escape(slice_text(call->arguments[0]), out);
}

/* An answer of 2xx as JSON. */
static int ask(struct remote *r, const char *method, const char *path, const char *body,
               json_t **ret, struct error *err)
{
    struct remote_reply reply = {0};
    struct remote_request request = {.method = method,
                                     .path = path,
                                     .content_type = body != NULL ? "application/json" : NULL,
                                     .body = slice_text(body != NULL ? body : ""),
                                     .has_body = body != NULL};
    int status = remote_call(r, &request, &reply, err);
    *ret = status == 0 ? json_loadb(reply.body.ptr, reply.body.len, 0, NULL) : NULL;
    if (status == 0 && *ret == NULL)
        status = error_set(err, -EBADMSG, "the server's answer is no JSON");
    remote_reply_done(&reply);
    return status;
}

static long long number(const json_t *o, const char *member)
{
    return (long long)json_integer_value(json_object_get(o, member));
}

static bool is_over(const json_t *o)
{
    return strcmp(inspect_text(o, "state"), "reading") != 0 &&
           number(o, "done") == number(o, "matched");
}

static unsigned percent(const json_t *o)
{
    long long from = number(o, "from"), to = number(o, "to"), at = number(o, "at");
    if (to < from || at > to)
        return 100;
    return at > from ? (unsigned)((at - from) * 100 / (to - from + 1)) : 0;
}

/* reading   12 % of positions 1 to 1042   matched 31, done 17 */
static void print_state(FILE *out, const json_t *o)
{
    fprintf(out, "%-9s ", inspect_text(o, "state"));
    long long at = number(o, "at"), to = number(o, "to");
    if (json_is_null(json_object_get(o, "from")))
        fprintf(out, "looking for the first event, at position %lld of %lld", at < to ? at : to,
                to);
    else
        fprintf(out, "%3u %% of positions %lld to %lld", percent(o), number(o, "from"), to);
    fprintf(out, "   matched %lld, delivered %lld", number(o, "matched"), number(o, "done"));
    if (number(o, "skipped") > 0)
        fprintf(out, ", under way already %lld", number(o, "skipped"));
    if (*inspect_text(o, "message") != '\0')
        fprintf(out, ": %s", inspect_text(o, "message"));
}

static int print(const struct cli_call *call, const json_t *o)
{
    bool failed = strcmp(inspect_text(o, "state"), "failed") == 0;
    if (strcmp(cli_call_value(call, "output"), "json") == 0)
        json_dumpf(o, stdout, JSON_COMPACT);
    else
        print_state(stdout, o);
    putchar('\n');
    return failed ? CLI_FAILED : CLI_OK;
}

/* On a terminal one line that changes. */
static int watch(const struct cli_call *call, struct remote *r, const char *path, json_t *o,
                 struct error *err)
{
    const struct timespec pause = {.tv_nsec = (long)PAUSE_NS};
    bool terminal = isatty(STDERR_FILENO);
    int status = 0;
    while (status == 0 && !is_over(o)) {
        if (terminal) {
            fputs("\r\033[K", stderr);
            print_state(stderr, o);
            fflush(stderr);
        }
        nanosleep(&pause, NULL);
        json_decref(o);
        status = ask(r, "GET", path, NULL, &o, err);
    }
    if (terminal)
        fputs("\r\033[K", stderr);
    int code = status == 0 ? print(call, o) : CLI_FAILED;
    json_decref(o);
    if (status < 0)
        terminal_error("%s", err->message);
    return code;
}

/* CESQL, or a filter as a trigger has it. */
static json_t *filter_of(const char *text)
{
    if (*text == '{' || *text == '[')
        return json_loads(text, 0, NULL);
    return json_pack("{s:s}", "cesql", text);
}

/* NULL after printing what is wrong. */
static char *make_body(const struct cli_call *call)
{
    static const char *const members[] = {"from", "to", "rate"};
    const char *filter = cli_call_value(call, "filter");
    json_t *body = json_object();
    for (size_t i = 0; i < COUNT_OF(members); i++)
        if (cli_call_value(call, members[i]) != NULL)
            json_object_set_new(body, members[i], json_string(cli_call_value(call, members[i])));
    if (filter != NULL && json_object_set_new(body, "filter", filter_of(filter)) < 0) {
        cli_call_misuse(call, "--filter wants a CESQL expression, or a trigger's filter as JSON");
        json_decref(body);
        return NULL;
    }
    char *text = json_dumps(body, JSON_COMPACT);
    json_decref(body);
    if (text == NULL)
        terminal_error("out of memory");
    return text;
}

static int act(const struct cli_call *call, struct remote *r, const char *body)
{
    autobuf path = BUF_INIT;
    struct error err = ERROR_INIT;
    json_t *o;
    make_path(call, &path);
    if (!buf_ok(&path)) {
        terminal_error("out of memory");
        return CLI_FAILED;
    }
    const char *method = body != NULL ? "POST" : cli_call_has(call, "cancel") ? "DELETE" : "GET";
    if (ask(r, method, path.ptr, body, &o, &err) < 0) {
        inspect_complain(&err);
        return CLI_FAILED;
    }
    if (body != NULL && !cli_call_has(call, "no-wait"))
        return watch(call, r, path.ptr, o, &err);
    int code = print(call, o);
    json_decref(o);
    return code;
}

int cli_replay(const struct cli_call *call)
{
    bool asks = cli_call_has(call, "status") || cli_call_has(call, "cancel");
    bool starts = cli_call_value(call, "from") != NULL;
    if (asks == starts)
        return cli_call_misuse(call, "give one of --from, --status and --cancel");
    autofree char *body = starts ? make_body(call) : NULL;
    if (starts && body == NULL)
        return CLI_USAGE;
    struct remote *r = remote_new(call);
    if (r == NULL)
        return CLI_FAILED;
    int code = act(call, r, body);
    remote_free(r);
    return code;
}
