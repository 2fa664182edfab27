/* SPDX-License-Identifier: Apache-2.0 */
/* sluice events: GET /-/events, the newest of those that are asked for, and on from there. */
#include "base/encoding.h"
#include "base/memory.h"
#include "cli/inspect.h"
#include "cli/stream.h"

#include <errno.h>
#include <string.h>

/* ---- the table ---- */

/* The states that are common first, so that lines are easy to compare. */
static json_t *no_states(void)
{
    return json_pack("{s:i, s:i, s:i}", "delivered", 0, "dead", 0, "dead-lettered", 0);
}

/* "delivered 2, dead 1" */
static void add_states(struct remote *r, const json_t *item, struct buf *out)
{
    json_t *history = NULL, *delivery;
    autobuf path = BUF_INIT;
    struct error err = ERROR_INIT;
    size_t i;
    buf_printf(&path, "/-/events/%lld",
               (long long)json_integer_value(json_object_get(item, "position")));
    if (!buf_ok(&path) || inspect_get(r, path.ptr, &history, NULL, &err) < 0)
        return;
    json_t *counts = no_states();
    json_array_foreach(json_object_get(history, "deliveries"), i, delivery)
    {
        const char *state = inspect_text(delivery, "state");
        json_int_t count = json_integer_value(json_object_get(counts, state));
        json_object_set_new(counts, state, json_integer(count + 1));
    }
    const char *state;
    json_t *count;
    json_object_foreach(counts, state, count)
    {
        if (json_integer_value(count) > 0)
            buf_printf(out, "%s%s %lld", out->len > 0 ? ", " : "", state,
                       (long long)json_integer_value(count));
    }
    json_decref(counts);
    json_decref(history);
}

static void add_row(struct table *t, struct remote *wide, const json_t *item)
{
    autobuf text = BUF_INIT;
    const json_t *event = json_object_get(item, "event");
    buf_printf(&text, "%lld", (long long)json_integer_value(json_object_get(item, "position")));
    inspect_cell(t, &text);
    inspect_time(item, "time", true, &text);
    inspect_cell(t, &text);
    inspect_name(item, "broker", &text);
    inspect_cell(t, &text);
    static const char *const attributes[] = {"type", "source", "id"};
    for (size_t i = 0; i < COUNT_OF(attributes); i++) {
        buf_add_text(&text, inspect_text(event, attributes[i]));
        inspect_cell(t, &text);
    }
    buf_printf(&text, "%lld", (long long)json_integer_value(json_object_get(item, "dataBytes")));
    inspect_cell(t, &text);
    if (wide != NULL) {
        buf_add_text(&text, inspect_text(event, "subject"));
        inspect_cell(t, &text);
        add_states(wide, item, &text);
        inspect_cell(t, &text);
    }
}

static void print_table(struct remote *wide, const json_t *items)
{
    static const char *const heads[] = {"POSITION", "TIME", "BROKER",  "TYPE", "SOURCE",
                                        "ID",       "SIZE", "SUBJECT", "STATE"};
    size_t columns = wide != NULL ? COUNT_OF(heads) : COUNT_OF(heads) - 2;
    struct table *t = table_new(columns);
    if (t == NULL) {
        terminal_error("out of memory");
        return;
    }
    for (size_t i = 0; i < columns; i++)
        table_add(t, heads[i]);
    for (size_t i = json_array_size(items); i > 0; i--) /* the newest came first */
        add_row(t, wide, json_array_get(items, i - 1));
    table_print(t, stdout);
    table_free(t);
}

static void print_json(const json_t *items)
{
    for (size_t i = json_array_size(items); i > 0; i--) {
        json_dumpf(json_array_get(items, i - 1), stdout, JSON_COMPACT);
        putchar('\n');
    }
}

/* ---- the query ---- */

static bool add_query(const struct cli_call *call, struct buf *path)
{
    static const char *const options[] = {"type", "source", "subject", "id", "filter"};
    inspect_add_namespace(call, path);
    if (call->argument_count > 0)
        inspect_add(path, "broker", call->arguments[0]);
    for (size_t i = 0; i < COUNT_OF(options); i++)
        inspect_add(path, options[i], cli_call_value(call, options[i]));
    return true;
}

/* Lines from behind the last one that was shown. */
static int follow(const struct cli_call *call, struct remote *r, const json_t *items, bool json)
{
    autobuf path = BUF_INIT;
    struct error err = ERROR_INIT;
    buf_add_text(&path, "/-/events?follow=true");
    if (json_array_size(items) > 0)
        buf_printf(
            &path, "&from=%lld",
            (long long)json_integer_value(json_object_get(json_array_get(items, 0), "position")) +
                1);
    add_query(call, &path);
    if (!buf_ok(&path)) {
        terminal_error("out of memory");
        return CLI_FAILED;
    }
    int status = stream_events(r, path.ptr, json, UINT64_MAX, &err);
    if (status < 0)
        terminal_error("%s", err.message);
    return status < 0 ? CLI_FAILED : CLI_OK;
}

static int show(const struct cli_call *call, struct remote *r, const char *path, uint64_t limit)
{
    struct error err = ERROR_INIT;
    const char *output = cli_call_value(call, "output");
    bool json = strcmp(output, "json") == 0;
    json_t *items = json_array();
    int code = CLI_FAILED;
    if (inspect_pages(r, path, limit, items, &err) < 0) {
        terminal_error("%s", err.message);
    } else {
        if (json)
            print_json(items);
        else if (json_array_size(items) > 0 || !cli_call_has(call, "follow"))
            print_table(strcmp(output, "wide") == 0 ? r : NULL, items);
        fflush(stdout);
        code = cli_call_has(call, "follow") ? follow(call, r, items, json) : CLI_OK;
    }
    json_decref(items);
    return code;
}

int cli_events(const struct cli_call *call)
{
    autobuf path = BUF_INIT;
    uint64_t limit;
    buf_add_text(&path, "/-/events?order=desc");
    add_query(call, &path);
    if (!inspect_limit(call, &limit) || !inspect_add_time(call, "since", &path) ||
        !inspect_add_time(call, "until", &path))
        return CLI_USAGE;
    struct remote *r = buf_ok(&path) ? remote_new(call) : NULL;
    if (r == NULL)
        return CLI_FAILED;
    int code = show(call, r, path.ptr, limit);
    remote_free(r);
    return code;
}
