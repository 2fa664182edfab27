/* SPDX-License-Identifier: Apache-2.0 */
/* Casts: CESQL §3.7. */
#include "event/cesql/cesql_internal.h"

bool integer_parse(struct slice text, int32_t *ret)
{
    size_t at = 0;
    bool negative = false;
    if (text.len > 0 && (text.ptr[0] == '+' || text.ptr[0] == '-')) {
        negative = text.ptr[0] == '-';
        at = 1;
    }
    if (at == text.len)
        return false;
    int64_t v = 0;
    for (; at < text.len; at++) {
        if (text.ptr[at] < '0' || text.ptr[at] > '9')
            return false;
        v = v * 10 + (text.ptr[at] - '0');
        if (v > (int64_t)INT32_MAX + 1)
            return false;
    }
    v = negative ? -v : v;
    if (v > INT32_MAX)
        return false;
    *ret = (int32_t)v;
    return true;
}

size_t integer_write(int32_t v, char out[INTEGER_TEXT_MAX])
{
    char digits[INTEGER_TEXT_MAX];
    size_t n = 0, len = 0;
    uint32_t left = v < 0 ? -(uint32_t)v : (uint32_t)v;
    do
        digits[n++] = (char)('0' + left % 10);
    while ((left /= 10) > 0);
    if (v < 0)
        out[len++] = '-';
    while (n > 0)
        out[len++] = digits[--n];
    return len;
}

static bool refuse(struct run *r, struct cesql_value *v, enum cesql_type type)
{
    r->result->wanted = type;
    r->result->subject = v->string; /* only texts can be refused */
    run_fail(r, CESQL_CAST, REASON_CAST);
    value_set_zero(v, type);
    return false;
}

static bool to_integer(struct run *r, struct cesql_value *v)
{
    int32_t integer;
    if (v->type == CESQL_BOOLEAN)
        integer = v->boolean ? 1 : 0;
    else if (!integer_parse(v->string, &integer))
        return refuse(r, v, CESQL_INTEGER);
    value_set_integer(v, integer);
    return true;
}

static bool to_boolean(struct run *r, struct cesql_value *v)
{
    bool yes;
    if (v->type == CESQL_INTEGER) {
        yes = v->integer != 0;
    } else {
        yes = slice_is_nocase(v->string, "true");
        if (!yes && !slice_is_nocase(v->string, "false"))
            return refuse(r, v, CESQL_BOOLEAN);
    }
    value_set_boolean(v, yes);
    return true;
}

static bool to_string(struct run *r, struct cesql_value *v)
{
    if (v->type == CESQL_BOOLEAN) {
        value_set_string(v, v->boolean ? SLICE("true") : SLICE("false"));
        return true;
    }
    char *out = run_reserve(r, INTEGER_TEXT_MAX);
    size_t len = out != NULL ? integer_write(v->integer, out) : 0;
    value_set_string(v, slice_of(out, len));
    return out != NULL;
}

bool value_cast(struct run *r, struct cesql_value *v, enum cesql_type type)
{
    if (v->type == type)
        return true;
    if (type == CESQL_STRING)
        return to_string(r, v);
    return type == CESQL_INTEGER ? to_integer(r, v) : to_boolean(r, v);
}

bool value_can_cast(const struct cesql_value *v, enum cesql_type type)
{
    int32_t integer;
    if (v->type != CESQL_STRING || type == CESQL_STRING)
        return true;
    if (type == CESQL_INTEGER)
        return integer_parse(v->string, &integer);
    return slice_is_nocase(v->string, "true") || slice_is_nocase(v->string, "false");
}
