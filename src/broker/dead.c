/* SPDX-License-Identifier: Apache-2.0 */
/* GET /-/dead: the dead letters with their events, as JSON. */
#include "broker/broker_internal.h"

#include "base/clock.h"
#include "base/encoding.h"
#include "broker/row.h"
#include "broker/trigger.h"

#include <errno.h>

#define DEAD_ITEMS_MAX 1000 /* in one answer */

struct dead_query {
    struct loop_message message;
    struct broker_core *core;
    struct http_request *request;
};

static void write_item(struct broker_core *b, const struct trigger *t, const struct dead_row *row,
                       struct buf *out)
{
    char time[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(row->time_ns, 3, time);
    buf_add_text(out, "{\"trigger\":");
    buf_add_json_string(out, slice_text(t->resource->name));
    buf_add_text(out, ",\"namespace\":");
    buf_add_json_string(out, slice_text(t->resource->namespace_name));
    buf_printf(out, ",\"position\":%llu,\"attempts\":%u,\"code\":%u,\"time\":\"%s\",\"error\":",
               (unsigned long long)row->position, row->attempts, row->code, time);
    buf_add_json_string(out, row->error);
    buf_add_text(out, ",\"body\":");
    buf_add_json_string(out, row->body);
    autobuf key = BUF_INIT;
    autobuf payload = BUF_INIT;
    struct event event = {0};
    row_object_key(row->trigger, row->position, &key);
    buf_add_text(out, ",\"event\":");
    if (store_get(b->store, STORE_TABLE_PAYLOADS, buf_slice(&key), &payload, NULL) == 0 &&
        event_decode(buf_slice(&payload), &event) == 0)
        event_json_write(&event, out);
    else
        buf_add_text(out, "null");
    buf_add_byte(out, '}');
}

static bool wanted(const struct trigger *t, struct http_request *request)
{
    struct slice space = http_request_query_value(request, "namespace");
    struct slice name = http_request_query_value(request, "trigger");
    return (space.ptr == NULL || slice_is(space, t->resource->namespace_name)) &&
           (name.ptr == NULL || slice_is(name, t->resource->name));
}

static void write_items(struct dead_query *q, struct buf *out)
{
    struct broker_core *b = q->core;
    struct store_scan *scan =
        store_scan_new(b->store, STORE_TABLE_DEAD, (struct slice){"", 0}, (struct slice){NULL, 0});
    struct slice key, value;
    unsigned items = 0;
    while (scan != NULL && items < DEAD_ITEMS_MAX &&
           store_scan_next(scan, &key, &value, NULL) == 1) {
        struct dead_row row;
        if (row_dead_read(key, value, &row) < 0)
            continue;
        const struct trigger *t = trigger_by_number(b, row.trigger);
        if (t == NULL || !wanted(t, q->request))
            continue;
        if (items++ > 0)
            buf_add_byte(out, ',');
        write_item(b, t, &row, out);
    }
    store_scan_free(scan);
}

static void answer_on_loop(struct loop_message *m)
{
    struct dead_query *q = container_of(m, struct dead_query, message);
    struct http_request *request = q->request;
    struct buf out = BUF_INIT;
    buf_add_text(&out, "{\"items\":[");
    write_items(q, &out);
    buf_add_text(&out, "]}\n");
    size_t len = out.len;
    char *body = buf_steal(&out);
    if (body == NULL)
        http_respond_errorf(request, 503, "out of memory");
    else
        http_respond(request, &(struct http_response){.status = 200,
                                                      .content_type = "application/json",
                                                      .body = {NULL, len},
                                                      .body_owned = body});
}

void dead_serve(struct http_request *request, void *ctx)
{
    struct dead_query *q = http_request_alloc(request, sizeof(*q));
    if (q == NULL) {
        http_respond_errorf(request, 503, "out of memory");
        return;
    }
    *q = (struct dead_query){.core = ctx, .request = request};
    q->message.receive = answer_on_loop;
    loop_post(q->core->loop, &q->message);
}
