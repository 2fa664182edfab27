/* SPDX-License-Identifier: Apache-2.0 */
/* The request as handlers see it. It lives inside its connection and is used again for the next
 * one, so an ordinary request needs no memory from the heap. */
#include "http/request.h"
#include "base/encoding.h"
#include "base/must.h"
#include "http/server_internal.h"

#include <stdlib.h>

struct http_arena_block {
    struct http_arena_block *next;
    _Alignas(16) char bytes[];
};

void *http_request_alloc(struct http_request *r, size_t len)
{
    if (len > SIZE_MAX / 2)
        return NULL;
    size_t rounded = (len + 15) & ~(size_t)15;
    if (rounded <= HTTP_ARENA_INLINE - r->arena_used) {
        void *p = r->arena + r->arena_used;
        r->arena_used += rounded;
        return p;
    }
    struct http_arena_block *b = malloc(sizeof(*b) + rounded);
    if (b == NULL)
        return NULL;
    b->next = r->blocks;
    r->blocks = b;
    return b->bytes;
}

/* A large one is given back, a small one serves the next request. */
static void buffer_reset(struct buf *b)
{
    if (b->cap > HTTP_BUFFER_KEPT)
        buf_done(b);
    b->len = 0;
    b->failed = false;
}

void http_request_reset(struct http_request *r)
{
    while (r->blocks != NULL) {
        struct http_arena_block *b = r->blocks;
        r->blocks = b->next;
        free(b);
    }
    r->arena_used = 0;
    r->close_after = r->asked = false;
    r->status = 0;
    r->started_ns = 0;
    r->body = slice_of(NULL, 0);
    r->body_length = 0;
    r->method = HTTP_OTHER;
    r->match.route = NULL;
    r->match.allowed = 0;
    r->match.param_count = 0;
    free(r->answer_body);
    r->answer_body = NULL;
    r->answer_body_len = 0;
    buffer_reset(&r->body_buffer);
    buffer_reset(&r->answer);
    if (r->budget_taken > 0)
        atomic_fetch_sub_explicit(&r->server->body_bytes, r->budget_taken, memory_order_relaxed);
    r->budget_taken = 0;
    r->state = NULL;
}

enum http_method http_request_method(const struct http_request *r)
{
    return r->method;
}

const char *http_request_method_text(const struct http_request *r)
{
    return r->method_text;
}

struct slice http_request_path(const struct http_request *r)
{
    return r->path;
}

struct slice http_request_query(const struct http_request *r)
{
    return r->query;
}

unsigned http_request_minor_version(const struct http_request *r)
{
    return r->head.minor;
}

struct slice http_request_param(const struct http_request *r, const char *name)
{
    for (unsigned i = 0; i < r->match.param_count; i++)
        if (slice_is(r->match.params[i].name, name))
            return r->match.params[i].value;
    return slice_of(NULL, 0);
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The text of a query's name or value: + is a blank, and what is no escape stays as it is (URL
 * standard, application/x-www-form-urlencoded). ptr NULL when out of memory. */
static struct slice query_decode(struct http_request *r, struct slice text)
{
    if (memchr(text.ptr, '%', text.len) == NULL && memchr(text.ptr, '+', text.len) == NULL)
        return text;
    char *out = http_request_alloc(r, text.len);
    size_t n = 0;
    for (size_t i = 0; out != NULL && i < text.len; i++) {
        char c = text.ptr[i] == '+' ? ' ' : text.ptr[i];
        int high = c == '%' && i + 2 < text.len ? hex_value(text.ptr[i + 1]) : -1;
        int low = c == '%' && i + 2 < text.len ? hex_value(text.ptr[i + 2]) : -1;
        if (high >= 0 && low >= 0) {
            c = (char)(high << 4 | low);
            i += 2;
        }
        out[n++] = c;
    }
    return slice_of(out, n);
}

/* The next parameter that has a name, both parts as they were sent; false at the end. */
static bool query_next(struct slice *rest, struct slice *ret_name, struct slice *ret_value)
{
    while (rest->len > 0) {
        const char *and = memchr(rest->ptr, '&', rest->len);
        struct slice pair = slice_of(rest->ptr, and != NULL ? (size_t)(and-rest->ptr) : rest->len);
        *rest = and != NULL ? slice_of(and+1, rest->len - pair.len - 1) : slice_of(NULL, 0);
        const char *equals = memchr(pair.ptr, '=', pair.len);
        size_t name_len = equals != NULL ? (size_t)(equals - pair.ptr) : pair.len;
        size_t skip = equals != NULL ? name_len + 1 : name_len;
        *ret_name = slice_of(pair.ptr, name_len);
        *ret_value = slice_of(pair.ptr + skip, pair.len - skip);
        if (name_len > 0)
            return true;
    }
    return false;
}

struct slice http_request_query_value(struct http_request *r, const char *name)
{
    struct slice rest = r->query, given, value;
    while (query_next(&rest, &given, &value))
        if (slice_is(query_decode(r, given), name))
            return query_decode(r, value);
    return slice_of(NULL, 0);
}

static bool is_one_of(struct slice name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (slice_is(name, names[i]))
            return true;
    return false;
}

struct slice http_request_query_unknown(struct http_request *r, const char *const *names,
                                        size_t count)
{
    struct slice rest = r->query, given, value;
    while (query_next(&rest, &given, &value)) {
        struct slice name = query_decode(r, given);
        if (!is_one_of(name, names, count))
            return name.ptr != NULL ? name : given;
    }
    return slice_of(NULL, 0);
}

struct slice http_request_header(const struct http_request *r, const char *name)
{
    size_t len = strlen(name);
    for (unsigned i = 0; i < r->head.field_count; i++) {
        const struct request_field *f = &r->head.fields[i];
        if (f->name_len == len && strncasecmp(r->bytes + f->name, name, len) == 0)
            return request_field_value(f, r->bytes);
    }
    return slice_of(NULL, 0);
}

void http_request_each_header(const struct http_request *r,
                              void (*each)(void *ctx, struct slice name, struct slice value),
                              void *ctx)
{
    for (unsigned i = 0; i < r->head.field_count; i++) {
        const struct request_field *f = &r->head.fields[i];
        each(ctx, request_field_name(f, r->bytes), request_field_value(f, r->bytes));
    }
}

struct slice http_request_body(const struct http_request *r)
{
    return r->body.len > 0 ? r->body : SLICE("");
}

const struct http_route *http_request_route(const struct http_request *r)
{
    return r->match.route;
}

void http_request_set_state(struct http_request *r, void *state)
{
    r->state = state;
}

void *http_request_state(const struct http_request *r)
{
    return r->state;
}
