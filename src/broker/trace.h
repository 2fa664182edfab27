/* SPDX-License-Identifier: Apache-2.0 */
/* Trace context: HTTP headers (W3C Trace Context §3) and attributes of events (CloudEvents
 * extension Distributed Tracing), and how one becomes the other. A broker makes no spans of its
 * own: it hands on what it was given. */
#ifndef SLUICE_BROKER_TRACE_H
#define SLUICE_BROKER_TRACE_H

#include "event/event.h"

#define TRACE_STATE_MAX 1024 /* bytes of tracestate; a longer one is left out */

/* What the headers of a request say. Start with {.arena = …}. */
struct trace {
    struct event_arena *arena;  /* for several headers tracestate, which are one list */
    struct slice parent, state; /* borrowed; ptr NULL: none */
    unsigned parents;
    bool state_lost; /* too long, or out of memory */
};

/* Takes a header that is traceparent or tracestate. */
void trace_header(struct trace *t, struct slice name, struct slice value);
/* The headers are for an event that has no traceparent: there is exactly one, and it is good. */
bool trace_is_for(const struct trace *t, const struct event *e);
/* Gives the event what the headers say, as far as there is room for attributes. */
void trace_to_event(const struct trace *t, struct event *e);
/* Gives a reply without traceparent that of its cause. */
void trace_inherit(struct event *reply, const struct event *cause);
/* The event's attributes as headers of a request: add() for each that is good. */
void trace_to_headers(const struct event *e,
                      void (*add)(void *ctx, struct slice name, struct slice value), void *ctx);

/* W3C Trace Context §3.2: version-traceid-parentid-flags. */
bool trace_parent_is_good(struct slice value);

#endif
