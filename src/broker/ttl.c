/* SPDX-License-Identifier: Apache-2.0 */
/* knativebrokerttl. */
#include "broker/ttl.h"

#include "base/encoding.h"
#include "base/must.h"

#include <stdio.h>

/* A 32-bit number; below 0 counts as 0. */
static bool read_number(const struct event *e, uint64_t *ret)
{
    struct slice text = event_get(e, BROKER_TTL_ATTRIBUTE);
    bool negative = text.len > 0 && text.ptr[0] == '-';
    struct slice digits = negative ? slice_of(text.ptr + 1, text.len - 1) : text;
    if (encoding_parse_u64(digits, ret) < 0 || *ret > INT32_MAX)
        return false;
    if (negative)
        *ret = 0;
    return true;
}

bool ttl_is_given(const struct event *e)
{
    uint64_t n;
    return read_number(e, &n);
}

unsigned ttl_left(const struct event *e)
{
    uint64_t n;
    return read_number(e, &n) && n < BROKER_TTL_DEFAULT ? (unsigned)n : BROKER_TTL_DEFAULT;
}

int ttl_set(struct event *e, unsigned left, struct ttl_text *text)
{
    must(left >= 1 && left <= BROKER_TTL_DEFAULT);
    snprintf(text->digits, sizeof(text->digits), "%u", left);
    return event_set_integer(e, BROKER_TTL_ATTRIBUTE, slice_text(text->digits));
}
