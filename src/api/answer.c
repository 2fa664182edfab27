/* SPDX-License-Identifier: Apache-2.0 */
/* Answers: objects, and Status objects for everything that failed. */
#include "api/api_internal.h"
#include "base/memory.h"

#include <stdlib.h>

static const char *reason_of(unsigned status, bool create)
{
    static const struct {
        unsigned status;
        const char *reason;
    } reasons[] = {
        {400, "BadRequest"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "NotFound"},
        {405, "MethodNotAllowed"},
        {406, "NotAcceptable"},
        {409, "Conflict"},
        {410, "Expired"},
        {413, "RequestEntityTooLarge"},
        {422, "Invalid"},
        {415, "UnsupportedMediaType"},
        {429, "TooManyRequests"},
        {500, "InternalError"},
        {503, "ServiceUnavailable"},
    };
    if (status == 409 && create)
        return "AlreadyExists";
    for (size_t i = 0; i < COUNT_OF(reasons); i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "";
}

void answer_add_shown(struct buf *out, const struct resource_kind *kind, const json_t *stored)
{
    json_t *shown = kinds_show(kind, stored);
    resource_dump(out, shown);
    json_decref(shown);
}

/* kubectl prints the causes of an Invalid, one a line, under the object's name. */
static void add_details(struct buf *out, unsigned status, const struct resource_kind *kind,
                        const char *name, const struct error *err)
{
    buf_add_text(out, ",\"details\":{\"name\":");
    buf_add_json_string(out, slice_text(name != NULL ? name : ""));
    buf_printf(out, ",\"group\":\"%s\",\"kind\":\"%s\"", kind->group,
               status == 422 ? kind->kind : kind->plural);
    if (status == 422) {
        buf_add_text(out, ",\"causes\":[{\"reason\":\"FieldValueInvalid\",\"message\":");
        autobuf text = BUF_INIT;
        if (err->line > 0)
            buf_printf(&text, "line %d: ", err->line);
        buf_add_text(&text, err->message);
        buf_add_json_string(out, buf_slice(&text));
        buf_add_text(out, ",\"field\":");
        buf_add_json_string(out, slice_text(err->field));
        buf_add_text(out, "}]");
    }
    if (status == 429 || status == 503)
        buf_add_text(out, ",\"retryAfterSeconds\":1");
    buf_add_byte(out, '}');
}

static void add_message(struct buf *out, unsigned status, const struct resource_kind *kind,
                        const char *name, const struct error *err)
{
    autobuf text = BUF_INIT;
    if (status == 422 && kind != NULL)
        buf_printf(&text, "%s%s%s \"%s\" is invalid: ", kind->kind, *kind->group != '\0' ? "." : "",
                   kind->group, name != NULL ? name : "");
    if (err->line > 0)
        buf_printf(&text, "line %d: ", err->line);
    if (err->field[0] != '\0')
        buf_printf(&text, "%s: ", err->field);
    buf_add_text(&text, err->message);
    buf_add_json_string(out, buf_slice(&text));
}

void answer_add_status(struct buf *out, unsigned status, const struct resource_kind *kind,
                       const char *name, bool create, const struct error *err)
{
    buf_add_text(out, "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":"
                      "\"Failure\",\"message\":");
    add_message(out, status, kind, name, err);
    const char *reason = reason_of(status, create);
    if (*reason != '\0')
        buf_printf(out, ",\"reason\":\"%s\"", reason);
    if (kind != NULL)
        add_details(out, status, kind, name, err);
    buf_printf(out, ",\"code\":%u}", status);
}

#define ANSWER_HEADERS_MAX 18

/* Warning: 299 - "text" (RFC 9111 §5.5 of old), one for each line of the query's warnings. */
static size_t warning_headers(const struct query *q, struct http_header *headers, size_t max)
{
    size_t count = 0;
    struct slice rest = buf_slice(&q->warnings);
    while (rest.len > 0 && count < max) {
        const char *end = memchr(rest.ptr, '\n', rest.len);
        size_t len = end != NULL ? (size_t)(end - rest.ptr) : rest.len;
        headers[count++] = (struct http_header){SLICE("Warning"), slice_of(rest.ptr, len)};
        len += end != NULL;
        rest = slice_of(rest.ptr + len, rest.len - len);
    }
    return count;
}

void answer_text(struct query *q, unsigned status, const char *content_type, struct buf *body)
{
    struct http_header headers[ANSWER_HEADERS_MAX];
    size_t count = warning_headers(q, headers, ANSWER_HEADERS_MAX - 1);
    if (status == 429 || status == 503)
        headers[count++] = (struct http_header){SLICE("Retry-After"), SLICE("1")};
    struct http_request *request = q->request;
    struct http_response response = {.status = status,
                                     .content_type = content_type,
                                     .headers = headers,
                                     .header_count = count,
                                     .body = slice_of(NULL, body->len)};
    response.body_owned = buf_steal(body);
    if (response.body_owned == NULL)
        http_respond_errorf(request, 503, "out of memory");
    else
        http_respond(request, &response);
    query_free(q);
}

void answer_status(struct query *q, unsigned status, const struct error *err)
{
    autobuf body = BUF_INIT;
    answer_add_status(&body, status, q->kind, q->name, q->verb == QUERY_CREATE, err);
    answer_text(q, status, "application/json", &body);
}

void answer_plain_status(struct http_request *request, unsigned status, const char *message)
{
    autobuf body = BUF_INIT;
    struct error err = ERROR_INIT;
    error_set(&err, -1, "%s", message);
    answer_add_status(&body, status, NULL, NULL, false, &err);
    http_respond(request, &(struct http_response){.status = status,
                                                  .content_type = "application/json",
                                                  .body = buf_slice(&body)});
}

void answer_object(struct query *q, unsigned status, const json_t *object)
{
    autobuf body = BUF_INIT;
    resource_dump(&body, object);
    answer_text(q, status, "application/json", &body);
}

void answer_deleted(struct query *q, const json_t *last)
{
    autobuf body = BUF_INIT;
    const char *uid = resource_text_at(last, "metadata.uid");
    buf_add_text(&body, "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":"
                        "\"Success\",\"details\":{\"name\":");
    buf_add_json_string(&body, slice_text(q->name));
    buf_printf(&body, ",\"group\":\"%s\",\"kind\":\"%s\",\"uid\":\"%s\"}}", q->kind->group,
               q->kind->plural, uid != NULL ? uid : "");
    answer_text(q, 200, "application/json", &body);
}
