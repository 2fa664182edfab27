/* SPDX-License-Identifier: Apache-2.0 */
/* sluice apply */
#include "base/clock.h"
#include "base/encoding.h"
#include "base/memory.h"
#include "cli/cli_internal.h"

#include <errno.h>
#include <string.h>

static const struct {
    const char *unit;
    uint64_t ns;
} units[] = {
    {"ms", CLOCK_MILLISECOND},
    {"s", CLOCK_SECOND},
    {"m", 60 * CLOCK_SECOND},
    {"h", 3600 * CLOCK_SECOND},
};

#define WAIT_MAX (24 * 3600 * CLOCK_SECOND)

/* 30s, 500ms, 2m, 1h, or ISO 8601 as PT30S. */
static int parse_wait(const char *text, uint64_t *ret_ns)
{
    if (clock_parse_duration(slice_text(text), ret_ns) == 0)
        return *ret_ns <= WAIT_MAX ? 0 : -ERANGE;
    size_t digits = strspn(text, "0123456789");
    uint64_t number = 0;
    if (encoding_parse_u64(slice_of(text, digits), &number) < 0)
        return -EINVAL;
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        if (strcmp(text + digits, units[i].unit) != 0)
            continue;
        *ret_ns = number * units[i].ns;
        return number <= WAIT_MAX / units[i].ns ? 0 : -ERANGE;
    }
    return -EINVAL;
}

static void report(const struct manifest_item *item, const char *outcome)
{
    resource_print_name(item->kind, item->name, stdout);
    printf(" %s\n", outcome);
    fflush(stdout);
}

/* GET asks for the item, POST creates it, PUT replaces it. *ret is what is stored now. */
static int ask(struct remote *r, const struct manifest_item *item, const char *method, json_t **ret,
               struct error *err)
{
    autobuf path = BUF_INIT;
    autofree char *body = NULL;
    struct remote_reply reply = {0};
    struct remote_request request = {.method = method, .accept = "application/json"};
    remote_resource_path(item->kind, item->namespace_name,
                         strcmp(method, "POST") == 0 ? NULL : item->name, &path);
    if (strcmp(method, "GET") != 0) {
        body = json_dumps(item->object, JSON_COMPACT);
        request.content_type = "application/json";
        request.body = slice_text(body);
        request.has_body = true;
    }
    if (!buf_ok(&path) || (request.has_body && body == NULL))
        return error_set(err, -ENOMEM, "out of memory");
    request.path = path.ptr;
    int status = remote_call(r, &request, &reply, err);
    if (status < 0)
        return status;
    *ret = json_loadb(reply.body.ptr, reply.body.len, JSON_DECODE_INT_AS_REAL, NULL);
    remote_reply_done(&reply);
    return *ret != NULL ? 0 : error_set(err, -EBADMSG, "the server's answer is no JSON");
}

/* Whether both are the same but for what the server itself writes while time passes. */
static bool same(json_t *before, json_t *after)
{
    json_t *objects[] = {before, after};
    for (size_t i = 0; i < COUNT_OF(objects); i++) {
        json_object_del(objects[i], "status");
        json_object_del(json_object_get(objects[i], "metadata"), "resourceVersion");
    }
    return json_equal(before, after);
}

static int apply_item(struct remote *r, const struct manifest_item *item, struct error *err)
{
    json_t *before = NULL, *after = NULL;
    const char *outcome = "created";
    int status = ask(r, item, "GET", &before, err);
    if (status == -ENOENT) {
        status = ask(r, item, "POST", &after, err);
    } else if (status == 0) {
        status = ask(r, item, "PUT", &after, err);
        if (status == 0)
            outcome = same(before, after) ? "unchanged" : "configured";
    }
    json_decref(before);
    json_decref(after);
    if (status == 0)
        report(item, outcome);
    return status;
}

static void complain(const struct manifest_item *item, const struct error *err)
{
    const char *file = strcmp(item->file, "-") == 0 ? "stdin" : item->file;
    terminal_error("%s:%d: %s/%s: %s%s%s", file, item->line, item->kind->singular, item->name,
                   err->field, err->field[0] != '\0' ? ": " : "", err->message);
}

static void apply_all(struct remote *r, struct manifest *m)
{
    for (size_t i = 0; i < m->count; i++) {
        struct error err = ERROR_INIT;
        int status = apply_item(r, &m->items[i], &err);
        m->items[i].applied = status == 0;
        if (status == 0)
            continue;
        complain(&m->items[i], &err);
        m->failed++;
        /* No server: each further item would only say it again. */
        if (status == -ECONNREFUSED)
            break;
    }
}

static int run(const struct cli_call *call, struct manifest *m, uint64_t timeout)
{
    if (cli_call_has(call, "dry-run")) {
        for (size_t i = 0; i < m->count; i++)
            report(&m->items[i], "checked (dry run)");
        return CLI_OK;
    }
    struct remote *r = remote_new(call);
    if (r == NULL)
        return CLI_FAILED;
    apply_all(r, m);
    int code = cli_call_has(call, "wait") ? wait_ready(r, m, timeout) : CLI_OK;
    remote_free(r);
    return code;
}

int cli_apply(const struct cli_call *call)
{
    uint64_t timeout = 0;
    const char *wait = cli_call_value(call, "wait");
    if (parse_wait(wait, &timeout) < 0)
        return cli_call_misuse(call,
                               "--wait takes a time up to a day, as 30s, 2m or PT30S, not "
                               "\"%s\"",
                               wait);
    if (!cli_call_has(call, "filename"))
        return cli_call_misuse(call, "apply wants -f FILE: a manifest, a folder, or - for stdin");
    struct manifest m = {0};
    const char *file;
    size_t at = 0;
    while ((file = cli_call_next(call, "filename", &at)) != NULL)
        manifest_load(&m, file, cli_call_value(call, "namespace"), cli_call_has(call, "namespace"));
    manifest_sort(&m);
    int code = m.count > 0 ? run(call, &m, timeout) : CLI_OK;
    if (m.failed > 0)
        code = CLI_FAILED;
    manifest_done(&m);
    return code;
}
