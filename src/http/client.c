/* SPDX-License-Identifier: Apache-2.0 */
/* The client as others see it: sends each call to the kind of client that is for it. */
#include "http/client.h"

#include "base/must.h"
#include "http/client_internal.h"
#include "http/url.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct http_client {
    struct loop *loop;
    unsigned connections_per_host_max;
    bool ends;              /* what calls end with may call again */
    struct web_client *web; /* NULL until a call needs it */
    char *trusted;          /* NULL: the system's certificates */
    struct direct_client *direct;
};

struct http_client *http_client_new(struct loop *l, unsigned connections_per_host_max)
{
    struct http_client *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return NULL;
    c->loop = l;
    c->connections_per_host_max = connections_per_host_max;
    c->direct = direct_client_new(l, connections_per_host_max);
    if (c->direct == NULL) {
        free(c);
        return NULL;
    }
    return c;
}

void http_client_free(struct http_client *c)
{
    if (c == NULL)
        return;
    c->ends = true;
    web_client_free(c->web);
    direct_client_free(c->direct);
    free(c->trusted);
    free(c);
}

int http_client_trust(struct http_client *c, const char *file)
{
    must(c->web == NULL && c->trusted == NULL);
    c->trusted = strdup(file);
    return c->trusted != NULL ? 0 : -ENOMEM;
}

static int call_web(struct http_client *c, const struct http_call_options *options,
                    struct http_call **ret)
{
    int r = c->web != NULL
                ? 0
                : web_client_new(c->loop, c->connections_per_host_max, c->trusted, &c->web);
    return r < 0 ? r : web_client_call(c->web, options, ret);
}

int http_client_call(struct http_client *c, const struct http_call_options *options,
                     struct http_call **ret_call)
{
    struct http_call *call = NULL;
    if (c->ends)
        return -ECANCELED;
    int r = direct_client_call(c->direct, options, &call);
    if (r == -ENOENT && options->unix_socket == NULL)
        r = call_web(c, options, &call);
    if (r == 0 && ret_call != NULL)
        *ret_call = call;
    return r;
}

void http_call_cancel(struct http_call *call)
{
    must_be(call, CALL_MAGIC);
    void (*cancelled)(void *ctx) = call->cancelled;
    void *ctx = call->ctx;
    call->cancel(call);
    if (cancelled != NULL)
        cancelled(ctx);
}

void call_begin(struct http_call *call, const struct http_call_options *o,
                void (*cancel)(struct http_call *call))
{
    call->magic = CALL_MAGIC;
    call->cancel = cancel;
    call->done = o->done;
    call->cancelled = o->cancelled;
    call->ctx = o->ctx;
    call->started_ns = clock_monotonic();
}

int call_write_head(struct buf *head, const struct http_call_options *o, const struct url *u)
{
    buf_reset(head);
    buf_add_text(head, o->method);
    buf_add_text(head, u->path.len > 0 ? " " : " /");
    url_add_escaped(head, u->path);
    url_add_escaped(head, u->query);
    buf_add_text(head, " HTTP/1.1\r\nHost: ");
    buf_add_slice(head, url_without_empty_port(u->authority));
    buf_add_text(head, "\r\n");
    for (unsigned i = 0; i < o->header_count; i++) {
        if (call_header_is_bad(&o->headers[i]))
            return -EINVAL;
        buf_add_slice(head, o->headers[i].name);
        buf_add_text(head, ": ");
        buf_add_slice(head, o->headers[i].value);
        buf_add_text(head, "\r\n");
    }
    bool bodiless =
        o->body.len == 0 && (strcmp(o->method, "GET") == 0 || strcmp(o->method, "HEAD") == 0);
    if (!bodiless)
        buf_printf(head, "Content-Length: %zu\r\n", o->body.len);
    buf_add_text(head, "\r\n");
    return buf_ok(head) ? 0 : -ENOMEM;
}

bool call_header_is_bad(const struct http_call_header *h)
{
    for (size_t i = 0; i < h->value.len; i++)
        if (h->value.ptr[i] == '\n' || h->value.ptr[i] == '\r' || h->value.ptr[i] == '\0')
            return true;
    return false;
}

struct slice call_reason(struct slice line)
{
    size_t blanks = 0, from = 0;
    while (from < line.len && blanks < 2)
        blanks += line.ptr[from++] == ' ';
    size_t to = from;
    while (to < line.len && line.ptr[to] != '\r' && line.ptr[to] != '\n')
        to++;
    return slice_of(line.ptr + from, to - from);
}

unsigned call_split_headers(struct slice text, struct http_call_header *out, unsigned max)
{
    unsigned n = 0;
    while (text.len > 0 && n < max) {
        const char *end = memchr(text.ptr, '\n', text.len);
        size_t line = end != NULL ? (size_t)(end - text.ptr) : text.len;
        const char *colon = memchr(text.ptr, ':', line);
        if (colon != NULL) {
            const char *from = colon + 1, *to = text.ptr + line;
            while (from < to && (*from == ' ' || *from == '\t'))
                from++;
            while (to > from && (to[-1] == '\r' || to[-1] == ' ' || to[-1] == '\t'))
                to--;
            out[n].name = slice_of(text.ptr, (size_t)(colon - text.ptr));
            out[n++].value = slice_of(from, (size_t)(to - from));
        }
        size_t used = end != NULL ? line + 1 : line;
        text.ptr += used;
        text.len -= used;
    }
    return n;
}
