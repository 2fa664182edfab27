/* SPDX-License-Identifier: Apache-2.0 */
/* sluice event: one event, what led to it, and what became of it, as a tree. */
#include "event/event.h"
#include "base/encoding.h"
#include "base/memory.h"
#include "cli/inspect.h"
#include "cli/json_cut.h"

#include <errno.h>
#include <string.h>

#define DATA_SHOWN 4096u /* bytes of data */
#define BODY_SHOWN 200u  /* bytes of an answer */
#define STEP       2u

/* ---- lines ---- */

static void indent(unsigned by)
{
    printf("%*s", (int)by, "");
}

static void print_styled(enum terminal_style style, struct slice text)
{
    fputs(terminal_style(stdout, style), stdout);
    terminal_print_safe(stdout, text);
    fputs(terminal_style(stdout, TERMINAL_PLAIN), stdout);
}

static void print_buf(struct buf *text)
{
    terminal_print_safe(stdout, buf_slice(text));
    buf_reset(text);
}

static void print_row(const char *name, struct slice text)
{
    printf("%s%-18s%s ", terminal_style(stdout, TERMINAL_DIM), name,
           terminal_style(stdout, TERMINAL_PLAIN));
    terminal_print_safe(stdout, text);
    putchar('\n');
}

/* Each line of the text, indented. */
static void print_block(struct slice text, unsigned by)
{
    while (text.len > 0) {
        const char *end = memchr(text.ptr, '\n', text.len);
        size_t len = end != NULL ? (size_t)(end - text.ptr) : text.len;
        indent(by);
        terminal_print_safe(stdout, slice_of(text.ptr, len));
        putchar('\n');
        len += end != NULL ? 1 : 0;
        text = slice_of(text.ptr + len, text.len - len);
    }
}

static enum terminal_style style_of(const char *state)
{
    static const struct {
        const char *begin;
        enum terminal_style style;
    } styles[] = {{"delivered", TERMINAL_GREEN}, {"done", TERMINAL_GREEN},
                  {"dead", TERMINAL_RED},        {"removed", TERMINAL_RED},
                  {"dropped", TERMINAL_RED},     {"expired", TERMINAL_RED},
                  {"", TERMINAL_YELLOW}};
    size_t i = 0;
    while (strncmp(state, styles[i].begin, strlen(styles[i].begin)) != 0)
        i++;
    return styles[i].style;
}

/* ---- the tree ---- */

static void print_deliveries(const json_t *event, const char *day, unsigned by);

/* position  type  id  (broker) */
static void print_brief(const json_t *event)
{
    autobuf text = BUF_INIT;
    const json_t *attributes = json_object_get(event, "event");
    buf_printf(&text, "%lld  ", (long long)json_integer_value(json_object_get(event, "position")));
    if (json_is_true(json_object_get(event, "leftOut"))) {
        buf_add_text(&text, "(sluice event shows what became of it)");
        print_buf(&text);
        return;
    }
    if (json_is_object(attributes))
        buf_printf(&text, "%s  %s  %s  ", inspect_text(attributes, "type"),
                   inspect_text(attributes, "source"), inspect_text(attributes, "id"));
    else
        buf_add_text(&text, "(no event that can be read)  ");
    inspect_name(event, "broker", &text);
    print_buf(&text);
}

static void print_body(const json_t *attempt, unsigned by)
{
    struct slice body = slice_text(inspect_text(attempt, "body"));
    if (body.len == 0)
        return;
    bool cut = body.len > BODY_SHOWN;
    indent(by);
    fputs(terminal_style(stdout, TERMINAL_DIM), stdout);
    terminal_print_safe(stdout, slice_of(body.ptr, cut ? BODY_SHOWN : body.len));
    printf("%s%s\n", cut ? "…" : "", terminal_style(stdout, TERMINAL_PLAIN));
}

/* `day`: when the first event was taken; times of other days have their date. */
static void print_attempt(const json_t *attempt, const char *day, unsigned by)
{
    autobuf text = BUF_INIT;
    const char *end = inspect_text(attempt, "end"), *error = inspect_text(attempt, "error");
    long long number = (long long)json_integer_value(json_object_get(attempt, "number"));
    indent(by);
    inspect_time_after(attempt, "time", day, &text);
    if (number > 0) {
        buf_printf(&text, "  #%lld  ", number);
        inspect_code(attempt, &text);
        buf_add_text(&text, "  ");
        inspect_latency(attempt, &text);
        if (strcmp(inspect_text(attempt, "stage"), "deadLetterSink") == 0)
            buf_add_text(&text, "  to the dead-letter sink");
    }
    buf_add_text(&text, "  ");
    print_buf(&text);
    print_styled(style_of(end), slice_text(end));
    if (json_object_get(attempt, "due") != NULL) {
        buf_add_text(&text, ", due ");
        inspect_time_after(attempt, "due", day, &text);
    }
    if (error[0] != '\0')
        buf_printf(&text, "  %s", error);
    print_buf(&text);
    putchar('\n');
    print_body(attempt, by + 2 * STEP);
    const json_t *reply = json_object_get(attempt, "reply");
    if (reply != NULL) {
        indent(by + STEP);
        printf("└ answered with ");
        print_brief(reply);
        putchar('\n');
        print_deliveries(reply, day, by + 2 * STEP);
    }
}

static void print_delivery(const json_t *delivery, const char *day, unsigned by)
{
    autobuf text = BUF_INIT;
    const char *state = inspect_text(delivery, "state");
    const json_t *attempt;
    size_t i;
    indent(by);
    inspect_name(delivery, "trigger", &text);
    print_styled(TERMINAL_BOLD, buf_slice(&text));
    printf("  ");
    print_styled(style_of(state), slice_text(state));
    if (json_object_get(delivery, "due") != NULL) {
        buf_reset(&text);
        inspect_time(delivery, "due", true, &text);
        printf(", next at ");
        print_buf(&text);
    }
    putchar('\n');
    json_array_foreach(json_object_get(delivery, "attempts"), i, attempt)
        print_attempt(attempt, day, by + STEP);
}

static void print_deliveries(const json_t *event, const char *day, unsigned by)
{
    const json_t *deliveries = json_object_get(event, "deliveries"), *delivery;
    size_t i;
    const json_t *before = json_object_get(event, "duplicateOf");
    if (before != NULL) {
        indent(by);
        printf("no trigger took it: it came before, at position %lld\n",
               (long long)json_integer_value(before));
    } else if (json_array_size(deliveries) == 0 && json_object_get(event, "leftOut") == NULL) {
        indent(by);
        puts(json_is_true(json_object_get(event, "matched")) ? "no trigger took it"
                                                             : "not matched yet");
    }
    json_array_foreach(deliveries, i, delivery) print_delivery(delivery, day, by);
}

/* ---- the event ---- */

static void print_causes(const json_t *history)
{
    const json_t *cause;
    size_t i;
    json_array_foreach(json_object_get(history, "causes"), i, cause)
    {
        autobuf text = BUF_INIT;
        const json_t *by = json_object_get(cause, "answeredBy");
        printf("%s%-18s%s ", terminal_style(stdout, TERMINAL_DIM), i == 0 ? "answer to" : "",
               terminal_style(stdout, TERMINAL_PLAIN));
        print_brief(cause);
        buf_add_text(&text, ", by ");
        inspect_name(by, "trigger", &text);
        buf_printf(&text, ", attempt %lld",
                   (long long)json_integer_value(json_object_get(by, "attempt")));
        print_buf(&text);
        putchar('\n');
    }
}

static bool is_json(const struct event *e)
{
    struct slice type = event_get(e, "datacontenttype");
    return type.ptr == NULL || memmem(type.ptr, type.len, "json", 4) != NULL;
}

static void print_data(const struct event *e, const json_t *history)
{
    autobuf text = BUF_INIT;
    if (json_is_true(json_object_get(history, "dataLeftOut")) || !e->has_data)
        return;
    if (!encoding_utf8_valid(e->data)) {
        printf("\n  (%zu bytes that are no text; -o json has them)\n", e->data.len);
        return;
    }
    if (is_json(e) && e->data.len <= DATA_SHOWN)
        json_indent(e->data, 0, &text);
    else
        buf_add_slice(&text, e->data);
    struct slice shown = buf_slice(&text);
    bool cut = shown.len > 2 * (size_t)DATA_SHOWN;
    if (cut) {
        shown.len = DATA_SHOWN;
        while (shown.len > 0 && ((unsigned char)shown.ptr[shown.len] & 0xc0) == 0x80)
            shown.len--;
    }
    putchar('\n');
    print_block(shown, STEP);
    if (cut)
        printf("  … (%zu bytes; -o json has all)\n", e->data.len);
}

/* A structured-mode message that the server did not read: it has no id, only a type. */
static bool print_opaque(const json_t *event)
{
    const char *type = json_string_value(json_object_get(event, "datacontenttype"));
    if (type == NULL || json_object_get(event, "id") != NULL)
        return false;
    print_row("datacontenttype", slice_text(type));
    print_row("event", slice_text("in a format that is not read; -o json has its bytes"));
    return true;
}

static void print_event(const json_t *history, struct slice answer)
{
    struct event event = {0};
    struct event_arena arena = {0};
    struct error err = ERROR_INIT;
    struct slice json;
    if (print_opaque(json_object_get(history, "event")))
        return;
    if (!json_cut(answer, "event", &json) || event_json_read(json, &event, &arena, &err) < 0) {
        print_row("event", slice_text("cannot be read; -o json has its bytes as `undecodable`"));
        event_arena_done(&arena);
        return;
    }
    for (unsigned i = 0; i < event.count; i++) {
        char name[EVENT_NAME_MAX + 1];
        snprintf(name, sizeof(name), SLICE_FMT, SLICE_ARG(event.attributes[i].name));
        print_row(name, event.attributes[i].value);
    }
    print_data(&event, history);
    event_arena_done(&arena);
}

static void print_history(const json_t *history, struct slice answer)
{
    autobuf text = BUF_INIT;
    buf_printf(&text, "%lld", (long long)json_integer_value(json_object_get(history, "position")));
    print_row("position", buf_slice(&text));
    print_row("taken", slice_text(inspect_text(history, "time")));
    buf_reset(&text);
    inspect_name(history, "broker", &text);
    print_row("broker", buf_slice(&text));
    print_causes(history);
    print_event(history, answer);
    putchar('\n');
    print_deliveries(history, inspect_text(history, "time"), 0);
    if (json_is_true(json_object_get(history, "truncated")))
        terminal_hint("there is more than can be shown; the log was read up to position %lld",
                      (long long)json_integer_value(json_object_get(history, "readTo")));
}

/* ---- finding it ---- */

static int show(const struct cli_call *call, struct remote *r, uint64_t position, struct error *err)
{
    char path[64];
    json_t *history = NULL;
    autobuf answer = BUF_INIT;
    snprintf(path, sizeof(path), "/-/events/%llu", (unsigned long long)position);
    int status = inspect_get(r, path, &history, &answer, err);
    if (status < 0)
        return status;
    if (strcmp(cli_call_value(call, "output"), "json") == 0)
        fwrite(answer.ptr, 1, answer.len, stdout);
    else
        print_history(history, buf_slice(&answer));
    json_decref(history);
    return 0;
}

static void list_found(const json_t *items, const char *id)
{
    const json_t *item;
    size_t i;
    terminal_error("%zu events have the id %s; say which by its position, or narrow it by "
                   "--source:",
                   json_array_size(items), id);
    json_array_foreach(items, i, item)
    {
        autobuf text = BUF_INIT;
        const json_t *event = json_object_get(item, "event");
        buf_printf(&text, "%lld  ",
                   (long long)json_integer_value(json_object_get(item, "position")));
        inspect_time(item, "time", true, &text);
        buf_add_text(&text, "  ");
        inspect_name(item, "broker", &text);
        buf_printf(&text, "  %s  %s", inspect_text(event, "type"), inspect_text(event, "source"));
        terminal_hint("%s", buf_ok(&text) ? text.ptr : "");
    }
}

static int show_by_id(const struct cli_call *call, struct remote *r, const char *id,
                      struct error *err)
{
    autobuf path = BUF_INIT;
    json_t *items = json_array();
    buf_add_text(&path, "/-/events?order=desc");
    inspect_add(&path, "id", id);
    inspect_add(&path, "source", cli_call_value(call, "source"));
    int status = buf_ok(&path) ? inspect_pages(r, path.ptr, 20, items, err) : -ENOMEM;
    size_t count = json_array_size(items);
    if (status == 0 && count == 0)
        status = error_set(err, -ENOENT,
                           "no event in the log has the id %s; `sluice events -A` shows those that "
                           "there are",
                           id);
    else if (status == 0 && count == 1)
        status = show(
            call, r,
            (uint64_t)json_integer_value(json_object_get(json_array_get(items, 0), "position")),
            err);
    else if (status == 0) {
        list_found(items, id);
        status = 1;
    }
    json_decref(items);
    return status;
}

/* A number is a position; where no event stands, it may be an id. */
static int find(const struct cli_call *call, struct remote *r, struct error *err)
{
    const char *given = call->arguments[0];
    uint64_t position;
    if (cli_call_has(call, "source") || encoding_parse_u64(slice_text(given), &position) < 0 ||
        position == 0)
        return show_by_id(call, r, given, err);
    int status = show(call, r, position, err);
    struct error other = ERROR_INIT;
    if (status != -ENOENT)
        return status;
    int by_id = show_by_id(call, r, given, &other);
    return by_id == -ENOENT ? status : by_id;
}

int cli_event(const struct cli_call *call)
{
    struct error err = ERROR_INIT;
    if (*call->arguments[0] == '\0')
        return cli_call_misuse(call, "an id is not empty");
    struct remote *r = remote_new(call);
    if (r == NULL)
        return CLI_FAILED;
    int status = find(call, r, &err);
    remote_free(r);
    if (status < 0)
        terminal_error("%s", err.message);
    return status == 0 ? CLI_OK : CLI_FAILED;
}
