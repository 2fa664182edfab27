/* SPDX-License-Identifier: Apache-2.0 */
/* Characters of UTF-8: counting, white space, and the other case of letters. */
#include "base/memory.h"
#include "event/cesql/cesql_internal.h"

struct case_run { /* letters `step` apart, whose other case is `delta` away */
    int32_t first, last, step, delta;
};

#include "letter_case.inc"

size_t utf8_length(struct slice s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++)
        n += ((unsigned char)s.ptr[i] & 0xc0) != 0x80;
    return n;
}

struct slice utf8_skip(struct slice s, size_t n)
{
    for (; n > 0 && s.len > 0; n--) {
        size_t step = utf8_step(s);
        s = slice_of(s.ptr + step, s.len - step);
    }
    return s;
}

/* The character at the front, or -1 when it is no UTF-8. */
static int32_t utf8_at(struct slice s, size_t *ret_len)
{
    const unsigned char *p = (const unsigned char *)s.ptr;
    *ret_len = utf8_step(s);
    if (p[0] < 0x80)
        return *ret_len == 1 ? p[0] : -1;
    if (p[0] >= 0xc2 && p[0] < 0xe0 && *ret_len == 2)
        return (p[0] & 0x1f) << 6 | (p[1] & 0x3f);
    if (p[0] >= 0xe0 && p[0] < 0xf0 && *ret_len == 3) {
        int32_t c = (p[0] & 0x0f) << 12 | (p[1] & 0x3f) << 6 | (p[2] & 0x3f);
        return c < 0x800 || (c >= 0xd800 && c < 0xe000) ? -1 : c;
    }
    if (p[0] >= 0xf0 && p[0] < 0xf5 && *ret_len == 4) {
        int32_t c = (p[0] & 0x07) << 18 | (p[1] & 0x3f) << 12 | (p[2] & 0x3f) << 6 | (p[3] & 0x3f);
        return c < 0x10000 || c > 0x10ffff ? -1 : c;
    }
    return -1;
}

bool utf8_is_valid(struct slice s)
{
    for (size_t n; s.len > 0; s = slice_of(s.ptr + n, s.len - n))
        if (utf8_at(s, &n) < 0)
            return false;
    return true;
}

static size_t utf8_put(int32_t c, char *out)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

/* Unicode's property White_Space. */
static bool is_white_space(int32_t c)
{
    return (c >= 0x09 && c <= 0x0d) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
           c == 0x205f || c == 0x3000;
}

struct slice utf8_trim(struct slice s)
{
    size_t n;
    while (s.len > 0 && is_white_space(utf8_at(s, &n)))
        s = slice_of(s.ptr + n, s.len - n);
    while (s.len > 0) {
        size_t start = s.len - 1;
        while (start > 0 && ((unsigned char)s.ptr[start] & 0xc0) == 0x80)
            start--;
        if (!is_white_space(utf8_at(slice_of(s.ptr + start, s.len - start), &n)))
            break;
        s.len = start;
    }
    return s;
}

/* The tables are sorted. */
static int32_t other_case(const struct case_run *runs, size_t count, int32_t c)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (runs[middle].last < c)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < count && runs[low].first <= c && (c - runs[low].first) % runs[low].step == 0)
        return c + runs[low].delta;
    return c;
}

static size_t change_case(struct slice s, char *out, char first, char last,
                          const struct case_run *runs, size_t count)
{
    size_t len = 0;
    while (s.len > 0) {
        size_t n = 1;
        int32_t c = (unsigned char)s.ptr[0];
        if (c < 0x80) {
            out[len++] = (char)(c >= first && c <= last ? c ^ 0x20 : c);
        } else if ((c = utf8_at(s, &n)) >= 0) {
            len += utf8_put(other_case(runs, count, c), out + len);
        } else {
            memcpy(out + len, s.ptr, n);
            len += n;
        }
        s = slice_of(s.ptr + n, s.len - n);
    }
    return len;
}

size_t utf8_lower(struct slice s, char *out)
{
    return change_case(s, out, 'A', 'Z', to_lower, COUNT_OF(to_lower));
}

size_t utf8_upper(struct slice s, char *out)
{
    return change_case(s, out, 'a', 'z', to_upper, COUNT_OF(to_upper));
}
