/* SPDX-License-Identifier: Apache-2.0 */
/* One event for one trigger: the request, what its answer means (Knative delivery contract, data
 * plane), the reply. */
#include "broker/delivery.h"

#include "base/clock.h"
#include "base/encoding.h"
#include "base/must.h"
#include "broker/retry.h"
#include "broker/row.h"

#include <errno.h>
#include <stdio.h>

#define HEADERS_MAX        (EVENT_ATTRIBUTES_MAX + 8)
#define BINARY_HEADERS_MAX (7 * 1024) /* common servers take 8 KiB of headers */

struct delivery *delivery_new(struct trigger *t, uint64_t position, uint64_t time_ns)
{
    struct delivery *d = calloc(1, sizeof(*d));
    if (d == NULL)
        return NULL;
    d->magic = DELIVERY_MAGIC;
    d->trigger = t;
    d->trigger_number = t->number;
    d->core = t->core;
    d->position = position;
    d->time_ns = time_ns;
    list_init(&d->link);
    list_init(&d->outstanding);
    return d;
}

void delivery_free(struct delivery *d)
{
    must(d->call == NULL);
    if (d->in_tables && d->trigger != NULL)
        d->trigger->retrying_count--;
    retry_readable(d);
    list_remove(&d->link);
    list_remove(&d->outstanding);
    loop_timer_cancel(d->core->loop, &d->due);
    event_hold_unref(d->event);
    buf_done(&d->reply);
    buf_done(&d->error_body);
    buf_done(&d->body);
    d->magic = 0;
    free(d);
}

/* ---- the request ---- */

struct header_places {
    struct buf *text;
    struct {
        size_t name, name_len, value, value_len;
    } at[HEADERS_MAX];
    unsigned count;
};

static void collect_header(void *ctx, struct slice name, struct slice value)
{
    struct header_places *p = ctx;
    if (p->count == HEADERS_MAX)
        return;
    p->at[p->count].name = p->text->len;
    p->at[p->count].name_len = name.len;
    buf_add_slice(p->text, name);
    p->at[p->count].value = p->text->len;
    p->at[p->count].value_len = value.len;
    buf_add_slice(p->text, value);
    p->count++;
}

/* Once for all: the text may move while it grows. */
static void resolve_headers(const struct header_places *p, struct http_call_header *out)
{
    for (unsigned i = 0; i < p->count; i++) {
        out[i].name = slice_of(p->text->ptr + p->at[i].name, p->at[i].name_len);
        out[i].value = slice_of(p->text->ptr + p->at[i].value, p->at[i].value_len);
    }
}

struct dead_letter_text {
    char code[16];
    struct buf key, row, data;
};

static void dead_letter_text_done(struct dead_letter_text *text)
{
    buf_done(&text->key);
    buf_done(&text->row);
    buf_done(&text->data);
}

/* Knative's dead-letter extensions: why the subscriber did not take the event, which is in the row
 * in DEAD (the delivery itself may be one that the dead-letter sink has failed since). */
static void add_error_attributes(const struct delivery *d, struct event *e,
                                 struct dead_letter_text *text)
{
    const char *destination = d->trigger->subscriber.uri;
    struct dead_row why = {.code = d->code, .error = slice_text(d->error)};
    row_object_key(d->trigger_number, d->position, &text->key);
    if (store_get(d->core->store, STORE_TABLE_DEAD, buf_slice(&text->key), &text->row, NULL) == 0)
        row_dead_read(buf_slice(&text->key), buf_slice(&text->row), &why);
    snprintf(text->code, sizeof(text->code), "%u", why.code != 0 ? why.code : 500);
    encoding_base64_add(&text->data, why.body.len > 0 ? why.body : why.error);
    event_set(e, "knativeerrordest", slice_text(destination != NULL ? destination : ""));
    event_set(e, "knativeerrorcode", slice_text(text->code));
    event_set(e, "knativeerrordata", buf_slice(&text->data));
}

static void delivery_done(void *ctx, const struct http_call_result *result);
static void conclude(struct delivery *d, enum delivery_outcome outcome);

static int send_to(struct delivery *d, const struct target *target,
                   const struct http_call_options *options)
{
    struct broker_core *b = d->core;
    if (target->kind == TARGET_URL)
        return http_client_call(b->client, options, &d->call);
    if (target->kind == TARGET_FUNCTION && b->functions != NULL)
        return b->functions->call(b->functions_ctx, target->namespace_name, target->name,
                                  target->path, options, &d->call);
    return -ENOENT;
}

/* Prefer and Kn-Namespace, which every delivery carries (Knative data plane). */
static void collect_common(struct header_places *places, const struct delivery *d)
{
    collect_header(places, SLICE("Prefer"), SLICE("reply"));
    collect_header(places, SLICE("Kn-Namespace"), slice_text(d->trigger->resource->namespace_name));
}

static int send_message(struct delivery *d, const struct target *target,
                        const struct header_places *places, struct slice body)
{
    struct http_call_header headers[HEADERS_MAX];
    if (!buf_ok(places->text))
        return -ENOMEM;
    resolve_headers(places, headers);
    struct http_call_options options = {
        .method = "POST",
        .url = target->uri,
        .headers = headers,
        .header_count = places->count,
        .body = body,
        .timeout_ns = d->trigger->policy.timeout_ns,
        .response_max = EVENT_DATA_MAX + EVENT_ATTRIBUTES_BYTES_MAX,
        .repeatable = true, /* at least once */
        .done = delivery_done,
        .ctx = d,
    };
    return send_to(d, target, &options);
}

/* For events whose attributes are too large for the headers that servers take. */
static int send_structured(struct delivery *d, const struct target *target, const struct event *e)
{
    struct header_places places = {.text = &d->core->header_text, .count = 0};
    buf_reset(places.text);
    collect_header(&places, SLICE("Content-Type"), SLICE("application/cloudevents+json"));
    collect_common(&places, d);
    buf_reset(&d->body);
    event_json_write(e, &d->body);
    return buf_ok(&d->body) ? send_message(d, target, &places, buf_slice(&d->body)) : -ENOMEM;
}

static int send_event(struct delivery *d, const struct target *target, const struct event *e)
{
    struct header_places places = {.text = &d->core->header_text, .count = 0};
    buf_reset(places.text);
    int r = event_http_write(e, collect_header, &places);
    if (r < 0)
        return r;
    if (places.text->len > BINARY_HEADERS_MAX)
        return send_structured(d, target, e);
    collect_common(&places, d);
    return send_message(d, target, &places, e->data);
}

static void fail(struct delivery *d, unsigned code, const char *reason, struct slice body)
{
    d->code = code;
    snprintf(d->error, sizeof(d->error), "%s", reason);
    buf_reset(&d->error_body);
    buf_add(&d->error_body, body.ptr, body.len < DELIVERY_BODY_MAX ? body.len : DELIVERY_BODY_MAX);
}

/* ---- replies ---- */

static unsigned ttl_of(const struct event *e)
{
    uint64_t left;
    struct slice ttl = event_get(e, "knativebrokerttl");
    if (ttl.ptr == NULL || encoding_parse_u64(ttl, &left) < 0 || left > BROKER_TTL_DEFAULT)
        return BROKER_TTL_DEFAULT;
    return (unsigned)left;
}

static int event_set_integer(struct event *e, const char *name, const char *digits)
{
    int r = event_set(e, name, slice_text(digits));
    for (unsigned i = 0; i < e->count; i++)
        if (slice_is(e->attributes[i].name, name))
            e->attributes[i].kind = EVENT_VALUE_INTEGER;
    return r;
}

/* The event goes (on) into a broker's log with the end of this delivery, one round poorer. Without
 * room for the count of rounds it does not: a loop would never end. 0 or negative errno. */
static int keep_reply(struct delivery *d, struct event *reply, uint32_t broker)
{
    struct event cause = {0};
    must(event_decode(slice_of(d->event->bytes, d->event->len), &cause) == 0);
    unsigned left = ttl_of(&cause);
    if (left <= 1) {
        atomic_fetch_add_explicit(&d->core->counters.loops, 1, memory_order_relaxed);
        return 0;
    }
    char ttl[8];
    snprintf(ttl, sizeof(ttl), "%u", left - 1);
    int r = event_set_integer(reply, "knativebrokerttl", ttl);
    if (r < 0)
        return r;
    buf_reset(&d->reply);
    event_encode(reply, &d->reply);
    if (!buf_ok(&d->reply)) {
        buf_done(&d->reply);
        return -ENOMEM;
    }
    d->reply_broker = broker;
    atomic_fetch_add_explicit(&d->core->counters.replies, 1, memory_order_relaxed);
    return 0;
}

/* The delivery ends well if its reply can be kept. */
static void conclude_with_reply(struct delivery *d, struct event *reply, uint32_t broker)
{
    int r = keep_reply(d, reply, broker);
    if (r < 0)
        fail(d, 502,
             r == -ENOSPC ? "the event has no room left for the attribute knativebrokerttl"
                          : strerror(-r),
             (struct slice){"", 0});
    conclude(d, r == 0 ? OUTCOME_DONE : OUTCOME_RETRY);
}

static void forward_to_broker(struct delivery *d, const struct target *target, struct event *e)
{
    struct broker *to = broker_find(d->core, target->namespace_name, target->name);
    if (to == NULL) {
        fail(d, 404, "the subscriber's broker does not exist", (struct slice){"", 0});
        conclude(d, OUTCOME_RETRY);
        return;
    }
    conclude_with_reply(d, e, to->number);
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
    if (mode == EVENT_MODE_STRUCTURED)
        return event_json_read(result->body, e, arena, err) < 0 ? -EBADMSG : 1;
    if (mode == EVENT_MODE_BINARY) {
        struct event_http_reader reader;
        event_http_begin(&reader, e, arena, err);
        for (unsigned i = 0; i < result->header_count; i++)
            event_http_header(&reader, result->headers[i].name, result->headers[i].value);
        return event_http_finish(&reader, result->body) < 0 ? -EBADMSG : 1;
    }
    if (result->body.len == 0)
        return 0;
    return error_set(err, -ENOMSG, "the answer has a body that is no CloudEvent");
}

static void take_reply(struct delivery *d, const struct http_call_result *result)
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
        fail(d, 502, err.message, result->body);
        event_arena_done(&arena);
        conclude(d, OUTCOME_RETRY);
        return;
    }
    if (r > 0 && t->broker != NULL)
        conclude_with_reply(d, &reply, t->broker->number);
    else
        conclude(d, OUTCOME_DONE);
    event_arena_done(&arena);
}

/* ---- the answer ---- */

static bool retriable(unsigned status)
{
    return status == 404 || status == 408 || status == 409 || status == 429 || status >= 500;
}

/* Retry-After in seconds (RFC 9110 §10.2.3), for 429 and 503; 0 when there is none. A date is left
 * to the back-off. */
static uint64_t retry_after(const struct delivery *d, const struct http_call_result *result)
{
    if (result->status != 429 && result->status != 503)
        return 0;
    for (unsigned i = 0; i < result->header_count; i++) {
        uint64_t seconds;
        if (!slice_is_nocase(result->headers[i].name, "retry-after") ||
            encoding_parse_u64(result->headers[i].value, &seconds) < 0)
            continue;
        uint64_t max = d->trigger->policy.retry_after_max_ns;
        return seconds > max / CLOCK_SECOND ? max : seconds * CLOCK_SECOND;
    }
    return 0;
}

static void delivery_done(void *ctx, const struct http_call_result *result)
{
    struct delivery *d = must_be((struct delivery *)ctx, DELIVERY_MAGIC);
    d->call = NULL;
    d->next_delay_ns = 0;
    if (result->error == -ECANCELED)
        return; /* the broker stops: the delivery stays unfinished */
    if (result->error != 0) {
        fail(d, 0, result->error_text, (struct slice){"", 0});
        conclude(d, OUTCOME_RETRY);
    } else if (result->status >= 200 && result->status < 300) {
        if (result->status == 202 || d->stage == STAGE_DEAD_LETTER)
            conclude(d, OUTCOME_DONE); /* a 202 body is never a reply */
        else
            take_reply(d, result);
    } else {
        char text[64];
        snprintf(text, sizeof(text), "answered %u %s", result->status,
                 http_status_text(result->status));
        fail(d, result->status, text, result->body);
        d->next_delay_ns = retry_after(d, result);
        conclude(d, retriable(result->status) ? OUTCOME_RETRY : OUTCOME_DEAD);
    }
}

void delivery_start(struct delivery *d)
{
    struct trigger *t = d->trigger;
    const struct target *target =
        d->stage == STAGE_DEAD_LETTER ? &t->policy.dead_letter : &t->subscriber;
    struct event event = {0};
    must(event_decode(slice_of(d->event->bytes, d->event->len), &event) == 0);
    struct dead_letter_text text = {.key = BUF_INIT, .row = BUF_INIT, .data = BUF_INIT};
    if (d->stage == STAGE_DEAD_LETTER)
        add_error_attributes(d, &event, &text);
    if (target->kind == TARGET_NONE) { /* the trigger has no dead-letter sink any more */
        conclude(d, OUTCOME_DEAD);
    } else if (target->kind == TARGET_BROKER) {
        forward_to_broker(d, target, &event);
    } else {
        char arrival[CLOCK_RFC3339_SIZE];
        if (event_get(&event, "knativearrivaltime").ptr == NULL) {
            size_t len = clock_format_rfc3339(d->time_ns, 9, arrival);
            event_set(&event, "knativearrivaltime", slice_of(arrival, len));
        }
        event_unset(&event, "knativebrokerttl");
        int r = send_event(d, target, &event);
        if (r < 0) {
            fail(d, 0, strerror(-r), (struct slice){"", 0});
            conclude(d, OUTCOME_RETRY);
        }
    }
    dead_letter_text_done(&text);
}

/* d(n): linear n·delay, exponential delay·2^(n-1), n counted from 1. */
static uint64_t backoff(const struct policy *p, unsigned n)
{
    uint64_t times = p->linear ? n : UINT64_C(1) << (n > 32 ? 31 : n - 1);
    return p->delay_ns > RETRY_DELAY_MAX / times ? RETRY_DELAY_MAX : p->delay_ns * times;
}

static void conclude(struct delivery *d, enum delivery_outcome outcome)
{
    struct trigger *t = d->trigger;
    struct counters *c = &d->core->counters;
    d->attempts++;
    t->in_flight--;
    atomic_fetch_sub_explicit(&c->in_flight, 1, memory_order_relaxed);
    if (outcome == OUTCOME_RETRY && d->attempts > t->policy.retry)
        outcome = OUTCOME_DEAD;
    if (outcome == OUTCOME_RETRY) {
        uint64_t delay = backoff(&t->policy, d->attempts);
        d->next_delay_ns = delay > d->next_delay_ns ? delay : d->next_delay_ns;
    }
    atomic_fetch_add_explicit(outcome == OUTCOME_DONE    ? &c->delivered
                              : outcome == OUTCOME_RETRY ? &c->retried
                                                         : &c->dead,
                              1, memory_order_relaxed);
    if (outcome != OUTCOME_DONE)
        atomic_fetch_add_explicit(&c->failed, 1, memory_order_relaxed);
    d->outcome = outcome;
    outcome_append(d);
}
