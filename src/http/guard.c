/* SPDX-License-Identifier: Apache-2.0 */
/* What a request must look like before any route sees it (DESIGN §13). Loopback protects from
 * nothing by itself: any web page can make a browser send to it. So Host must name us, and a
 * request with an Origin is refused unless that is listed.
 *
 * Framing that two parsers could read in two ways is refused (RFC 9112 §6.3, §11.2), and the
 * connection with it: several or malformed Content-Length or Transfer-Encoding fields, both
 * together, another coding than chunked, chunks in HTTP/1.0. */
#include "http/guard.h"
#include "base/encoding.h"

#include <arpa/inet.h>
#include <errno.h>

/* The options of a Connection field (RFC 9110 §7.6.1). */
static void scan_options(struct http_header_scan *scan, struct slice list)
{
    while (list.len > 0) {
        const char *comma = memchr(list.ptr, ',', list.len);
        size_t len = comma != NULL ? (size_t)(comma - list.ptr) : list.len;
        struct slice option = slice_of(list.ptr, len);
        size_t taken = comma != NULL ? len + 1 : len;
        list = slice_of(list.ptr + taken, list.len - taken);
        while (option.len > 0 && (option.ptr[0] == ' ' || option.ptr[0] == '\t'))
            option = slice_of(option.ptr + 1, option.len - 1);
        while (option.len > 0 &&
               (option.ptr[option.len - 1] == ' ' || option.ptr[option.len - 1] == '\t'))
            option.len--;
        scan->close = scan->close || slice_is_nocase(option, "close");
        scan->keep_alive = scan->keep_alive || slice_is_nocase(option, "keep-alive");
    }
}

static bool scan_one(struct slice name, const char *wanted, struct slice value, struct slice *slot,
                     unsigned *count)
{
    if (strncasecmp(name.ptr, wanted, name.len) != 0)
        return false;
    if ((*count)++ == 0)
        *slot = value;
    return true;
}

void http_guard_scan(const struct request_head *head, const char *bytes,
                     struct http_header_scan *ret)
{
    *ret = (struct http_header_scan){.close = false};
    for (unsigned i = 0; i < head->field_count; i++) {
        const struct request_field *f = &head->fields[i];
        struct slice name = request_field_name(f, bytes), value = request_field_value(f, bytes);
        switch (name.len) {
        case 4:
            scan_one(name, "host", value, &ret->host, &ret->host_count);
            break;
        case 6:
            if (!scan_one(name, "origin", value, &ret->origin, &ret->origin_count))
                scan_one(name, "expect", value, &ret->expect, &ret->expect_count);
            break;
        case 10:
            if (strncasecmp(name.ptr, "connection", 10) == 0)
                scan_options(ret, value);
            break;
        case 14:
            scan_one(name, "content-length", value, &ret->content_length,
                     &ret->content_length_count);
            break;
        case 17:
            scan_one(name, "transfer-encoding", value, &ret->transfer_encoding,
                     &ret->transfer_encoding_count);
            break;
        default:
            break;
        }
    }
}

static unsigned refuse(struct error *err, unsigned status, const char *field, const char *message)
{
    error_field(err, -EINVAL, field, "%s", message);
    return status;
}

static unsigned read_length(struct slice text, uint64_t *ret_length, struct error *err)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return refuse(err, 400, "Content-Length", "Content-Length is no number");
    if (text.len == 0)
        return refuse(err, 400, "Content-Length", "Content-Length is empty");
    if (encoding_parse_u64(text, ret_length) < 0 || *ret_length >= HTTP_LENGTH_CHUNKED)
        return refuse(err, 413, "Content-Length", "Content-Length is beyond any limit");
    return 0;
}

static unsigned read_coding(const struct http_header_scan *scan, unsigned minor, struct error *err)
{
    static const char field[] = "Transfer-Encoding";
    if (scan->transfer_encoding_count > 1)
        return refuse(err, 400, field, "Transfer-Encoding is there more than once");
    if (scan->content_length_count > 0)
        return refuse(err, 400, field, "Content-Length and Transfer-Encoding are both there");
    if (minor == 0)
        return refuse(err, 400, field, "HTTP/1.0 has no Transfer-Encoding");
    if (!slice_is_nocase(scan->transfer_encoding, "chunked"))
        return refuse(err, 501, field, "chunked is the only Transfer-Encoding known");
    return 0;
}

unsigned http_guard_framing(const struct http_header_scan *scan, unsigned minor,
                            uint64_t *ret_length, struct error *err)
{
    *ret_length = HTTP_LENGTH_CHUNKED;
    if (scan->content_length_count > 1)
        return refuse(err, 400, "Content-Length", "Content-Length is there more than once");
    if (scan->host_count > 1)
        return refuse(err, 400, "Host", "Host is there more than once");
    if (scan->transfer_encoding_count > 0)
        return read_coding(scan, minor, err);
    uint64_t length = 0;
    if (scan->content_length_count > 0) {
        unsigned refused = read_length(scan->content_length, &length, err);
        if (refused != 0)
            return refused;
    }
    *ret_length = length;
    return 0;
}

unsigned http_guard_origin(const struct http_guard *g, const struct http_header_scan *scan,
                           struct error *err)
{
    if (scan->origin_count == 0)
        return 0;
    for (const char *const *o = g->origins; o != NULL && *o != NULL; o++)
        if (strcmp(*o, "*") == 0 || (scan->origin_count == 1 && slice_is_nocase(scan->origin, *o)))
            return 0;
    return refuse(err, 403, "Origin", "requests from web pages of this origin are not allowed");
}

/* RFC 3986 §3.2.2: what a registered name is made of. */
static bool is_name_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-._~%!$&'()*+,;=", c) != NULL);
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
        while (len < host.len && is_name_character(host.ptr[len]))
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
