/* SPDX-License-Identifier: Apache-2.0 */
#include "observe/exposition.h"

#include "base/ascii.h"
#include "base/memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOTAL         "_total"
#define EXACT_INTEGER 9007199254740992.0 /* 2^53 */

static const char *const kinds[METRIC_KIND_COUNT] = {"counter", "gauge", "histogram", "untyped"};
static const char *const content_types[EXPOSITION_FORMAT_COUNT] = {
    "text/plain; version=0.0.4; charset=utf-8",
    "application/openmetrics-text; version=1.0.0; charset=utf-8",
};

const char *metric_kind_text(enum metric_kind kind)
{
    return kinds[kind];
}

const char *exposition_content_type(enum exposition_format format)
{
    return content_types[format];
}

/* ---- names ---- */

/* OpenMetrics calls a counter by its name without _total; its samples have it. */
static struct slice family_name(const struct metric *m, enum exposition_format format)
{
    struct slice name = slice_text(m->name);
    if (format == EXPOSITION_OPENMETRICS && m->kind == METRIC_COUNTER && !m->shares_name &&
        slice_ends(name, TOTAL))
        name.len -= strlen(TOTAL);
    return name;
}

static const char *family_kind(const struct metric *m, enum exposition_format format)
{
    if (format == EXPOSITION_OPENMETRICS && (m->kind == METRIC_UNTYPED || m->shares_name))
        return "unknown";
    return kinds[m->kind];
}

const char *metric_unit(const struct metric *m)
{
    static const char *const units[] = {"seconds", "bytes"};
    struct slice name = slice_text(m->name);
    if (m->kind == METRIC_COUNTER && slice_ends(name, TOTAL))
        name.len -= strlen(TOTAL);
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        size_t len = strlen(units[i]);
        if (slice_ends(name, units[i]) && name.len > len && name.ptr[name.len - len - 1] == '_')
            return units[i];
    }
    return NULL;
}

/* ---- Accept ---- */

static struct slice trimmed(struct slice s)
{
    while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
        s = slice_of(s.ptr + 1, s.len - 1);
    while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

/* Up to the separator, which is taken off the rest, too. */
static struct slice take_part(struct slice *rest, char separator)
{
    const char *end = rest->len > 0 ? memchr(rest->ptr, separator, rest->len) : NULL;
    struct slice part = *rest;
    if (end != NULL)
        part.len = (size_t)(end - rest->ptr);
    size_t used = end != NULL ? part.len + 1 : part.len;
    *rest = slice_of(rest->ptr + used, rest->len - used);
    return trimmed(part);
}

/* In thousandths (RFC 9110 §12.4.2); 1000 when it cannot be read. */
static unsigned weight(struct slice text)
{
    char digits[8] = "";
    if (text.len == 0 || text.len >= sizeof(digits))
        return 1000;
    memcpy(digits, text.ptr, text.len);
    char *end;
    double q = strtod(digits, &end);
    return *end == '\0' && q >= 0 && q <= 1 ? (unsigned)(q * 1000 + 0.5) : 1000;
}

struct range {
    struct slice type;
    unsigned q;
    bool other_version; /* than 1.0.0 */
};

static struct range read_range(struct slice text)
{
    struct range r = {.type = take_part(&text, ';'), .q = 1000};
    while (text.len > 0) {
        struct slice value = take_part(&text, ';');
        struct slice name = take_part(&value, '=');
        value = trimmed(value);
        if (slice_is_nocase(name, "q"))
            r.q = weight(value);
        else if (slice_is_nocase(name, "version"))
            r.other_version = !slice_is(value, "1.0.0") && !slice_is(value, "\"1.0.0\"");
    }
    return r;
}

enum exposition_format exposition_choose(struct slice accept)
{
    unsigned open = 0, text = 0;
    while (accept.ptr != NULL && accept.len > 0) {
        struct range r = read_range(take_part(&accept, ','));
        if (slice_is_nocase(r.type, "application/openmetrics-text") && !r.other_version)
            open = r.q > open ? r.q : open;
        else if (slice_is_nocase(r.type, "text/plain"))
            text = r.q > text ? r.q : text;
    }
    return open > 0 && open >= text ? EXPOSITION_OPENMETRICS : EXPOSITION_TEXT;
}

/* ---- text ---- */

void exposition_init(struct exposition *x, enum exposition_format format, struct buf *out)
{
    *x = (struct exposition){.out = out, .format = format, .labels = BUF_INIT};
}

void exposition_done(struct exposition *x)
{
    buf_done(&x->labels);
}

void exposition_metric(struct exposition *x, const struct metric *m)
{
    x->metric = m;
    x->told = false;
    buf_reset(&x->labels);
}

static void tell(struct exposition *x)
{
    const struct metric *m = x->metric;
    if (x->told)
        return;
    x->told = true;
    struct slice name = family_name(m, x->format);
    buf_printf(x->out, "# HELP " SLICE_FMT " %s\n# TYPE " SLICE_FMT " %s\n", SLICE_ARG(name),
               m->help, SLICE_ARG(name), family_kind(m, x->format));
    const char *unit = metric_unit(m);
    if (x->format == EXPOSITION_OPENMETRICS && unit != NULL && !m->shares_name)
        buf_printf(x->out, "# UNIT " SLICE_FMT " %s\n", SLICE_ARG(name), unit);
}

void exposition_label(struct exposition *x, const char *name, struct slice value)
{
    struct buf *out = &x->labels;
    if (value.len == 0)
        return;
    if (out->len > 0)
        buf_add_byte(out, ',');
    buf_add_text(out, name);
    buf_add_text(out, "=\"");
    for (size_t i = 0, from = 0; i <= value.len; i++) {
        char c = i < value.len ? value.ptr[i] : '"';
        if (c != '\\' && c != '"' && c != '\n')
            continue;
        buf_add(out, value.ptr + from, i - from);
        from = i + 1;
        if (i < value.len)
            buf_add_text(out, c == '\n' ? "\\n" : c == '"' ? "\\\"" : "\\\\");
    }
    buf_add_byte(out, '"');
}

static void add_number(struct buf *out, double value)
{
    char text[40];
    if (fabs(value) < EXACT_INTEGER && trunc(value) == value) {
        buf_add_decimal(out, (int64_t)value);
        return;
    }
    int len = snprintf(text, sizeof(text), "%.15g", value); /* as short as says it exactly */
    if (strtod(text, NULL) != value)
        len = snprintf(text, sizeof(text), "%.17g", value);
    buf_add(out, text, (size_t)len);
}

static void end_sample(struct exposition *x, double value)
{
    buf_add_byte(x->out, ' ');
    add_number(x->out, value);
    buf_add_byte(x->out, '\n');
}

static void add_sample(struct exposition *x, const char *suffix, double value)
{
    buf_add_text(x->out, x->metric->name);
    buf_add_text(x->out, suffix);
    if (x->labels.len > 0) {
        buf_add_byte(x->out, '{');
        buf_add_slice(x->out, buf_slice(&x->labels));
        buf_add_byte(x->out, '}');
    }
    end_sample(x, value);
}

void exposition_value(struct exposition *x, double value)
{
    tell(x);
    add_sample(x, "", value);
    buf_reset(&x->labels);
}

static void add_bucket(struct exposition *x, struct slice le, uint64_t count)
{
    buf_add_text(x->out, x->metric->name);
    buf_add_text(x->out, "_bucket{");
    buf_add_slice(x->out, buf_slice(&x->labels));
    if (x->labels.len > 0)
        buf_add_byte(x->out, ',');
    buf_add_text(x->out, "le=\"");
    buf_add_slice(x->out, le);
    buf_add_text(x->out, "\"}");
    end_sample(x, (double)count);
}

/* The text format writes 1, OpenMetrics 1.0. */
static struct slice bound_text(const struct exposition *x, const char *le)
{
    struct slice text = slice_text(le);
    if (x->format == EXPOSITION_TEXT && slice_ends(text, ".0"))
        text.len -= strlen(".0");
    return text;
}

void exposition_histogram(struct exposition *x, const struct histogram_sums *sums)
{
    const struct histogram_scale *scale = x->metric->scale;
    uint64_t count = 0;
    unsigned cell = 0;
    tell(x);
    for (size_t i = 0; i < scale->count; i++) {
        while (cell <= scale->buckets[i].cell)
            count += sums->cells[cell++];
        add_bucket(x, bound_text(x, scale->buckets[i].le), count);
    }
    count = histogram_count(sums);
    add_bucket(x, SLICE("+Inf"), count);
    add_sample(x, "_sum", (double)sums->sum / scale->unit);
    add_sample(x, "_count", (double)count);
    buf_reset(&x->labels);
}

void exposition_end(struct exposition *x)
{
    if (x->format == EXPOSITION_OPENMETRICS)
        buf_add_text(x->out, "# EOF\n");
}
