/* SPDX-License-Identifier: Apache-2.0 */
/* Where an answer's Location leads (RFC 3986 §5.2, RFC 9110 §10.2.2). Pure. A backslash is a slash,
 * as in browsers (WHATWG URL §4.4), so that nobody who looks at it sees another host. */
#include "fetcher/fetcher.h"

#include <ctype.h>
#include <errno.h>

static struct slice behind(struct slice s, size_t n)
{
    return slice_of(s.ptr + n, s.len - n);
}

static size_t length_until(struct slice s, const char *ends)
{
    size_t n = 0;
    while (n < s.len && strchr(ends, s.ptr[n]) == NULL)
        n++;
    return n;
}

/* Length of the scheme with its colon; 0: there is none. */
static size_t scheme_length(struct slice s)
{
    size_t n = 0;
    while (n < s.len && (isalnum((unsigned char)s.ptr[n]) || strchr("+-.", s.ptr[n]) != NULL) &&
           s.ptr[n] != '\0')
        n++;
    return n > 0 && n < s.len && s.ptr[n] == ':' && isalpha((unsigned char)s.ptr[0]) ? n + 1 : 0;
}

/* Appends a path without its . and .. segments (RFC 3986 §5.2.4). from: where it begins in out. */
static void add_path(struct buf *out, struct slice path)
{
    size_t from = out->len;
    while (path.len > 0 && buf_ok(out)) {
        size_t n = 1 + length_until(behind(path, 1), "/");
        struct slice segment = slice_of(path.ptr + 1, n - 1);
        bool last = n == path.len;
        path = behind(path, n);
        bool up = slice_is(segment, "..");
        if (up || slice_is(segment, ".")) {
            while (up && out->len > from && out->ptr[--out->len] != '/')
                ;
            if (last)
                buf_add_byte(out, '/');
            continue;
        }
        buf_add_byte(out, '/');
        buf_add_slice(out, segment);
    }
}

static void trim(struct slice *s)
{
    while (s->len > 0 && (unsigned char)s->ptr[0] <= ' ')
        *s = behind(*s, 1);
    while (s->len > 0 && (unsigned char)s->ptr[s->len - 1] <= ' ')
        s->len--;
}

/* The reference with what stands for slashes made slashes, up to its query. */
static void add_mended(struct buf *out, struct slice reference)
{
    size_t path = length_until(reference, "?#");
    for (size_t i = 0; i < path; i++)
        buf_add_byte(out, reference.ptr[i] == '\\' ? '/' : reference.ptr[i]);
    buf_add_slice(out, behind(reference, path));
}

/* base's path up to its last slash, and the relative path behind it. */
static void add_merged(struct buf *out, struct slice base_path, struct slice path)
{
    autobuf merged = BUF_INIT;
    size_t keep = base_path.len;
    while (keep > 0 && base_path.ptr[keep - 1] != '/')
        keep--;
    buf_add_slice(&merged, slice_of(base_path.ptr, keep));
    if (keep == 0)
        buf_add_byte(&merged, '/');
    buf_add_slice(&merged, path);
    if (buf_ok(&merged))
        add_path(out, buf_slice(&merged));
    else
        out->failed = true;
}

static void resolve(struct slice base, struct slice ref, struct buf *out)
{
    size_t scheme = scheme_length(base);
    struct slice rest = behind(base, scheme + 2);
    size_t origin = scheme + 2 + length_until(rest, "/?#");
    struct slice base_path = behind(base, origin);
    struct slice base_query = behind(base_path, length_until(base_path, "?#"));
    base_path.len -= base_query.len;
    base_query.len = length_until(base_query, "#");
    if (slice_starts(ref, "//")) { /* another host */
        buf_add_slice(out, slice_of(base.ptr, scheme));
        buf_add_slice(out, ref);
        return;
    }
    size_t path_len = length_until(ref, "?#");
    struct slice path = slice_of(ref.ptr, path_len), behind_path = behind(ref, path_len);
    buf_add_slice(out, slice_of(base.ptr, origin));
    if (path.len == 0) {
        buf_add_slice(out, base_path);
        if (behind_path.len == 0 || behind_path.ptr[0] == '#')
            buf_add_slice(out, base_query);
    } else if (path.ptr[0] == '/') {
        add_path(out, path);
    } else {
        add_merged(out, base_path, path);
    }
    buf_add_slice(out, behind_path);
}

int location_resolve(struct slice base, struct slice reference, struct buf *out)
{
    autobuf mended = BUF_INIT;
    trim(&reference);
    buf_reset(out);
    add_mended(&mended, reference);
    size_t scheme = scheme_length(base);
    if (scheme == 0 || !slice_starts(behind(base, scheme), "//"))
        return -EINVAL;
    if (!buf_ok(&mended))
        return -ENOMEM;
    if (scheme_length(buf_slice(&mended)) > 0)
        buf_add_slice(out, buf_slice(&mended));
    else
        resolve(base, buf_slice(&mended), out);
    return buf_ok(out) ? 0 : -ENOMEM;
}
