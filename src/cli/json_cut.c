/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/json_cut.h"

#include "event/json_scan.h"

#define STEP 2u /* blanks for each depth */

bool json_cut(struct slice object, const char *member, struct slice *ret)
{
    struct json_scan s;
    struct json_value name, value;
    json_scan_begin(&s, object);
    if (!json_scan_take(&s, '{'))
        return false;
    do {
        if (json_scan_value(&s, &name) < 0 || name.kind != JSON_STRING ||
            !json_scan_take(&s, ':') || json_scan_value(&s, &value) < 0)
            return false;
        if (slice_is(slice_of(name.raw.ptr + 1, name.raw.len - 2), member)) {
            *ret = value.raw;
            return true;
        }
    } while (json_scan_take(&s, ','));
    return false;
}

static void new_line(struct buf *out, unsigned blanks)
{
    buf_add_byte(out, '\n');
    for (unsigned i = 0; i < blanks; i++)
        buf_add_byte(out, ' ');
}

/* The string that begins there, its quotes included. */
static size_t string_length(struct slice text, size_t at)
{
    size_t end = at + 1;
    while (text.ptr[end] != '"')
        end += text.ptr[end] == '\\' ? 2 : 1;
    return end + 1 - at;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_empty(struct slice text, size_t at)
{
    do
        at++;
    while (is_space(text.ptr[at]));
    return text.ptr[at] == '}' || text.ptr[at] == ']';
}

void json_indent(struct slice text, unsigned indent, struct buf *out)
{
    unsigned depth = 0;
    if (!json_scan_valid(text)) {
        buf_add_slice(out, text);
        return;
    }
    for (size_t at = 0; at < text.len; at++) {
        char c = text.ptr[at];
        if (c == '"') {
            size_t len = string_length(text, at);
            buf_add(out, text.ptr + at, len);
            at += len - 1;
        } else if ((c == '{' || c == '[') && is_empty(text, at)) {
            buf_add_byte(out, c);
        } else if (c == '{' || c == '[') {
            buf_add_byte(out, c);
            new_line(out, indent + ++depth * STEP);
        } else if (c == '}' || c == ']') {
            char before = out->len > 0 ? out->ptr[out->len - 1] : '\0';
            if (before != '{' && before != '[')
                new_line(out, indent + --depth * STEP);
            buf_add_byte(out, c);
        } else if (c == ',') {
            buf_add_byte(out, c);
            new_line(out, indent + depth * STEP);
        } else if (c == ':') {
            buf_add_text(out, ": ");
        } else if (!is_space(c)) {
            buf_add_byte(out, c);
        }
    }
}
