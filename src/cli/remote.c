/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to the server that a call names, and what its answers mean. */
#include "base/clock.h"
#include "base/memory.h"
#include "cli/exchange.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct remote {
    char *base;            /* without a slash at the end */
    char *token;           /* header line that shows the token; NULL: none */
    struct direct *direct; /* made when it is first needed */
    struct curl_way *curl; /* the same */
};

/* Paths are put behind it: slashes at its end go. */
static void add_base(const char *server, struct buf *out)
{
    exchange_address(server, out);
    while (buf_ok(out) && out->len > 0 && out->ptr[out->len - 1] == '/')
        out->ptr[--out->len] = '\0';
}

static int set_token(struct remote *r, const char *token)
{
    if (token == NULL || *token == '\0')
        return 0;
    /* A line break would begin another header. */
    int len = (int)strcspn(token, "\r\n");
    return asprintf(&r->token, "Authorization: Bearer %.*s\r\n", len, token) < 0 ? -ENOMEM : 0;
}

struct remote *remote_new(const struct cli_call *call)
{
    struct remote *r = calloc(1, sizeof(*r));
    autobuf base = BUF_INIT;
    const char *token = cli_call_value(call, "token");
    add_base(cli_call_value(call, "server"), &base);
    if (r == NULL || (r->base = buf_steal(&base)) == NULL || set_token(r, token) < 0) {
        terminal_error("out of memory");
        remote_free(r);
        return NULL;
    }
    return r;
}

void remote_free(struct remote *r)
{
    if (r == NULL)
        return;
    direct_free(r->direct);
    curl_way_free(r->curl);
    free(r->base);
    free(r->token);
    free(r);
}

void remote_reply_done(struct remote_reply *reply)
{
    buf_done(&reply->headers);
    buf_done(&reply->body);
}

static int exchange_by_curl(struct remote *r, struct exchange *x, struct error *err)
{
    if (r->curl == NULL)
        r->curl = curl_way_new(err);
    return r->curl != NULL ? curl_way_exchange(r->curl, x, err) : err->code;
}

static int exchange_directly(struct remote *r, struct exchange *x, struct error *err)
{
    if (r->direct == NULL)
        r->direct = direct_new();
    return r->direct != NULL ? direct_exchange(r->direct, x, err)
                             : error_set(err, -ENOMEM, "out of memory");
}

static int exchange_as_is(struct remote *r, struct exchange *x, struct error *err)
{
    const struct remote_request *q = x->request;
    autobuf url = BUF_INIT;
    if (q->url != NULL)
        exchange_address(q->url, &url);
    else
        buf_printf(&url, "%s%s", r->base, q->path);
    if (!buf_ok(&url))
        return error_set(err, -ENOMEM, "out of memory");
    x->url = url.ptr;
    x->server = q->url != NULL ? q->url : r->base;
    *x->reply = (struct remote_reply){0};
    int status = exchange_split(x, err);
    if (status < 0)
        return status;
    return exchange_needs_curl(&x->parts) ? exchange_by_curl(r, x, err)
                                          : exchange_directly(r, x, err);
}

/* Shows the token to our server, and to nobody else. */
static int exchange(struct remote *r, struct exchange *x, struct error *err)
{
    const struct remote_request *given = x->request;
    if (r->token == NULL || given->url != NULL)
        return exchange_as_is(r, x, err);
    autobuf headers = BUF_INIT;
    struct remote_request shown = *given;
    buf_add_text(&headers, r->token);
    buf_add_slice(&headers, given->headers);
    shown.headers = buf_slice(&headers);
    x->request = &shown;
    int status =
        buf_ok(&headers) ? exchange_as_is(r, x, err) : error_set(err, -ENOMEM, "out of memory");
    x->request = given;
    return status;
}

int remote_request(struct remote *r, const struct remote_request *request,
                   struct remote_reply *reply, struct error *err)
{
    struct exchange x = {
        .request = request, .reply = reply, .limit_ns = EXCHANGE_ANSWER_SECONDS * CLOCK_SECOND};
    return exchange(r, &x, err);
}

static int status_code(long status)
{
    if (status == 404)
        return -ENOENT;
    if (status == 409)
        return -EEXIST;
    return status < 500 ? -EINVAL : -EIO;
}

/* The first cause of a Kubernetes Status, or the member of our own error, that names a field. */
static const char *refused_field(const json_t *answer)
{
    const json_t *causes = json_object_get(json_object_get(answer, "details"), "causes");
    const char *field = json_string_value(json_object_get(json_array_get(causes, 0), "field"));
    if (field == NULL)
        field = json_string_value(json_object_get(json_object_get(answer, "error"), "field"));
    return field != NULL ? field : "";
}

int remote_refusal(const struct remote_reply *reply, struct error *err)
{
    int code = status_code(reply->status);
    json_t *answer =
        json_loadb(reply->body.len > 0 ? reply->body.ptr : "", reply->body.len, 0, NULL);
    const char *text = json_string_value(json_object_get(answer, "message"));
    if (text == NULL)
        text = json_string_value(json_object_get(json_object_get(answer, "error"), "message"));
    if (text != NULL)
        error_field(err, code, refused_field(answer), "%s", text);
    else
        error_set(err, code, "the server answered %ld: %.200s", reply->status,
                  reply->body.len > 0 ? reply->body.ptr : "nothing more");
    json_decref(answer);
    return code;
}

int remote_call(struct remote *r, const struct remote_request *request, struct remote_reply *reply,
                struct error *err)
{
    int status = remote_request(r, request, reply, err);
    if (status < 0 || reply->status < 400)
        return status;
    status = remote_refusal(reply, err);
    remote_reply_done(reply);
    return status;
}

int remote_stream(struct remote *r, const char *path, int (*each)(void *ctx, struct slice bytes),
                  void *ctx, struct error *err)
{
    struct remote_request request = {.path = path};
    struct remote_reply reply = {0};
    struct exchange x = {.request = &request, .reply = &reply, .each = each, .ctx = ctx};
    int status = exchange(r, &x, err);
    if (status < 0)
        return status;
    if (reply.status >= 400)
        status = remote_refusal(&reply, err);
    remote_reply_done(&reply);
    return status;
}

/* RFC 3986 §2.3: everything but unreserved characters. */
void remote_escape(struct slice text, struct buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
            strchr("-._~", c) != NULL)
            buf_add_byte(out, (char)c);
        else
            buf_printf(out, "%%%02X", c);
    }
}

void remote_resource_path(const struct resource_kind *kind, const char *namespace_name,
                          const char *name, struct buf *out)
{
    buf_add_text(out, kind->group[0] == '\0' ? "/api/" : "/apis/");
    resource_kind_api_version(kind, out);
    if (kind->namespaced && namespace_name != NULL) {
        buf_add_text(out, "/namespaces/");
        remote_escape(slice_text(namespace_name), out);
    }
    buf_printf(out, "/%s", kind->plural);
    if (name != NULL) {
        buf_add_byte(out, '/');
        remote_escape(slice_text(name), out);
    }
}
