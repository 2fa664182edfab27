/* SPDX-License-Identifier: Apache-2.0 */
#include "base/encoding.h"

#include "base/memory.h"

#include <errno.h>

bool encoding_utf8_valid(struct slice text)
{
    const unsigned char *p = (const unsigned char *)text.ptr;
    const unsigned char *end = p + text.len;
    while (p < end) {
        if (*p < 0x80) {
            p++;
            continue;
        }
        unsigned len = *p >= 0xf0 ? 4 : *p >= 0xe0 ? 3 : 2;
        if (*p < 0xc2 || *p > 0xf4 || (size_t)(end - p) < len)
            return false;
        unsigned char low = 0x80, high = 0xbf; /* of the second byte: no overlong, no surrogate */
        if (*p == 0xe0)
            low = 0xa0;
        else if (*p == 0xed)
            high = 0x9f;
        else if (*p == 0xf0)
            low = 0x90;
        else if (*p == 0xf4)
            high = 0x8f;
        if (p[1] < low || p[1] > high)
            return false;
        for (unsigned i = 2; i < len; i++)
            if ((p[i] & 0xc0) != 0x80)
                return false;
        p += len;
    }
    return true;
}

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void encoding_base64_add(struct buf *out, struct slice bytes)
{
    const unsigned char *p = (const unsigned char *)bytes.ptr;
    char *at = buf_reserve(out, (bytes.len + 2) / 3 * 4);
    if (at == NULL)
        return;
    size_t i = 0;
    for (; i + 2 < bytes.len; i += 3) {
        *at++ = base64_digits[p[i] >> 2];
        *at++ = base64_digits[(p[i] & 3) << 4 | p[i + 1] >> 4];
        *at++ = base64_digits[(p[i + 1] & 15) << 2 | p[i + 2] >> 6];
        *at++ = base64_digits[p[i + 2] & 63];
    }
    if (i < bytes.len) {
        bool two = i + 1 < bytes.len;
        *at++ = base64_digits[p[i] >> 2];
        *at++ = base64_digits[(p[i] & 3) << 4 | (two ? p[i + 1] >> 4 : 0)];
        *at++ = two ? base64_digits[(p[i + 1] & 15) << 2] : '=';
        *at++ = '=';
    }
    *at = '\0';
    out->len = (size_t)(at - out->ptr);
}

static int base64_value(unsigned char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int encoding_base64_decode(struct slice text, struct buf *out)
{
    if (text.len % 4 != 0)
        return -EINVAL;
    char *at = buf_reserve(out, text.len / 4 * 3);
    if (at == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < text.len; i += 4) {
        const unsigned char *p = (const unsigned char *)text.ptr + i;
        bool last = i + 4 == text.len;
        int padding = last && p[3] == '=' ? (p[2] == '=' ? 2 : 1) : 0;
        int a = base64_value(p[0]), b = base64_value(p[1]);
        int c = padding == 2 ? 0 : base64_value(p[2]), d = padding > 0 ? 0 : base64_value(p[3]);
        if (a < 0 || b < 0 || c < 0 || d < 0)
            return -EINVAL;
        if ((padding == 2 && (b & 15) != 0) || (padding == 1 && (c & 3) != 0))
            return -EINVAL; /* bits that nobody would see (RFC 4648 §3.5) */
        *at++ = (char)(a << 2 | b >> 4);
        if (padding < 2)
            *at++ = (char)(b << 4 | c >> 2);
        if (padding < 1)
            *at++ = (char)(c << 6 | d);
    }
    *at = '\0';
    out->len = (size_t)(at - out->ptr);
    return 0;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int encoding_percent_decode(struct slice text, struct buf *out)
{
    char *at = buf_reserve(out, text.len);
    if (at == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != '%') {
            *at++ = text.ptr[i];
            continue;
        }
        if (i + 2 >= text.len)
            return -EINVAL;
        int high = hex_value(text.ptr[i + 1]), low = hex_value(text.ptr[i + 2]);
        if (high < 0 || low < 0)
            return -EINVAL;
        *at++ = (char)(high << 4 | low);
        i += 2;
    }
    *at = '\0';
    out->len = (size_t)(at - out->ptr);
    return 0;
}

int encoding_parse_u64(struct slice text, uint64_t *ret)
{
    if (text.len == 0)
        return -EINVAL;
    uint64_t v = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return -EINVAL;
        if (__builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(text.ptr[i] - '0'), &v))
            return -ERANGE;
    }
    *ret = v;
    return 0;
}

int encoding_parse_bytes(struct slice text, uint64_t *ret_bytes)
{
    static const struct {
        const char *suffix;
        uint64_t factor;
    } units[] = {
        {"Ki", UINT64_C(1) << 10},
        {"Mi", UINT64_C(1) << 20},
        {"Gi", UINT64_C(1) << 30},
        {"Ti", UINT64_C(1) << 40},
        {"k", 1000},
        {"M", 1000000},
        {"G", 1000000000},
        {"T", 1000000000000},
    };
    uint64_t factor = 1;
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        if (slice_ends(text, units[i].suffix)) {
            factor = units[i].factor;
            text.len -= strlen(units[i].suffix);
            break;
        }
    }
    uint64_t v;
    int r = encoding_parse_u64(text, &v);
    if (r < 0)
        return r;
    return __builtin_mul_overflow(v, factor, ret_bytes) ? -ERANGE : 0;
}
