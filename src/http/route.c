/* SPDX-License-Identifier: Apache-2.0 */
/* The route table compiled for matching. Rows are tried in their order, but only those whose first
 * segment can fit: rows are sorted into buckets by a hash of it, and a row that begins with a
 * parameter is in every bucket. */
#include "http/route.h"
#include "base/memory.h"

#include <errno.h>

#define ROUTE_SEGMENTS_MAX 16
#define ROUTE_BUCKETS      64

enum segment_kind { SEGMENT_LITERAL, SEGMENT_PARAM, SEGMENT_REST };

struct segment {
    enum segment_kind kind;
    struct slice text; /* the literal, or the parameter's name */
};

struct row {
    const struct http_route *route;
    struct segment segments[ROUTE_SEGMENTS_MAX];
    unsigned count;
};

struct bucket {
    unsigned *rows;
    unsigned count;
};

struct http_router {
    struct row *rows;
    size_t count;
    struct bucket buckets[ROUTE_BUCKETS];
};

static unsigned bucket_of(struct slice segment)
{
    uint32_t hash = 2166136261u; /* FNV-1a: only our own patterns decide what is in a bucket */
    for (size_t i = 0; i < segment.len; i++)
        hash = (hash ^ (unsigned char)segment.ptr[i]) * 16777619u;
    return (hash ^ hash >> 16) % ROUTE_BUCKETS;
}

/* The next segment of *rest, which begins after a slash; *ret_more when another follows. */
static struct slice next_segment(struct slice *rest, bool *ret_more)
{
    const char *slash = rest->len > 0 ? memchr(rest->ptr, '/', rest->len) : NULL;
    size_t len = slash != NULL ? (size_t)(slash - rest->ptr) : rest->len;
    struct slice segment = slice_of(rest->ptr, len);
    *ret_more = slash != NULL;
    *rest = slash != NULL ? slice_of(slash + 1, rest->len - len - 1) : slice_of(rest->ptr + len, 0);
    return segment;
}

static int segment_compile(struct slice text, bool last, struct segment *ret)
{
    if (text.len == 0 || text.ptr[0] != '{') {
        *ret = (struct segment){SEGMENT_LITERAL, text};
        return 0;
    }
    if (text.len < 3 || text.ptr[text.len - 1] != '}')
        return -EINVAL;
    struct slice name = slice_of(text.ptr + 1, text.len - 2);
    bool rest = slice_ends(name, "...");
    if (rest && (!last || name.len == 3))
        return -EINVAL;
    *ret = rest ? (struct segment){SEGMENT_REST, slice_of(name.ptr, name.len - 3)}
                : (struct segment){SEGMENT_PARAM, name};
    return 0;
}

static int row_compile(const struct http_route *route, struct row *ret, struct error *err)
{
    const char *pattern = route->pattern != NULL ? route->pattern : "";
    if (pattern[0] != '/')
        return error_set(err, -EINVAL, "route \"%s\" does not begin with a slash", pattern);
    if (route->role == 0 || route->role >= HTTP_ROLE_COUNT)
        return error_set(err, -EINVAL, "route \"%s\" names no role", pattern);
    if (route->handler == NULL || route->methods == 0)
        return error_set(err, -EINVAL, "route \"%s\" has no handler or no methods", pattern);
    struct slice rest = slice_text(pattern + 1);
    *ret = (struct row){.route = route};
    unsigned params = 0;
    bool more = true;
    while (more) {
        struct slice text = next_segment(&rest, &more);
        if (ret->count == ROUTE_SEGMENTS_MAX ||
            segment_compile(text, !more, &ret->segments[ret->count]) < 0)
            return error_set(err, -EINVAL, "route \"%s\" is malformed", pattern);
        params += ret->segments[ret->count++].kind != SEGMENT_LITERAL;
    }
    if (params > HTTP_PARAMS_MAX)
        return error_set(err, -EINVAL, "route \"%s\" has more than %d parameters", pattern,
                         HTTP_PARAMS_MAX);
    return 0;
}

static int buckets_fill(struct http_router *r)
{
    for (unsigned b = 0; b < ROUTE_BUCKETS; b++) {
        struct bucket *bucket = &r->buckets[b];
        bucket->rows = calloc(r->count > 0 ? r->count : 1, sizeof(*bucket->rows));
        if (bucket->rows == NULL)
            return -ENOMEM;
        for (size_t i = 0; i < r->count; i++) {
            const struct segment *first = &r->rows[i].segments[0];
            if (first->kind != SEGMENT_LITERAL || bucket_of(first->text) == b)
                bucket->rows[bucket->count++] = (unsigned)i;
        }
    }
    return 0;
}

int http_router_new(const struct http_route *rows, size_t count, struct http_router **ret,
                    struct error *err)
{
    struct http_router *r = calloc(1, sizeof(*r));
    struct row *compiled = calloc(count > 0 ? count : 1, sizeof(*compiled));
    int status = r == NULL || compiled == NULL ? -ENOMEM : 0;
    for (size_t i = 0; status == 0 && i < count; i++)
        status = row_compile(&rows[i], &compiled[i], err);
    if (status == 0) {
        r->rows = STEAL(compiled);
        r->count = count;
        status = buckets_fill(r);
    }
    free(compiled);
    if (status < 0) {
        http_router_free(r);
        return status == -ENOMEM ? error_set(err, -ENOMEM, "out of memory for routes") : status;
    }
    *ret = r;
    return 0;
}

void http_router_free(struct http_router *r)
{
    if (r == NULL)
        return;
    for (unsigned b = 0; b < ROUTE_BUCKETS; b++)
        free(r->buckets[b].rows);
    free(r->rows);
    free(r);
}

/* Whether the path (after its first slash) fits; its parameters go to match. */
static bool row_fits(const struct row *row, struct slice rest, struct http_match *match)
{
    bool more = true;
    match->param_count = 0;
    for (unsigned i = 0; i < row->count; i++) {
        const struct segment *s = &row->segments[i];
        if (s->kind == SEGMENT_REST) { /* may be empty, or not even begin */
            match->params[match->param_count++] = (struct http_param){s->text, rest};
            return true;
        }
        if (!more)
            return false;
        struct slice text = next_segment(&rest, &more);
        if (s->kind == SEGMENT_LITERAL) {
            if (!slice_equal(text, s->text))
                return false;
        } else {
            if (text.len == 0)
                return false;
            match->params[match->param_count++] = (struct http_param){s->text, text};
        }
    }
    return !more;
}

void http_router_match(const struct http_router *r, enum http_method method, struct slice path,
                       struct http_match *ret)
{
    ret->route = NULL;
    ret->allowed = 0;
    ret->param_count = 0;
    if (path.len == 0 || path.ptr[0] != '/')
        return;
    struct slice rest = slice_of(path.ptr + 1, path.len - 1), after = rest;
    bool more;
    const struct bucket *bucket = &r->buckets[bucket_of(next_segment(&after, &more))];
    for (unsigned i = 0; i < bucket->count; i++) {
        const struct row *row = &r->rows[bucket->rows[i]];
        if (!row_fits(row, rest, ret))
            continue;
        unsigned methods = row->route->methods;
        if ((methods & HTTP_GET) != 0)
            methods |= HTTP_HEAD;
        ret->allowed |= methods;
        if ((methods & method) != 0) {
            ret->route = row->route;
            return;
        }
    }
    ret->param_count = 0;
}
