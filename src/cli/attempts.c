/* SPDX-License-Identifier: Apache-2.0 */
/* sluice attempts: GET /-/attempts, the newest first; or from now on, the oldest first. */
#include "base/clock.h"
#include "base/encoding.h"
#include "base/memory.h"
#include "cli/inspect.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define FOLLOW_PAUSE_NS (500 * CLOCK_MILLISECOND)

static void add_row(struct table *t, const json_t *item)
{
    autobuf text = BUF_INIT;
    inspect_time(item, "time", true, &text);
    inspect_cell(t, &text);
    inspect_name(item, "trigger", &text);
    inspect_cell(t, &text);
    buf_printf(&text, "%lld", (long long)json_integer_value(json_object_get(item, "event")));
    inspect_cell(t, &text);
    buf_printf(&text, "%lld%s", (long long)json_integer_value(json_object_get(item, "number")),
               strcmp(inspect_text(item, "stage"), "subscriber") == 0 ? "" : " (sink)");
    inspect_cell(t, &text);
    inspect_code(item, &text);
    inspect_cell(t, &text);
    inspect_latency(item, &text);
    inspect_cell(t, &text);
    buf_add_text(&text, inspect_text(item, "end"));
    inspect_cell(t, &text);
    buf_add_text(&text, inspect_text(item, "error"));
    inspect_cell(t, &text);
}

static void print_table(const json_t *items, bool reversed)
{
    static const char *const heads[] = {"TIME", "TRIGGER", "EVENT", "ATTEMPT",
                                        "CODE", "LATENCY", "END",   "ERROR"};
    struct table *t = table_new(COUNT_OF(heads));
    size_t count = json_array_size(items);
    if (t == NULL) {
        terminal_error("out of memory");
        return;
    }
    for (size_t i = 0; i < COUNT_OF(heads); i++)
        table_add(t, heads[i]);
    for (size_t i = 0; i < count; i++)
        add_row(t, json_array_get(items, reversed ? count - 1 - i : i));
    table_print(t, stdout);
    table_free(t);
}

/* Behind a table: one that comes is not in its columns. */
static void print_line(const json_t *item)
{
    autobuf text = BUF_INIT;
    inspect_time(item, "time", true, &text);
    buf_add_text(&text, "   ");
    inspect_name(item, "trigger", &text);
    buf_printf(&text, "   %lld   %lld   ",
               (long long)json_integer_value(json_object_get(item, "event")),
               (long long)json_integer_value(json_object_get(item, "number")));
    inspect_code(item, &text);
    buf_add_text(&text, "   ");
    inspect_latency(item, &text);
    buf_printf(&text, "   %s   %s", inspect_text(item, "end"), inspect_text(item, "error"));
    terminal_print_safe(stdout, buf_slice(&text));
    putchar('\n');
}

static void print(const struct cli_call *call, const json_t *items, bool first, bool reversed)
{
    bool json = strcmp(cli_call_value(call, "output"), "json") == 0;
    size_t count = json_array_size(items);
    if (first && !json)
        print_table(items, reversed);
    for (size_t i = 0; i < count && (json || !first); i++) {
        const json_t *item = json_array_get(items, reversed ? count - 1 - i : i);
        if (json) {
            json_dumpf(item, stdout, JSON_COMPACT);
            putchar('\n');
        } else {
            print_line(item);
        }
    }
    fflush(stdout);
}

/* ---- which event ---- */

/* Its position: what was given, or that of the only event with that id. 0 after printing why not.
 */
static uint64_t find_event(struct remote *r, const char *given)
{
    autobuf path = BUF_INIT;
    struct error err = ERROR_INIT;
    uint64_t position = 0;
    if (encoding_parse_u64(slice_text(given), &position) == 0 && position > 0)
        return position;
    buf_add_text(&path, "/-/events?order=desc");
    inspect_add(&path, "id", given);
    json_t *items = json_array();
    if (inspect_pages(r, path.ptr, 2, items, &err) < 0)
        terminal_error("%s", err.message);
    else if (json_array_size(items) == 0)
        terminal_error("no event has the id %s", given);
    else
        position =
            (uint64_t)json_integer_value(json_object_get(json_array_get(items, 0), "position"));
    if (json_array_size(items) > 1)
        terminal_hint("more than one event has the id %s; this is the newest, at position %llu",
                      given, (unsigned long long)position);
    json_decref(items);
    return position;
}

/* ---- asking ---- */

static bool add_query(const struct cli_call *call, struct remote *r, struct buf *path)
{
    const char *event = cli_call_value(call, "event");
    uint64_t position;
    inspect_add_namespace(call, path);
    inspect_add(path, "trigger", cli_call_value(call, "trigger"));
    if (cli_call_has(call, "failed"))
        buf_add_text(path, "&failed=true");
    if (event == NULL)
        return true;
    position = find_event(r, event);
    buf_printf(path, "&event=%llu", (unsigned long long)position);
    return position != 0;
}

/* What comes behind the last one, until the terminal or the server ends it. */
static int follow(const struct cli_call *call, struct remote *r, const char *query, uint64_t from)
{
    struct error err = ERROR_INIT;
    const struct timespec pause = {.tv_nsec = (long)FOLLOW_PAUSE_NS};
    for (;;) {
        autobuf path = BUF_INIT;
        json_t *items = json_array();
        buf_printf(&path, "/-/attempts?order=asc&from=%llu%s", (unsigned long long)from, query);
        int status = buf_ok(&path) ? inspect_pages(r, path.ptr, UINT64_MAX, items, &err)
                                   : error_set(&err, -ENOMEM, "out of memory");
        size_t count = json_array_size(items);
        if (status == 0 && count > 0) {
            print(call, items, false, false);
            from = (uint64_t)json_integer_value(
                       json_object_get(json_array_get(items, count - 1), "position")) +
                   1;
        }
        json_decref(items);
        if (status < 0)
            break;
        if (ferror(stdout))
            return CLI_FAILED;
        nanosleep(&pause, NULL);
    }
    terminal_error("%s", err.message);
    return CLI_FAILED;
}

static int show(const struct cli_call *call, struct remote *r, const char *query, uint64_t limit)
{
    autobuf path = BUF_INIT;
    struct error err = ERROR_INIT;
    bool goes_on = cli_call_has(call, "follow");
    json_t *items = json_array();
    int code = CLI_FAILED;
    buf_printf(&path, "/-/attempts?order=desc%s", query);
    if (!inspect_add_time(call, "since", &path)) {
        json_decref(items);
        return CLI_USAGE;
    }
    if (inspect_pages(r, path.ptr, limit, items, &err) < 0) {
        terminal_error("%s", err.message);
    } else {
        print(call, items, true, goes_on);
        uint64_t last =
            (uint64_t)json_integer_value(json_object_get(json_array_get(items, 0), "position"));
        code = goes_on ? follow(call, r, query, last + 1) : CLI_OK;
    }
    json_decref(items);
    return code;
}

int cli_attempts(const struct cli_call *call)
{
    autobuf query = BUF_INIT;
    uint64_t limit;
    int code = CLI_FAILED;
    if (!inspect_limit(call, &limit))
        return CLI_USAGE;
    struct remote *r = remote_new(call);
    if (r == NULL)
        return CLI_FAILED;
    if (add_query(call, r, &query) && buf_ok(&query))
        code = show(call, r, query.len > 0 ? query.ptr : "", limit);
    remote_free(r);
    return code;
}
