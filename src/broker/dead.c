/* SPDX-License-Identifier: Apache-2.0 */
/* GET /-/dead: the dead letters with their events, as JSON, a page at a time. A page is made in
 * turns of bounded work, so that others get theirs; where it ends, `continue` says where the next
 * begins, as in Kubernetes' lists. */
#include "broker/broker_internal.h"

#include "base/clock.h"
#include "base/encoding.h"
#include "broker/row.h"
#include "broker/trigger.h"

#include <errno.h>

#define DEAD_ITEMS_MAX  1000         /* of a page */
#define DEAD_PAGE_BYTES (512u << 10) /* a page that has so many is over; one letter may be more */
#define DEAD_TURN_ROWS  32           /* looked at in one turn */
#define DEAD_TURN_BYTES (128u << 10) /* written in one turn, and one letter more */

struct dead_place {
    uint32_t trigger;
    uint64_t position;
};

struct dead_query {
    struct loop_message message;
    struct broker_core *core;
    struct http_request *request;
    struct slice namespace_name, trigger; /* ptr NULL: all */
    uint64_t limit, items;                /* of the page */
    struct dead_place next;               /* where the next turn goes on */
    bool over;                            /* the table is */
    bool full;                            /* the page is, and `next` is wanted */
    struct buf out;
};

/* ---- one letter ---- */

static void write_event(struct broker_core *b, const struct dead_row *row, struct buf *out)
{
    autobuf key = BUF_INIT;
    autobuf payload = BUF_INIT;
    struct event event = {0};
    row_object_key(row->trigger, row->position, &key);
    if (store_get(b->store, STORE_TABLE_PAYLOADS, buf_slice(&key), &payload, NULL) == 0 &&
        event_decode(buf_slice(&payload), &event) == 0)
        event_json_write(&event, out);
    else
        buf_add_text(out, "null");
}

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
    buf_add_text(out, ",\"event\":");
    write_event(b, row, out);
    buf_add_byte(out, '}');
}

/* It may be gone by now. */
static void write_item_at(struct dead_query *q, struct dead_place at)
{
    autobuf key = BUF_INIT;
    autobuf value = BUF_INIT;
    struct dead_row row;
    const struct trigger *t = trigger_by_number(q->core, at.trigger);
    row_object_key(at.trigger, at.position, &key);
    if (t == NULL ||
        store_get(q->core->store, STORE_TABLE_DEAD, buf_slice(&key), &value, NULL) < 0 ||
        row_dead_read(buf_slice(&key), buf_slice(&value), &row) < 0)
        return;
    if (q->items++ > 0)
        buf_add_byte(&q->out, ',');
    write_item(q->core, t, &row, &q->out);
}

/* ---- a turn ---- */

static bool wanted(const struct dead_query *q, uint32_t trigger)
{
    const struct trigger *t = trigger_by_number(q->core, trigger);
    return t != NULL &&
           (q->namespace_name.ptr == NULL ||
            slice_is(q->namespace_name, t->resource->namespace_name)) &&
           (q->trigger.ptr == NULL || slice_is(q->trigger, t->resource->name));
}

/* Takes the row, or says where the next turn begins; false: this one ends. */
static bool look_at(struct dead_query *q, struct slice key, struct slice value,
                    struct dead_place *places, unsigned *count)
{
    struct dead_row row;
    if (row_dead_read(key, value, &row) < 0)
        return true; /* damaged */
    if (wanted(q, row.trigger)) {
        places[(*count)++] = (struct dead_place){row.trigger, row.position};
        return true;
    }
    q->over = row.trigger == UINT32_MAX;
    q->next = (struct dead_place){row.trigger + 1, 0};
    return false;
}

/* The next rows. What they hold is read when this scan has ended. Those of a trigger that is not
 * wanted are passed at once. */
static unsigned collect(struct dead_query *q, struct dead_place *places)
{
    autobuf from = BUF_INIT;
    row_object_key(q->next.trigger, q->next.position, &from);
    struct store_scan *scan =
        store_scan_new(q->core->store, STORE_TABLE_DEAD, buf_slice(&from), slice_of(NULL, 0));
    struct slice key, value;
    unsigned count = 0;
    unsigned looked = 0;
    q->over = scan != NULL;
    q->out.failed = q->out.failed || scan == NULL;
    while (scan != NULL && store_scan_next(scan, &key, &value, NULL) == 1) {
        struct dead_place at;
        bool is_place = row_object_read(key, &at.trigger, &at.position) == 0;
        if (looked++ >= DEAD_TURN_ROWS && is_place) {
            q->next = at;
            q->over = false;
            break;
        }
        if (!look_at(q, key, value, places, &count))
            break;
    }
    store_scan_free(scan);
    return count;
}

static bool page_full(const struct dead_query *q)
{
    return q->items == q->limit || q->out.len >= DEAD_PAGE_BYTES;
}

static void take_turn(struct dead_query *q)
{
    struct dead_place places[DEAD_TURN_ROWS];
    unsigned count = collect(q, places);
    size_t before = q->out.len;
    for (unsigned i = 0; i < count; i++) {
        q->full = page_full(q);
        if (q->full || q->out.len - before >= DEAD_TURN_BYTES) {
            q->next = places[i];
            q->over = false;
            return;
        }
        write_item_at(q, places[i]);
    }
}

static void answer(struct dead_query *q)
{
    struct http_request *request = q->request;
    buf_add_byte(&q->out, ']');
    if (!q->over)
        buf_printf(&q->out, ",\"continue\":\"%u-%llu\"", q->next.trigger,
                   (unsigned long long)q->next.position);
    buf_add_text(&q->out, "}\n");
    size_t len = q->out.len;
    char *body = buf_steal(&q->out);
    if (body == NULL)
        http_respond_errorf(request, 503, "out of memory");
    else
        http_respond(request, &(struct http_response){.status = 200,
                                                      .content_type = "application/json",
                                                      .body = {NULL, len},
                                                      .body_owned = body});
}

static void turn_on_loop(struct loop_message *m)
{
    struct dead_query *q = container_of(m, struct dead_query, message);
    take_turn(q);
    if (q->over || q->full || !buf_ok(&q->out))
        answer(q);
    else
        loop_post(q->core->loop, &q->message);
}

/* ---- the request ---- */

static bool read_limit(struct dead_query *q)
{
    struct slice limit = http_request_query_value(q->request, "limit");
    q->limit = DEAD_ITEMS_MAX;
    return limit.ptr == NULL || (encoding_parse_u64(limit, &q->limit) == 0 && q->limit > 0 &&
                                 q->limit <= DEAD_ITEMS_MAX);
}

/* TRIGGER-POSITION, as an answer gave it. */
static bool read_continue(struct dead_query *q)
{
    struct slice from = http_request_query_value(q->request, "continue");
    const char *dash = from.ptr != NULL ? memchr(from.ptr, '-', from.len) : NULL;
    uint64_t number;
    if (dash == NULL)
        return from.ptr == NULL;
    size_t len = (size_t)(dash - from.ptr);
    if (encoding_parse_u64(slice_of(from.ptr, len), &number) < 0 || number > UINT32_MAX ||
        encoding_parse_u64(slice_of(dash + 1, from.len - len - 1), &q->next.position) < 0)
        return false;
    q->next.trigger = (uint32_t)number;
    return true;
}

void dead_serve(struct http_request *request, void *ctx)
{
    struct dead_query *q = http_request_alloc(request, sizeof(*q));
    if (q == NULL) {
        http_respond_errorf(request, 503, "out of memory");
        return;
    }
    *q = (struct dead_query){.core = ctx, .request = request, .out = BUF_INIT};
    if (!read_limit(q)) {
        http_respond_errorf(request, 400, "limit: a number from 1 to %u", DEAD_ITEMS_MAX);
        return;
    }
    if (!read_continue(q)) {
        http_respond_errorf(request, 400, "continue: what the last answer gave");
        return;
    }
    q->namespace_name = http_request_query_value(request, "namespace");
    q->trigger = http_request_query_value(request, "trigger");
    buf_add_text(&q->out, "{\"items\":[");
    q->message.receive = turn_on_loop;
    loop_post(q->core->loop, &q->message);
}
