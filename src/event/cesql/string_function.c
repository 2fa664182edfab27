/* SPDX-License-Identifier: Apache-2.0 */
/* CESQL's functions on text: §3.5.1. Positions and lengths count characters. */
#include "event/cesql/cesql_internal.h"

bool string_length(struct run *r, const struct cesql_value *arguments, unsigned count,
                   struct cesql_value *ret)
{
    value_set_integer(ret, (int32_t)utf8_length(arguments[0].string));
    return true;
}

static bool join(struct run *r, struct slice delimiter, const struct cesql_value *parts,
                 unsigned count, struct cesql_value *ret)
{
    size_t len = count > 1 ? delimiter.len * (count - 1) : 0;
    for (unsigned i = 0; i < count; i++)
        len += parts[i].string.len;
    value_set_string(ret, SLICE(""));
    char *out = run_reserve(r, len);
    if (out == NULL)
        return false;
    size_t at = 0;
    for (unsigned i = 0; i < count; i++) {
        struct slice pieces[] = {i > 0 ? delimiter : SLICE(""), parts[i].string};
        for (int k = 0; k < 2; k++) {
            if (pieces[k].len > 0)
                memcpy(out + at, pieces[k].ptr, pieces[k].len);
            at += pieces[k].len;
        }
    }
    value_set_string(ret, slice_of(out, len));
    return true;
}

bool string_concat(struct run *r, const struct cesql_value *arguments, unsigned count,
                   struct cesql_value *ret)
{
    return join(r, SLICE(""), arguments, count, ret);
}

bool string_concat_ws(struct run *r, const struct cesql_value *arguments, unsigned count,
                      struct cesql_value *ret)
{
    return join(r, arguments[0].string, arguments + 1, count - 1, ret);
}

static bool change_case(struct run *r, struct slice s, size_t (*change)(struct slice s, char *out),
                        struct cesql_value *ret)
{
    value_set_string(ret, SLICE(""));
    char *out = run_reserve(r, utf8_case_room(s.len));
    if (out == NULL)
        return false;
    value_set_string(ret, slice_of(out, change(s, out)));
    return true;
}

bool string_lower(struct run *r, const struct cesql_value *arguments, unsigned count,
                  struct cesql_value *ret)
{
    return change_case(r, arguments[0].string, utf8_lower, ret);
}

bool string_upper(struct run *r, const struct cesql_value *arguments, unsigned count,
                  struct cesql_value *ret)
{
    return change_case(r, arguments[0].string, utf8_upper, ret);
}

bool string_trim(struct run *r, const struct cesql_value *arguments, unsigned count,
                 struct cesql_value *ret)
{
    value_set_string(ret, utf8_trim(arguments[0].string));
    return true;
}

bool string_left(struct run *r, const struct cesql_value *arguments, unsigned count,
                 struct cesql_value *ret)
{
    struct slice s = arguments[0].string;
    int32_t n = arguments[1].integer;
    if (n < 0) {
        value_set_string(ret, s);
        return run_fail(r, CESQL_FUNCTION_EVALUATION, REASON_NEGATIVE_LENGTH);
    }
    s.len -= utf8_skip(s, (size_t)n).len;
    value_set_string(ret, s);
    return true;
}

bool string_right(struct run *r, const struct cesql_value *arguments, unsigned count,
                  struct cesql_value *ret)
{
    struct slice s = arguments[0].string;
    int32_t n = arguments[1].integer;
    value_set_string(ret, s);
    if (n < 0)
        return run_fail(r, CESQL_FUNCTION_EVALUATION, REASON_NEGATIVE_LENGTH);
    size_t length = utf8_length(s);
    if ((size_t)n < length)
        value_set_string(ret, utf8_skip(s, length - (size_t)n));
    return true;
}

bool string_substring(struct run *r, const struct cesql_value *arguments, unsigned count,
                      struct cesql_value *ret)
{
    struct slice s = arguments[0].string;
    int64_t length = (int64_t)utf8_length(s), pos = arguments[1].integer;
    value_set_string(ret, SLICE(""));
    if (count > 2 && arguments[2].integer < 0)
        return run_fail(r, CESQL_FUNCTION_EVALUATION, REASON_NEGATIVE_LENGTH);
    if (pos > length || pos < -length)
        return run_fail(r, CESQL_FUNCTION_EVALUATION, REASON_POSITION);
    if (pos == 0)
        return true;
    s = utf8_skip(s, (size_t)(pos > 0 ? pos - 1 : length + pos));
    if (count > 2)
        s.len -= utf8_skip(s, (size_t)arguments[2].integer).len;
    value_set_string(ret, s);
    return true;
}
