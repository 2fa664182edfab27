/* SPDX-License-Identifier: Apache-2.0 */
/* Events coming in, on the HTTP threads: found good, encoded, appended as one group; 202 is sent
 * once the group is synced. Knative Eventing data plane, CloudEvents HTTP
 * binding 1.0.2 and HTTP webhook §4 (OPTIONS). */
#include "broker/broker_internal.h"

#include "base/clock.h"
#include "broker/timing.h"
#include "broker/trace.h"
#include "broker/ttl.h"

#include <ctype.h>
#include <errno.h>

#define HOST_MAX 300 /* 253 of a name (RFC 1035 §2.3.4), a port */

static void refuse(struct broker_core *b, struct http_request *request, unsigned status,
                   const struct error *err)
{
    atomic_fetch_add_explicit(&b->counters.refused, 1, memory_order_relaxed);
    http_respond_error(request, status, err);
}

/* Events on their way to the log; lives as long as the request. */
struct appending {
    struct http_request *request;
    uint64_t events;
    struct ingress_tally tally;
    uint64_t began_ns; /* monotonic */
};

/* On the thread that committed: an HTTP thread at the end of its turn, or the log thread. */
static void appended(void *ctx, int error, uint64_t position)
{
    struct appending *a = ctx;
    struct http_request *request = a->request;
    if (error == 0) {
        struct broker_core *b = http_request_route(request)->ctx;
        atomic_fetch_add_explicit(&b->counters.taken, a->events, memory_order_relaxed);
        ingress_tally_accepted(&a->tally, clock_monotonic() - a->began_ns);
        http_respond_empty(request, 202);
        return;
    }
    ingress_tally_refused(&a->tally, error == -EMSGSIZE ? 413 : 503);
    if (error == -ENOSPC)
        http_respond_errorf(request, 503,
                            "the log has no room: the disk or the configured size is full");
    else if (error == -EMSGSIZE)
        http_respond_errorf(request, 413, "the events are too large for one group");
    else
        http_respond_errorf(request, 503, "the event could not be made durable: %s",
                            strerror(-error));
}

struct taking {
    struct store_group group;
    const struct broker_core *core;
    uint32_t broker;
    uint64_t events;
    struct ingress_measure *measure;
    struct ingress_tally tally;
    struct trace trace;
    struct error *err;
};

static int add_event(struct taking *t, const struct event *e)
{
    store_group_begin(&t->group, STORE_RECORD_EVENT, t->broker, (struct slice){"", 0});
    event_encode(e, &t->group.bytes);
    store_group_end(&t->group);
    t->events++;
    return t->group.status;
}

/* One that has come from a broker enters another: one round less. */
static int count_round(struct event *e, struct ttl_text *text, struct error *err)
{
    unsigned left = ttl_left(e);
    if (left <= 1)
        return error_field(
            err, -EINVAL, BROKER_TTL_ATTRIBUTE,
            "the event has passed through brokers too often; look for a loop of triggers");
    return ttl_set(e, left - 1, text);
}

static int take_event(struct taking *t, const struct event *e)
{
    if (timing_is_given(e)) {
        int timing = timing_check(e, loop_realtime(t->core->loop), t->err);
        if (timing < 0)
            return timing;
    }
    bool counted = ttl_is_given(e);
    bool traced = trace_is_for(&t->trace, e);
    ingress_tally_add(&t->tally, t->measure, event_get(e, "type"));
    if (!counted && !traced)
        return add_event(t, e);
    struct event changed = *e;
    struct ttl_text text;
    int r = counted ? count_round(&changed, &text, t->err) : 0;
    if (traced)
        trace_to_event(&t->trace, &changed);
    return r < 0 ? r : add_event(t, &changed);
}

static int take_batched(void *ctx, const struct event *e)
{
    return take_event(ctx, e);
}

struct header_feed {
    struct event_http_reader *reader;
    struct trace *trace;
    bool has_ce;
};

static void feed_header(void *ctx, struct slice name, struct slice value)
{
    struct header_feed *f = ctx;
    event_http_header(f->reader, name, value);
}

static void look_at_header(void *ctx, struct slice name, struct slice value)
{
    struct header_feed *f = ctx;
    if (name.len > 3 && strncasecmp(name.ptr, "ce-", 3) == 0)
        f->has_ce = true;
    else
        trace_header(f->trace, name, value);
}

static int read_binary(struct http_request *request, struct taking *t, struct event_arena *arena)
{
    struct event event = {0};
    struct event_http_reader reader;
    event_http_begin(&reader, &event, arena, t->err);
    struct header_feed feed = {.reader = &reader};
    http_request_each_header(request, feed_header, &feed);
    int r = event_http_finish(&reader, http_request_body(request));
    return r < 0 ? r : take_event(t, &event);
}

/* The message goes on as it is. */
static int read_opaque(struct http_request *request, struct taking *t, struct event_arena *arena)
{
    struct event event = {0};
    struct event_http_reader reader;
    event_http_begin(&reader, &event, arena, t->err);
    struct header_feed feed = {.reader = &reader};
    http_request_each_header(request, feed_header, &feed);
    int r = event_http_finish_opaque(&reader, http_request_body(request));
    return r < 0 ? r : take_event(t, &event);
}

/* Nobody could tell its events apart. */
static int refuse_batch(struct slice content_type, struct error *err)
{
    return error_set(err, -EPROTONOSUPPORT,
                     "batches in the format " SLICE_FMT " are not understood; send "
                     "application/cloudevents-batch+json, or the events one by one",
                     (int)(content_type.len < 100 ? content_type.len : 100), content_type.ptr);
}

static int read_body(struct http_request *request, struct taking *t, struct event_arena *arena)
{
    struct header_feed feed = {.trace = &t->trace};
    http_request_each_header(request, look_at_header, &feed);
    struct slice body = http_request_body(request);
    struct slice content_type = http_request_header(request, "Content-Type");
    enum event_mode mode = event_mode_of(content_type, feed.has_ce);
    if ((mode == EVENT_MODE_STRUCTURED || mode == EVENT_MODE_BATCH) &&
        !event_format_is_json(content_type))
        return mode == EVENT_MODE_BATCH ? refuse_batch(content_type, t->err)
                                        : read_opaque(request, t, arena);
    switch (mode) {
    case EVENT_MODE_BINARY:
        return read_binary(request, t, arena);
    case EVENT_MODE_STRUCTURED: {
        struct event event = {0};
        int r = event_json_read(body, &event, arena, t->err);
        return r < 0 ? r : take_event(t, &event);
    }
    case EVENT_MODE_BATCH:
        return event_json_read_batch(body, take_batched, t, t->err);
    case EVENT_MODE_NONE:
    default:
        return error_set(
            t->err, -EINVAL,
            "no CloudEvent: send ce-id, ce-source, ce-type and ce-specversion headers, or "
            "Content-Type: application/cloudevents+json");
    }
}

static unsigned status_of(int error)
{
    switch (error) {
    case -E2BIG:
    case -EMSGSIZE:
        return 413;
    case -EPROTONOSUPPORT:
        return 415;
    case -ENOMEM:
        return 503;
    default:
        return 400;
    }
}

static void take(struct broker_core *b, struct http_request *request,
                 struct ingress_measure *measure)
{
    struct error err = ERROR_INIT;
    struct taking taking = {
        .core = b, .broker = ingress_measure_broker(measure), .measure = measure, .err = &err};
    uint64_t began_ns = clock_monotonic();
    struct event_arena arena = {0};
    taking.trace.arena = &arena;
    store_group_init(&taking.group);
    taking.group.held = true; /* until the end of the HTTP thread's turn */
    int r = read_body(request, &taking, &arena);
    event_arena_done(&arena);
    if (r < 0) {
        store_group_done(&taking.group);
        if (err.code == 0)
            error_set(&err, r, "the event could not be read: %s", strerror(-r));
        ingress_tally_refused(&taking.tally, status_of(r));
        ingress_request_refused(measure, status_of(r));
        refuse(b, request, status_of(r), &err);
        return;
    }
    if (taking.events == 0) { /* an empty batch is good and changes nothing */
        store_group_done(&taking.group);
        http_respond_empty(request, 202);
        return;
    }
    struct appending *a = http_request_alloc(request, sizeof(*a));
    if (a == NULL) {
        store_group_done(&taking.group);
        http_respond_errorf(request, 503, "out of memory");
        return;
    }
    *a = (struct appending){request, taking.events, taking.tally, began_ns};
    store_append(b->store, &taking.group, appended, a);
}

void ingress_post(struct http_request *request, void *ctx)
{
    struct broker_core *b = ctx;
    struct slice space = http_request_param(request, "namespace");
    struct slice name = http_request_param(request, "broker");
    struct ingress_measure *measure = directory_find(b->directory, space, name);
    if (measure != NULL) {
        take(b, request, measure);
        return;
    }
    struct error err;
    error_set(&err, -ENOENT,
              "there is no broker " SLICE_FMT " in namespace " SLICE_FMT
              "; `sluice get brokers -A` lists them",
              SLICE_ARG(name), SLICE_ARG(space));
    refuse(b, request, 404, &err);
}

/* NAME-broker.NAMESPACE.svc[.cluster.local][:port], the older form. False when the host is none. */
static bool split_host(struct slice host, struct slice *ret_namespace, struct slice *ret_name)
{
    static const char middle[] = "-broker.";
    const char *colon = memchr(host.ptr, ':', host.len);
    if (colon != NULL)
        host.len = (size_t)(colon - host.ptr);
    if (slice_ends(host, ".svc.cluster.local"))
        host.len -= strlen(".svc.cluster.local");
    else if (slice_ends(host, ".svc"))
        host.len -= strlen(".svc");
    else
        return false;
    const char *at = memmem(host.ptr, host.len, middle, sizeof(middle) - 1);
    if (at == NULL)
        return false;
    *ret_name = slice_of(host.ptr, (size_t)(at - host.ptr));
    const char *space = at + sizeof(middle) - 1;
    *ret_namespace = slice_of(space, (size_t)(host.ptr + host.len - space));
    return true;
}

static struct ingress_measure *find_by_host(struct broker_core *b, struct http_request *request,
                                            struct error *err)
{
    struct slice given = http_request_header(request, "Host");
    struct slice space, name;
    char host[HOST_MAX]; /* in small letters: host names have no case (RFC 9110 §4.2.3) */
    size_t len = given.ptr != NULL && given.len <= sizeof(host) ? given.len : 0;
    for (size_t i = 0; i < len; i++)
        host[i] = (char)tolower((unsigned char)given.ptr[i]);
    if (len == 0 || !split_host(slice_of(host, len), &space, &name)) {
        error_set(err, -ENOENT,
                  "no broker here: post to /NAMESPACE/BROKER, or to / with Host: "
                  "BROKER-broker.NAMESPACE.svc.cluster.local");
        return NULL;
    }
    struct ingress_measure *measure = directory_find(b->directory, space, name);
    if (measure == NULL)
        error_set(err, -ENOENT, "there is no broker " SLICE_FMT " in namespace " SLICE_FMT,
                  SLICE_ARG(name), SLICE_ARG(space));
    return measure;
}

void ingress_post_host(struct http_request *request, void *ctx)
{
    struct broker_core *b = ctx;
    struct error err = ERROR_INIT;
    struct ingress_measure *measure = find_by_host(b, request, &err);
    if (measure != NULL)
        take(b, request, measure);
    else
        refuse(b, request, 404, &err);
}

static void answer_handshake(struct http_request *request)
{
    static const struct http_header headers[] = {
        {SLICE("Allow"), SLICE("POST, OPTIONS")},
        {SLICE("WebHook-Allowed-Origin"), SLICE("*")},
        {SLICE("WebHook-Allowed-Rate"), SLICE("*")},
    };
    http_respond(request, &(struct http_response){.status = 200,
                                                  .headers = headers,
                                                  .header_count = COUNT_OF(headers)});
}

void ingress_options(struct http_request *request, void *ctx)
{
    struct broker_core *b = ctx;
    if (directory_find(b->directory, http_request_param(request, "namespace"),
                       http_request_param(request, "broker")) == NULL)
        http_respond_errorf(request, 404, "there is no such broker");
    else
        answer_handshake(request);
}

void ingress_options_host(struct http_request *request, void *ctx)
{
    struct error err = ERROR_INIT;
    if (find_by_host(ctx, request, &err) == NULL)
        http_respond_error(request, 404, &err);
    else
        answer_handshake(request);
}
