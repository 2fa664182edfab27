/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP protocol binding in binary mode (1.0.2 §3.1, 0.3 §3.1): attributes as ce- headers. Raw
 * values are gathered first and decoded at the end, because the version, which may come last,
 * decides how strict decoding is: 1.0 refuses what cannot be decoded, while a 0.3 sender, whose
 * specification did not ask for percent signs and quotes to be encoded, gets them taken literally.
 */
#include "event/event_internal.h"

#include <errno.h>
#include <stdlib.h>

static bool starts_nocase(struct slice s, const char *prefix)
{
    size_t n = strlen(prefix);
    return s.len >= n && strncasecmp(s.ptr, prefix, n) == 0;
}

enum event_mode event_mode_of(struct slice content_type, bool has_ce_header)
{
    if (starts_nocase(content_type, "application/cloudevents-batch"))
        return EVENT_MODE_BATCH;
    if (starts_nocase(content_type, "application/cloudevents"))
        return EVENT_MODE_STRUCTURED;
    return has_ce_header ? EVENT_MODE_BINARY : EVENT_MODE_NONE;
}

void event_http_begin(struct event_http_reader *r, struct event *e, struct event_arena *arena,
                      struct error *err)
{
    *r = (struct event_http_reader){.event = e, .arena = arena, .err = err};
    e->version = EVENT_V1;
    e->count = 0;
    e->data = slice_of(NULL, 0);
    e->has_data = e->opaque = false;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* Most senders in Go and Java write Ce-Id: these names need no memory. */
static const struct slice usual_names[] = {
    {"id", 2},           {"type", 4},         {"time", 4},          {"source", 6},
    {"subject", 7},      {"specversion", 11}, {"schemaurl", 9},     {"dataschema", 10},
    {"traceparent", 11}, {"tracestate", 10},  {"partitionkey", 12}, {"knativearrivaltime", 18},
};

/* The name in lower case; ptr NULL when out of memory. */
static struct slice name_lower(struct slice name, struct event_arena *arena)
{
    size_t i = 0;
    while (i < name.len && name.ptr[i] == lower(name.ptr[i]))
        i++;
    if (i == name.len)
        return name;
    for (size_t u = 0; u < sizeof(usual_names) / sizeof(usual_names[0]); u++)
        if (usual_names[u].len == name.len &&
            strncasecmp(usual_names[u].ptr, name.ptr, name.len) == 0)
            return usual_names[u];
    char *copy = event_arena_alloc(arena, name.len);
    if (copy != NULL)
        for (i = 0; i < name.len; i++)
            copy[i] = lower(name.ptr[i]);
    return slice_of(copy, name.len);
}

static int reader_refuse(struct event_http_reader *r, struct slice name, const char *problem)
{
    char field[EVENT_NAME_MAX + 1];
    memcpy(field, name.ptr, name.len);
    field[name.len] = '\0';
    return error_field(r->err, -EINVAL, field, "the header ce-%s %s", field, problem);
}

static int reader_version(struct event_http_reader *r, struct slice value)
{
    if (r->has_version)
        return error_field(r->err, -EINVAL, "specversion", "ce-specversion is there twice");
    r->has_version = true;
    return event_version_parse(value, &r->event->version, r->err);
}

/* Content-Type counts as the attribute datacontenttype, and wins over a ce-datacontenttype, which
 * 1.0 forbids and old senders add. The kind marks what needs no decoding. */
static int reader_content_type(struct event_http_reader *r, struct slice value)
{
    struct event_attribute *a = event_find(r->event, SLICE("datacontenttype"));
    if (a != NULL && a->kind == EVENT_VALUE_JSON)
        return error_field(r->err, -EINVAL, "datacontenttype", "Content-Type is there twice");
    struct event_attribute attribute = {SLICE("datacontenttype"), value, EVENT_VALUE_JSON};
    if (a != NULL) {
        *a = attribute;
        return 0;
    }
    return event_append(r->event, attribute);
}

static int reader_attribute(struct event_http_reader *r, struct slice name, struct slice value)
{
    if (name.len == 0 || name.len > EVENT_NAME_MAX)
        return error_field(r->err, -EINVAL, "", "a ce- header has a name of %zu bytes; 1 to %d",
                           name.len, EVENT_NAME_MAX);
    name = name_lower(name, r->arena);
    if (name.ptr == NULL)
        return -ENOMEM;
    if (slice_is(name, "specversion"))
        return reader_version(r, value);
    struct event_attribute *a = event_find(r->event, name);
    if (a == NULL)
        return event_append(r->event, (struct event_attribute){name, value, EVENT_VALUE_STRING});
    if (a->kind == EVENT_VALUE_JSON)
        return 0;
    return reader_refuse(r, name, "is there twice");
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static struct slice trim(struct slice s)
{
    while (s.len > 0 && is_space(s.ptr[0]))
        s = slice_of(s.ptr + 1, s.len - 1);
    while (s.len > 0 && is_space(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

void event_http_header(struct event_http_reader *r, struct slice name, struct slice value)
{
    if (r->status < 0)
        return;
    if (name.len >= 3 && (name.ptr[0] | 0x20) == 'c' && (name.ptr[1] | 0x20) == 'e' &&
        name.ptr[2] == '-')
        r->status = reader_attribute(r, slice_of(name.ptr + 3, name.len - 3), trim(value));
    else if (name.len == 12 && strncasecmp(name.ptr, "content-type", 12) == 0)
        r->status = reader_content_type(r, trim(value));
    if (r->status == -ENOSPC)
        r->status = error_set(r->err, -E2BIG, "more than %d attributes", EVENT_ATTRIBUTES_MAX);
}

/* Where the quoted string that begins at s[0] ends (its closing quote); 0 when it does not. */
static size_t quoted_end(struct slice s)
{
    for (size_t i = 1; i < s.len; i++) {
        if (s.ptr[i] == '\\')
            i++;
        else if (s.ptr[i] == '"')
            return i;
    }
    return 0;
}

/* RFC 9110 §5.6.4, in place of a value that is one quoted string as a whole. */
static int value_unquote(struct slice *value, bool strict, struct event_arena *arena)
{
    if (value->len == 0 || value->ptr[0] != '"')
        return 0;
    size_t end = quoted_end(*value);
    if (end == 0)
        return strict ? -EINVAL : 0;
    if (end + 1 != value->len)
        return 0; /* goes on after the quote: no quoted string, so literal */
    char *out = event_arena_alloc(arena, end);
    if (out == NULL)
        return -ENOMEM;
    size_t n = 0;
    for (size_t i = 1; i < end; i++) {
        if (value->ptr[i] == '\\')
            i++;
        out[n++] = value->ptr[i];
    }
    *value = slice_of(out, n);
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

/* One pass of percent-decoding. */
static int value_percent_decode(struct slice *value, bool strict, struct event_arena *arena)
{
    if (value->len == 0 || memchr(value->ptr, '%', value->len) == NULL)
        return 0;
    char *out = event_arena_alloc(arena, value->len);
    if (out == NULL)
        return -ENOMEM;
    size_t n = 0;
    for (size_t i = 0; i < value->len; i++) {
        char c = value->ptr[i];
        if (c == '%') {
            int high = i + 2 < value->len ? hex_value(value->ptr[i + 1]) : -1;
            int low = i + 2 < value->len ? hex_value(value->ptr[i + 2]) : -1;
            if (high >= 0 && low >= 0) {
                c = (char)(high << 4 | low);
                i += 2;
            } else if (strict) {
                return -EINVAL;
            }
        }
        out[n++] = c;
    }
    *value = slice_of(out, n);
    return 0;
}

static int reader_decode(struct event_http_reader *r, struct event_attribute *a)
{
    if (a->kind == EVENT_VALUE_JSON) { /* Content-Type, as it stands */
        a->kind = EVENT_VALUE_STRING;
        return 0;
    }
    bool strict = r->event->version != EVENT_V03;
    if (strict && slice_is(a->name, "datacontenttype"))
        return reader_refuse(r, a->name, "must not be there; use Content-Type");
    int status = value_unquote(&a->value, strict, r->arena);
    if (status == -EINVAL)
        return reader_refuse(r, a->name, "has a quoted string without end");
    if (status == 0)
        status = value_percent_decode(&a->value, strict, r->arena);
    if (status == -EINVAL)
        return reader_refuse(r, a->name, "has a % that is not followed by two hexadecimal digits");
    return status;
}

int event_http_finish(struct event_http_reader *r, struct slice body)
{
    struct event *e = r->event;
    if (r->status == 0 && !r->has_version)
        r->status = error_field(r->err, -EINVAL, "specversion",
                                "the header ce-specversion is missing: 1.0 or 0.3");
    for (unsigned i = 0; r->status == 0 && i < e->count; i++)
        r->status = reader_decode(r, &e->attributes[i]);
    if (r->status == -ENOMEM)
        return error_set(r->err, -ENOMEM, "out of memory while reading the event");
    if (r->status < 0)
        return r->status;
    e->data = body;
    e->has_data = body.len > 0 || event_get(e, "datacontenttype").ptr != NULL;
    return event_check(e, r->err);
}

/* Without ce-specversion headers say nothing of the event. */
static void drop_headers(struct event *e)
{
    struct event_attribute *type = event_find(e, SLICE("datacontenttype"));
    if (type == NULL) {
        e->count = 0;
        return;
    }
    e->attributes[0] = *type;
    e->attributes[0].kind = EVENT_VALUE_STRING;
    e->count = 1;
}

int event_http_finish_opaque(struct event_http_reader *r, struct slice body)
{
    struct event *e = r->event;
    int status = r->status;
    if (status == 0 && r->has_version) {
        status = event_http_finish(r, body);
        e->opaque = status == 0;
        return status;
    }
    if (status < 0)
        return status == -ENOMEM ? error_set(r->err, status, "out of memory") : status;
    drop_headers(e);
    e->data = body;
    e->has_data = e->opaque = true;
    return event_check(e, r->err);
}

bool event_format_is_json(struct slice content_type)
{
    size_t end = 0;
    while (end < content_type.len && content_type.ptr[end] != ';')
        end++;
    struct slice type = trim(slice_of(content_type.ptr, end));
    const char *plus = type.len > 0 ? memchr(type.ptr, '+', type.len) : NULL;
    return plus == NULL ||
           slice_is_nocase(slice_of(plus, (size_t)(type.ptr + type.len - plus)), "+json");
}

/* 1.0.2 §3.1.3.2: what must be percent-encoded. 0.3 asks for it too as far as the bytes could not
 * stand in a header; every reader decodes the rest. */
static bool must_encode(unsigned char c)
{
    return c <= ' ' || c > '~' || c == '"' || c == '%';
}

static size_t count_encoded(struct slice value)
{
    size_t n = 0;
    for (size_t i = 0; i < value.len; i++)
        n += must_encode((unsigned char)value.ptr[i]);
    return n;
}

#define WRITE_NAME_SIZE  (3 + EVENT_NAME_MAX)
#define WRITE_VALUE_SIZE 1024 /* encoded values up to this need no memory from the heap */

static int write_attribute(const struct event_attribute *a,
                           void (*add)(void *ctx, struct slice name, struct slice value), void *ctx)
{
    char name[WRITE_NAME_SIZE] = "ce-";
    size_t name_len = a->name.len > EVENT_NAME_MAX ? EVENT_NAME_MAX : a->name.len;
    memcpy(name + 3, a->name.ptr, name_len);
    struct slice full_name = slice_of(name, 3 + name_len);
    size_t encoded = count_encoded(a->value);
    if (encoded == 0) {
        add(ctx, full_name, a->value);
        return 0;
    }
    static const char digits[] = "0123456789ABCDEF";
    char small[WRITE_VALUE_SIZE];
    size_t len = a->value.len + 2 * encoded;
    char *large = len > sizeof(small) ? malloc(len) : NULL;
    char *out = len > sizeof(small) ? large : small;
    if (out == NULL)
        return -ENOMEM;
    size_t n = 0;
    for (size_t i = 0; i < a->value.len; i++) {
        unsigned char c = (unsigned char)a->value.ptr[i];
        if (!must_encode(c)) {
            out[n++] = (char)c;
            continue;
        }
        out[n++] = '%';
        out[n++] = digits[c >> 4];
        out[n++] = digits[c & 15];
    }
    add(ctx, full_name, slice_of(out, n));
    free(large);
    return 0;
}

int event_http_write(const struct event *e,
                     void (*add)(void *ctx, struct slice name, struct slice value), void *ctx)
{
    int status = 0;
    if (!e->opaque || event_get(e, "id").ptr != NULL)
        add(ctx, SLICE("ce-specversion"), slice_text(event_version_text(e->version)));
    for (unsigned i = 0; status == 0 && i < e->count; i++) {
        const struct event_attribute *a = &e->attributes[i];
        if (slice_is(a->name, "datacontenttype"))
            add(ctx, SLICE("Content-Type"), a->value);
        else
            status = write_attribute(a, add, ctx);
    }
    return status;
}
