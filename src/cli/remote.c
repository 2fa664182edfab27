/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to the server with libcurl's easy interface: one handle, so one kept-alive connection.
 */
#include "base/memory.h"
#include "cli/cli_internal.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MAX         (256u << 20) /* a list of everything, not a stream */
#define CONNECT_TIMEOUT_MS 5000L
#define ANSWER_TIMEOUT_MS  120000L

struct remote {
    CURL *curl;
    char *base; /* without a slash at the end */
    char message[CURL_ERROR_SIZE];
};

/* What a body is written to while it comes. */
struct sink {
    CURL *curl;
    struct buf *body;                           /* of a plain answer, or of a stream's refusal */
    int (*each)(void *ctx, struct slice bytes); /* NULL: no stream */
    void *ctx;
    bool ended; /* each() had enough */
};

/* Proxies are for other machines. */
static bool is_loopback(const char *url)
{
    const char *host = strstr(url, "://");
    host = host != NULL ? host + 3 : url;
    return strncmp(host, "127.", 4) == 0 || strncmp(host, "localhost", 9) == 0 ||
           strncmp(host, "[::1]", 5) == 0;
}

/* http:// may be left out. The caller frees. */
static char *base_url(const char *server)
{
    struct buf url = BUF_INIT;
    if (strstr(server, "://") == NULL)
        buf_add_text(&url, "http://");
    buf_add_text(&url, server);
    if (!buf_ok(&url)) {
        buf_done(&url);
        return NULL;
    }
    while (url.len > 0 && url.ptr[url.len - 1] == '/')
        url.ptr[--url.len] = '\0';
    return buf_steal(&url);
}

struct remote *remote_new(const struct cli_call *call)
{
    struct remote *r = calloc(1, sizeof(*r));
    if (r == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK ||
        (r->curl = curl_easy_init()) == NULL ||
        (r->base = base_url(cli_call_value(call, "server"))) == NULL) {
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
    curl_easy_cleanup(r->curl);
    curl_global_cleanup();
    free(r->base);
    free(r);
}

void remote_reply_done(struct remote_reply *reply)
{
    buf_done(&reply->body);
}

static size_t receive(char *bytes, size_t size, size_t count, void *ctx)
{
    struct sink *s = ctx;
    size_t len = size * count;
    long status = 0;
    curl_easy_getinfo(s->curl, CURLINFO_RESPONSE_CODE, &status);
    if (s->each != NULL && status < 400) {
        s->ended = s->each(s->ctx, slice_of(bytes, len)) != 0;
        return s->ended ? 0 : len;
    }
    if (s->body->len + len > ANSWER_MAX)
        return 0;
    buf_add(s->body, bytes, len);
    return buf_ok(s->body) ? len : 0;
}

static int add_header(struct curl_slist **list, const char *format, const char *value)
{
    if (value == NULL)
        return 0;
    autobuf line = BUF_INIT;
    buf_printf(&line, "%s: %s", format, value);
    struct curl_slist *longer = buf_ok(&line) ? curl_slist_append(*list, line.ptr) : NULL;
    if (longer == NULL)
        return -ENOMEM;
    *list = longer;
    return 0;
}

static int make_headers(const struct remote_request *q, struct curl_slist **ret)
{
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");
    int status = list != NULL ? 0 : -ENOMEM;
    if (status == 0)
        status = add_header(&list, "Accept", q->accept);
    if (status == 0 && q->has_body)
        /* Without a type curl would claim that the body is a form. */
        status = q->content_type != NULL ? add_header(&list, "Content-Type", q->content_type)
                                         : add_header(&list, "Content-Type", "");
    for (const struct curl_slist *h = q->headers; h != NULL && status == 0; h = h->next) {
        struct curl_slist *longer = curl_slist_append(list, h->data);
        if (longer == NULL)
            status = -ENOMEM;
        else
            list = longer;
    }
    if (status < 0) {
        curl_slist_free_all(list);
        return status;
    }
    *ret = list;
    return 0;
}

static int transfer_error(const struct remote *r, CURLcode code, const char *url, struct error *err)
{
    const char *what = r->message[0] != '\0' ? r->message : curl_easy_strerror(code);
    switch ((int)code) {
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
        return error_set(err, -ECONNREFUSED,
                         "no server answers at %s (%s): start one with `sluice serve --data-dir "
                         "DIR`, or name another with --server or SLUICE_SERVER",
                         url, what);
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return error_set(err, -EINVAL,
                         "%s is no address of a server (%s): it should look like "
                         "http://127.0.0.1:8080",
                         url, what);
    case CURLE_OPERATION_TIMEDOUT:
        return error_set(err, -ETIMEDOUT, "%s does not answer (%s)", url, what);
    case CURLE_OUT_OF_MEMORY:
        return error_set(err, -ENOMEM, "out of memory");
    default:
        return error_set(err, -EIO, "the exchange with %s failed: %s", url, what);
    }
}

static void set_body(CURL *curl, const struct remote_request *q)
{
    if (!q->has_body)
        return;
    curl_easy_setopt(curl, CURLOPT_POST, 1L);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)q->body.len);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, q->body.ptr != NULL ? q->body.ptr : "");
}

static CURLcode perform(struct remote *r, const struct remote_request *q, const char *url,
                        struct curl_slist *headers, struct sink *sink)
{
    CURL *curl = r->curl;
    curl_easy_reset(curl);
    r->message[0] = '\0';
    set_body(curl, q);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, q->method != NULL ? q->method : "GET");
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, r->message);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "sluice/" SLUICE_VERSION);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    if (sink->each == NULL)
        curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, ANSWER_TIMEOUT_MS);
    if (is_loopback(url))
        curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, receive);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, sink);
    return curl_easy_perform(curl);
}

static int exchange(struct remote *r, const struct remote_request *q, struct sink *sink,
                    struct remote_reply *reply, struct error *err)
{
    autobuf url = BUF_INIT;
    if (q->url != NULL)
        buf_add_text(&url, q->url);
    else
        buf_printf(&url, "%s%s", r->base, q->path);
    struct curl_slist *headers = NULL;
    if (!buf_ok(&url) || make_headers(q, &headers) < 0)
        return error_set(err, -ENOMEM, "out of memory");
    *reply = (struct remote_reply){0};
    sink->curl = r->curl;
    sink->body = &reply->body;
    CURLcode code = perform(r, q, url.ptr, headers, sink);
    curl_slist_free_all(headers);
    if (code != CURLE_OK && !sink->ended) {
        remote_reply_done(reply);
        return transfer_error(r, code, q->url != NULL ? q->url : r->base, err);
    }
    curl_easy_getinfo(r->curl, CURLINFO_RESPONSE_CODE, &reply->status);
    return 0;
}

int remote_request(struct remote *r, const struct remote_request *request,
                   struct remote_reply *reply, struct error *err)
{
    struct sink sink = {0};
    return exchange(r, request, &sink, reply, err);
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
    struct sink sink = {.each = each, .ctx = ctx};
    struct remote_reply reply = {0};
    int status = exchange(r, &(struct remote_request){.path = path}, &sink, &reply, err);
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
