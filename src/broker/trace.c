/* SPDX-License-Identifier: Apache-2.0 */
/* Trace context. What is not good is ignored, as the specification asks for (§3.2.2.5): an event is
 * never refused because of it. */
#include "broker/trace.h"

#include <string.h>
#include <strings.h>

#define PARENT     "traceparent"
#define STATE      "tracestate"
#define PARENT_LEN 55 /* of version 00; a higher version may go on after another dash */

/* count small hexadecimal digits at *at, not all of them 0 when one must not be; moves on. */
static bool take_hex(struct slice value, size_t *at, size_t count, bool zero_allowed)
{
    bool zero = true;
    for (size_t end = *at + count; *at < end; (*at)++) {
        char c = value.ptr[*at];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
        zero = zero && c == '0';
    }
    return zero_allowed || !zero;
}

static bool take_dash(struct slice value, size_t *at)
{
    return value.ptr[(*at)++] == '-';
}

bool trace_parent_is_good(struct slice value)
{
    size_t at = 0;
    if (value.len < PARENT_LEN)
        return false;
    if (!take_hex(value, &at, 2, true) || slice_starts(value, "ff") || !take_dash(value, &at) ||
        !take_hex(value, &at, 32, false) || !take_dash(value, &at) ||
        !take_hex(value, &at, 16, false) || !take_dash(value, &at) ||
        !take_hex(value, &at, 2, true))
        return false;
    return value.len == PARENT_LEN || (!slice_starts(value, "00") && value.ptr[PARENT_LEN] == '-');
}

/* Printable ASCII: it stands as it is in a header and in an attribute. */
static bool state_is_good(struct slice value)
{
    for (size_t i = 0; i < value.len; i++)
        if (value.ptr[i] < ' ' || value.ptr[i] > '~')
            return false;
    return value.len > 0 && value.len <= TRACE_STATE_MAX;
}

static void add_state(struct trace *t, struct slice value)
{
    if (value.len == 0)
        return;
    if (t->state.ptr == NULL) {
        t->state = value;
        return;
    }
    size_t len = t->state.len + 1 + value.len;
    char *joined = len <= TRACE_STATE_MAX ? event_arena_alloc(t->arena, len) : NULL;
    if (joined == NULL) {
        t->state_lost = true;
        return;
    }
    memcpy(joined, t->state.ptr, t->state.len);
    joined[t->state.len] = ',';
    memcpy(joined + t->state.len + 1, value.ptr, value.len);
    t->state = slice_of(joined, len);
}

void trace_header(struct trace *t, struct slice name, struct slice value)
{
    if (name.len == sizeof(PARENT) - 1 && slice_is_nocase(name, PARENT)) {
        t->parent = value;
        t->parents++;
    } else if (name.len == sizeof(STATE) - 1 && slice_is_nocase(name, STATE)) {
        add_state(t, value);
    }
}

bool trace_is_for(const struct trace *t, const struct event *e)
{
    return t->parents == 1 && event_get(e, PARENT).ptr == NULL && trace_parent_is_good(t->parent);
}

void trace_to_event(const struct trace *t, struct event *e)
{
    if (event_set(e, PARENT, t->parent) == 0 && !t->state_lost && state_is_good(t->state))
        event_set(e, STATE, t->state);
}

void trace_inherit(struct event *reply, const struct event *cause)
{
    struct slice parent = event_get(cause, PARENT), state = event_get(cause, STATE);
    if (parent.ptr == NULL || event_get(reply, PARENT).ptr != NULL)
        return;
    if (event_set(reply, PARENT, parent) == 0 && state.ptr != NULL)
        event_set(reply, STATE, state);
}

void trace_to_headers(const struct event *e,
                      void (*add)(void *ctx, struct slice name, struct slice value), void *ctx)
{
    struct slice parent = event_get(e, PARENT);
    if (parent.ptr == NULL || !trace_parent_is_good(parent))
        return;
    add(ctx, SLICE(PARENT), parent);
    struct slice state = event_get(e, STATE);
    if (state.ptr != NULL && state_is_good(state))
        add(ctx, SLICE(STATE), state);
}
