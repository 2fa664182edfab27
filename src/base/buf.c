/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include "base/ascii.h"
#include "base/bytes.h"
#include "base/memory.h"

#include <stdio.h>

void buf_done(struct buf *b)
{
    free(b->ptr);
    *b = (struct buf)BUF_INIT;
}

void buf_reset(struct buf *b)
{
    b->len = 0;
    b->failed = false;
    if (b->ptr != NULL)
        b->ptr[0] = '\0';
}

static char *grow(struct buf *b, size_t n)
{
    if (b->failed || n >= SIZE_MAX / 2 - b->len) {
        b->failed = true;
        return NULL;
    }
    size_t needed = b->len + n + 1;
    size_t cap = b->cap < 64 ? 64 : b->cap;
    while (cap < needed)
        cap += cap / 2;
    char *grown = realloc(b->ptr, cap);
    if (grown == NULL) {
        b->failed = true;
        return NULL;
    }
    b->ptr = grown;
    b->cap = cap;
    return b->ptr + b->len;
}

/* There is always room for the NUL: cap is len + 1 at least, or 0. */
static inline bool has_room(const struct buf *b, size_t n)
{
    return n < b->cap - b->len && !b->failed;
}

char *buf_reserve(struct buf *b, size_t n)
{
    return has_room(b, n) ? b->ptr + b->len : grow(b, n);
}

void buf_add(struct buf *b, const void *bytes, size_t n)
{
    char *at = has_room(b, n) ? b->ptr + b->len : grow(b, n);
    if (at == NULL)
        return;
    if (n > 0)
        memcpy(at, bytes, n);
    at[n] = '\0';
    b->len += n;
}

void buf_add_slice(struct buf *b, struct slice s)
{
    buf_add(b, s.ptr, s.len);
}

void buf_add_text(struct buf *b, const char *text)
{
    buf_add(b, text, strlen(text));
}

void buf_add_byte(struct buf *b, char byte)
{
    char *at = has_room(b, 1) ? b->ptr + b->len : grow(b, 1);
    if (at == NULL)
        return;
    at[0] = byte;
    at[1] = '\0';
    b->len++;
}

void buf_add_decimal(struct buf *b, int64_t v)
{
    char digits[20];
    size_t at = sizeof(digits);
    uint64_t rest = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    do
        digits[--at] = (char)('0' + rest % 10);
    while ((rest /= 10) > 0);
    if (v < 0)
        buf_add_byte(b, '-');
    buf_add(b, digits + at, sizeof(digits) - at);
}

void buf_add_u16(struct buf *b, uint16_t v)
{
    char bytes[sizeof(v)];
    bytes_put_le16(bytes, v);
    buf_add(b, bytes, sizeof(bytes));
}

void buf_add_u32(struct buf *b, uint32_t v)
{
    char bytes[sizeof(v)];
    bytes_put_le32(bytes, v);
    buf_add(b, bytes, sizeof(bytes));
}

void buf_add_u64(struct buf *b, uint64_t v)
{
    char bytes[sizeof(v)];
    bytes_put_le64(bytes, v);
    buf_add(b, bytes, sizeof(bytes));
}

void buf_add_be32(struct buf *b, uint32_t v)
{
    char bytes[sizeof(v)];
    bytes_put_be32(bytes, v);
    buf_add(b, bytes, sizeof(bytes));
}

void buf_add_be64(struct buf *b, uint64_t v)
{
    char bytes[sizeof(v)];
    bytes_put_be64(bytes, v);
    buf_add(b, bytes, sizeof(bytes));
}

void buf_vprintf(struct buf *b, const char *format, va_list arguments)
{
    va_list again;
    va_copy(again, arguments);
    int n = vsnprintf(NULL, 0, format, again);
    va_end(again);
    char *at = n < 0 ? NULL : buf_reserve(b, (size_t)n);
    if (at == NULL) {
        b->failed = true;
        return;
    }
    vsnprintf(at, (size_t)n + 1, format, arguments);
    b->len += (size_t)n;
}

void buf_printf(struct buf *b, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    buf_vprintf(b, format, arguments);
    va_end(arguments);
}

/* Length of the valid UTF-8 sequence at p (at most n bytes), 0 when it is not valid. */
static size_t utf8_sequence(const unsigned char *p, size_t n)
{
    if (p[0] < 0x80)
        return 1;
    size_t len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || len > n)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    bool bad = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
               (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f);
    return bad ? 0 : len;
}

static void buf_add_json_escape(struct buf *b, unsigned char c)
{
    static const char short_forms[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    for (size_t i = 0; i + 1 < sizeof(short_forms); i += 2) {
        if ((unsigned char)short_forms[i] == c) {
            buf_add_byte(b, '\\');
            buf_add_byte(b, short_forms[i + 1]);
            return;
        }
    }
    buf_printf(b, "\\u%04x", c);
}

void buf_add_json_string(struct buf *b, struct slice s)
{
    const unsigned char *p = (const unsigned char *)s.ptr;
    buf_add_byte(b, '"');
    size_t plain = 0; /* where the run of bytes that need no escape began */
    for (size_t i = 0; i < s.len;) {
        i += ascii_run(s.ptr + i, s.len - i, '"', '\\');
        if (i == s.len)
            break;
        size_t n = utf8_sequence(p + i, s.len - i);
        if (n > 0 && p[i] >= 0x20 && p[i] != '"' && p[i] != '\\' && p[i] != 0x7f) {
            i += n;
            continue;
        }
        buf_add(b, p + plain, i - plain);
        if (n == 0)
            buf_add_text(b, "\xef\xbf\xbd");
        else
            buf_add_json_escape(b, p[i]);
        plain = ++i;
    }
    if (s.len > plain)
        buf_add(b, p + plain, s.len - plain);
    buf_add_byte(b, '"');
}

char *buf_steal(struct buf *b)
{
    if (b->ptr == NULL && !b->failed)
        buf_add(b, "", 0);
    char *bytes = b->failed ? NULL : STEAL(b->ptr);
    buf_done(b);
    return bytes;
}
