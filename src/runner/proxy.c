/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/proxy.h"

#include "base/encoding.h"
#include "base/memory.h"
#include "http/request_head.h"
#include "http/url.h"

#include <errno.h>
#include <string.h>

static unsigned refuse(struct error *err, unsigned status, const char *message)
{
    error_set(err, -EINVAL, "%s", message);
    return status;
}

static bool keep_host(struct slice host, struct proxy_request *ret)
{
    if (host.len == 0 || host.len > ALLOW_HOST_MAX || memchr(host.ptr, '\0', host.len) != NULL)
        return false;
    memcpy(ret->host, host.ptr, host.len);
    ret->host[host.len] = '\0';
    return true;
}

/* host:port, [v6]:port; the port must be there. */
static bool read_authority(struct slice text, struct proxy_request *ret)
{
    const char *colon = text.len > 0 ? memrchr(text.ptr, ':', text.len) : NULL;
    uint64_t port;
    if (colon == NULL)
        return false;
    struct slice host = slice_of(text.ptr, (size_t)(colon - text.ptr));
    struct slice number = slice_of(colon + 1, text.len - host.len - 1);
    if (number.len > 5 || encoding_parse_u64(number, &port) < 0 || port == 0 || port > 65535)
        return false;
    ret->port = (uint16_t)port;
    if (host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
        return keep_host(slice_of(host.ptr + 1, host.len - 2), ret);
    return memchr(host.ptr, ':', host.len) == NULL && keep_host(host, ret);
}

/* Fields that are for the proxy, or for this connection only. */
static bool stays_here(struct slice name)
{
    static const char *const names[] = {
        "connection", "proxy-connection", "keep-alive", "proxy-authorization",
        "te",         "upgrade",          "host"};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (slice_is_nocase(name, names[i]))
            return true;
    return false;
}

static bool write_head(const struct request_head *h, const char *bytes, const struct url *u,
                       struct buf *out)
{
    buf_add_slice(out, request_head_method(h, bytes));
    buf_add_byte(out, ' ');
    if (u->path.len == 0)
        buf_add_byte(out, '/');
    buf_add_slice(out, u->path);
    buf_add_slice(out, u->query);
    /* Host says what the URL says (RFC 9112 §3.2.2). */
    buf_add_text(out, " HTTP/1.1\r\nHost: ");
    buf_add_slice(out, u->authority);
    buf_add_text(out, "\r\nConnection: close\r\n");
    for (unsigned i = 0; i < h->field_count; i++) {
        struct slice name = request_field_name(&h->fields[i], bytes);
        if (stays_here(name))
            continue;
        buf_add_slice(out, name);
        buf_add_text(out, ": ");
        buf_add_slice(out, request_field_value(&h->fields[i], bytes));
        buf_add_text(out, "\r\n");
    }
    buf_add_text(out, "\r\n");
    return buf_ok(out);
}

static unsigned read_absolute(const struct request_head *h, const char *bytes,
                              struct proxy_request *ret, struct error *err)
{
    struct url u;
    if (url_split(request_head_target(h, bytes), &u) < 0 || u.secure || u.has_userinfo ||
        !keep_host(u.host, ret))
        return refuse(err, 400, "the proxy takes CONNECT HOST:PORT and whole http:// URLs");
    ret->port = u.port;
    if (!write_head(h, bytes, &u, &ret->head)) {
        buf_done(&ret->head);
        return refuse(err, 503, "out of memory");
    }
    return 1;
}

unsigned proxy_read(struct slice bytes, struct proxy_request *ret, struct error *err)
{
    struct request_head head;
    request_head_begin(&head);
    unsigned status = request_head_read(&head, bytes.ptr, bytes.len, err);
    if (status != 1)
        return status;
    *ret = (struct proxy_request){.length = head.length};
    ret->tunnel = slice_is(request_head_method(&head, bytes.ptr), "CONNECT");
    if (!ret->tunnel)
        return read_absolute(&head, bytes.ptr, ret, err);
    if (!read_authority(request_head_target(&head, bytes.ptr), ret))
        return refuse(err, 400, "CONNECT wants HOST:PORT");
    return 1;
}

void proxy_request_done(struct proxy_request *p)
{
    buf_done(&p->head);
}
