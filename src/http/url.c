/* SPDX-License-Identifier: Apache-2.0 */
#include "http/url.h"

#include "base/buf.h"
#include "base/encoding.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

static struct slice behind(struct slice s, size_t n)
{
    return slice_of(s.ptr + n, s.len - n);
}

/* Up to the first of some characters. */
static struct slice take_until(struct slice *text, const char *ends)
{
    size_t len = 0;
    while (len < text->len && strchr(ends, text->ptr[len]) == NULL)
        len++;
    struct slice taken = slice_of(text->ptr, len);
    *text = behind(*text, len);
    return taken;
}

static bool take_scheme(struct slice *text, struct url *u)
{
    u->secure = text->len >= 8 && slice_is_nocase(slice_of(text->ptr, 8), "https://");
    bool plain = text->len >= 7 && slice_is_nocase(slice_of(text->ptr, 7), "http://");
    if (!u->secure && !plain)
        return false;
    *text = behind(*text, u->secure ? 8 : 7);
    return true;
}

static int read_port(struct slice digits, struct url *u)
{
    uint64_t port;
    if (digits.len == 0) /* "host:" */
        return 0;
    if (digits.len > 5 || encoding_parse_u64(digits, &port) < 0 || port == 0 || port > 65535)
        return -EINVAL;
    u->port = (uint16_t)port;
    return 0;
}

/* With a zone behind it, as people write it, or percent-encoded (RFC 6874). */
static bool is_ipv6_address(struct slice host)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;
    struct slice rest = host;
    struct slice without_zone = take_until(&rest, "%");
    if (without_zone.len >= sizeof(text) || rest.len == 1)
        return false;
    memcpy(text, without_zone.ptr, without_zone.len);
    text[without_zone.len] = '\0';
    return inet_pton(AF_INET6, text, &address) == 1;
}

/* host, host:port, [v6], [v6]:port */
static int read_authority(struct url *u)
{
    struct slice rest = u->authority;
    u->is_ipv6 = rest.len > 0 && rest.ptr[0] == '[';
    if (u->is_ipv6)
        rest = behind(rest, 1);
    u->host = take_until(&rest, u->is_ipv6 ? "]" : ":");
    if (u->is_ipv6) {
        if (rest.len == 0 || !is_ipv6_address(u->host))
            return -EINVAL;
        rest = behind(rest, 1);
    }
    u->port = u->secure ? 443 : 80;
    if (u->host.len == 0 || (rest.len > 0 && rest.ptr[0] != ':'))
        return -EINVAL;
    return rest.len > 0 ? read_port(behind(rest, 1), u) : 0;
}

int url_split(struct slice text, struct url *ret)
{
    struct url u = {0};
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] <= ' ' || text.ptr[i] == 0x7f)
            return -EINVAL;
    if (!take_scheme(&text, &u))
        return -EINVAL;
    u.authority = take_until(&text, "/?#");
    const char *at = u.authority.len > 0 ? memrchr(u.authority.ptr, '@', u.authority.len) : NULL;
    if (at != NULL) {
        u.has_userinfo = true;
        u.authority = behind(u.authority, (size_t)(at - u.authority.ptr) + 1);
    }
    u.path = take_until(&text, "?#");
    u.query = take_until(&text, "#");
    int status = read_authority(&u);
    if (status == 0)
        *ret = u;
    return status;
}

void url_add_escaped(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c < 0x80)
            buf_add_byte(out, text.ptr[i]);
        else
            buf_printf(out, "%%%02X", c);
    }
}

struct slice url_without_empty_port(struct slice authority)
{
    return slice_of(authority.ptr, authority.len - (slice_ends(authority, ":") ? 1 : 0));
}

bool url_is_plain(const struct url *u)
{
    for (size_t i = 0; i < u->host.len; i++)
        if (u->host.ptr[i] == '%' || (unsigned char)u->host.ptr[i] >= 0x80)
            return false;
    return !u->secure && !u->has_userinfo;
}
