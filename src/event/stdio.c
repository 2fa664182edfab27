/* SPDX-License-Identifier: Apache-2.0 */
/* The meta-variables are CGI's (RFC 3875 §4.1), and so is a reply that begins with header fields
 * (§6); what is said of events is the part that CGI has not. */
#include "event/stdio.h"

#include "base/encoding.h"
#include "base/memory.h"
#include "base/token.h"
#include "event/event_internal.h"

#include <errno.h>

#define STATUS_LOWEST  200
#define STATUS_HIGHEST 599

void stdio_input(const struct stdio_request *r, struct buf *out)
{
    if (r->event == NULL) {
        buf_add_slice(out, r->body);
        return;
    }
    event_json_write(r->event, out);
    buf_add_byte(out, '\n');
}

/* ---- environment ---- */

struct environment {
    struct buf text;
    void (*add)(void *ctx, struct slice variable);
    void *ctx;
    bool failed;
};

static char upper(char c)
{
    if (c >= 'a' && c <= 'z')
        return (char)(c - ('a' - 'A'));
    return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ? c : '_';
}

static void begin_variable(struct environment *e, const char *prefix, struct slice name)
{
    buf_reset(&e->text);
    buf_add_text(&e->text, prefix);
    for (size_t i = 0; i < name.len; i++)
        buf_add_byte(&e->text, upper(name.ptr[i]));
    buf_add_byte(&e->text, '=');
}

/* A variable ends at its first NUL, so one that holds any is left out. */
static void end_variable(struct environment *e)
{
    e->failed = e->failed || !buf_ok(&e->text);
    if (buf_ok(&e->text) && memchr(e->text.ptr, '\0', e->text.len) == NULL)
        e->add(e->ctx, buf_slice(&e->text));
}

static void add_variable(struct environment *e, const char *prefix, struct slice name,
                         struct slice value)
{
    begin_variable(e, prefix, name);
    buf_add_slice(&e->text, value);
    end_variable(e);
}

static void add_attributes(struct environment *e, const struct event *event)
{
    add_variable(e, "CE_", SLICE("specversion"), event_get(event, "specversion"));
    for (unsigned i = 0; i < event->count; i++)
        add_variable(e, "CE_", event->attributes[i].name, event->attributes[i].value);
}

/* Not passed on: credentials, what would change where programs connect to (HTTP_PROXY), what has a
 * variable of its own, and attributes. */
static bool is_passed(struct slice name)
{
    static const char *const kept_back[] = {
        "authorization", "proxy-authorization", "proxy",
        "content-type",  "content-length",      "connection",
    };
    for (size_t i = 0; i < COUNT_OF(kept_back); i++)
        if (slice_is_nocase(name, kept_back[i]))
            return false;
    return name.len < 3 || strncasecmp(name.ptr, "ce-", 3) != 0;
}

static bool same_name(struct slice a, struct slice b)
{
    return a.len == b.len && strncasecmp(a.ptr, b.ptr, a.len) == 0;
}

static bool is_repeated(const struct stdio_request *r, unsigned at)
{
    for (unsigned i = 0; i < at; i++)
        if (same_name(r->headers[i].name, r->headers[at].name))
            return true;
    return false;
}

static void add_headers(struct environment *e, const struct stdio_request *r)
{
    for (unsigned i = 0; i < r->header_count; i++) {
        const struct stdio_field *h = &r->headers[i];
        if (!is_passed(h->name) || is_repeated(r, i))
            continue;
        begin_variable(e, "HTTP_", h->name);
        buf_add_slice(&e->text, h->value);
        for (unsigned k = i + 1; k < r->header_count; k++)
            if (same_name(r->headers[k].name, h->name)) {
                buf_add_text(&e->text, ", ");
                buf_add_slice(&e->text, r->headers[k].value);
            }
        end_variable(e);
    }
}

static struct slice input_type(const struct stdio_request *r)
{
    if (r->event != NULL)
        return SLICE("application/cloudevents+json");
    for (unsigned i = 0; i < r->header_count; i++)
        if (slice_is_nocase(r->headers[i].name, "content-type"))
            return r->headers[i].value;
    return slice_of(NULL, 0);
}

int stdio_environment(const struct stdio_request *r, size_t input_len,
                      void (*add)(void *ctx, struct slice variable), void *ctx)
{
    struct environment e = {.text = BUF_INIT, .add = add, .ctx = ctx};
    const struct stdio_field given[] = {
        {SLICE("GATEWAY_INTERFACE"), SLICE("CGI/1.1")},
        {SLICE("SERVER_PROTOCOL"), SLICE("HTTP/1.1")},
        {SLICE("SERVER_SOFTWARE"), SLICE("sluice")},
        {SLICE("SCRIPT_NAME"), SLICE("")},
        {SLICE("REQUEST_METHOD"), r->method},
        {SLICE("PATH_INFO"), r->path},
        {SLICE("QUERY_STRING"), r->query},
    };
    for (size_t i = 0; i < COUNT_OF(given); i++)
        add_variable(&e, "", given[i].name, given[i].value);
    struct slice type = input_type(r);
    if (type.ptr != NULL)
        add_variable(&e, "", SLICE("CONTENT_TYPE"), type);
    begin_variable(&e, "", SLICE("CONTENT_LENGTH"));
    buf_add_decimal(&e.text, (int64_t)input_len);
    end_variable(&e);
    if (r->event != NULL)
        add_attributes(&e, r->event);
    add_headers(&e, r);
    buf_done(&e.text);
    return e.failed ? -ENOMEM : 0;
}

struct slice stdio_variable_name(struct slice variable)
{
    const char *equals = memchr(variable.ptr, '=', variable.len);
    return slice_of(variable.ptr, equals != NULL ? (size_t)(equals - variable.ptr) : variable.len);
}

/* ---- the reply's header block ---- */

/* Framing is the server's. */
static bool is_framing(struct slice name)
{
    static const char *const names[] = {
        "content-length", "transfer-encoding", "connection", "keep-alive",
        "upgrade",        "trailer",           "date",
    };
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (slice_is_nocase(name, names[i]))
            return true;
    return false;
}

static bool is_attribute(struct slice name)
{
    return name.len > 3 && strncasecmp(name.ptr, "ce-", 3) == 0;
}

/* What makes lines with colons a header block rather than a text that happens to have some. */
static bool is_mark(struct slice name)
{
    return slice_is_nocase(name, "content-type") || slice_is_nocase(name, "status") ||
           slice_is_nocase(name, "location") || is_attribute(name);
}

/* Takes the next line, without its end, off the rest. False when there is no whole one. */
static bool take_line(struct slice *rest, struct slice *ret)
{
    const char *newline = memchr(rest->ptr, '\n', rest->len);
    if (newline == NULL)
        return false;
    *ret = slice_of(rest->ptr, (size_t)(newline - rest->ptr));
    *rest = slice_of(newline + 1, rest->len - ret->len - 1);
    if (ret->len > 0 && ret->ptr[ret->len - 1] == '\r')
        ret->len--;
    return true;
}

static bool split_line(struct slice line, struct stdio_field *ret)
{
    const char *colon = memchr(line.ptr, ':', line.len);
    if (colon == NULL)
        return false;
    ret->name = slice_of(line.ptr, (size_t)(colon - line.ptr));
    ret->value = slice_of(colon + 1, line.len - ret->name.len - 1);
    while (ret->value.len > 0 && (ret->value.ptr[0] == ' ' || ret->value.ptr[0] == '\t'))
        ret->value = slice_of(ret->value.ptr + 1, ret->value.len - 1);
    return token_is(ret->name) && token_is_field_value(ret->value);
}

/* Whether the output begins with a header block; then its fields and the body behind it are in
 * ret. */
static bool split_head(struct slice output, struct stdio_reply *ret)
{
    struct slice rest = output, line;
    bool marked = false;
    ret->header_count = 0;
    while (rest.len > 0 && take_line(&rest, &line)) {
        if (line.len == 0) {
            ret->body = rest;
            return marked;
        }
        if ((size_t)(rest.ptr - output.ptr) > STDIO_HEAD_MAX ||
            ret->header_count == STDIO_HEADERS_MAX ||
            !split_line(line, &ret->headers[ret->header_count]))
            return false;
        if (is_mark(ret->headers[ret->header_count++].name))
            marked = true;
    }
    return false;
}

/* "404" or "404 Not Found"; 0 when it is neither. */
static unsigned read_status(struct slice value)
{
    unsigned status = 0;
    size_t i = 0;
    for (; i < value.len && i < 3 && value.ptr[i] >= '0' && value.ptr[i] <= '9'; i++)
        status = status * 10 + (unsigned)(value.ptr[i] - '0');
    bool ends = i == 3 && (value.len == 3 || value.ptr[3] == ' ');
    return ends && status >= STATUS_LOWEST && status <= STATUS_HIGHEST ? status : 0;
}

/* Takes the status and what is not to be sent out of the fields. */
static int settle_head(struct stdio_reply *reply, bool *ret_has_attributes, struct error *err)
{
    unsigned kept = 0;
    bool has_status = false, has_location = false;
    *ret_has_attributes = false;
    for (unsigned i = 0; i < reply->header_count; i++) {
        struct stdio_field field = reply->headers[i];
        if (slice_is_nocase(field.name, "status")) {
            reply->status = read_status(field.value);
            has_status = true;
            if (reply->status == 0)
                return error_set(err, -EINVAL,
                                 "its header Status is no number from 200 to 599 (a reason may "
                                 "follow after a blank)");
        } else if (!is_framing(field.name)) {
            *ret_has_attributes = *ret_has_attributes || is_attribute(field.name);
            has_location = has_location || slice_is_nocase(field.name, "location");
            reply->headers[kept++] = field;
        }
    }
    reply->header_count = kept;
    if (!has_status)
        reply->status = has_location ? 302 : 200;
    return 0;
}

/* ---- the reply ---- */

static int read_binary(struct stdio_reply *reply, const struct event_defaults *defaults,
                       struct event_arena *arena, struct error *err)
{
    const struct stdio_field filled[] = {
        {SLICE("ce-specversion"), SLICE("1.0")},
        {SLICE("ce-id"), defaults->id},
        {SLICE("ce-source"), defaults->source},
        {SLICE("ce-time"), defaults->time},
    };
    struct event_http_reader reader;
    event_http_begin(&reader, &reply->event, arena, err);
    for (unsigned i = 0; i < reply->header_count; i++)
        event_http_header(&reader, reply->headers[i].name, reply->headers[i].value);
    for (size_t i = 0; i < COUNT_OF(filled); i++) {
        bool there = false;
        for (unsigned k = 0; k < reply->header_count; k++)
            there = there || same_name(reply->headers[k].name, filled[i].name);
        if (!there)
            event_http_header(&reader, filled[i].name, filled[i].value);
    }
    reply->is_event = true;
    return event_http_finish(&reader, reply->body);
}

/* Whether the JSON object has a text named specversion. */
static bool has_version(struct slice object)
{
    struct json_scan s;
    struct json_value name, value;
    json_scan_begin(&s, object);
    if (!json_scan_take(&s, '{'))
        return false;
    do {
        if (json_scan_value(&s, &name) < 0 || !json_scan_take(&s, ':') ||
            json_scan_value(&s, &value) < 0)
            return false;
        if (slice_is(name.raw, "\"specversion\"") && value.kind == JSON_STRING)
            return true;
    } while (json_scan_take(&s, ','));
    return false;
}

static const char *media_type(struct slice output, char first)
{
    if ((first == '{' || first == '[') && json_scan_valid(output))
        return "application/json";
    return encoding_utf8_valid(output) ? "text/plain; charset=utf-8" : "application/octet-stream";
}

static char first_byte(struct slice output)
{
    size_t i = 0;
    while (i < output.len && memchr(" \t\r\n", output.ptr[i], 4) != NULL)
        i++;
    return i < output.len ? output.ptr[i] : '\0';
}

static void add_type(struct stdio_reply *reply)
{
    for (unsigned i = 0; i < reply->header_count; i++)
        if (slice_is_nocase(reply->headers[i].name, "content-type"))
            return;
    if (reply->body.len == 0 || reply->header_count == STDIO_HEADERS_MAX)
        return;
    const char *type = media_type(reply->body, first_byte(reply->body));
    reply->headers[reply->header_count++] =
        (struct stdio_field){SLICE("content-type"), slice_text(type)};
}

static int read_headed(struct stdio_reply *reply, const struct event_defaults *defaults,
                       struct event_arena *arena, struct error *err)
{
    bool has_attributes;
    int status = settle_head(reply, &has_attributes, err);
    if (status == 0 && has_attributes && reply->status < 300)
        return read_binary(reply, defaults, arena, err);
    if (status == 0)
        add_type(reply);
    return status;
}

int stdio_reply_read(struct slice output, const struct event_defaults *defaults,
                     struct event_arena *arena, struct stdio_reply *ret, struct error *err)
{
    ret->is_event = false;
    if (split_head(output, ret))
        return read_headed(ret, defaults, arena, err);
    ret->header_count = 0;
    ret->body = output;
    ret->status = output.len > 0 ? 200 : 204;
    if (first_byte(output) == '{' && json_scan_valid(output) && has_version(output)) {
        ret->is_event = true;
        return event_json_read_filled(output, defaults, &ret->event, arena, err);
    }
    add_type(ret);
    return 0;
}
