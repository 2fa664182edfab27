/* SPDX-License-Identifier: Apache-2.0 */
/* sluice cesql: one expression, one event, a value and at most one error. */
#include "event/cesql/cesql.h"
#include "base/memory.h"
#include "cli/cli_internal.h"
#include "cli/event_file.h"

#include <errno.h>

/* What is printed, whatever went before. */
struct outcome {
    struct slice source;
    struct cesql_value value;
    enum cesql_error error;
    struct buf message;
    struct cesql_place place;
};

/* The line of the expression that the place is in, and carets below the place. */
static void show_place(struct slice source, struct cesql_place place)
{
    size_t start = place.at, end = place.at;
    while (start > 0 && source.ptr[start - 1] != '\n')
        start--;
    while (end < source.len && source.ptr[end] != '\n')
        end++;
    size_t marked = place.at + place.len < end ? place.len : end - place.at;
    size_t carets = terminal_width(slice_of(source.ptr + place.at, marked));
    fputs("  ", stderr);
    terminal_print_safe(stderr, slice_of(source.ptr + start, end - start));
    fprintf(stderr, "\n  %*s%s",
            (int)terminal_width(slice_of(source.ptr + start, place.at - start)), "",
            terminal_style(stderr, TERMINAL_RED));
    for (size_t i = 0; i < (carets > 0 ? carets : 1); i++)
        fputc('^', stderr);
    fprintf(stderr, "%s\n", terminal_style(stderr, TERMINAL_PLAIN));
}

static void print_text(const struct outcome *o)
{
    autobuf value = BUF_INIT;
    cesql_value_write(&o->value, &value);
    buf_add_byte(&value, '\n');
    fwrite(value.ptr, 1, value.len, stdout);
    fflush(stdout);
    if (o->error == CESQL_NO_ERROR)
        return;
    fprintf(stderr, "error: %s: ", cesql_error_name(o->error));
    terminal_print_safe(stderr, buf_slice(&o->message));
    fprintf(stderr, ", at column %zu\n", cesql_column(o->source, o->place));
    show_place(o->source, o->place);
}

/* {"value": …, "error": null | {"kind", "message", "column"}} */
static void print_json(const struct outcome *o)
{
    autobuf out = BUF_INIT;
    buf_add_text(&out, "{\"value\": ");
    cesql_value_write(&o->value, &out);
    buf_printf(&out, ", \"type\": \"%s\", \"error\": ", cesql_type_name(o->value.type));
    if (o->error == CESQL_NO_ERROR) {
        buf_add_text(&out, "null");
    } else {
        buf_printf(&out, "{\"kind\": \"%s\", \"message\": ", cesql_error_name(o->error));
        buf_add_json_string(&out, buf_slice(&o->message));
        buf_printf(&out, ", \"column\": %zu}", cesql_column(o->source, o->place));
    }
    buf_add_text(&out, "}\n");
    fwrite(out.ptr, 1, out.len, stdout);
}

static void evaluate(const struct cesql *x, const struct event *e, struct cesql_scratch *scratch,
                     struct outcome *o)
{
    struct cesql_result result;
    cesql_evaluate(x, e, scratch, &result);
    o->value = result.value;
    o->error = result.error;
    if (o->error != CESQL_NO_ERROR)
        cesql_explain(x, &result, &o->message, &o->place);
}

/* A text that is no expression has the value false, as the specification's test kit says. */
static int run(const struct cli_call *call, const struct event *e)
{
    struct cesql *x = NULL;
    struct cesql_scratch scratch;
    struct error err = ERROR_INIT;
    struct outcome o = {.source = slice_text(call->arguments[0])};
    int r = cesql_parse(o.source, &x, &o.place, &err);
    if (r == -EINVAL) {
        o.error = CESQL_PARSE;
        buf_add_text(&o.message, err.message);
    } else if (r < 0) {
        terminal_error("%s", err.message);
        return CLI_FAILED;
    } else {
        evaluate(x, e, &scratch, &o);
    }
    if (strcmp(cli_call_value(call, "output"), "json") == 0)
        print_json(&o);
    else
        print_text(&o);
    buf_done(&o.message);
    cesql_free(x);
    return o.error == CESQL_NO_ERROR ? CLI_OK : CLI_FAILED;
}

int cli_cesql(const struct cli_call *call)
{
    struct event_file file;
    struct error err = ERROR_INIT;
    int code = CLI_USAGE;
    if (event_file_read(&file, cli_call_value(call, "event"), &err) < 0)
        terminal_error("%s", err.message);
    else
        code = run(call, &file.event);
    event_file_done(&file);
    return code;
}
