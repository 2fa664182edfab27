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

/* Two passes: which objects, so that the list's head can say whether more follow; then the text. */
struct listing {
    struct query *query;
    struct resource **items;
    size_t len, cap;
    bool more, failed;
};

/* Both sides in the order of the registry: namespace, then name. */
static bool is_after(const struct resource *resource, const char *token)
{
    size_t len = strcspn(token, "/");
    struct slice space = slice_of(token, len), name = slice_text(token + len + 1);
    int order = slice_compare(slice_text(resource->namespace_name), space);
    return order > 0 || (order == 0 && slice_compare(slice_text(resource->name), name) > 0);
}

static int gather(void *ctx, struct resource *resource)
{
    struct listing *l = ctx;
    const struct query *q = l->query;
    if ((q->after != NULL && !is_after(resource, q->after)) || !read_selects(q, resource->object))
        return 0;
    if (q->limit != 0 && l->len == q->limit) {
        l->more = true;
        return 1;
    }
    if (l->len == l->cap) {
        size_t cap = l->cap == 0 ? 64 : l->cap * 2;
        struct resource **items = reallocarray(l->items, cap, sizeof(struct resource *));
        if (items == NULL) {
            l->failed = true;
            return 1;
        }
        l->items = items;
        l->cap = cap;
    }
    l->items[l->len++] = resource;
    return 0;
}

static void add_list(struct buf *out, const struct listing *l, uint64_t version, const char *token)
{
    const struct resource_kind *kind = l->query->kind;
    buf_printf(out, "{\"kind\":\"%sList\",\"apiVersion\":\"", kind->kind);
    resource_kind_api_version(kind, out);
    buf_printf(out, "\",\"metadata\":{\"resourceVersion\":\"%" PRIu64 "\"", version);
    if (token != NULL)
        buf_printf(out, ",\"continue\":\"%s\"", token);
    buf_add_text(out, "},\"items\":[");
    for (size_t i = 0; i < l->len; i++) {
        if (i > 0)
            buf_add_byte(out, ',');
        answer_add_shown(out, kind, l->items[i]->object);
    }
    buf_add_text(out, "]}");
}

static void add_table(struct buf *out, const struct listing *l, uint64_t version, const char *token)
{
    const struct query *q = l->query;
    uint64_t now_ns = clock_realtime();
    table_begin(out, q->kind, version, token);
    for (size_t i = 0; i < l->len; i++) {
        if (i > 0)
            buf_add_byte(out, ',');
        table_row(out, q->kind, l->items[i]->object, q->include, now_ns);
    }
    table_end(out);
}

void read_list(struct query *q)
{
    struct listing l = {.query = q};
    const char *space = *q->namespace_name != '\0' ? q->namespace_name : NULL;
    registry_each(q->api->registry, kinds_stored(q->kind), space, gather, &l);
    autobuf token = BUF_INIT, last = BUF_INIT, body = BUF_INIT;
    if (l.more) {
        buf_printf(&last, "%s/%s", l.items[l.len - 1]->namespace_name, l.items[l.len - 1]->name);
        encoding_base64_add(&token, buf_slice(&last));
    }
    uint64_t version = registry_version(q->api->registry);
    const char *text = l.more && buf_ok(&token) ? token.ptr : NULL;
    if (q->shape == QUERY_TABLE)
        add_table(&body, &l, version, text);
    else
        add_list(&body, &l, version, text);
    body.failed = body.failed || l.failed;
    free(l.items);
    answer_text(q, 200, "application/json", &body);
}
