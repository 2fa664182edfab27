/* SPDX-License-Identifier: Apache-2.0 */
/* Names, messages and values as people and programs read them. */
#include "base/must.h"
#include "event/cesql/cesql_internal.h"

const char *cesql_error_name(enum cesql_error error)
{
    static const char *const names[CESQL_ERROR_COUNT] = {
        [CESQL_NO_ERROR] = "none",
        [CESQL_PARSE] = "parse",
        [CESQL_MATH] = "math",
        [CESQL_CAST] = "cast",
        [CESQL_MISSING_FUNCTION] = "missingFunction",
        [CESQL_FUNCTION_EVALUATION] = "functionEvaluation",
        [CESQL_MISSING_ATTRIBUTE] = "missingAttribute",
        [CESQL_GENERIC] = "generic",
    };
    must(error < CESQL_ERROR_COUNT);
    return names[error];
}

const char *cesql_type_name(enum cesql_type type)
{
    static const char *const names[CESQL_TYPE_COUNT] = {"Boolean", "Integer", "String"};
    must(type < CESQL_TYPE_COUNT);
    return names[type];
}

size_t cesql_column(struct slice text, struct cesql_place place)
{
    return 1 + utf8_length(slice_of(text.ptr, place.at < text.len ? place.at : text.len));
}

#define SHOWN_MAX 60 /* bytes of a value in a message */

static void missing_function(const struct cesql *x, const struct node *n, struct buf *out)
{
    bool named;
    unsigned count = 0;
    struct slice name = node_text(x, n);
    for (uint32_t i = n->child; i != NODE_NONE; i = x->nodes[i].next)
        count++;
    function_find(name, count, &named);
    if (named)
        buf_printf(out, SLICE_FMT " does not take %u argument%s", SLICE_ARG(name), count,
                   count == 1 ? "" : "s");
    else
        buf_printf(out, "there is no function " SLICE_FMT, SLICE_ARG(name));
}

static void bad_cast(const struct cesql_result *result, struct buf *out)
{
    struct slice shown = result->subject;
    if (shown.len > SHOWN_MAX) {
        shown.len = SHOWN_MAX;
        while (shown.len > 0 && ((unsigned char)shown.ptr[shown.len] & 0xc0) == 0x80)
            shown.len--;
    }
    buf_add_json_string(out, shown);
    buf_printf(out, "%s cannot be cast to %s", shown.len < result->subject.len ? "…" : "",
               cesql_type_name(result->wanted));
}

void cesql_explain(const struct cesql *x, const struct cesql_result *result, struct buf *out,
                   struct cesql_place *ret_place)
{
    must(result->error != CESQL_NO_ERROR && result->node < x->count);
    const struct node *n = &x->nodes[result->node];
    if (ret_place != NULL)
        *ret_place = (struct cesql_place){n->at, n->len};
    switch ((enum cesql_reason)result->reason) {
    case REASON_MISSING_ATTRIBUTE:
        buf_printf(out, "the event has no attribute " SLICE_FMT, SLICE_ARG(node_text(x, n)));
        break;
    case REASON_MISSING_FUNCTION:
        missing_function(x, n, out);
        break;
    case REASON_CAST:
        bad_cast(result, out);
        break;
    case REASON_DIVISION_BY_ZERO:
        buf_add_text(out, "division by zero");
        break;
    case REASON_OVERFLOW:
        buf_add_text(out, "the result is no Integer of 32 bits");
        break;
    case REASON_NEGATIVE_LENGTH:
        buf_printf(out, "%s wants no negative length", cesql_functions[n->detail].name);
        break;
    case REASON_POSITION:
        buf_printf(out, "%s begins beyond the ends of the text", cesql_functions[n->detail].name);
        break;
    case REASON_SCRATCH:
        buf_printf(out, "the texts that the expression makes are longer than %d bytes",
                   CESQL_SCRATCH_MAX);
        break;
    case REASON_NONE:
    case REASON_COUNT:
        must(false);
    }
}

void cesql_value_write(const struct cesql_value *value, struct buf *out)
{
    if (value->type == CESQL_STRING)
        buf_add_json_string(out, value->string);
    else if (value->type == CESQL_INTEGER)
        buf_add_decimal(out, value->integer);
    else
        buf_add_text(out, value->boolean ? "true" : "false");
}
