/* SPDX-License-Identifier: Apache-2.0 */
/* GET /-/dead: the dead letters with their events, as JSON, a page at a time; and one of them. */
#include "broker/dead.h"

#include "base/clock.h"
#include "broker/dead_walk.h"
#include "broker/unfinished.h"

#include <errno.h>

#define DEAD_ITEMS_MAX  1000         /* of a page */
#define DEAD_PAGE_BYTES (512u << 10) /* a page that has so many is over; one letter may be more */
#define DEAD_TURN_BYTES (128u << 10) /* written in one turn, and one letter more */

struct dead_list {
    struct dead_walk walk;
    uint64_t items;
    size_t before; /* of the turn */
    struct buf out;
};

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

static void add_time(struct buf *out, const char *name, uint64_t time_ns)
{
    char time[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(time_ns, 3, time);
    buf_printf(out, ",\"%s\":\"%s\"", name, time);
}

void dead_write(struct broker_core *b, const struct trigger *t, const struct dead_row *row,
                struct buf *out)
{
    buf_add_text(out, "{\"trigger\":");
    buf_add_json_string(out, slice_text(t->resource->name));
    buf_add_text(out, ",\"namespace\":");
    buf_add_json_string(out, slice_text(t->resource->namespace_name));
    buf_printf(out, ",\"position\":%llu,\"attempts\":%u,\"code\":%u",
               (unsigned long long)row->position, row->attempts, row->code);
    add_time(out, "time", row->time_ns);
    add_time(out, "eventTime", row->event_time_ns);
    buf_add_text(out, ",\"error\":");
    buf_add_json_string(out, row->error);
    buf_add_text(out, ",\"body\":");
    buf_add_json_string(out, row->body);
    buf_add_text(out, ",\"event\":");
    write_event(b, row, out);
    buf_add_byte(out, '}');
}

static struct dead_list *list_of(struct dead_walk *w)
{
    return container_of(w, struct dead_list, walk);
}

static void begin_turn(struct dead_walk *w)
{
    list_of(w)->before = list_of(w)->out.len;
}

static bool page_full(struct dead_walk *w)
{
    const struct dead_list *l = list_of(w);
    return l->items == w->limit || l->out.len >= DEAD_PAGE_BYTES;
}

static bool turn_full(struct dead_walk *w)
{
    const struct dead_list *l = list_of(w);
    return l->out.len - l->before >= DEAD_TURN_BYTES;
}

static void take(struct dead_walk *w, struct trigger *t, const struct dead_row *row)
{
    struct dead_list *l = list_of(w);
    if (l->items++ > 0)
        buf_add_byte(&l->out, ',');
    dead_write(w->core, t, row, &l->out);
    w->failed = !buf_ok(&l->out);
}

static void end(struct dead_walk *w)
{
    struct buf *out = &list_of(w)->out;
    buf_add_byte(out, ']');
    dead_walk_write_continue(w, out);
    buf_add_text(out, "}\n");
    dead_walk_answer(w, out);
}

static const struct dead_walk_ops list_ops = {.limit_max = DEAD_ITEMS_MAX,
                                              .begin_turn = begin_turn,
                                              .page_full = page_full,
                                              .turn_full = turn_full,
                                              .take = take,
                                              .end = end};

void dead_serve(struct http_request *request, void *ctx)
{
    struct dead_list *l = http_request_alloc(request, sizeof(*l));
    if (l == NULL) {
        http_respond_errorf(request, 503, "out of memory");
        return;
    }
    *l = (struct dead_list){.out = BUF_INIT};
    if (!dead_walk_read(&l->walk, ctx, request, &list_ops))
        return;
    buf_add_text(&l->out, "{\"items\":[");
    dead_walk_start(&l->walk);
}
