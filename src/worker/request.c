/* SPDX-License-Identifier: Apache-2.0 */
/* What a request is to the guest: an event or a plain request, as few JSON texts. */
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

static void write_header(const struct headers *h, size_t at, struct buf *scratch, struct buf *out)
{
    struct slice name = h->list[at].name;
    for (size_t i = 0; i < at; i++)
        if (same_name(h->list[i].name, name))
            return;
    buf_reset(scratch);
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        buf_add_byte(scratch, c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c);
    }
    if (out->ptr[out->len - 1] != '{')
        buf_add_byte(out, ',');
    buf_add_json_string(out, buf_slice(scratch));
    buf_add_byte(out, ':');
    buf_reset(scratch);
    for (size_t i = at; i < h->count; i++)
        if (same_name(h->list[i].name, name)) {
            if (i > at)
                buf_add_text(scratch, ", ");
            buf_add_slice(scratch, h->list[i].value);
        }
    buf_add_json_string(out, buf_slice(scratch));
}

void request_write(const struct http_request *r, struct buf *out)
{
    static struct headers h;
    autobuf scratch = BUF_INIT;
    h.count = 0;
    http_request_each_header(r, collect_header, &h);
    buf_add_text(out, "{\"method\":");
    buf_add_json_string(out, slice_text(http_request_method_text(r)));
    buf_add_text(out, ",\"path\":");
    buf_add_json_string(out, http_request_path(r));
    buf_add_text(out, ",\"query\":");
    buf_add_json_string(out, http_request_query(r));
    buf_add_text(out, ",\"headers\":{");
    for (size_t i = 0; i < h.count; i++)
        if (buf_ok(out) && buf_ok(&scratch))
            write_header(&h, i, &scratch, out);
    buf_add_text(out, "}}");
}

static void read_header(void *ctx, struct slice name, struct slice value)
{
    event_http_header(ctx, name, value);
}

struct probe {
    struct slice content_type;
    bool has_ce;
};

static void probe_header(void *ctx, struct slice name, struct slice value)
{
    struct probe *p = ctx;
    if (name.len > 3 && strncasecmp(name.ptr, "ce-", 3) == 0)
        p->has_ce = true;
    else if (name.len == 12 && strncasecmp(name.ptr, "content-type", 12) == 0)
        p->content_type = value;
}

/* 1: there is an event, 0: a plain request, negative: what claims to be an event is none. */
int request_read_event(const struct http_request *r, struct event *e, struct event_arena *arena,
                       struct error *err)
{
    struct probe p = {0};
    http_request_each_header(r, probe_header, &p);
    int status = 0;
    switch (event_mode_of(p.content_type, p.has_ce)) {
    case EVENT_MODE_NONE:
        return 0;
    case EVENT_MODE_BATCH:
        return error_set(err, -ENOTSUP, "a function takes one event at a time, not a batch");
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
