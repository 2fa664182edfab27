/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/inspect_text.h"

#include "base/ascii.h"
#include "base/must.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_WIDTH  80
#define COLUMNS_MAX 12
#define LIST_SHORT  6 /* items that are not worth columns */

/* ---- strings and names ---- */

/* Bytes at the front that neither end a string nor need an escape, whatever the quotes are. */
static size_t plain_length(struct slice text)
{
    return ascii_run(text.ptr, text.len, '\'', '\\');
}

static char choose_quote(struct slice text)
{
    static const char quotes[] = "'\"`";
    for (const char *q = quotes; *q != '\0'; q++)
        if (memchr(text.ptr, *q, text.len) == NULL)
            return *q;
    return '\'';
}

static const char *short_escape(unsigned char c)
{
    switch (c) {
    case '\b':
        return "\\b";
    case '\t':
        return "\\t";
    case '\n':
        return "\\n";
    case '\f':
        return "\\f";
    case '\r':
        return "\\r";
    case '\\':
        return "\\\\";
    default:
        return NULL;
    }
}

/* A surrogate's code unit when one stands here as three bytes, else 0. */
static unsigned surrogate_at(const unsigned char *p, size_t len)
{
    if (len < 3 || p[0] != 0xed || p[1] < 0xa0)
        return 0;
    return 0xd000u | (unsigned)(p[1] & 0x3f) << 6 | (p[2] & 0x3f);
}

/* Writes what stands at p, and gives its length in bytes. */
static size_t quote_one(struct buf *out, const unsigned char *p, size_t len, char quote)
{
    const char *escape = short_escape(*p);
    unsigned surrogate = surrogate_at(p, len);
    if (escape != NULL)
        buf_add_text(out, escape);
    else if (*p == '\'' && quote == '\'')
        buf_add_text(out, "\\'");
    else if (*p < 0x20 || *p == 0x7f)
        buf_printf(out, "\\x%02X", *p);
    else if (*p == 0xc2 && len > 1 && p[1] < 0xa0)
        buf_printf(out, "\\x%02X", p[1]);
    else if (surrogate != 0)
        buf_printf(out, "\\u%04x", surrogate);
    else
        buf_add_byte(out, (char)*p);
    return surrogate != 0 ? 3 : *p == 0xc2 && len > 1 && p[1] < 0xa0 ? 2 : 1;
}

void inspect_text_quote(struct buf *out, struct slice text)
{
    size_t plain = plain_length(text);
    char quote = plain == text.len ? '\'' : choose_quote(text);
    buf_add_byte(out, quote);
    buf_add(out, text.ptr, plain);
    for (size_t at = plain; at < text.len;) {
        at += quote_one(out, (const unsigned char *)text.ptr + at, text.len - at, quote);
        plain = plain_length(slice_of(text.ptr + at, text.len - at));
        buf_add(out, text.ptr + at, plain);
        at += plain;
    }
    buf_add_byte(out, quote);
}

bool inspect_text_is_name(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && (i == 0 || c < '0' || c > '9'))
            return false;
    }
    return text.len > 0;
}

/* How many bytes of the word have their lowest bit set. */
static uint32_t count_low_bits(uint64_t word)
{
    return (uint32_t)((word & ASCII_EACH(1)) * ASCII_EACH(1) >> 56);
}

/* In UTF-16 units: one for each byte that begins a character, two when it takes four bytes. */
static uint32_t text_width(const char *text, size_t len)
{
    uint32_t width = 0;
    while (len > 0) {
        uint64_t w = ASCII_EACH(0x80); /* what fills the last word counts nothing */
        size_t part = len < sizeof(w) ? len : sizeof(w);
        memcpy(&w, text, part);
        width += count_low_bits(~w >> 7 | w >> 6);
        width += count_low_bits(w >> 7 & w >> 6 & w >> 5 & w >> 4);
        text += part;
        len -= part;
    }
    return width;
}

/* Where strings are cut or begin to take several lines depends on their length in characters, which
 * is at most that in bytes. */
bool inspect_text_is_special(struct slice text, unsigned indent)
{
    if (text.len > INSPECT_STRING_MAX)
        return true;
    if (text.len <= 16 || text.len + indent + 4 <= LINE_WIDTH)
        return false;
    return memchr(text.ptr, '\n', text.len) != NULL;
}

/* ---- groups ---- */

void inspect_items_add(struct inspect_items *items, const struct buf *text, size_t begin)
{
    if (items->count == items->cap) {
        size_t cap = items->cap > 0 ? items->cap * 2 : 256;
        struct item *list = realloc(items->list, cap * sizeof(*list));
        if (list == NULL) {
            items->failed = true;
            return;
        }
        items->list = list;
        items->cap = cap;
    }
    items->list[items->count++] =
        (struct item){text->len, text_width(text->ptr + begin, text->len - begin)};
}

struct group_view {
    const struct inspect_group *group;
    const struct item *items;
    size_t count;
    const struct buf *text;
};

static struct slice item_text(const struct group_view *v, size_t i)
{
    size_t begin = i > 0 ? v->items[i - 1].end : v->group->start;
    return slice_of(v->text->ptr + begin, v->items[i].end - begin);
}

static void add_spaces(struct buf *out, size_t count)
{
    static const char spaces[] = "                                ";
    for (; count > 0 && buf_ok(out); count -= count < 32 ? count : 32)
        buf_add(out, spaces, count < 32 ? count : 32);
}

static void add_gap(struct buf *out, unsigned indent)
{
    buf_add_byte(out, '\n');
    add_spaces(out, indent);
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

static double smaller(double a, double b)
{
    return a < b ? a : b;
}

/* How many columns a list is laid out in; 1 or less: each item has its own line. As Node does it:
 * columns about 2.5 times as many as lines are high, with room for the widest item. */
static int column_count(const struct group_view *v, size_t whole)
{
    double widest = 0, total = 0;
    for (size_t i = 0; i < whole; i++) {
        total += v->items[i].width + 2;
        widest = larger(widest, v->items[i].width);
    }
    widest += 2;
    unsigned indent = v->group->indent;
    if (widest * 3 + indent >= LINE_WIDTH || (total / widest <= 5 && widest > 8))
        return 0;
    double typical = larger(widest - 3 - sqrt(widest - total / (double)v->count), 1);
    double columns = floor(sqrt(2.5 * typical * (double)whole) / typical + 0.5);
    columns = smaller(columns, floor((LINE_WIDTH - (double)indent) / widest));
    return (int)smaller(columns, COLUMNS_MAX);
}

static void add_row(struct buf *out, const struct group_view *v, size_t begin, size_t end,
                    const uint32_t *widths)
{
    for (size_t i = begin; i < end; i++) {
        bool last = i == end - 1;
        uint32_t column = widths[i - begin];
        uint32_t pad = column > v->items[i].width ? column - v->items[i].width : 0;
        if (v->group->numbers_only)
            add_spaces(out, pad);
        buf_add_slice(out, item_text(v, i));
        if (last)
            return;
        buf_add_text(out, ", ");
        if (!v->group->numbers_only)
            add_spaces(out, pad);
    }
}

static void add_columns(struct buf *out, const struct group_view *v, size_t whole, size_t columns)
{
    unsigned indent = v->group->indent + 2;
    uint32_t widths[COLUMNS_MAX] = {0};
    for (size_t i = 0; i < whole; i++)
        if (v->items[i].width > widths[i % columns])
            widths[i % columns] = v->items[i].width;
    for (size_t begin = 0; begin < whole; begin += columns) {
        if (begin > 0)
            buf_add_byte(out, ',');
        add_gap(out, indent);
        add_row(out, v, begin, begin + columns < whole ? begin + columns : whole, widths);
    }
    if (whole < v->count) {
        buf_add_byte(out, ',');
        add_gap(out, indent);
        buf_add_slice(out, item_text(v, whole));
    }
}

static bool fits_line(const struct group_view *v)
{
    size_t open = text_width(v->group->open, strlen(v->group->open));
    size_t width = v->count * 2 + v->group->indent + open + 10;
    for (size_t i = 0; i < v->count; i++)
        width += v->items[i].width;
    if (width > LINE_WIDTH)
        return false;
    size_t len = v->text->len - v->group->start;
    return memchr(v->text->ptr + v->group->start, '\n', len) == NULL;
}

static void add_line(struct buf *out, const struct group_view *v)
{
    for (size_t i = 0; i < v->count; i++) {
        buf_add_text(out, i > 0 ? ", " : " ");
        buf_add_slice(out, item_text(v, i));
    }
    buf_add_byte(out, ' ');
}

static void add_lines(struct buf *out, const struct group_view *v)
{
    for (size_t i = 0; i < v->count; i++) {
        if (i > 0)
            buf_add_byte(out, ',');
        add_gap(out, v->group->indent + 2);
        buf_add_slice(out, item_text(v, i));
    }
    add_gap(out, v->group->indent);
}

void inspect_group_finish(struct inspect_group *g, struct inspect_items *items, struct buf *text,
                          struct buf *spare)
{
    must(g->first < items->count || items->failed);
    if (items->failed || !buf_ok(text))
        return;
    struct group_view v = {g, items->list + g->first, items->count - g->first, text};
    size_t whole = v.count - (g->has_rest ? 1 : 0);
    int columns = g->is_list && v.count > LIST_SHORT ? column_count(&v, whole) : 0;
    buf_reset(spare);
    buf_add_text(spare, g->open);
    if (columns > 1) {
        add_columns(spare, &v, whole, (size_t)columns);
        add_gap(spare, g->indent);
    } else if (g->is_shallow && fits_line(&v)) {
        add_line(spare, &v);
    } else {
        add_lines(spare, &v);
    }
    buf_add_text(spare, g->close);
    text->len = g->start;
    buf_add_slice(text, buf_slice(spare));
    if (!buf_ok(spare))
        text->failed = true;
    items->count = g->first;
}
