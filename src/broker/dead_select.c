/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/dead_select.h"

#include "base/clock.h"
#include "base/encoding.h"
#include "base/memory.h"

#include <errno.h>

static int read_time(struct http_request *request, const char *name, uint64_t *ret_ns,
                     struct error *err)
{
    struct slice text = http_request_query_value(request, name);
    if (text.ptr == NULL || clock_parse_rfc3339(text, ret_ns) == 0)
        return 0;
    return error_field(err, -EINVAL, name, "must be an RFC 3339 time such as 2026-11-21T08:00:00Z");
}

/* 503, 5xx, or 0 where there was no answer. */
static int read_code(struct dead_select *s, struct http_request *request, struct error *err)
{
    struct slice text = http_request_query_value(request, "code");
    uint64_t code;
    s->code_max = UINT32_MAX;
    if (text.ptr == NULL)
        return 0;
    if (text.len == 3 && text.ptr[0] >= '1' && text.ptr[0] <= '5' && text.ptr[1] == 'x' &&
        text.ptr[2] == 'x') {
        s->code_min = (unsigned)(text.ptr[0] - '0') * 100;
        s->code_max = s->code_min + 99;
        return 0;
    }
    if (encoding_parse_u64(text, &code) < 0 || code > 599)
        return error_field(err, -EINVAL, "code",
                           "must be a status such as 503, a class such as 5xx, or 0: no answer");
    s->code_min = s->code_max = (unsigned)code;
    return 0;
}

static int read_position(struct dead_select *s, struct http_request *request, struct error *err)
{
    struct slice text = http_request_query_value(request, "position");
    if (text.ptr == NULL || (encoding_parse_u64(text, &s->position) == 0 && s->position > 0))
        return 0;
    return error_field(err, -EINVAL, "position", "must be a number from 1 on");
}

static int read_filter(struct dead_select *s, struct http_request *request, struct error *err)
{
    struct slice text = http_request_query_value(request, "filter");
    if (text.ptr == NULL)
        return 0;
    bool is_json = text.len > 0 && text.ptr[0] == '{';
    json_t *given = is_json ? json_loadb(text.ptr, text.len, 0, NULL)
                            : json_pack("{s:s%}", "cesql", text.ptr, text.len);
    json_t *spec = given != NULL ? json_pack("{s:[o]}", "filters", given) : NULL;
    if (spec == NULL)
        return error_field(err, -EINVAL, "filter",
                           "must be a CESQL expression, or a filter as a trigger has it, in JSON");
    int r = filter_compile(spec, &s->filter, err);
    json_decref(spec);
    if (r < 0)
        snprintf(err->field, sizeof(err->field), "filter");
    return r;
}

/* What is misspelt would not narrow, and more would be deleted than was meant. */
static int check_names(struct http_request *request, struct error *err)
{
    static const char *const names[] = {"namespace", "trigger", "position", "type",
                                        "source",    "code",    "since",    "until",
                                        "filter",    "all",     "limit",    "continue"};
    char field[64];
    struct slice unknown = http_request_query_unknown(request, names, COUNT_OF(names));
    if (unknown.ptr == NULL)
        return 0;
    snprintf(field, sizeof(field), "%.*s",
             (int)(unknown.len < sizeof(field) ? unknown.len : sizeof(field) - 1), unknown.ptr);
    return error_field(err, -EINVAL, field,
                       "unknown: namespace, trigger, position, type, source, code, since, until, "
                       "filter, all, limit and continue are known");
}

int dead_select_read(struct dead_select *s, struct http_request *request, struct error *err)
{
    *s = (struct dead_select){
        .namespace_name = http_request_query_value(request, "namespace"),
        .trigger = http_request_query_value(request, "trigger"),
        .type = http_request_query_value(request, "type"),
        .source = http_request_query_value(request, "source"),
    };
    int r = check_names(request, err);
    if (r == 0)
        r = read_position(s, request, err);
    if (r == 0)
        r = read_time(request, "since", &s->since_ns, err);
    if (r == 0)
        r = read_time(request, "until", &s->until_ns, err);
    if (r == 0)
        r = read_code(s, request, err);
    return r == 0 ? read_filter(s, request, err) : r;
}

void dead_select_done(struct dead_select *s)
{
    filter_free(s->filter);
    s->filter = NULL;
}

static bool wants_event(const struct dead_select *s)
{
    return s->type.ptr != NULL || s->source.ptr != NULL || s->filter != NULL;
}

bool dead_select_narrows(const struct dead_select *s)
{
    return s->namespace_name.ptr != NULL || s->trigger.ptr != NULL || s->position != 0 ||
           s->since_ns != 0 || s->until_ns != 0 || s->code_min != 0 || s->code_max != UINT32_MAX ||
           wants_event(s);
}

bool dead_select_trigger(const struct dead_select *s, const struct trigger *t)
{
    return t != NULL &&
           (s->namespace_name.ptr == NULL ||
            slice_is(s->namespace_name, t->resource->namespace_name)) &&
           (s->trigger.ptr == NULL || slice_is(s->trigger, t->resource->name));
}

static bool is_wanted_event(const struct dead_select *s, const struct event *e)
{
    return (s->type.ptr == NULL || slice_equal(s->type, event_get(e, "type"))) &&
           (s->source.ptr == NULL || slice_equal(s->source, event_get(e, "source"))) &&
           (s->filter == NULL || filter_matches(s->filter, e));
}

bool dead_select_row(const struct dead_select *s, struct broker_core *b, const struct dead_row *row)
{
    if (row->code < s->code_min || row->code > s->code_max || row->time_ns < s->since_ns ||
        (s->until_ns != 0 && row->time_ns >= s->until_ns))
        return false;
    if (!wants_event(s))
        return true;
    autobuf key = BUF_INIT;
    autobuf payload = BUF_INIT;
    struct event event = {0};
    row_object_key(row->trigger, row->position, &key);
    return store_get(b->store, STORE_TABLE_PAYLOADS, buf_slice(&key), &payload, NULL) == 0 &&
           event_decode(buf_slice(&payload), &event) == 0 && is_wanted_event(s, &event);
}
