/* SPDX-License-Identifier: Apache-2.0 */
/* Turns what JavaScript code threw into a message with its place. Reading the error's properties
 * may run getters of the user's: still under the time limit, because it is guest code. */
#include "worker/engine_guest.h"

#include "base/encoding.h"

#include <string.h>

#define FAILURE_TEXT_MAX 8192

void engine_failure_reset(struct engine_failure *f)
{
    buf_reset(&f->name);
    buf_reset(&f->message);
    buf_reset(&f->stack);
    buf_reset(&f->file);
    f->line = f->column = f->status = 0;
    f->out_of_memory = f->interrupted = f->unhandled = false;
}

void engine_failure_done(struct engine_failure *f)
{
    buf_done(&f->name);
    buf_done(&f->message);
    buf_done(&f->stack);
    buf_done(&f->file);
}

/* Splits "file:line:column". */
static bool parse_place(struct slice text, struct engine_failure *f)
{
    unsigned long long number[2] = {0, 0};
    size_t end = text.len;
    for (int i = 0; i < 2; i++) {
        size_t colon = end;
        while (colon > 0 && text.ptr[colon - 1] != ':')
            colon--;
        uint64_t value;
        if (colon == 0 || end - colon > 9 ||
            encoding_parse_u64(slice_of(text.ptr + colon, end - colon), &value) != 0)
            return false;
        number[i] = value;
        end = colon - 1;
    }
    buf_reset(&f->file);
    buf_add(&f->file, text.ptr, end);
    f->column = (int)number[0];
    f->line = (int)number[1];
    return true;
}

/* One line of a stack: "    at name (file:line:column)" or "    at file:line:column". */
static bool parse_frame(struct slice line, struct engine_failure *f)
{
    while (line.len > 0 && line.ptr[0] == ' ')
        line = slice_of(line.ptr + 1, line.len - 1);
    if (!slice_starts(line, "at "))
        return false;
    line = slice_of(line.ptr + 3, line.len - 3);
    const char *open = memrchr(line.ptr, '(', line.len);
    if (open != NULL && line.ptr[line.len - 1] == ')')
        line = slice_of(open + 1, (size_t)(line.ptr + line.len - 1 - (open + 1)));
    return !slice_starts(line, "sluice:") && parse_place(line, f);
}

/* The first frame that is in the user's code. */
static void find_place(struct engine_failure *f)
{
    struct slice rest = buf_slice(&f->stack);
    while (rest.len > 0) {
        const char *newline = memchr(rest.ptr, '\n', rest.len);
        size_t len = newline != NULL ? (size_t)(newline - rest.ptr) : rest.len;
        if (parse_frame(slice_of(rest.ptr, len), f))
            return;
        rest = slice_of(rest.ptr + len, rest.len - len);
        if (rest.len > 0)
            rest = slice_of(rest.ptr + 1, rest.len - 1);
    }
}

static void read_text(engine_value object, const char *name, struct buf *out)
{
    engine_value value = engine_property(object, name);
    if (engine_is_exception(value))
        engine_drop(GUEST(qjs_get_exception));
    else if (engine_is_string(value))
        engine_get_text(value, FAILURE_TEXT_MAX, out);
    engine_drop(value);
}

static double text_number(engine_value value)
{
    autobuf text = BUF_INIT;
    uint64_t number = 0;
    if (engine_get_text(value, 16, &text) < 0 || encoding_parse_u64(buf_slice(&text), &number) < 0)
        return 0;
    return (double)number;
}

/* "fetch failed" says little: what an error gives as its cause is told, too. */
static void add_cause(engine_value object, struct buf *message)
{
    size_t before = message->len;
    engine_value cause = engine_property(object, "cause");
    if (engine_is_exception(cause)) {
        engine_drop(GUEST(qjs_get_exception));
    } else if (GUEST(qjs_is_object, cause)) {
        buf_add_text(message, ": ");
        read_text(cause, "message", message);
        if (message->len == before + 2)
            message->len = before;
    }
    engine_drop(cause);
}

static int read_status(engine_value object)
{
    engine_value value = engine_property(object, "code");
    double code = 0;
    if (engine_is_exception(value))
        engine_drop(GUEST(qjs_get_exception));
    else if (engine_is_string(value))
        code = text_number(value);
    else
        code = engine_number(value);
    engine_drop(value);
    return code >= 400 && code <= 599 ? (int)code : 0;
}

/* QuickJS has no memory left for the error itself when the thrown value is null; but handlers throw
 * that, too. */
static bool is_out_of_memory(engine_value thrown, const struct engine_failure *f)
{
    return (GUEST(qjs_is_null, thrown) && engine_memory_is_used_up()) ||
           (slice_is(buf_slice(&f->name), "InternalError") &&
            slice_is(buf_slice(&f->message), "out of memory"));
}

void engine_describe(engine_value thrown, struct engine_failure *f)
{
    engine_failure_reset(f);
    if (GUEST(qjs_is_object, thrown)) {
        read_text(thrown, "name", &f->name);
        read_text(thrown, "message", &f->message);
        add_cause(thrown, &f->message);
        read_text(thrown, "stack", &f->stack);
        f->status = read_status(thrown);
        find_place(f);
    } else {
        engine_get_text(thrown, FAILURE_TEXT_MAX, &f->message);
    }
    f->out_of_memory = is_out_of_memory(thrown, f);
    f->interrupted = engine.interrupted;
}

void engine_take_failure(struct engine_failure *f)
{
    engine_value thrown = GUEST(qjs_get_exception);
    engine_describe(thrown, f);
    engine_drop(thrown);
}
