/* SPDX-License-Identifier: Apache-2.0 */
/* The request that carries an event to a subscriber or dead-letter sink (CloudEvents HTTP binding
 * 1.0.2, Knative data plane). */
#include "broker/request.h"

#include "broker/answer.h"
#include "broker/trace.h"

#include <errno.h>

#define HEADERS_MAX        (EVENT_ATTRIBUTES_MAX + 8)
#define BINARY_HEADERS_MAX (7 * 1024) /* common servers take 8 KiB of headers */

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

/* Prefer and Kn-Namespace, which every delivery carries (Knative data plane), and its trace. */
static void collect_common(struct header_places *places, const struct delivery *d,
                           const struct event *e)
{
    collect_header(places, SLICE("Prefer"), SLICE("reply"));
    collect_header(places, SLICE("Kn-Namespace"), slice_text(d->trigger->resource->namespace_name));
    trace_to_headers(e, collect_header, places);
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
        .trust = target->trust,
        .timeout_ns = d->trigger->policy.timeout_ns,
        .response_max = EVENT_DATA_MAX + EVENT_ATTRIBUTES_BYTES_MAX,
        .repeatable = true, /* at least once */
        .done = answer_received,
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
    collect_common(&places, d, e);
    buf_reset(&d->body);
    event_json_write(e, &d->body);
    return buf_ok(&d->body) ? send_message(d, target, &places, buf_slice(&d->body)) : -ENOMEM;
}

int request_send(struct delivery *d, const struct target *target, const struct event *e)
{
    struct header_places places = {.text = &d->core->header_text, .count = 0};
    enum policy_format format =
        d->stage == STAGE_SUBSCRIBER ? d->trigger->policy.format : POLICY_FORMAT_ANY;
    if (e->opaque) /* nobody here can write it otherwise */
        format = POLICY_FORMAT_BINARY;
    if (format == POLICY_FORMAT_JSON)
        return send_structured(d, target, e);
    buf_reset(places.text);
    int r = event_http_write(e, collect_header, &places);
    if (r < 0)
        return r;
    if (places.text->len > BINARY_HEADERS_MAX && format != POLICY_FORMAT_BINARY)
        return send_structured(d, target, e);
    collect_common(&places, d, e);
    return send_message(d, target, &places, e->data);
}
