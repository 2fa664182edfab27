/* SPDX-License-Identifier: Apache-2.0 */
/* Events in JSON: the structured mode's body, and batches (JSON format 1.0.2 and 0.3). */
#include "base/encoding.h"
#include "event/event_internal.h"

#include <errno.h>

/* What is kept until the whole object was read, because how data is understood depends on members
 * that may come after it. */
struct json_reader {
    struct event *event;
    struct event_arena *arena;
    struct error *err;
    const struct event_defaults *defaults;        /* NULL: nothing may be missing */
    struct slice names[EVENT_ATTRIBUTES_MAX + 3]; /* of all members, to refuse a second one */
    unsigned name_count;
    bool has_version, has_data, has_base64;
    struct json_value data, base64;
};

static int read_fail(struct json_reader *r, struct slice name, const char *reason)
{
    char field[EVENT_NAME_MAX + 1];
    size_t len = name.len > EVENT_NAME_MAX ? EVENT_NAME_MAX : name.len;
    for (size_t i = 0; i < len; i++)
        field[i] = name.ptr[i] > ' ' && name.ptr[i] < 0x7f ? name.ptr[i] : '?';
    field[len] = '\0';
    return error_field(r->err, -EINVAL, field, "%s %s", field, reason);
}

static int read_out_of_memory(struct json_reader *r)
{
    return error_set(r->err, -ENOMEM, "out of memory while reading the event");
}

static int read_text(struct json_reader *r, struct slice name, const struct json_value *v,
                     struct slice *ret)
{
    int status = json_scan_string(v, r->arena, ret);
    if (status == -ENOMEM)
        return read_out_of_memory(r);
    return status < 0 ? read_fail(r, name, "has half of a surrogate pair") : 0;
}

static int read_version(struct json_reader *r, const struct json_value *v)
{
    struct slice text;
    if (v->kind != JSON_STRING)
        return read_fail(r, SLICE("specversion"), "is no string");
    int status = read_text(r, SLICE("specversion"), v, &text);
    if (status == 0)
        status = event_version_parse(text, &r->event->version, r->err);
    r->has_version = status == 0;
    return status;
}

static int read_attribute(struct json_reader *r, struct slice name, const struct json_value *v)
{
    struct event_attribute a = {name, v->raw, EVENT_VALUE_JSON};
    switch (v->kind) {
    case JSON_NULL:
        return 0; /* as if it were not there (JSON format §2.2) */
    case JSON_STRING: {
        int status = read_text(r, name, v, &a.value);
        if (status < 0)
            return status;
        a.kind = EVENT_VALUE_STRING;
        break;
    }
    case JSON_TRUE:
    case JSON_FALSE:
        a.kind = EVENT_VALUE_BOOLEAN;
        break;
    case JSON_NUMBER:
        a.kind = EVENT_VALUE_INTEGER; /* the range is looked at when the version is known */
        break;
    case JSON_OBJECT:
    case JSON_ARRAY:
    case JSON_KIND_COUNT:
        break;
    }
    if (event_append(r->event, a) < 0)
        return error_set(r->err, -E2BIG, "more than %d attributes", EVENT_ATTRIBUTES_MAX);
    return 0;
}

static int read_member(struct json_reader *r, struct slice name, const struct json_value *v)
{
    for (unsigned i = 0; i < r->name_count; i++)
        if (slice_equal(r->names[i], name))
            return read_fail(r, name, "is there twice");
    if (r->name_count == sizeof(r->names) / sizeof(r->names[0]))
        return error_set(r->err, -E2BIG, "more than %d attributes", EVENT_ATTRIBUTES_MAX);
    r->names[r->name_count++] = name;
    if (slice_is(name, "specversion"))
        return read_version(r, v);
    if (slice_is(name, "data")) {
        r->has_data = true;
        r->data = *v;
        return 0;
    }
    if (slice_is(name, "data_base64")) {
        r->has_base64 = v->kind != JSON_NULL;
        r->base64 = *v;
        return 0;
    }
    return read_attribute(r, name, v);
}

static int read_syntax(struct json_reader *r, struct json_scan *s)
{
    int line = json_scan_line(s);
    int status = error_set(r->err, -EINVAL, "the body is no valid JSON: %s (line %d, byte %zu)",
                           s->problem, line, (size_t)(s->at - s->start) + 1);
    if (r->err != NULL)
        r->err->line = line;
    return status;
}

static int read_missing(struct json_reader *r, struct json_scan *s, const char *problem)
{
    s->problem = problem;
    return read_syntax(r, s);
}

/* The members of one object, without judging them. */
static int read_object(struct json_reader *r, struct json_scan *s)
{
    if (!json_scan_take(s, '{'))
        return error_set(r->err, -EINVAL, "an event in JSON is an object, { … }");
    if (json_scan_take(s, '}'))
        return 0;
    do {
        struct json_value name_value, value;
        struct slice name;
        json_scan_space(s);
        if (s->at == s->end || *s->at != '"')
            return read_missing(r, s, "an object's member has no name in quotes");
        if (json_scan_value(s, &name_value) < 0)
            return read_syntax(r, s);
        if (!json_scan_take(s, ':'))
            return read_missing(r, s, "a colon is missing after a member's name");
        if (json_scan_value(s, &value) < 0)
            return read_syntax(r, s);
        int status = json_scan_string(&name_value, r->arena, &name);
        if (status == -ENOMEM)
            return read_out_of_memory(r);
        if (status < 0)
            return error_set(r->err, -EINVAL, "a member's name has half of a surrogate pair");
        status = read_member(r, name, &value);
        if (status < 0)
            return status;
    } while (json_scan_take(s, ','));
    return json_scan_take(s, '}')
               ? 0
               : read_missing(r, s, "a comma or the closing bracket of the object is missing");
}

/* 1.0 §3: Integer is a whole number of 32 bits. */
static bool integer_in_range(struct slice text)
{
    bool negative = text.ptr[0] == '-';
    uint64_t v;
    if (encoding_parse_u64(slice_of(text.ptr + negative, text.len - negative), &v) < 0)
        return false;
    return v <= (uint64_t)INT32_MAX + negative;
}

/* In 0.3 an attribute may be any JSON; in 1.0 it is a string, a boolean or an integer. */
static int settle_kinds(struct json_reader *r)
{
    struct event *e = r->event;
    for (unsigned i = 0; i < e->count; i++) {
        struct event_attribute *a = &e->attributes[i];
        bool range = a->kind != EVENT_VALUE_INTEGER || integer_in_range(a->value);
        if (!range && e->version == EVENT_V03)
            a->kind = EVENT_VALUE_JSON;
        else if (!range)
            return read_fail(r, a->name, "is no whole number from -2147483648 to 2147483647");
        if (a->kind == EVENT_VALUE_JSON && e->version != EVENT_V03)
            return read_fail(r, a->name,
                             "is an object or array; extensions are strings, booleans"
                             " and integers");
    }
    static const char *const strings[] = {"id",         "source",    "type",
                                          "subject",    "time",      "datacontenttype",
                                          "dataschema", "schemaurl", "datacontentencoding"};
    for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
        const struct event_attribute *a = event_find(e, slice_text(strings[i]));
        if (a != NULL && a->kind != EVENT_VALUE_STRING)
            return read_fail(r, a->name, "is no string");
    }
    return 0;
}

static int data_from_base64(struct json_reader *r, struct slice name, const struct json_value *v)
{
    struct slice text;
    if (v->kind != JSON_STRING)
        return read_fail(r, name, "is no string");
    int status = read_text(r, name, v, &text);
    if (status < 0)
        return status;
    autobuf decoded = BUF_INIT;
    status = encoding_base64_decode(text, &decoded);
    if (status == -ENOMEM)
        return read_out_of_memory(r);
    if (status < 0)
        return read_fail(r, name, "is no valid base64 (RFC 4648 §4, with padding)");
    r->event->data = event_arena_copy(r->arena, buf_slice(&decoded));
    r->event->has_data = true;
    return r->event->data.ptr == NULL ? read_out_of_memory(r) : 0;
}

/* A value as it stands when the type says JSON; a string's text when it says something else. */
static int data_from_value(struct json_reader *r)
{
    struct event *e = r->event;
    struct slice type = event_get(e, "datacontenttype");
    bool json = type.ptr == NULL || event_type_is_json(type);
    if (!json && r->data.kind == JSON_NULL)
        return 0;
    e->has_data = true;
    e->data = r->data.raw;
    if (!json && r->data.kind == JSON_STRING)
        return read_text(r, SLICE("data"), &r->data, &e->data);
    if (type.ptr == NULL && /* §3.1: what is implied here must be said elsewhere */
        event_append(e, (struct event_attribute){SLICE("datacontenttype"),
                                                 SLICE("application/json"), EVENT_VALUE_STRING}) <
            0)
        return error_set(r->err, -E2BIG, "more than %d attributes", EVENT_ATTRIBUTES_MAX);
    return 0;
}

static int settle_data_v03(struct json_reader *r)
{
    struct slice encoding = event_get(r->event, "datacontentencoding");
    if (r->has_base64)
        return read_fail(r, SLICE("data_base64"), "is not of version 0.3: use datacontentencoding");
    if (encoding.ptr == NULL || !r->has_data)
        return r->has_data ? data_from_value(r) : 0;
    if (!slice_is_nocase(encoding, "base64"))
        return read_fail(r, SLICE("datacontentencoding"), "is known as base64 only");
    int status = data_from_base64(r, SLICE("data"), &r->data);
    if (status == 0)
        event_unset(r->event, "datacontentencoding");
    return status;
}

static int settle(struct json_reader *r)
{
    if (!r->has_version)
        return error_field(r->err, -EINVAL, "specversion", "specversion is missing: 1.0 or 0.3");
    int status = settle_kinds(r);
    if (status < 0)
        return status;
    if (r->event->version == EVENT_V03)
        status = settle_data_v03(r);
    else if (r->has_data && r->has_base64)
        status = read_fail(r, SLICE("data_base64"), "and data are both there");
    else if (r->has_base64)
        status = data_from_base64(r, SLICE("data_base64"), &r->base64);
    else if (r->has_data)
        status = data_from_value(r);
    if (status == 0 && r->defaults != NULL && event_fill(r->event, r->defaults) < 0)
        status = error_set(r->err, -E2BIG, "more than %d attributes", EVENT_ATTRIBUTES_MAX);
    return status < 0 ? status : event_check(r->event, r->err);
}

static int read_event(struct json_scan *s, const struct event_defaults *defaults, struct event *e,
                      struct event_arena *arena, struct error *err)
{
    struct json_reader r;
    r.event = e;
    r.arena = arena;
    r.err = err;
    r.defaults = defaults;
    r.name_count = 0;
    r.has_version = r.has_data = r.has_base64 = false;
    e->version = EVENT_V1;
    e->count = 0;
    e->data = slice_of(NULL, 0);
    e->has_data = e->opaque = false;
    int status = read_object(&r, s);
    return status < 0 ? status : settle(&r);
}

static int read_end(struct json_scan *s, struct error *err)
{
    json_scan_space(s);
    if (s->at == s->end)
        return 0;
    return error_set(err, -EINVAL, "something follows the end of the JSON (byte %zu)",
                     (size_t)(s->at - s->start) + 1);
}

int event_json_read_filled(struct slice json, const struct event_defaults *defaults,
                           struct event *e, struct event_arena *arena, struct error *err)
{
    struct json_scan s;
    json_scan_begin(&s, json);
    int status = read_event(&s, defaults, e, arena, err);
    return status < 0 ? status : read_end(&s, err);
}

int event_json_read(struct slice json, struct event *e, struct event_arena *arena,
                    struct error *err)
{
    return event_json_read_filled(json, NULL, e, arena, err);
}

/* One pass over a batch; each may be NULL. An event lives during its call only, so a batch needs no
 * memory for all of them at once. */
static int batch_pass(struct slice json, int (*each)(void *ctx, const struct event *e), void *ctx,
                      struct error *err)
{
    struct json_scan s;
    json_scan_begin(&s, json);
    if (!json_scan_take(&s, '['))
        return error_set(err, -EINVAL, "a batch in JSON is an array, [ … ]");
    if (json_scan_take(&s, ']'))
        return read_end(&s, err);
    unsigned count = 0;
    do {
        if (count == EVENT_BATCH_COUNT_MAX)
            return error_set(err, -E2BIG, "more than %d events in a batch", EVENT_BATCH_COUNT_MAX);
        struct event e;
        struct event_arena arena = {NULL};
        int status = read_event(&s, NULL, &e, &arena, err);
        if (status < 0)
            error_prefix(err, "event %u of the batch", count);
        else if (each != NULL)
            status = each(ctx, &e);
        event_arena_done(&arena);
        if (status < 0)
            return status;
        count++;
    } while (json_scan_take(&s, ','));
    if (!json_scan_take(&s, ']'))
        return error_set(err, -EINVAL, "the batch has no closing bracket after event %u",
                         count - 1);
    return read_end(&s, err);
}

int event_json_read_batch(struct slice json, int (*each)(void *ctx, const struct event *e),
                          void *ctx, struct error *err)
{
    if (json.len > EVENT_BATCH_MAX)
        return error_set(err, -E2BIG, "a batch of %zu bytes, more than %d", json.len,
                         EVENT_BATCH_MAX);
    int status = batch_pass(json, NULL, NULL, err);
    return status < 0 ? status : batch_pass(json, each, ctx, err);
}
