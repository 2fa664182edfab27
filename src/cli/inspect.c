/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/inspect.h"

#include "base/clock.h"
#include "base/encoding.h"
#include "base/memory.h"

#include <errno.h>
#include <string.h>

#define PAGE_MAX 1000u /* items that the server gives at once */

/* ---- the server ---- */

int inspect_get(struct remote *r, const char *path, json_t **ret, struct buf *ret_text,
                struct error *err)
{
    struct remote_reply reply = {0};
    json_error_t where;
    int status = remote_call(r, &(struct remote_request){.path = path}, &reply, err);
    if (status < 0)
        return status;
    *ret = json_loadb(reply.body.len > 0 ? reply.body.ptr : "", reply.body.len, 0, &where);
    if (ret_text != NULL)
        buf_add_slice(ret_text, buf_slice(&reply.body));
    remote_reply_done(&reply);
    return *ret != NULL
               ? 0
               : error_set(err, -EBADMSG, "the server's answer is no JSON: %s", where.text);
}

int inspect_pages(struct remote *r, const char *path, uint64_t max, json_t *items,
                  struct error *err)
{
    autofree char *go_on = NULL;
    int status = 0;
    do {
        autobuf page = BUF_INIT;
        json_t *answer;
        uint64_t left = max - json_array_size(items);
        buf_printf(&page, "%s&limit=%llu", path,
                   (unsigned long long)(left < PAGE_MAX ? left : PAGE_MAX));
        inspect_add(&page, "continue", go_on);
        if (!buf_ok(&page))
            return error_set(err, -ENOMEM, "out of memory");
        status = inspect_get(r, page.ptr, &answer, NULL, err);
        if (status < 0)
            return status;
        if (json_array_extend(items, json_object_get(answer, "items")) < 0)
            status = error_set(err, -EBADMSG, "the server's answer has no items");
        const char *next = json_string_value(json_object_get(answer, "continue"));
        free(go_on);
        go_on = next != NULL ? strdup(next) : NULL;
        json_decref(answer);
    } while (status == 0 && go_on != NULL && json_array_size(items) < max);
    return status;
}

/* ---- the query ---- */

void inspect_add(struct buf *path, const char *name, const char *value)
{
    if (value == NULL)
        return;
    buf_printf(path, "&%s=", name);
    remote_escape(slice_text(value), path);
}

void inspect_add_namespace(const struct cli_call *call, struct buf *path)
{
    if (!cli_call_has(call, "all-namespaces"))
        inspect_add(path, "namespace", cli_call_value(call, "namespace"));
}

/* 90s, 10m, 2h, 1d. */
static bool parse_ago(const char *text, uint64_t *ret_ns)
{
    static const struct {
        char unit;
        uint64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    size_t len = strlen(text);
    uint64_t number;
    if (len < 2 || encoding_parse_u64(slice_of(text, len - 1), &number) < 0 || number > 1000000000)
        return false;
    for (size_t i = 0; i < COUNT_OF(units); i++)
        if (units[i].unit == text[len - 1]) {
            *ret_ns = number * units[i].seconds * CLOCK_SECOND;
            return true;
        }
    return false;
}

bool inspect_add_time(const struct cli_call *call, const char *option, struct buf *path)
{
    const char *text = cli_call_value(call, option);
    char time[CLOCK_RFC3339_SIZE];
    uint64_t ns, now = clock_realtime();
    if (text == NULL)
        return true;
    if (clock_parse_rfc3339(slice_text(text), &ns) < 0) {
        if (!parse_ago(text, &ns) && clock_parse_duration(slice_text(text), &ns) < 0) {
            cli_call_misuse(call,
                            "--%s wants a time (2026-11-21T08:00:00Z) or how long ago (90s, 10m, "
                            "2h, 1d), not \"%s\"",
                            option, text);
            return false;
        }
        ns = now > ns ? now - ns : 0;
    }
    clock_format_rfc3339(ns, 9, time);
    inspect_add(path, option, time);
    return true;
}

bool inspect_limit(const struct cli_call *call, uint64_t *ret)
{
    const char *text = cli_call_value(call, "limit");
    if (encoding_parse_u64(slice_text(text), ret) == 0 && *ret > 0)
        return true;
    cli_call_misuse(call, "--limit wants a number from 1 on, not \"%s\"", text);
    return false;
}

/* ---- members ---- */

const char *inspect_text(const json_t *object, const char *member)
{
    const char *text = json_string_value(json_object_get(object, member));
    return text != NULL ? text : "";
}

void inspect_name(const json_t *object, const char *member, struct buf *out)
{
    const char *name = json_string_value(json_object_get(object, member));
    autobuf number = BUF_INIT;
    if (name != NULL) {
        buf_printf(out, "%s/%s", inspect_text(object, "namespace"), name);
        return;
    }
    buf_printf(&number, "%sNumber", member);
    buf_printf(out, "(deleted, number %lld)",
               buf_ok(&number) ? (long long)json_integer_value(json_object_get(object, number.ptr))
                               : 0);
}

void inspect_time(const json_t *object, const char *member, bool whole, struct buf *out)
{
    char text[CLOCK_RFC3339_SIZE];
    uint64_t ns;
    if (clock_parse_rfc3339(slice_text(inspect_text(object, member)), &ns) < 0)
        return;
    size_t len = clock_format_rfc3339(ns, 3, text), date = strlen("2026-11-21T");
    if (whole)
        buf_add(out, text, len);
    else
        buf_add(out, text + date, len - date - 1);
}

void inspect_time_after(const json_t *object, const char *member, const char *day, struct buf *out)
{
    size_t date = strlen("2026-11-21");
    inspect_time(object, member, strncmp(inspect_text(object, member), day, date) != 0, out);
}

void inspect_complain(const struct error *err)
{
    terminal_error("%s%s%s", err->field, *err->field != '\0' ? ": " : "", err->message);
}

void inspect_code(const json_t *attempt, struct buf *out)
{
    long long code = (long long)json_integer_value(json_object_get(attempt, "code"));
    if (code != 0)
        buf_printf(out, "%lld", code);
    else
        buf_add_text(out, "no answer");
}

void inspect_latency(const json_t *attempt, struct buf *out)
{
    const json_t *latency = json_object_get(attempt, "latencyMs");
    double ms = json_number_value(latency);
    if (latency == NULL)
        return;
    if (ms < 1000)
        buf_printf(out, "%.1f ms", ms);
    else
        buf_printf(out, "%.1f s", ms / 1000);
}

void inspect_cell(struct table *t, struct buf *text)
{
    table_add(t, buf_ok(text) && text->len > 0 ? text->ptr : "-");
    buf_reset(text);
}
