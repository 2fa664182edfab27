/* SPDX-License-Identifier: Apache-2.0 */
/* CESQL's functions: one table (§3.5), and those that are not about text. */
#include "base/memory.h"
#include "event/cesql/cesql_internal.h"

/* Casts are made before a function is called: these give on what they were given. */
static bool same(struct run *r, const struct cesql_value *arguments, unsigned count,
                 struct cesql_value *ret)
{
    *ret = arguments[0];
    return true;
}

static bool is_int(struct run *r, const struct cesql_value *arguments, unsigned count,
                   struct cesql_value *ret)
{
    value_set_boolean(ret, value_can_cast(&arguments[0], CESQL_INTEGER));
    return true;
}

static bool is_bool(struct run *r, const struct cesql_value *arguments, unsigned count,
                    struct cesql_value *ret)
{
    value_set_boolean(ret, value_can_cast(&arguments[0], CESQL_BOOLEAN));
    return true;
}

static bool absolute(struct run *r, const struct cesql_value *arguments, unsigned count,
                     struct cesql_value *ret)
{
    int32_t v = arguments[0].integer;
    value_set_integer(ret, v == INT32_MIN ? INT32_MAX : v < 0 ? -v : v);
    return v != INT32_MIN || run_fail(r, CESQL_MATH, REASON_OVERFLOW);
}

#define I CESQL_INTEGER
#define B CESQL_BOOLEAN
#define S CESQL_STRING
const struct function cesql_functions[] = {
    {"LENGTH", 1, 1, S, S, I, string_length, "x: String", "how many characters `x` has"},
    {"CONCAT", 0, FUNCTION_VARIADIC, S, S, S, string_concat, "x1: String, …",
     "its arguments one after the other; none: the empty text"},
    {"CONCAT_WS", 1, FUNCTION_VARIADIC, S, S, S, string_concat_ws,
     "delimiter: String, x1: String, …",
     "the arguments after the first, with the first between each two"},
    {"LOWER", 1, 1, S, S, S, string_lower, "x: String", "`x` in lower case, letter by letter"},
    {"UPPER", 1, 1, S, S, S, string_upper, "x: String", "`x` in upper case, letter by letter"},
    {"TRIM", 1, 1, S, S, S, string_trim, "x: String",
     "`x` without the white space (as Unicode has it) at its ends"},
    {"LEFT", 2, 2, S, I, S, string_left, "x: String, n: Integer",
     "the first `n` characters of `x`; `n` below 0: `x`, and functionEvaluation"},
    {"RIGHT", 2, 2, S, I, S, string_right, "x: String, n: Integer",
     "the last `n` characters of `x`; `n` below 0: `x`, and functionEvaluation"},
    {"SUBSTRING", 2, 3, S, I, S, string_substring, "x: String, pos: Integer[, len: Integer]",
     "from character `pos` on, counted from 1, or from the end when it is below 0: the rest, or "
     "`len` "
     "characters. 0: the empty text. Beyond the ends of `x`, or `len` below 0: the empty text, and "
     "functionEvaluation"},
    {"ABS", 1, 1, I, I, I, absolute, "x: Integer",
     "`x` without its sign; of -2147483648: 2147483647, and math"},
    {"INT", 1, 1, I, I, I, same, "x", "`x` cast to Integer"},
    {"BOOL", 1, 1, B, B, B, same, "x", "`x` cast to Boolean"},
    {"STRING", 1, 1, S, S, S, same, "x", "`x` cast to String"},
    {"IS_INT", 1, 1, FUNCTION_ANY_TYPE, FUNCTION_ANY_TYPE, B, is_int, "x",
     "whether `INT(x)` is without error"},
    {"IS_BOOL", 1, 1, FUNCTION_ANY_TYPE, FUNCTION_ANY_TYPE, B, is_bool, "x",
     "whether `BOOL(x)` is without error"},
};
#undef I
#undef B
#undef S
const size_t cesql_function_count = COUNT_OF(cesql_functions);
_Static_assert(COUNT_OF(cesql_functions) <= UINT8_MAX, "node.detail");

const struct function *function_find(struct slice name, unsigned count, bool *ret_named)
{
    *ret_named = false;
    for (size_t i = 0; i < cesql_function_count; i++) {
        const struct function *f = &cesql_functions[i];
        if (!slice_is_nocase(name, f->name))
            continue;
        *ret_named = true;
        if (count >= f->min && (f->max == FUNCTION_VARIADIC || count <= f->max))
            return f;
    }
    return NULL;
}

bool cesql_function_at(size_t i, struct cesql_function_row *ret)
{
    if (i >= cesql_function_count)
        return false;
    const struct function *f = &cesql_functions[i];
    *ret = (struct cesql_function_row){f->name, f->arguments, cesql_type_name(f->type), f->help};
    return true;
}
