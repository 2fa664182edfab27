/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/dead_walk.h"

#include "base/encoding.h"

#include <errno.h>

#define TURN_ROWS 32 /* looked at in one turn */

/* Takes the row, or says where the next turn begins; false: this one ends. */
static bool look_at(struct dead_walk *w, struct slice key, struct dead_place *places,
                    unsigned *count)
{
    struct dead_place at;
    if (row_object_read(key, &at.trigger, &at.position) < 0)
        return true; /* damaged */
    uint64_t position = w->select.position;
    if (dead_select_trigger(&w->select, trigger_by_number(w->core, at.trigger))) {
        if (position == 0 || at.position == position)
            places[(*count)++] = at;
        if (position == 0)
            return true;
        if (at.position < position) {
            w->over = false;
            w->next = (struct dead_place){at.trigger, position};
            return false;
        }
    }
    w->over = at.trigger == UINT32_MAX;
    w->next = (struct dead_place){at.trigger + 1, 0};
    return false;
}

/* The next rows. What they hold is read when this scan has ended. Those of a trigger that is not
 * wanted are passed at once. */
static unsigned collect(struct dead_walk *w, struct dead_place *places)
{
    autobuf from = BUF_INIT;
    row_object_key(w->next.trigger, w->next.position, &from);
    struct store_scan *scan =
        store_scan_new(w->core->store, STORE_TABLE_DEAD, buf_slice(&from), slice_of(NULL, 0));
    struct slice key, value;
    unsigned count = 0;
    unsigned looked = 0;
    w->over = scan != NULL;
    w->failed = w->failed || scan == NULL;
    while (scan != NULL && store_scan_next(scan, &key, &value, NULL) == 1) {
        struct dead_place at;
        bool is_place = row_object_read(key, &at.trigger, &at.position) == 0;
        if (looked++ >= TURN_ROWS && is_place) {
            w->next = at;
            w->over = false;
            break;
        }
        if (!look_at(w, key, places, &count))
            break;
    }
    store_scan_free(scan);
    return count;
}

/* It may be gone by now. */
static void take_at(struct dead_walk *w, struct dead_place at)
{
    autobuf key = BUF_INIT;
    autobuf value = BUF_INIT;
    struct dead_row row;
    struct trigger *t = trigger_by_number(w->core, at.trigger);
    row_object_key(at.trigger, at.position, &key);
    if (t == NULL ||
        store_get(w->core->store, STORE_TABLE_DEAD, buf_slice(&key), &value, NULL) < 0 ||
        row_dead_read(buf_slice(&key), buf_slice(&value), &row) < 0 ||
        !dead_select_row(&w->select, w->core, &row))
        return;
    w->ops->take(w, t, &row);
}

static void take_turn(struct dead_walk *w)
{
    struct dead_place places[TURN_ROWS];
    unsigned count = collect(w, places);
    w->ops->begin_turn(w);
    for (unsigned i = 0; i < count; i++) {
        w->full = w->ops->page_full(w);
        if (w->full || w->ops->turn_full(w)) {
            w->next = places[i];
            w->over = false;
            return;
        }
        take_at(w, places[i]);
    }
}

static void turn_on_loop(struct loop_message *m)
{
    struct dead_walk *w = container_of(m, struct dead_walk, message);
    take_turn(w);
    if (w->over || w->full || w->failed)
        w->ops->end(w);
    else
        loop_post(w->core->loop, &w->message);
}

/* ---- the request ---- */

static bool read_limit(struct dead_walk *w)
{
    struct slice limit = http_request_query_value(w->request, "limit");
    w->limit = w->ops->limit_max;
    return limit.ptr == NULL || (encoding_parse_u64(limit, &w->limit) == 0 && w->limit > 0 &&
                                 w->limit <= w->ops->limit_max);
}

/* TRIGGER-POSITION, as an answer gave it. */
static bool read_continue(struct dead_walk *w)
{
    struct slice from = http_request_query_value(w->request, "continue");
    const char *dash = from.ptr != NULL ? memchr(from.ptr, '-', from.len) : NULL;
    uint64_t number;
    if (dash == NULL)
        return from.ptr == NULL;
    size_t len = (size_t)(dash - from.ptr);
    if (encoding_parse_u64(slice_of(from.ptr, len), &number) < 0 || number > UINT32_MAX ||
        encoding_parse_u64(slice_of(dash + 1, from.len - len - 1), &w->next.position) < 0)
        return false;
    w->next.trigger = (uint32_t)number;
    return true;
}

bool dead_walk_read(struct dead_walk *w, struct broker_core *b, struct http_request *request,
                    const struct dead_walk_ops *ops)
{
    struct error err = ERROR_INIT;
    *w = (struct dead_walk){.core = b, .request = request, .ops = ops};
    if (!read_limit(w)) {
        http_respond_errorf(request, 400, "limit: a number from 1 to %llu",
                            (unsigned long long)ops->limit_max);
        return false;
    }
    if (!read_continue(w)) {
        http_respond_errorf(request, 400, "continue: what the last answer gave");
        return false;
    }
    if (dead_select_read(&w->select, request, &err) < 0) {
        http_respond_error(request, 400, &err);
        return false;
    }
    return true;
}

void dead_walk_start(struct dead_walk *w)
{
    w->message.receive = turn_on_loop;
    loop_post(w->core->loop, &w->message);
}

void dead_walk_write_continue(const struct dead_walk *w, struct buf *out)
{
    if (!w->over)
        buf_printf(out, ",\"continue\":\"%u-%llu\"", w->next.trigger,
                   (unsigned long long)w->next.position);
}

void dead_walk_answer(struct dead_walk *w, struct buf *out)
{
    struct http_request *request = w->request;
    bool failed = w->failed;
    dead_select_done(&w->select);
    size_t len = out->len;
    char *body = buf_steal(out);
    if (body == NULL || failed) {
        free(body);
        http_respond_errorf(request, 503, "out of memory");
    } else {
        http_respond(request, &(struct http_response){.status = 200,
                                                      .content_type = "application/json",
                                                      .body = {NULL, len},
                                                      .body_owned = body});
    }
}
