/* SPDX-License-Identifier: Apache-2.0 */
/* What a request is to the guest: an event, or a plain request. */
#include "worker/program.h"

#include <errno.h>

#define REQUEST_HEADERS_MAX 128

static struct slice media_type(struct slice content_type)
{
    size_t n = 0;
    while (n < content_type.len && content_type.ptr[n] != ';' && content_type.ptr[n] != ' ')
        n++;
    return slice_of(content_type.ptr, n);
}

static bool ends_nocase(struct slice text, const char *suffix)
{
    size_t n = strlen(suffix);
    return text.len >= n && strncasecmp(text.ptr + text.len - n, suffix, n) == 0;
}

bool request_is_json(struct slice content_type)
{
    struct slice type = media_type(content_type);
    return ends_nocase(type, "/json") || ends_nocase(type, "+json");
}

static bool is_text(struct slice content_type)
{
    struct slice type = media_type(content_type);
    return (type.len > 5 && strncasecmp(type.ptr, "text/", 5) == 0) || ends_nocase(type, "/xml") ||
           ends_nocase(type, "+xml");
}

enum engine_data request_data_form(const struct event *e)
{
    struct slice type = event_get(e, "datacontenttype");
    if (!e->has_data || e->data.len == 0)
        return ENGINE_DATA_NONE;
    if (type.ptr == NULL)
        return ENGINE_DATA_GUESS;
    if (request_is_json(type))
        return ENGINE_DATA_JSON;
    return is_text(type) ? ENGINE_DATA_TEXT : ENGINE_DATA_BYTES;
}

struct headers {
    struct http_header list[REQUEST_HEADERS_MAX];
    size_t count;
};

static void collect_header(void *ctx, struct slice name, struct slice value)
{
    struct headers *h = ctx;
    if (h->count < REQUEST_HEADERS_MAX)
        h->list[h->count++] = (struct http_header){name, value};
}

static bool same_name(struct slice a, struct slice b)
{
    return a.len == b.len && strncasecmp(a.ptr, b.ptr, a.len) == 0;
}

static bool is_repeated(const struct headers *h, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (same_name(h->list[i].name, h->list[at].name))
            return true;
    return false;
}

/* Of these Node keeps the first, as faas-js-runtime's functions see them. */
static bool is_single(struct slice name)
{
    static const char *const names[] = {"age",
                                        "authorization",
                                        "content-length",
                                        "content-type",
                                        "etag",
                                        "expires",
                                        "from",
                                        "host",
                                        "if-modified-since",
                                        "if-unmodified-since",
                                        "last-modified",
                                        "location",
                                        "max-forwards",
                                        "proxy-authorization",
                                        "referer",
                                        "retry-after",
                                        "server",
                                        "user-agent"};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (slice_is_nocase(name, names[i]))
            return true;
    return false;
}

/* The values of all headers with the name of the one at that place. */
static struct slice whole_value(const struct headers *h, size_t at, struct buf *scratch)
{
    buf_reset(scratch);
    struct slice name = h->list[at].name;
    const char *between = slice_is_nocase(name, "cookie") ? "; " : ", ";
    for (size_t i = at + 1; i < h->count; i++) {
        if (!same_name(h->list[i].name, name))
            continue;
        if (is_single(name))
            break;
        if (scratch->len == 0)
            buf_add_slice(scratch, h->list[at].value);
        buf_add_text(scratch, between);
        buf_add_slice(scratch, h->list[i].value);
    }
    return scratch->len > 0 ? buf_slice(scratch) : h->list[at].value;
}

static void add_lower(struct buf *out, struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        buf_add_byte(out, c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c);
    }
}

static int set_headers(engine_value object, const struct headers *h)
{
    static struct buf name, value;
    int status = 0;
    for (size_t i = 0; status == 0 && i < h->count; i++) {
        if (is_repeated(h, i))
            continue;
        buf_reset(&name);
        add_lower(&name, h->list[i].name);
        struct slice whole = whole_value(h, i, &value);
        if (buf_ok(&name) && buf_ok(&value))
            status = engine_set_text(object, buf_slice(&name), whole);
    }
    return status;
}

engine_value request_value(const struct http_request *r)
{
    static struct headers h;
    h.count = 0;
    http_request_each_header(r, collect_header, &h);
    engine_value request = engine_object();
    engine_value headers = engine_object();
    int status = engine_set_text(request, SLICE("method"), slice_text(http_request_method_text(r)));
    if (status == 0)
        status = engine_set_text(request, SLICE("path"), http_request_path(r));
    if (status == 0)
        status = engine_set_text(request, SLICE("query"), http_request_query(r));
    if (status == 0)
        status = engine_set_text(request, SLICE("version"),
                                 http_request_minor_version(r) == 0 ? SLICE("1.0") : SLICE("1.1"));
    if (status == 0)
        status = set_headers(headers, &h);
    if (status == 0)
        status = engine_set_value(request, SLICE("headers"), headers);
    engine_drop(headers);
    if (status == 0)
        return request;
    engine_drop(request);
    return 0;
}

static void read_header(void *ctx, struct slice name, struct slice value)
{
    event_http_header(ctx, name, value);
}

struct probe {
    struct slice content_type;
    bool has_ce, has_origin;
};

static void probe_header(void *ctx, struct slice name, struct slice value)
{
    struct probe *p = ctx;
    if (name.len > 3 && strncasecmp(name.ptr, "ce-", 3) == 0)
        p->has_ce = true;
    else if (name.len == 12 && strncasecmp(name.ptr, "content-type", 12) == 0)
        p->content_type = value;
    else if (name.len == 6 && strncasecmp(name.ptr, "origin", 6) == 0)
        p->has_origin = true;
}

static int read_event(const struct http_request *r, enum event_mode mode, struct event *e,
                      struct event_arena *arena, struct error *err)
{
    int status = 0;
    switch (mode) {
    case EVENT_MODE_NONE:
        return 0;
    case EVENT_MODE_BATCH:
        return error_set(err, -ENOTSUP,
                         "a function takes one event at a time: send a batch to a broker, which "
                         "hands its events on one by one");
    case EVENT_MODE_STRUCTURED:
        status = event_json_read(http_request_body(r), e, arena, err);
        break;
    case EVENT_MODE_BINARY: {
        struct event_http_reader reader;
        event_http_begin(&reader, e, arena, err);
        http_request_each_header(r, read_header, &reader);
        status = event_http_finish(&reader, http_request_body(r));
        break;
    }
    }
    return status < 0 ? status : 1;
}

int request_read_event(const struct http_request *r, struct event *e, struct event_arena *arena,
                       struct error *err)
{
    struct probe p = {0};
    http_request_each_header(r, probe_header, &p);
    return read_event(r, event_mode_of(p.content_type, p.has_ce), e, arena, err);
}

int request_read(struct call *c, struct error *err)
{
    const struct http_request *r = c->request;
    c->page = SETTINGS_PAGE_COUNT;
    if (http_request_body(r).len > settings.body_max)
        return error_set(err, -E2BIG, "the body is larger than %zu bytes", settings.body_max);
    c->page = page_of(r);
    c->cors = CALL_CORS_NONE;
    if (c->page != SETTINGS_PAGE_COUNT)
        return 0;
    struct probe p = {0};
    http_request_each_header(r, probe_header, &p);
    enum event_mode mode = event_mode_of(p.content_type, p.has_ce);
    /* Events come from brokers, which have no use for headers that are there for browsers. */
    c->cors = mode == EVENT_MODE_NONE || p.has_origin ? CALL_CORS_ANY : CALL_CORS_NONE;
    return read_event(r, mode, &c->event, &c->arena, err);
}

unsigned request_error_status(int status)
{
    return status == -E2BIG ? 413 : status == -ENOTSUP ? 415 : 400;
}
