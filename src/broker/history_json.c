/* SPDX-License-Identifier: Apache-2.0 */
/* GET /-/events/{position}: a history as JSON; docs/inspect.md has its members. */
#include "broker/history.h"

#include "base/clock.h"
#include "base/encoding.h"
#include "broker/dedup.h"
#include "broker/delivery.h"
#include "broker/name_json.h"

#include <errno.h>

#define ANSWER_MAX (16u << 20)

struct writer {
    const struct history *h;
    struct broker_core *core;
    struct buf *out;
};

/* ---- one step ---- */

static const char *end_name(const struct history_step *s)
{
    switch (s->kind) {
    case HISTORY_SCHEDULED:
        return s->facts.end == ATTEMPT_DELAYED ? "delayed" : "scheduled";
    case HISTORY_REDRIVEN:
        return "redriven";
    case HISTORY_REPLAYED:
        return "replayed";
    case HISTORY_EDITED:
        return "edited";
    case HISTORY_REMOVED:
        return "removed";
    case HISTORY_ATTEMPT:
    case HISTORY_KIND_COUNT:
        break;
    }
    return attempt_end_name(s->facts.end);
}

static void write_text(struct buf *out, const char *member, struct slice text)
{
    if (text.len == 0)
        return;
    buf_printf(out, ",\"%s\":", member);
    buf_add_json_string(out, text);
}

static void write_event(struct writer *w, const struct history_event *e);

static void write_reply(struct writer *w, uint64_t position, uint32_t depth)
{
    const struct history_event *e = history_find(w->h, position);
    buf_add_text(w->out, ",\"reply\":");
    if (e != NULL && e->depth == depth + 1 && w->out->len < ANSWER_MAX)
        write_event(w, e);
    else
        buf_printf(w->out, "{\"position\":%llu,\"leftOut\":true}", (unsigned long long)position);
}

static void write_step(struct writer *w, const struct history_step *s, uint32_t depth)
{
    struct buf *out = w->out;
    const struct attempt *a = &s->facts;
    buf_printf(out, "{\"position\":%llu,\"end\":\"%s\"", (unsigned long long)s->position,
               end_name(s));
    json_time(out, "time", a->time_ns != 0 ? a->time_ns : s->time_ns);
    if (s->kind == HISTORY_ATTEMPT && a->number > 0) {
        buf_printf(out, ",\"number\":%u,\"stage\":\"%s\",\"code\":%u", a->number,
                   a->stage == STAGE_DEAD_LETTER ? "deadLetterSink" : "subscriber", a->code);
        if (a->latency_us > 0)
            buf_printf(out, ",\"latencyMs\":%u.%03u", a->latency_us / 1000, a->latency_us % 1000);
    }
    write_text(out, "error", buf_slice(&s->error));
    write_text(out, "body", buf_slice(&s->body));
    if (s->due_ns != 0)
        json_time(out, "due", s->due_ns);
    if (s->reply != 0)
        write_reply(w, s->reply, depth);
    buf_add_byte(out, '}');
}

/* ---- one event ---- */

static void write_delivery(struct writer *w, const struct history_delivery *d, uint32_t depth)
{
    struct buf *out = w->out;
    buf_add_byte(out, '{');
    json_trigger(out, w->core, d->trigger);
    buf_printf(out, ",\"state\":\"%s\"", history_state_name(d->state));
    if (d->due_ns != 0)
        json_time(out, "due", d->due_ns);
    buf_add_text(out, ",\"attempts\":[");
    for (uint32_t i = 0; i < d->count; i++) {
        if (i > 0)
            buf_add_byte(out, ',');
        write_step(w, &d->steps[i], depth);
    }
    buf_add_text(out, "]}");
}

/* As it was sent; an encoding that cannot be read, in base64. */
static void write_content(struct buf *out, struct slice encoded)
{
    struct event event = {0};
    if (encoded.len > 0 && event_decode(encoded, &event) == 0) {
        buf_add_text(out, ",\"event\":");
        event_json_write(&event, out);
        return;
    }
    buf_add_text(out, ",\"event\":null");
    if (encoded.len == 0)
        return;
    buf_add_text(out, ",\"undecodable\":\"");
    encoding_base64_add(out, encoded);
    buf_add_byte(out, '"');
}

static void write_head(struct writer *w, uint64_t position, uint64_t time_ns, uint32_t broker)
{
    buf_printf(w->out, "{\"position\":%llu", (unsigned long long)position);
    if (time_ns != 0)
        json_time(w->out, "time", time_ns);
    buf_add_byte(w->out, ',');
    json_broker(w->out, w->core, broker);
}

static void write_members(struct writer *w, const struct history_event *e)
{
    struct buf *out = w->out;
    write_head(w, e->position, e->time_ns, e->broker);
    write_content(out, buf_slice(&e->encoded));
    buf_printf(out, ",\"dataBytes\":%llu", (unsigned long long)e->data_bytes);
    if (e->data_left_out)
        buf_add_text(out, ",\"dataLeftOut\":true");
    buf_printf(out, ",\"matched\":%s,\"deliveries\":[", e->matched ? "true" : "false");
    for (uint32_t i = 0; i < e->count; i++) {
        if (i > 0)
            buf_add_byte(out, ',');
        write_delivery(w, &e->deliveries[i], e->depth);
    }
    buf_add_byte(out, ']');
}

static void write_event(struct writer *w, const struct history_event *e)
{
    write_members(w, e);
    buf_add_byte(w->out, '}');
}

static void write_causes(struct writer *w)
{
    buf_add_text(w->out, ",\"causes\":[");
    for (uint32_t i = 0; i < w->h->cause_count; i++) {
        const struct history_cause *c = &w->h->causes[i];
        if (i > 0)
            buf_add_byte(w->out, ',');
        write_head(w, c->position, c->time_ns, c->broker);
        write_content(w->out, buf_slice(&c->encoded));
        buf_add_text(w->out, ",\"answeredBy\":{");
        json_trigger(w->out, w->core, c->trigger);
        buf_printf(w->out, ",\"attempt\":%u}}", c->attempt);
    }
    buf_add_byte(w->out, ']');
}

/* As the broker judges now: the annotation may have been another one then. */
static void write_duplicate(struct writer *w)
{
    const struct history_event *e = &w->h->events[0];
    const struct broker *broker = broker_by_number(w->core, e->broker);
    if (broker == NULL || broker->dedup == NULL || w->h->same_position == 0 || e->count > 0 ||
        e->time_ns - w->h->same_time_ns > dedup_window(broker->dedup))
        return;
    buf_printf(w->out, ",\"duplicateOf\":%llu", (unsigned long long)w->h->same_position);
}

void history_write(const struct history *h, struct inspect_job *job, struct buf *out)
{
    struct writer w = {h, job->core, out};
    bool truncated = job->exhausted || h->cut || out->len >= ANSWER_MAX;
    write_members(&w, &h->events[0]);
    write_causes(&w);
    write_duplicate(&w);
    buf_printf(out, ",\"readTo\":%llu,\"truncated\":%s}\n", (unsigned long long)h->read_to,
               truncated ? "true" : "false");
}

/* ---- the request ---- */

struct history_job {
    struct inspect_job job;
    uint64_t position;
    int status;
    struct history history;
};

static struct history_job *of(struct inspect_job *job)
{
    return container_of(job, struct history_job, job);
}

static void read_history(struct inspect_job *job)
{
    of(job)->status = history_read(&of(job)->history, job, of(job)->position);
}

static void answer_error(struct inspect_job *job)
{
    uint64_t position = of(job)->position, first = store_first(job->core->store),
             last = store_synced(job->core->store);
    unsigned long long shown = position;
    int status = of(job)->status;
    if (status == -ENOENT && position < first)
        http_respond_errorf(job->request, 410,
                            "position %llu: the log begins with %llu, what was before has gone by "
                            "the broker's retention; what could not be delivered is in GET /-/dead",
                            shown, (unsigned long long)first);
    else if (status == -ENOENT && position > last)
        http_respond_errorf(job->request, 404,
                            "position %llu: the log ends with %llu; GET /-/events?id=… finds an "
                            "event by its id",
                            shown, (unsigned long long)last);
    else if (status == -ENOENT)
        http_respond_errorf(job->request, 404,
                            "position %llu: the record there is no event; GET /-/events shows "
                            "those that there are, GET /-/events?id=… finds one by its id",
                            shown);
    else
        http_respond_errorf(job->request, 503, "position %llu: the log cannot be read: %s", shown,
                            strerror(-status));
}

static void answer_history(struct inspect_job *job)
{
    autobuf out = BUF_INIT;
    struct history *h = &of(job)->history;
    if (of(job)->status == 0) {
        history_add_outstanding(h, job->core);
        history_write(h, job, &out);
        json_answer(job->request, &out);
        return;
    }
    answer_error(job);
}

static void free_history(struct inspect_job *job)
{
    history_done(&of(job)->history);
    free(of(job));
}

static const struct inspect_ops history_ops = {
    .read = read_history, .answer = answer_history, .free = free_history};

void history_serve(struct http_request *request, void *ctx)
{
    struct slice text = http_request_param(request, "position");
    uint64_t position;
    if (encoding_parse_u64(text, &position) < 0 || position == 0) {
        http_respond_errorf(request, 400,
                            "position: a number from 1 on, not \"" SLICE_FMT
                            "\"; GET /-/events?id=… finds an event by its id",
                            SLICE_ARG(text));
        return;
    }
    struct history_job *h = calloc(1, sizeof(*h));
    if (h == NULL) {
        http_respond_errorf(request, 503, "out of memory");
        return;
    }
    h->position = position;
    inspect_request(&h->job, ctx, request, &history_ops);
}
