/* SPDX-License-Identifier: Apache-2.0 */
/* Get and list. Loop thread. */
#include "api/api_internal.h"
#include "base/clock.h"
#include "base/encoding.h"
#include "base/memory.h"

#include <errno.h>
#include <inttypes.h>

bool read_selects(const struct query *q, const json_t *object)
{
    const char *space = resource_text_at(object, "metadata.namespace");
    if (*q->namespace_name != '\0' && (space == NULL || strcmp(space, q->namespace_name) != 0))
        return false;
    const char *name = resource_text_at(object, "metadata.name");
    if (*q->name != '\0' && (name == NULL || strcmp(name, q->name) != 0))
        return false;
    return selector_matches_labels(&q->labels, object) &&
           selector_matches_fields(&q->fields, object);
}

bool read_is_after(const char *namespace_name, const char *name, const char *token)
{
    size_t len = strcspn(token, "/");
    struct slice space = slice_of(token, len), last = slice_text(token + len + 1);
    int order = slice_compare(slice_text(namespace_name), space);
    return order > 0 || (order == 0 && slice_compare(slice_text(name), last) > 0);
}

void read_get(struct query *q)
{
    struct resource *resource =
        registry_find(q->api->registry, kinds_stored(q->kind), q->namespace_name, q->name);
    if (resource == NULL) {
        struct error err = ERROR_INIT;
        autobuf what = BUF_INIT;
        registry_describe(q->kind, q->name, &what);
        error_set(&err, -ENOENT, "%s not found", buf_ok(&what) ? what.ptr : q->name);
        answer_status(q, 404, &err);
        return;
    }
    autobuf body = BUF_INIT;
    if (q->shape == QUERY_JSON) {
        answer_add_shown(&body, q->kind, resource->object);
    } else {
        table_begin(&body, q->kind, resource->version, NULL);
        table_row(&body, q->kind, resource->object, q->include, clock_realtime());
        table_end(&body);
    }
    answer_text(q, 200, "application/json", &body);
}

/* ---- lists ---- */

#define LIST_A_TURN 100 /* objects that are written before others have their turn */

/* First which objects, in one turn of the loop, so that the list is of one moment and its head can
 * say whether more follow; then their text, some in a turn. Objects that are shown never change, so
 * holding on to them is enough. */
struct listing {
    struct loop_message message;
    struct query *query;
    json_t **objects;
    size_t len, cap, written;
    uint64_t now_ns;
    const struct resource *last; /* while gathering */
    struct buf body;
    bool more, failed;
};

static void listing_free(struct listing *l)
{
    for (size_t i = 0; i < l->len; i++)
        json_decref(l->objects[i]);
    free(l->objects);
    buf_done(&l->body);
    free(l);
}

static int gather(void *ctx, struct resource *resource)
{
    struct listing *l = ctx;
    const struct query *q = l->query;
    if ((q->after != NULL && !read_is_after(resource->namespace_name, resource->name, q->after)) ||
        !read_selects(q, resource->object))
        return 0;
    if (q->limit != 0 && l->len == q->limit) {
        l->more = true;
        return 1;
    }
    if (l->len == l->cap) {
        size_t cap = l->cap == 0 ? 64 : l->cap * 2;
        json_t **objects = reallocarray(l->objects, cap, sizeof(json_t *));
        if (objects == NULL) {
            l->failed = true;
            return 1;
        }
        l->objects = objects;
        l->cap = cap;
    }
    l->objects[l->len++] = json_incref(resource->object);
    l->last = resource;
    return 0;
}

static void begin_list(struct buf *out, const struct resource_kind *kind, uint64_t version,
                       const char *token)
{
    buf_printf(out, "{\"kind\":\"%sList\",\"apiVersion\":\"", kind->kind);
    resource_kind_api_version(kind, out);
    buf_printf(out, "\",\"metadata\":{\"resourceVersion\":\"%" PRIu64 "\"", version);
    if (token != NULL)
        buf_printf(out, ",\"continue\":\"%s\"", token);
    buf_add_text(out, "},\"items\":[");
}

static void write_object(struct listing *l, const json_t *object)
{
    const struct query *q = l->query;
    if (q->shape == QUERY_TABLE)
        table_row(&l->body, q->kind, object, q->include, l->now_ns);
    else
        answer_add_shown(&l->body, q->kind, object);
}

/* Takes l. */
static void end_list(struct listing *l)
{
    if (l->query->shape == QUERY_TABLE)
        table_end(&l->body);
    else
        buf_add_text(&l->body, "]}");
    answer_text(l->query, 200, "application/json", &l->body);
    listing_free(l);
}

static void list_some(struct loop_message *m)
{
    struct listing *l = container_of(m, struct listing, message);
    struct api *a = l->query->api;
    for (size_t n = 0; l->written < l->len && (n < LIST_A_TURN || a->quiet); n++) {
        if (l->written > 0)
            buf_add_byte(&l->body, ',');
        write_object(l, l->objects[l->written++]);
    }
    if (l->written < l->len)
        loop_post(a->loop, &l->message);
    else
        end_list(l);
}

static void refuse_memory(struct query *q)
{
    struct error err = ERROR_INIT;
    error_set(&err, -ENOMEM, "out of memory");
    answer_status(q, 503, &err);
}

void read_list(struct query *q)
{
    struct listing *l = calloc(1, sizeof(*l));
    if (l == NULL) {
        refuse_memory(q);
        return;
    }
    *l = (struct listing){.message = {.receive = list_some}, .query = q};
    l->now_ns = clock_realtime();
    const char *space = *q->namespace_name != '\0' ? q->namespace_name : NULL;
    registry_each(q->api->registry, kinds_stored(q->kind), space, gather, l);
    autobuf token = BUF_INIT, last = BUF_INIT;
    if (l->more) {
        buf_printf(&last, "%s/%s", l->last->namespace_name, l->last->name);
        encoding_base64_add(&token, buf_slice(&last));
    }
    if (l->failed || !buf_ok(&last) || !buf_ok(&token)) {
        listing_free(l);
        refuse_memory(q);
        return;
    }
    uint64_t version = registry_version(q->api->registry);
    const char *text = l->more ? token.ptr : NULL;
    if (q->shape == QUERY_TABLE)
        table_begin(&l->body, q->kind, version, text);
    else
        begin_list(&l->body, q->kind, version, text);
    list_some(&l->message);
}
