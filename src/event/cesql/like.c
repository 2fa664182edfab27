/* SPDX-License-Identifier: Apache-2.0 */
/* LIKE: CESQL §3.4.3. Patterns are compiled, so that most need no more than one comparison. */
#include "event/cesql/cesql_internal.h"

/* Wildcards become bytes of their own, escaped ones lose their backslash; several % in a row are
 * one. A backslash before anything else stands for itself. */
static void pattern_write(struct slice pattern, struct buf *out)
{
    size_t start = out->len;
    for (size_t i = 0; i < pattern.len; i++) {
        char c = pattern.ptr[i];
        if (c == '\\' && i + 1 < pattern.len &&
            (pattern.ptr[i + 1] == '%' || pattern.ptr[i + 1] == '_')) {
            buf_add_byte(out, pattern.ptr[++i]);
        } else if (c == '%') {
            if (!buf_ok(out) || out->len == start || out->ptr[out->len - 1] != LIKE_ANY_RUN)
                buf_add_byte(out, LIKE_ANY_RUN);
        } else {
            buf_add_byte(out, c == '_' ? LIKE_ANY_ONE : c);
        }
    }
}

static size_t wildcards(struct slice compiled)
{
    size_t n = 0;
    for (size_t i = 0; i < compiled.len; i++)
        n += compiled.ptr[i] == LIKE_ANY_RUN || compiled.ptr[i] == LIKE_ANY_ONE;
    return n;
}

enum like_kind like_compile(struct slice pattern, struct buf *out)
{
    size_t start = out->len;
    pattern_write(pattern, out);
    if (!buf_ok(out))
        return LIKE_GENERAL;
    char *compiled = out->ptr + start;
    size_t len = out->len - start, special = wildcards(slice_of(compiled, len));
    if (special == 0)
        return LIKE_EXACT;
    bool first = compiled[0] == LIKE_ANY_RUN, last = compiled[len - 1] == LIKE_ANY_RUN;
    size_t ends = len > 1 ? (size_t)first + (size_t)last : 1;
    if (special != ends || !(first || last))
        return LIKE_GENERAL;
    if (first)
        memmove(compiled, compiled + 1, len - 1);
    out->len -= ends;
    if (len == 1)
        return LIKE_PREFIX; /* % alone: any text has the empty prefix */
    return first && last ? LIKE_CONTAINS : first ? LIKE_SUFFIX : LIKE_PREFIX;
}

/* Greedy: after a mismatch, the last % takes one character more. */
static bool general_matches(struct slice pattern, struct slice text)
{
    size_t p = 0, t = 0, after_run = SIZE_MAX, run_end = 0;
    while (t < text.len) {
        char c = p < pattern.len ? pattern.ptr[p] : '\0';
        if (p < pattern.len && c == LIKE_ANY_RUN) {
            after_run = ++p;
            run_end = t;
        } else if (p < pattern.len && c == LIKE_ANY_ONE) {
            p++;
            t += utf8_step(slice_of(text.ptr + t, text.len - t));
        } else if (p < pattern.len && c == text.ptr[t]) {
            p++;
            t++;
        } else if (after_run != SIZE_MAX) {
            p = after_run;
            run_end += utf8_step(slice_of(text.ptr + run_end, text.len - run_end));
            t = run_end;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == LIKE_ANY_RUN)
        p++;
    return p == pattern.len;
}

bool like_matches(enum like_kind kind, struct slice pattern, struct slice text)
{
    if (kind == LIKE_GENERAL)
        return general_matches(pattern, text);
    if (kind == LIKE_CONTAINS)
        return pattern.len == 0 || (text.len >= pattern.len &&
                                    memmem(text.ptr, text.len, pattern.ptr, pattern.len) != NULL);
    if (kind == LIKE_EXACT)
        return slice_equal(text, pattern);
    if (text.len < pattern.len)
        return false;
    size_t from = kind == LIKE_SUFFIX ? text.len - pattern.len : 0;
    return pattern.len == 0 || memcmp(text.ptr + from, pattern.ptr, pattern.len) == 0;
}
