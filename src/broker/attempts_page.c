/* SPDX-License-Identifier: Apache-2.0 */
/* GET /-/attempts: attempts as the log has them, a page at a time. The record of an end has what
 * every attempt has; error and body stand in the row that took over, a record or two behind it. */
#include "base/bytes.h"
#include "base/encoding.h"
#include "broker/delivery.h"
#include "broker/name_json.h"
#include "broker/number_set.h"
#include "broker/page.h"
#include "broker/row.h"

#include <errno.h>

#define BEHIND 4u /* records between an end and the row that took over, and that one */

struct attempts_page {
    struct page page;
    struct slice namespace_name, trigger; /* of the request */
    struct number_set triggers;
    uint64_t event;
    bool failed;
    struct store_search search;
};

static const struct attempts_page *of(const struct page *p)
{
    return (const struct attempts_page *)(const void *)p;
}

/* ---- taking ---- */

/* What a record speaks of; false: of no delivery. */
static bool read_subject(const struct store_entry *e, uint32_t *ret_trigger, uint64_t *ret_event)
{
    struct store_topic topic;
    walk_topic(e, &topic);
    *ret_event = topic.about;
    if (topic.about == 0)
        return false;
    if (e->type == STORE_RECORD_FINISH)
        *ret_trigger = e->scope;
    else
        *ret_trigger = bytes_be32(e->key.ptr); /* keys of both tables begin with it */
    return true;
}

static bool is_end(const struct store_entry *e)
{
    return e->type == STORE_RECORD_FINISH ||
           (e->type == STORE_RECORD_DELETE && e->scope == STORE_TABLE_RETRIES && e->value.len > 0);
}

static void take_row(const struct store_entry *e, struct page_item *item)
{
    struct retry_row retry;
    struct dead_row dead;
    if (item->bytes.len > 0)
        return;
    if (e->scope == STORE_TABLE_RETRIES && row_retry_read(e->key, e->value, &retry) == 0 &&
        retry.attempts == item->attempt.number) {
        item->due_ns = retry.due_ns;
        buf_add_slice(&item->bytes, retry.error);
        buf_add_slice(&item->body, retry.body);
    } else if (e->scope == STORE_TABLE_DEAD && row_dead_read(e->key, e->value, &dead) == 0) {
        buf_add_slice(&item->bytes, dead.error);
        buf_add_slice(&item->body, dead.body);
    }
}

static bool wanted(const struct attempts_page *q, const struct attempt *a)
{
    return a->number > 0 && (!q->failed || a->end == ATTEMPT_RETRY || a->end == ATTEMPT_DEAD);
}

static int take_attempt(struct page *p, const struct store_entry *e, bool behind_the_end,
                        struct page_item *before, struct page_item *ret)
{
    const struct attempts_page *q = of(p);
    uint32_t trigger;
    uint64_t event;
    if (!read_subject(e, &trigger, &event) || (q->event != 0 && event != q->event) ||
        !number_set_has(&q->triggers, trigger))
        return 0;
    if (!is_end(e)) {
        if (e->type == STORE_RECORD_PUT && before != NULL && before->event == event &&
            before->scope == trigger && e->position - before->position <= BEHIND)
            take_row(e, before);
        return before == NULL || (buf_ok(&before->bytes) && buf_ok(&before->body)) ? 0 : -ENOMEM;
    }
    ret->scope = trigger;
    ret->event = event;
    return !behind_the_end && attempt_read(e->value, &ret->attempt) == 0 &&
           wanted(q, &ret->attempt);
}

/* ---- the answer ---- */

static void write_item(const struct page *p, const struct page_item *item, struct buf *out)
{
    const struct attempt *a = &item->attempt;
    buf_printf(out, "{\"position\":%llu,\"event\":%llu,", (unsigned long long)item->position,
               (unsigned long long)item->event);
    json_trigger(out, p->job.core, item->scope);
    json_time(out, "time", a->time_ns);
    buf_printf(out,
               ",\"number\":%u,\"stage\":\"%s\",\"code\":%u,\"latencyMs\":%u.%03u,\"end\":\"%s\"",
               a->number, a->stage == STAGE_DEAD_LETTER ? "deadLetterSink" : "subscriber", a->code,
               a->latency_us / 1000, a->latency_us % 1000, attempt_end_name(a->end));
    if (item->bytes.len > 0) {
        buf_add_text(out, ",\"error\":");
        buf_add_json_string(out, buf_slice(&item->bytes));
    }
    if (item->body.len > 0) {
        buf_add_text(out, ",\"body\":");
        buf_add_json_string(out, buf_slice(&item->body));
    }
    if (item->due_ns != 0)
        json_time(out, "due", item->due_ns);
    if (a->reply)
        buf_printf(out, ",\"reply\":%llu", (unsigned long long)item->position - 1);
    buf_add_byte(out, '}');
}

/* ---- the request ---- */

static bool prepare_attempts(struct inspect_job *job)
{
    struct attempts_page *q = (struct attempts_page *)(void *)job;
    int r = number_set_triggers(&q->triggers, job->core, q->namespace_name, q->trigger);
    if (r == -ENOMEM)
        http_respond_errorf(job->request, 503, "out of memory");
    else if (r == -ENOENT && q->trigger.len > 0)
        http_respond_errorf(job->request, 404, "there is no trigger " SLICE_FMT "%s" SLICE_FMT,
                            SLICE_ARG(q->namespace_name), q->namespace_name.len > 0 ? "/" : "",
                            SLICE_ARG(q->trigger));
    else
        return true;
    return false;
}

static void attempts_done(struct page *p)
{
    number_set_done(&((struct attempts_page *)(void *)p)->triggers);
}

static const struct page_kind attempts_kind = {.behind = BEHIND,
                                               .take = take_attempt,
                                               .prepare = prepare_attempts,
                                               .write = write_item,
                                               .done = attempts_done};

static int read_query(struct attempts_page *q, struct http_request *request, struct error *err)
{
    struct slice event = http_request_query_value(request, "event");
    struct slice failed = http_request_query_value(request, "failed");
    if (event.ptr != NULL && encoding_parse_u64(event, &q->event) < 0)
        return error_set(err, -EINVAL,
                         "event: a position, not \"" SLICE_FMT
                         "\"; GET /-/events?id=… finds an event by its id",
                         SLICE_ARG(event));
    if (failed.ptr != NULL && !slice_is(failed, "true") && !slice_is(failed, "false"))
        return error_set(err, -EINVAL, "failed: true or false, not \"" SLICE_FMT "\"",
                         SLICE_ARG(failed));
    q->failed = failed.ptr != NULL && slice_is(failed, "true");
    q->namespace_name = http_request_query_value(request, "namespace");
    q->trigger = http_request_query_value(request, "trigger");
    return page_read_query(&q->page, request, true, err);
}

void attempts_serve(struct http_request *request, void *ctx)
{
    struct error err = ERROR_INIT;
    struct attempts_page *q = calloc(1, sizeof(*q));
    if (q == NULL) {
        http_respond_errorf(request, 503, "out of memory");
        return;
    }
    if (read_query(q, request, &err) < 0) {
        free(q);
        http_respond_error(request, 400, &err);
        return;
    }
    if (q->event != 0) {
        q->search = (struct store_search){.about = &q->event, .about_count = 1};
        q->page.search = &q->search;
        q->page.from = q->page.from > q->event ? q->page.from : q->event;
    }
    page_request(&q->page, ctx, request, &attempts_kind);
}
