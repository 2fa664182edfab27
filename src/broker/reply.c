/* SPDX-License-Identifier: Apache-2.0 */
/* The event that a subscriber answers with, and how it goes (on) into a broker's log. */
#include "broker/reply.h"

#include "base/must.h"
#include "broker/trace.h"
#include "broker/ttl.h"

#include <errno.h>
#include <strings.h>

/* The event goes (on) into a broker's log with the end of this delivery, one round poorer. Without
 * room for the count of rounds it does not: a loop would never end. 0 or negative errno. */
static int keep_reply(struct delivery *d, struct event *reply, uint32_t broker)
{
    struct event cause = {0};
    must(event_decode(slice_of(d->event->bytes, d->event->len), &cause) == 0);
    unsigned left = ttl_left(&cause);
    if (left <= 1) {
        atomic_fetch_add_explicit(&d->core->counters.loops, 1, memory_order_relaxed);
        return 0;
    }
    trace_inherit(reply, &cause);
    struct ttl_text text;
    int r = ttl_set(reply, left - 1, &text);
    if (r < 0)
        return r;
    buf_reset(&d->reply);
    event_encode(reply, &d->reply);
    if (!buf_ok(&d->reply)) {
        buf_done(&d->reply);
        return -ENOMEM;
    }
    d->reply_broker = broker;
    d->reply_type = type_names_find(ingress_measures_names(d->core->ingress_measures),
                                    event_get(reply, "type"));
    atomic_fetch_add_explicit(&d->core->counters.replies, 1, memory_order_relaxed);
    return 0;
}

void reply_conclude(struct delivery *d, struct event *reply, uint32_t broker)
{
    int r = keep_reply(d, reply, broker);
    if (r < 0)
        delivery_fail(d, 502,
                      r == -ENOSPC ? "the event has no room left for the attribute knativebrokerttl"
                                   : strerror(-r),
                      (struct slice){"", 0});
    delivery_conclude(d, r == 0 ? OUTCOME_DONE : OUTCOME_RETRY);
}

/* 1: an event was read into e; 0: there is none; -ENOMSG: a body that does not claim to be an
 * event; -EBADMSG: one that does and is none. */
static int read_reply(const struct http_call_result *result, struct event *e,
                      struct event_arena *arena, struct error *err)
{
    struct slice type = {NULL, 0};
    bool has_ce = false;
    for (unsigned i = 0; i < result->header_count; i++) {
        struct slice name = result->headers[i].name;
        if (slice_is_nocase(name, "content-type"))
            type = result->headers[i].value;
        has_ce = has_ce || (name.len > 3 && strncasecmp(name.ptr, "ce-", 3) == 0);
    }
    enum event_mode mode = event_mode_of(type, has_ce);
    bool opaque = mode == EVENT_MODE_STRUCTURED && !event_format_is_json(type);
    if (mode == EVENT_MODE_STRUCTURED && !opaque)
        return event_json_read(result->body, e, arena, err) < 0 ? -EBADMSG : 1;
    if (mode == EVENT_MODE_BINARY || opaque) {
        struct event_http_reader reader;
        event_http_begin(&reader, e, arena, err);
        for (unsigned i = 0; i < result->header_count; i++)
            event_http_header(&reader, result->headers[i].name, result->headers[i].value);
        int r = opaque ? event_http_finish_opaque(&reader, result->body)
                       : event_http_finish(&reader, result->body);
        return r < 0 ? -EBADMSG : 1;
    }
    if (mode == EVENT_MODE_BATCH)
        return error_set(
            err, -EBADMSG,
            "the answer is a batch; a reply is one event, in binary or structured mode");
    if (result->body.len == 0)
        return 0;
    return error_set(err, -ENOMSG, "the answer has a body that is no CloudEvent");
}

void reply_take(struct delivery *d, const struct http_call_result *result)
{
    struct trigger *t = d->trigger;
    struct event reply = {0};
    struct event_arena arena = {0};
    struct error err = ERROR_INIT;
    int r = read_reply(result, &reply, &arena, &err);
    /* What a function gives back need not be an event; only foreign subscribers owe one (Knative:
     * 502). */
    if (r == -ENOMSG && t->subscriber.kind == TARGET_FUNCTION)
        r = 0;
    if (r < 0) {
        delivery_fail(d, 502, err.message, result->body);
        event_arena_done(&arena);
        delivery_conclude(d, OUTCOME_RETRY);
        return;
    }
    if (r > 0 && t->broker != NULL)
        reply_conclude(d, &reply, t->broker->number);
    else
        delivery_conclude(d, OUTCOME_DONE);
    event_arena_done(&arena);
}
