/* SPDX-License-Identifier: Apache-2.0 */
/* GET /-/events, a page at a time. */
#include "broker/events_page.h"

#include "broker/event_query.h"
#include "broker/name_json.h"
#include "broker/number_set.h"
#include "broker/page.h"

#include <errno.h>

struct events_page {
    struct page page;
    struct event_query query;
    struct number_set brokers;
    struct store_search search;
};

static const struct events_page *of(const struct page *p)
{
    return (const struct events_page *)(const void *)p;
}

static int take_event(struct page *p, const struct store_entry *entry, bool behind_the_end,
                      struct page_item *before, struct page_item *ret)
{
    const struct events_page *q = of(p);
    struct event event = {0};
    if (entry->type != STORE_RECORD_EVENT || !number_set_has(&q->brokers, entry->scope) ||
        event_decode(entry->value, &event) < 0 || !event_query_matches(&q->query, &event))
        return 0;
    buf_add_slice(&ret->bytes, entry->value);
    return buf_ok(&ret->bytes) ? 1 : -ENOMEM;
}

static bool prepare_events(struct inspect_job *job)
{
    struct events_page *q = (struct events_page *)(void *)job;
    const struct event_query *query = &q->query;
    int r =
        number_set_brokers(&q->brokers, job->core,
                           slice_text(query->namespace_name != NULL ? query->namespace_name : ""),
                           slice_text(query->broker != NULL ? query->broker : ""));
    if (r == -ENOMEM) {
        http_respond_errorf(job->request, 503, "out of memory");
        return false;
    }
    return true; /* a namespace without a broker has no events */
}

void events_write(const struct broker_core *b, uint32_t broker, uint64_t position, uint64_t time_ns,
                  const struct event *event, struct buf *out)
{
    buf_printf(out, "{\"position\":%llu", (unsigned long long)position);
    json_time(out, "time", time_ns);
    buf_add_byte(out, ',');
    json_broker(out, b, broker);
    buf_printf(out, ",\"dataBytes\":%zu,\"event\":", event->data.len);
    event_json_write(event, out);
    buf_add_byte(out, '}');
}

static void write_item(const struct page *p, const struct page_item *item, struct buf *out)
{
    struct event event = {0};
    if (event_decode(buf_slice(&item->bytes), &event) == 0)
        events_write(p->job.core, item->scope, item->position, item->time_ns, &event, out);
    else
        buf_add_text(out, "null");
}

static void events_done(struct page *p)
{
    struct events_page *q = (struct events_page *)(void *)p;
    event_query_done(&q->query);
    number_set_done(&q->brokers);
}

static const struct page_kind events_kind = {
    .take = take_event, .prepare = prepare_events, .write = write_item, .done = events_done};

void events_page_serve(struct http_request *request, struct broker_core *core)
{
    struct error err = ERROR_INIT;
    struct events_page *q = calloc(1, sizeof(*q));
    if (q == NULL) {
        http_respond_errorf(request, 503, "out of memory");
        return;
    }
    int r = event_query_read(&q->query, request, &err);
    if (r == 0)
        r = page_read_query(&q->page, request, false, &err);
    if (r < 0) {
        events_done(&q->page);
        free(q);
        http_respond_error(request, r == -ENOMEM ? 503 : 400, &err);
        return;
    }
    const char *id = event_query_id(&q->query);
    if (id != NULL) {
        q->search = (struct store_search){.by_key = true, .key = walk_id_key(slice_text(id))};
        q->page.search = &q->search;
    }
    page_request(&q->page, core, request, &events_kind);
}
