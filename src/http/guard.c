/* SPDX-License-Identifier: Apache-2.0 */
/* What a request must look like before any route sees it (DESIGN §13). Loopback protects from
 * nothing by itself: any web page can make a browser send to it. So Host must name us, and a
 * request with an Origin is refused unless that is listed.
 *
 * What libmicrohttpd 0.9.75 shows of odd framing, all refused here: several Content-Length fields
 * (of which it takes the first), several Transfer-Encoding fields, both together (it takes
 * Transfer-Encoding), another encoding than chunked (it would read until the peer closes), several
 * Host fields, a blank before the colon of a field's name, a target with a NUL (cut off there;
 * found by the distance to the version). What it hides, and does: a malformed Content-Length is
 * answered 400 and one beyond 64 bits 413 with an HTML body of its own, too many or too long header
 * fields 431, a target that does not fit 414, likewise; a line folded into several is joined; a NUL
 * in a field's value ends the value; bare CR or LF ends a line. */
#include "base/encoding.h"
#include "http/http_internal.h"

#include <arpa/inet.h>
#include <errno.h>

static void scan_count(struct slice *slot, unsigned *count, const char *value, size_t len)
{
    if ((*count)++ == 0)
        *slot = slice_of(value != NULL ? value : "", len);
}

static bool name_is(const char *name, size_t len, const char *wanted, size_t wanted_len)
{
    return len == wanted_len && strncasecmp(name, wanted, len) == 0;
}

/* RFC 9110 §5.6.2, as far as it matters: nothing that another parser could cut or trim. */
static bool name_malformed(const char *name, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)name[i] <= ' ' || (unsigned char)name[i] >= 0x7f)
            return true;
    return len == 0;
}

static enum MHD_Result scan_header(void *cls, enum MHD_ValueKind kind, const char *name, size_t len,
                                   const char *value, size_t value_len)
{
    struct http_header_scan *scan = cls;
    if (name_malformed(name, len))
        scan->malformed = true;
    switch (len) {
    case 4:
        if (name_is(name, len, "host", 4))
            scan_count(&scan->host, &scan->host_count, value, value_len);
        break;
    case 6:
        if (name_is(name, len, "origin", 6))
            scan_count(&scan->origin, &scan->origin_count, value, value_len);
        else if (name_is(name, len, "expect", 6))
            scan->expect = slice_of(value, value_len);
        break;
    case 14:
        if (name_is(name, len, "content-length", 14))
            scan_count(&scan->content_length, &scan->content_length_count, value, value_len);
        break;
    case 17:
        if (name_is(name, len, "transfer-encoding", 17))
            scan_count(&scan->transfer_encoding, &scan->transfer_encoding_count, value, value_len);
        break;
    default:
        break;
    }
    return MHD_YES;
}

void http_guard_scan(struct MHD_Connection *connection, struct http_header_scan *ret)
{
    *ret = (struct http_header_scan){.malformed = false};
    MHD_get_connection_values_n(connection, MHD_HEADER_KIND, scan_header, ret);
}

static unsigned refuse(struct error *err, unsigned status, const char *field, const char *message)
{
    error_field(err, -EINVAL, field, "%s", message);
    return status;
}

unsigned http_guard_framing(const struct http_header_scan *scan, struct error *err)
{
    if (scan->malformed)
        return refuse(err, 400, "", "a header field has a malformed name");
    if (scan->content_length_count > 1)
        return refuse(err, 400, "Content-Length", "Content-Length is there more than once");
    if (scan->transfer_encoding_count > 1)
        return refuse(err, 400, "Transfer-Encoding", "Transfer-Encoding is there more than once");
    if (scan->transfer_encoding_count == 1 && scan->content_length_count == 1)
        return refuse(err, 400, "Transfer-Encoding",
                      "Content-Length and Transfer-Encoding are both there");
    if (scan->transfer_encoding_count == 1 && !slice_is_nocase(scan->transfer_encoding, "chunked"))
        return refuse(err, 501, "Transfer-Encoding", "chunked is the only Transfer-Encoding known");
    if (scan->host_count > 1)
        return refuse(err, 400, "Host", "Host is there more than once");
    return 0;
}

unsigned http_guard_origin(const struct http_guard *g, const struct http_header_scan *scan,
                           struct error *err)
{
    if (scan->origin_count == 0)
        return 0;
    for (const char *const *o = g->origins; o != NULL && *o != NULL; o++)
        if (scan->origin_count == 1 && slice_is_nocase(scan->origin, *o))
            return 0;
    return refuse(err, 403, "Origin", "requests from web pages of this origin are not allowed");
}

/* The name of HOST, HOST:PORT or [ADDRESS]:PORT; ptr NULL when it is malformed. */
static struct slice host_name(struct slice host)
{
    struct slice none = {NULL, 0};
    size_t len = 0;
    if (host.len > 0 && host.ptr[0] == '[') {
        const char *close = memchr(host.ptr, ']', host.len);
        if (close == NULL)
            return none;
        len = (size_t)(close - host.ptr) + 1;
    } else {
        while (len < host.len && host.ptr[len] != ':')
            len++;
    }
    uint64_t port = 0;
    if (len < host.len &&
        (host.ptr[len] != ':' ||
         (len + 1 < host.len &&
          (encoding_parse_u64(slice_of(host.ptr + len + 1, host.len - len - 1), &port) < 0 ||
           port > 65535))))
        return none;
    if (len > 1 && host.ptr[len - 1] == '.') /* the DNS root */
        len--;
    return len == 0 || len >= HTTP_HOST_MAX ? none : slice_of(host.ptr, len);
}

/* An address in text: 1 for loopback, 0 for another one, -1 for a name. */
static int address_kind(struct slice name)
{
    char text[INET6_ADDRSTRLEN + 2];
    bool brackets = name.ptr[0] == '[';
    struct slice inner = brackets ? slice_of(name.ptr + 1, name.len - 2) : name;
    if (inner.len >= sizeof(text))
        return -1;
    memcpy(text, inner.ptr, inner.len);
    text[inner.len] = '\0';
    struct in_addr v4;
    struct in6_addr v6;
    if (!brackets && inet_pton(AF_INET, text, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    if (brackets && inet_pton(AF_INET6, text, &v6) == 1)
        return IN6_IS_ADDR_LOOPBACK(&v6);
    return -1;
}

static bool ends_nocase(struct slice s, const char *suffix)
{
    size_t n = strlen(suffix);
    return s.len > n && strncasecmp(s.ptr + s.len - n, suffix, n) == 0;
}

static bool host_known(const struct http_guard *g, struct slice name, bool any_host)
{
    int kind = address_kind(name);
    if (kind == 1 || (kind == 0 && g->wildcard) || slice_is_nocase(name, "localhost"))
        return true;
    if (slice_is_nocase(name, g->bound_host) || slice_is_nocase(name, g->bound_address))
        return true;
    for (const char *const *h = g->hosts; h != NULL && *h != NULL; h++)
        if (slice_is_nocase(name, *h))
            return true;
    return any_host && (ends_nocase(name, ".svc.cluster.local") || ends_nocase(name, ".svc"));
}

unsigned http_guard_host(const struct http_guard *g, const struct http_header_scan *scan,
                         bool any_host, struct error *err)
{
    if (!g->check_host)
        return 0;
    if (scan->host_count == 0)
        return refuse(err, 400, "Host", "Host is missing");
    struct slice name = host_name(scan->host);
    if (name.ptr == NULL)
        return refuse(err, 400, "Host", "Host is malformed");
    if (host_known(g, name, any_host))
        return 0;
    error_field(err, -EINVAL, "Host", "this server is not called \"%.*s\"; add the name to --host",
                (int)(name.len > 128 ? 128 : name.len), name.ptr);
    return 421;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* Length of a dot at s, spelled out or percent-encoded; 0 when there is none. */
static size_t dot_length(struct slice s)
{
    if (s.len >= 1 && s.ptr[0] == '.')
        return 1;
    return s.len >= 3 && s.ptr[0] == '%' && s.ptr[1] == '2' && (s.ptr[2] | 0x20) == 'e' ? 3 : 0;
}

static bool is_dot_segment(struct slice s)
{
    size_t one = dot_length(s);
    if (one == 0)
        return false;
    size_t two = dot_length(slice_of(s.ptr + one, s.len - one));
    size_t len = one + two;
    return len == s.len || s.ptr[len] == '/';
}

unsigned http_guard_path(struct slice path, struct error *err)
{
    if (path.len == 0 || path.ptr[0] != '/')
        return refuse(err, 400, "", "the request's target is no path");
    for (size_t i = 0; i < path.len; i++) {
        unsigned char c = (unsigned char)path.ptr[i];
        if (c <= ' ' || c == 0x7f || c == '#')
            return refuse(err, 400, "", "the path has a character that must be percent-encoded");
        if (c == '/' && is_dot_segment(slice_of(path.ptr + i + 1, path.len - i - 1)))
            return refuse(err, 400, "", "the path has a segment . or ..");
        if (c != '%')
            continue;
        if (i + 2 >= path.len || !is_hex(path.ptr[i + 1]) || !is_hex(path.ptr[i + 2]))
            return refuse(err, 400, "",
                          "the path has a % that is not followed by two hexadecimal digits");
        bool control =
            path.ptr[i + 1] < '2' || (path.ptr[i + 1] == '7' && (path.ptr[i + 2] | 0x20) == 'f');
        if (control)
            return refuse(err, 400, "", "the path has an encoded control character");
    }
    return 0;
}
