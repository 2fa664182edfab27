/* SPDX-License-Identifier: Apache-2.0 */
/* sluice dead list, show, delete; sluice redrive: GET and DELETE /-/dead, POST /-/redrive. */
#include "cli/dead.h"

#include "base/encoding.h"
#include "base/memory.h"
#include "cli/inspect.h"
#include "cli/json_cut.h"

#include <errno.h>
#include <string.h>

/* ---- which letters ---- */

static const char *const selectors[] = {"trigger", "type", "source", "code", "filter"};

bool dead_add_query(const struct cli_call *call, struct buf *path)
{
    inspect_add_namespace(call, path);
    for (size_t i = 0; i < COUNT_OF(selectors); i++)
        inspect_add(path, selectors[i], cli_call_value(call, selectors[i]));
    return inspect_add_time(call, "since", path) && inspect_add_time(call, "until", path);
}

static bool narrows(const struct cli_call *call)
{
    for (size_t i = 0; i < COUNT_OF(selectors); i++)
        if (cli_call_value(call, selectors[i]) != NULL)
            return true;
    return cli_call_value(call, "since") != NULL || cli_call_value(call, "until") != NULL;
}

bool dead_position(const struct cli_call *call, const char *text, uint64_t *ret)
{
    if (encoding_parse_u64(slice_text(text), ret) == 0)
        return true;
    cli_call_misuse(call, "\"%s\" is no position: sluice dead list shows them", text);
    return false;
}

/* ---- list ---- */

static void add_number(struct table *t, const json_t *item, const char *member)
{
    autobuf text = BUF_INIT;
    buf_printf(&text, "%lld", (long long)json_integer_value(json_object_get(item, member)));
    inspect_cell(t, &text);
}

static void add_text(struct table *t, const json_t *object, const char *member)
{
    autobuf text = BUF_INIT;
    buf_add_text(&text, inspect_text(object, member));
    inspect_cell(t, &text);
}

static void add_row(struct table *t, const json_t *item)
{
    autobuf text = BUF_INIT;
    const json_t *event = json_object_get(item, "event");
    inspect_time(item, "time", true, &text);
    inspect_cell(t, &text);
    inspect_name(item, "trigger", &text);
    inspect_cell(t, &text);
    add_number(t, item, "position");
    add_text(t, event, "type");
    add_text(t, event, "id");
    inspect_code(item, &text);
    inspect_cell(t, &text);
    add_number(t, item, "attempts");
    add_text(t, item, "error");
}

static void print_table(const json_t *items)
{
    static const char *const heads[] = {"TIME", "TRIGGER", "POSITION", "TYPE",
                                        "ID",   "CODE",    "ATTEMPTS", "ERROR"};
    struct table *t = table_new(COUNT_OF(heads));
    size_t i;
    json_t *item = NULL;
    if (t == NULL) {
        terminal_error("out of memory");
        return;
    }
    for (i = 0; i < COUNT_OF(heads); i++)
        table_add(t, heads[i]);
    json_array_foreach(items, i, item) add_row(t, item);
    table_print(t, stdout);
    table_free(t);
}

static void print_items(const struct cli_call *call, const json_t *items)
{
    size_t i;
    json_t *item = NULL;
    if (strcmp(cli_call_value(call, "output"), "json") != 0) {
        print_table(items);
        return;
    }
    json_array_foreach(items, i, item)
    {
        json_dumpf(item, stdout, JSON_COMPACT);
        putchar('\n');
    }
}

int cli_dead_list(const struct cli_call *call)
{
    autobuf path = BUF_INIT;
    struct error err = ERROR_INIT;
    uint64_t limit;
    buf_add_text(&path, "/-/dead?");
    if (!inspect_limit(call, &limit) || !dead_add_query(call, &path))
        return CLI_USAGE;
    struct remote *r = buf_ok(&path) ? remote_new(call) : NULL;
    if (r == NULL)
        return CLI_FAILED;
    json_t *items = json_array();
    int status = inspect_pages(r, path.ptr, limit, items, &err);
    remote_free(r);
    if (status < 0)
        inspect_complain(&err);
    else
        print_items(call, items);
    json_decref(items);
    return status < 0 ? CLI_FAILED : CLI_OK;
}

/* ---- show ---- */

static void print_field(const char *name, const char *text)
{
    printf("%-10s ", name);
    terminal_print_safe(stdout, slice_text(text));
    putchar('\n');
}

static void print_lines(struct slice text)
{
    while (text.len > 0) {
        const char *end = memchr(text.ptr, '\n', text.len);
        size_t len = end != NULL ? (size_t)(end - text.ptr) : text.len;
        fputs("  ", stdout);
        terminal_print_safe(stdout, slice_of(text.ptr, len));
        putchar('\n');
        text = end != NULL ? slice_of(end + 1, text.len - len - 1) : slice_of("", 0);
    }
}

static void print_letter(const json_t *item, struct slice event)
{
    autobuf text = BUF_INIT;
    autobuf indented = BUF_INIT;
    inspect_name(item, "trigger", &text);
    print_field("trigger", buf_ok(&text) ? text.ptr : "");
    printf("%-10s %lld\n", "position",
           (long long)json_integer_value(json_object_get(item, "position")));
    print_field("arrived", inspect_text(item, "eventTime"));
    print_field("given up", inspect_text(item, "time"));
    printf("%-10s %lld\n", "attempts",
           (long long)json_integer_value(json_object_get(item, "attempts")));
    buf_reset(&text);
    inspect_code(item, &text);
    print_field("answer", buf_ok(&text) ? text.ptr : "");
    print_field("error", inspect_text(item, "error"));
    if (*inspect_text(item, "body") != '\0') {
        puts("body");
        print_lines(slice_text(inspect_text(item, "body")));
    }
    json_indent(event, 0, &indented);
    printf("event\n");
    print_lines(buf_slice(&indented));
}

int dead_find(struct remote *r, const struct cli_call *call, uint64_t position, json_t **ret_item,
              struct buf *ret_text, struct error *err)
{
    autobuf path = BUF_INIT;
    json_t *answer;
    buf_printf(&path, "/-/dead?position=%llu", (unsigned long long)position);
    inspect_add(&path, "namespace", cli_call_value(call, "namespace"));
    inspect_add(&path, "trigger", cli_call_value(call, "trigger"));
    if (!buf_ok(&path))
        return error_set(err, -ENOMEM, "out of memory");
    int status = inspect_get(r, path.ptr, &answer, ret_text, err);
    if (status < 0)
        return status;
    const json_t *items = json_object_get(answer, "items");
    size_t count = json_array_size(items);
    if (count == 1)
        *ret_item = json_incref(json_array_get(items, 0));
    else if (count == 0)
        status =
            error_set(err, -ENOENT, "no trigger of namespace %s has a dead letter of position %llu",
                      cli_call_value(call, "namespace"), (unsigned long long)position);
    else
        status = error_set(err, -EINVAL,
                           "%zu triggers have a dead letter of position %llu: say which with "
                           "--trigger",
                           count, (unsigned long long)position);
    json_decref(answer);
    return status;
}

bool dead_cut_event(const struct buf *text, struct slice *ret)
{
    struct slice items, event;
    if (!json_cut(buf_slice(text), "items", &items) || items.len < 2)
        return false;
    struct slice first = slice_of(items.ptr + 1, items.len - 2);
    if (!json_cut(first, "event", &event))
        return false;
    *ret = event;
    return true;
}

static int show(const struct cli_call *call, struct remote *r, uint64_t position)
{
    struct error err = ERROR_INIT;
    autobuf text = BUF_INIT;
    struct slice event;
    json_t *item = NULL;
    if (dead_find(r, call, position, &item, &text, &err) < 0) {
        inspect_complain(&err);
        return CLI_FAILED;
    }
    if (!dead_cut_event(&text, &event))
        event = slice_text("null");
    if (strcmp(cli_call_value(call, "output"), "json") == 0)
        printf(SLICE_FMT "\n", SLICE_ARG(event));
    else
        print_letter(item, event);
    json_decref(item);
    return CLI_OK;
}

int cli_dead_show(const struct cli_call *call)
{
    uint64_t position;
    if (!dead_position(call, call->arguments[0], &position))
        return CLI_USAGE;
    struct remote *r = remote_new(call);
    if (r == NULL)
        return CLI_FAILED;
    int code = show(call, r, position);
    remote_free(r);
    return code;
}

/* ---- delete, redrive ---- */

struct sweep {
    const char *method, *path; /* "/-/redrive?" */
    const char *done;          /* member of the answer, and how it is said */
    uint64_t count, skipped;
};

static int sweep_page(struct remote *r, struct sweep *s, const char *query, char **go_on,
                      struct error *err)
{
    autobuf path = BUF_INIT;
    struct remote_reply reply = {0};
    buf_printf(&path, "%s%s", s->path, query);
    inspect_add(&path, "continue", *go_on);
    free(STEAL(*go_on));
    if (!buf_ok(&path))
        return error_set(err, -ENOMEM, "out of memory");
    struct remote_request request = {.method = s->method, .path = path.ptr, .has_body = true};
    int status = remote_call(r, &request, &reply, err);
    json_t *answer = status == 0 ? json_loadb(reply.body.ptr, reply.body.len, 0, NULL) : NULL;
    if (status == 0 && answer == NULL)
        status = error_set(err, -EBADMSG, "the server's answer is no JSON");
    s->count += (uint64_t)json_integer_value(json_object_get(answer, s->done));
    s->skipped += (uint64_t)json_integer_value(json_object_get(answer, "skipped"));
    const char *next = json_string_value(json_object_get(answer, "continue"));
    *go_on = next != NULL ? strdup(next) : NULL;
    json_decref(answer);
    remote_reply_done(&reply);
    return status;
}

static int sweep_query(struct remote *r, struct sweep *s, const char *query, struct error *err)
{
    char *go_on = NULL;
    int status;
    do {
        status = sweep_page(r, s, query, &go_on, err);
        if (status == 0 && go_on != NULL)
            terminal_progress("%llu %s so far", (unsigned long long)s->count, s->done);
    } while (status == 0 && go_on != NULL);
    free(go_on);
    return status;
}

static int sweep_positions(const struct cli_call *call, struct remote *r, struct sweep *s,
                           const char *query, struct error *err)
{
    int status = 0;
    for (unsigned i = 0; i < call->argument_count && status == 0; i++) {
        autobuf path = BUF_INIT;
        uint64_t before = s->count + s->skipped;
        buf_printf(&path, "%s&position=%s", query, call->arguments[i]);
        status = buf_ok(&path) ? sweep_query(r, s, path.ptr, err)
                               : error_set(err, -ENOMEM, "out of memory");
        if (status == 0 && s->count + s->skipped == before)
            status = error_set(err, -ENOENT, "there is no dead letter of position %s",
                               call->arguments[i]);
    }
    return status;
}

static bool is_well_asked(const struct cli_call *call)
{
    bool positions = call->argument_count > 0, all = cli_call_has(call, "all");
    for (unsigned i = 0; i < call->argument_count; i++) {
        uint64_t position;
        if (!dead_position(call, call->arguments[i], &position))
            return false;
    }
    if (positions && all) {
        cli_call_misuse(call, "give positions or --all, not both");
        return false;
    }
    if (positions || all || narrows(call))
        return true;
    cli_call_misuse(call, "say which dead letters: positions, --trigger, --type, …, or --all");
    return false;
}

static int run_sweep(const struct cli_call *call, struct sweep *s)
{
    struct error err = ERROR_INIT;
    autobuf query = BUF_INIT;
    if (!is_well_asked(call) || !dead_add_query(call, &query))
        return CLI_USAGE;
    if (cli_call_has(call, "all"))
        buf_add_text(&query, "&all=true");
    struct remote *r = buf_ok(&query) ? remote_new(call) : NULL;
    if (r == NULL)
        return CLI_FAILED;
    int status = call->argument_count > 0 ? sweep_positions(call, r, s, query.ptr, &err)
                                          : sweep_query(r, s, query.ptr, &err);
    remote_free(r);
    if (status == 0 || s->count > 0)
        printf("%llu %s\n", (unsigned long long)s->count, s->done);
    if (s->skipped > 0)
        terminal_error("%llu could not be %s now: on their way to a dead-letter sink, or of a "
                       "trigger without a broker",
                       (unsigned long long)s->skipped, s->done);
    if (status < 0)
        inspect_complain(&err);
    return status < 0 || s->skipped > 0 ? CLI_FAILED : CLI_OK;
}

int cli_dead_delete(const struct cli_call *call)
{
    struct sweep s = {.method = "DELETE", .path = "/-/dead?", .done = "deleted"};
    return run_sweep(call, &s);
}

int cli_redrive(const struct cli_call *call)
{
    struct sweep s = {.method = "POST", .path = "/-/redrive?", .done = "redriven"};
    return run_sweep(call, &s);
}
