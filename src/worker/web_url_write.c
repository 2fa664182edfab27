/* SPDX-License-Identifier: Apache-2.0 */
/* URLs as text (§4.5), whole and in parts. */
#include "worker/web_url.h"

#include "base/memory.h"

#include <string.h>

#define URL_KEEP_MAX 16384

static void reset_part(struct buf *b)
{
    if (b->cap > URL_KEEP_MAX || b->failed) {
        buf_done(b);
        *b = (struct buf)BUF_INIT;
    }
    buf_reset(b);
}

void url_reset(struct url *u)
{
    struct buf *const parts[] = {&u->scheme, &u->username, &u->password, &u->host,
                                 &u->path,   &u->query,    &u->fragment};
    for (size_t i = 0; i < COUNT_OF(parts); i++)
        reset_part(parts[i]);
    u->has_host = u->has_query = u->has_fragment = u->opaque = false;
    u->port = URL_NO_PORT;
}

void url_write_host(const struct url *u, struct buf *out)
{
    buf_add_slice(out, buf_slice(&u->host));
    if (u->port != URL_NO_PORT)
        buf_printf(out, ":%d", u->port);
}

static void write_path(const struct url *u, struct buf *out)
{
    if (!u->has_host && !u->opaque && u->path.len >= 2 && memcmp(u->path.ptr, "//", 2) == 0)
        buf_add_text(out, "/."); /* so that the path is not taken for a host */
    buf_add_slice(out, buf_slice(&u->path));
}

/* A part and the sign before it, unless it is empty. */
void url_write_signed(const struct buf *part, char sign, struct buf *out)
{
    if (part->len == 0)
        return;
    buf_add_byte(out, sign);
    buf_add_slice(out, buf_slice(part));
}

void url_write(const struct url *u, struct buf *out)
{
    buf_add_slice(out, buf_slice(&u->scheme));
    buf_add_byte(out, ':');
    if (u->has_host) {
        buf_add_text(out, "//");
        buf_add_slice(out, buf_slice(&u->username));
        url_write_signed(&u->password, ':', out);
        if (u->username.len > 0 || u->password.len > 0)
            buf_add_byte(out, '@');
        url_write_host(u, out);
    }
    write_path(u, out);
    if (u->has_query) {
        buf_add_byte(out, '?');
        buf_add_slice(out, buf_slice(&u->query));
    }
    if (u->has_fragment) {
        buf_add_byte(out, '#');
        buf_add_slice(out, buf_slice(&u->fragment));
    }
}

/* §4.7: of a blob, that of the URL within. */
void url_write_origin(const struct url *u, struct buf *out)
{
    static struct url inner;
    if (slice_is(buf_slice(&u->scheme), "blob") && url_parse(buf_slice(&u->path), NULL, &inner) &&
        slice_starts(buf_slice(&inner.scheme), "http") && url_is_special(&inner))
        u = &inner;
    if (!url_is_special(u) || slice_is(buf_slice(&u->scheme), "file")) {
        buf_add_text(out, "null");
        return;
    }
    buf_add_slice(out, buf_slice(&u->scheme));
    buf_add_text(out, "://");
    url_write_host(u, out);
}
