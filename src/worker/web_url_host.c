/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts of URLs: domains, IPv4 and IPv6 addresses, opaque hosts. */
#include "worker/web_url.h"

#include "worker/web.h"

#include <string.h>

#define PIECES      8
#define URL_SCRATCH 4 /* the first of web_scratch() that are this file's */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int hex_digit(char c)
{
    char lower = (char)(c | 0x20);
    return is_digit(c) ? c - '0' : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* ---- IPv6 ---- */

struct ipv6 {
    uint16_t pieces[PIECES];
    unsigned count;
    int compress; /* where `::` stands; -1: nowhere */
};

/* The dotted form at the end takes two pieces. */
static bool read_dotted(const char *at, const char *end, struct ipv6 *a)
{
    if (a->count > PIECES - 2)
        return false;
    unsigned seen = 0;
    while (at < end) {
        if (seen > 0 && (seen == 4 || *at++ != '.'))
            return false;
        if (at == end || !is_digit(*at))
            return false;
        int value = -1;
        for (; at < end && is_digit(*at); at++) {
            if (value == 0)
                return false;
            value = (value < 0 ? 0 : value * 10) + (*at - '0');
            if (value > 255)
                return false;
        }
        a->pieces[a->count] = (uint16_t)(a->pieces[a->count] << 8 | value);
        seen++;
        if (seen == 2 || seen == 4)
            a->count++;
    }
    return seen == 4;
}

/* §3.5, the IPv6 parser. */
static bool read_ipv6(struct slice text, struct ipv6 *a)
{
    const char *at = text.ptr, *end = text.ptr + text.len;
    *a = (struct ipv6){.compress = -1};
    if (at < end && *at == ':') {
        if (end - at < 2 || at[1] != ':')
            return false;
        at += 2;
        a->compress = 0;
    }
    while (at < end) {
        if (a->count == PIECES)
            return false;
        if (*at == ':') {
            if (a->compress >= 0)
                return false;
            at++;
            a->compress = (int)a->count;
            continue;
        }
        const char *begin = at;
        unsigned value = 0;
        while (at < end && at - begin < 4 && hex_digit(*at) >= 0)
            value = value << 4 | (unsigned)hex_digit(*at++);
        if (at < end && *at == '.') {
            if (at == begin || !read_dotted(begin, end, a))
                return false;
            break;
        }
        if (at < end && (*at != ':' || ++at == end))
            return false;
        a->pieces[a->count++] = (uint16_t)value;
    }
    if (a->compress < 0)
        return a->count == PIECES;
    unsigned moved = a->count - (unsigned)a->compress, gap = PIECES - a->count;
    memmove(&a->pieces[(unsigned)a->compress + gap], &a->pieces[a->compress],
            moved * sizeof(a->pieces[0]));
    memset(&a->pieces[a->compress], 0, gap * sizeof(a->pieces[0]));
    return true;
}

/* The first longest run of zeros, of at least two. */
static unsigned find_zeros(const struct ipv6 *a, unsigned *ret_len)
{
    unsigned best = PIECES, best_len = 1;
    for (unsigned i = 0; i < PIECES; i++) {
        unsigned len = 0;
        while (i + len < PIECES && a->pieces[i + len] == 0)
            len++;
        if (len > best_len) {
            best = i;
            best_len = len;
        }
    }
    *ret_len = best_len;
    return best;
}

static void write_ipv6(const struct ipv6 *a, struct buf *out)
{
    unsigned len, zeros = find_zeros(a, &len);
    buf_add_byte(out, '[');
    for (unsigned i = 0; i < PIECES; i++) {
        if (i == zeros) {
            buf_add_text(out, i == 0 ? "::" : ":");
            i += len - 1;
            continue;
        }
        buf_printf(out, "%x", a->pieces[i]);
        if (i < PIECES - 1)
            buf_add_byte(out, ':');
    }
    buf_add_byte(out, ']');
}

/* ---- IPv4 ---- */

/* Decimal, 0x hexadecimal or 0 octal; what is beyond 32 bits is 2^32. */
static bool read_number(struct slice part, uint64_t *ret)
{
    unsigned base = 10;
    if (part.len == 0)
        return false;
    if (part.len >= 2 && part.ptr[0] == '0') {
        bool hex = (part.ptr[1] | 0x20) == 'x';
        base = hex ? 16 : 8;
        part.ptr += hex ? 2 : 1;
        part.len -= hex ? 2 : 1;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < part.len; i++) {
        int digit = hex_digit(part.ptr[i]);
        if (digit < 0 || (unsigned)digit >= base)
            return false;
        value = value * base + (unsigned)digit;
        if (value > UINT32_MAX)
            value = (uint64_t)UINT32_MAX + 1;
    }
    *ret = value;
    return true;
}

/* The last label, without the dot that may end the name. */
static struct slice last_label(struct slice host, bool *ret_only)
{
    if (host.len > 0 && host.ptr[host.len - 1] == '.')
        host.len--;
    size_t at = host.len;
    while (at > 0 && host.ptr[at - 1] != '.')
        at--;
    *ret_only = at == 0;
    return slice_of(host.ptr + at, host.len - at);
}

/* §3.5, the ends-in-a-number checker. */
static bool ends_in_number(struct slice host)
{
    bool only;
    struct slice last = last_label(host, &only);
    uint64_t value;
    bool digits = last.len > 0;
    for (size_t i = 0; i < last.len; i++)
        digits = digits && is_digit(last.ptr[i]);
    if (last.len == 0)
        return false;
    return digits || (last.len >= 2 && last.ptr[0] == '0' && (last.ptr[1] | 0x20) == 'x' &&
                      read_number(last, &value));
}

static bool read_ipv4(struct slice host, uint32_t *ret)
{
    uint64_t numbers[4];
    unsigned count = 0;
    if (host.ptr[host.len - 1] == '.')
        host.len--;
    for (size_t begin = 0; begin <= host.len;) {
        const char *dot = memchr(host.ptr + begin, '.', host.len - begin);
        size_t end = dot != NULL ? (size_t)(dot - host.ptr) : host.len;
        if (count == 4 || !read_number(slice_of(host.ptr + begin, end - begin), &numbers[count]))
            return false;
        count++;
        begin = end + 1;
    }
    uint64_t address = numbers[count - 1];
    if (address >= 1ULL << 8 * (5 - count))
        return false;
    for (unsigned i = 0; i + 1 < count; i++) {
        if (numbers[i] > 255)
            return false;
        address += numbers[i] << 8 * (3 - i);
    }
    *ret = (uint32_t)address;
    return true;
}

/* ---- names ---- */

/* §3.1: the forbidden host code points. */
static bool is_forbidden(char c)
{
    return c == '\0' || strchr("\t\n\r #/:<>?@[\\]^|", c) != NULL;
}

static bool opaque_host(struct slice text, struct buf *out)
{
    for (size_t i = 0; i < text.len; i++)
        if (is_forbidden(text.ptr[i]))
            return false;
    url_encode(out, text, URL_SET_CONTROL);
    return true;
}

/* Bytes that are no UTF-8 become U+FFFD, which no domain may have. */
static bool decode_domain(struct slice text, struct buf *out)
{
    url_decode(out, text, false);
    if (!buf_ok(out) || out->len == 0)
        return false;
    const unsigned char *at = (const unsigned char *)out->ptr, *end = at + out->len;
    while (at < end)
        if (web_utf8_next(&at, end) < 0)
            return false;
    return true;
}

static bool needs_mapping(const struct buf *domain)
{
    for (size_t i = 0; i < domain->len; i++)
        if ((unsigned char)domain->ptr[i] >= 0x80 ||
            (domain->len - i >= 4 && strncasecmp(domain->ptr + i, "xn--", 4) == 0))
            return true;
    return false;
}

static bool add_domain(const struct buf *domain, struct buf *out)
{
    if (needs_mapping(domain))
        return url_domain_to_ascii(buf_slice(domain), out);
    for (size_t i = 0; i < domain->len; i++) {
        char c = domain->ptr[i];
        buf_add_byte(out, c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c);
    }
    return true;
}

static bool write_domain(const struct buf *ascii, struct buf *out)
{
    for (size_t i = 0; i < ascii->len; i++) {
        unsigned char c = (unsigned char)ascii->ptr[i];
        if (is_forbidden((char)c) || c < 0x20 || c == '%' || c >= 0x7f)
            return false;
    }
    if (!ends_in_number(buf_slice(ascii))) {
        buf_add_slice(out, buf_slice(ascii));
        return true;
    }
    uint32_t address;
    if (!read_ipv4(buf_slice(ascii), &address))
        return false;
    buf_printf(out, "%u.%u.%u.%u", address >> 24, address >> 16 & 255, address >> 8 & 255,
               address & 255);
    return true;
}

static bool domain_host(struct slice text, struct buf *out)
{
    web_local domain = web_scratch(URL_SCRATCH);
    web_local ascii = web_scratch(URL_SCRATCH + 1);
    return decode_domain(text, domain) && add_domain(domain, ascii) && ascii->len > 0 &&
           write_domain(ascii, out);
}

bool url_host(struct slice text, bool opaque, struct buf *out)
{
    if (text.len > 0 && text.ptr[0] == '[') {
        struct ipv6 address;
        if (text.ptr[text.len - 1] != ']' ||
            !read_ipv6(slice_of(text.ptr + 1, text.len - 2), &address))
            return false;
        write_ipv6(&address, out);
        return true;
    }
    return opaque ? opaque_host(text, out) : domain_host(text, out);
}
