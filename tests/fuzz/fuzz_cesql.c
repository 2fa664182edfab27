/* SPDX-License-Identifier: Apache-2.0 */
#include "event/cesql/cesql.h"
#include "fuzz_lines.h"

#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static struct cesql_scratch scratch;

static struct slice written(const struct cesql_result *r, struct buf *out)
{
    buf_add_text(out, cesql_error_name(r->error));
    buf_add_byte(out, ' ');
    cesql_value_write(&r->value, out);
    must(buf_ok(out));
    return buf_slice(out);
}

static void parts(const struct cesql *x, const struct cesql_part *part, const struct event *e)
{
    struct cesql_part operand;
    struct cesql_result result;
    cesql_evaluate_part(x, part, e, &scratch, &result);
    for (size_t i = 0; cesql_operand(x, part, i, &operand); i++)
        parts(x, &operand, e);
}

/* The same event gives the same; an error can be explained, with a place in the expression. */
static void evaluate(const struct cesql *x, const struct event *e)
{
    struct cesql_result result;
    struct cesql_place place;
    struct cesql_part whole;
    struct buf first = BUF_INIT, second = BUF_INIT, message = BUF_INIT;
    cesql_evaluate(x, e, &scratch, &result);
    written(&result, &first);
    bool yes = result.error == CESQL_NO_ERROR && result.value.type == CESQL_BOOLEAN &&
               result.value.boolean;
    if (result.error != CESQL_NO_ERROR) {
        cesql_explain(x, &result, &message, &place);
        must(message.len > 0 && place.at + place.len <= cesql_text(x).len);
        must(cesql_column(cesql_text(x), place) > 0);
    }
    must(cesql_matches(x, e, &scratch) == yes);
    cesql_whole(x, &whole);
    parts(x, &whole, e);
    cesql_evaluate(x, e, &scratch, &result);
    must(slice_equal(written(&result, &second), buf_slice(&first)));
    buf_done(&first);
    buf_done(&second);
    buf_done(&message);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct slice rest = slice_of(bytes, len), text = fuzz_line(&rest);
    struct cesql *x = NULL;
    struct cesql_place place;
    struct error err = ERROR_INIT;
    int r = cesql_parse(text, &x, &place, &err);
    if (r < 0) {
        must(r == -EINVAL && err.message[0] != '\0' && place.at + place.len <= text.len);
        return 0;
    }
    struct event e = fuzz_event_of(rest);
    evaluate(x, &e);
    cesql_free(x);
    return 0;
}
