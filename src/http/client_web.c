/* SPDX-License-Identifier: Apache-2.0 */
/* Each call has an easy handle and a connection of its own: a handle that is used again may crash
 * over folded header lines (libcurl 7.88), and bytes that come in on an idle connection would be
 * taken for the answer to the next event. Everything runs on the loop's thread; libcurl tells by
 * callbacks which sockets and which timer it wants watched. */
#include "http/client_internal.h"

#include "base/buf.h"
#include "base/list.h"
#include "base/memory.h"
#include "base/must.h"
#include "http/curl_library.h"
#include "http/trust.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

#define TRANSFER_BUFFER (16 * 1024L)
#define HEADERS_MAX     (64 * 1024) /* bytes of an answer's headers */

struct web_client {
    const struct curl_library *curl;
    struct loop *loop;
    CURLM *multi;
    struct loop_timer timer;
    struct list running; /* struct web_call */
    const char *trusted; /* file of certificates, or NULL */
};

struct web_call {
    struct http_call call;
    struct list link;
    struct web_client *client;
    CURL *easy;
    struct http_trust *trust; /* NULL: none but the system's */
    struct buf header_text;   /* the request's header lines, each NUL-terminated */
    struct curl_slist *header_nodes;
    struct buf response_status; /* the status line */
    struct buf response_headers;
    struct buf response_body;
    size_t response_max;
    bool too_large;
    bool switched; /* 101 was the answer, to a request that did not ask for it */
    char error_text[CURL_ERROR_SIZE];
};

/* One socket that libcurl wants watched. */
struct client_socket {
    struct loop_watch watch;
    struct web_client *client;
};

static void client_reap(struct web_client *c);

static void socket_ready(struct loop_watch *w, uint32_t events)
{
    struct client_socket *s = w->ctx;
    struct web_client *c = s->client;
    int action = 0;
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
        action |= CURL_CSELECT_IN;
    if ((events & EPOLLOUT) != 0)
        action |= CURL_CSELECT_OUT;
    if ((events & EPOLLERR) != 0)
        action |= CURL_CSELECT_ERR;
    int running;
    c->curl->multi_socket_action(c->multi, w->fd, action, &running);
    client_reap(c);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *per_socket)
{
    struct web_client *c = user;
    struct client_socket *s = per_socket;
    if (what == CURL_POLL_REMOVE) {
        if (s != NULL) {
            loop_unwatch(c->loop, &s->watch);
            c->curl->multi_assign(c->multi, fd, NULL);
            free(s);
        }
        return 0;
    }
    uint32_t events =
        ((what & CURL_POLL_IN) != 0 ? EPOLLIN : 0u) | ((what & CURL_POLL_OUT) != 0 ? EPOLLOUT : 0u);
    if (s != NULL)
        return loop_rewatch(c->loop, &s->watch, events) < 0 ? -1 : 0;
    s = calloc(1, sizeof(*s));
    if (s == NULL)
        return -1;
    s->client = c;
    s->watch.ready = socket_ready;
    s->watch.ctx = s;
    if (loop_watch(c->loop, &s->watch, fd, events) < 0) {
        free(s);
        return -1;
    }
    c->curl->multi_assign(c->multi, fd, s);
    return 0;
}

static void timer_due(struct loop_timer *t)
{
    struct web_client *c = t->ctx;
    int running;
    c->curl->multi_socket_action(c->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    client_reap(c);
}

static int on_timer(CURLM *multi, long timeout_ms, void *user)
{
    struct web_client *c = user;
    if (timeout_ms < 0)
        loop_timer_cancel(c->loop, &c->timer);
    else
        loop_timer_set(c->loop, &c->timer,
                       loop_now(c->loop) + (uint64_t)timeout_ms * CLOCK_MILLISECOND);
    return 0;
}

int web_client_new(struct loop *l, unsigned connections_per_host_max, const char *trusted,
                   struct web_client **ret)
{
    const struct curl_library *curl = curl_library(NULL);
    if (curl == NULL)
        return -ELIBACC;
    struct web_client *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return -ENOMEM;
    c->curl = curl;
    c->loop = l;
    c->trusted = trusted;
    c->timer.due = timer_due;
    c->timer.ctx = c;
    list_init(&c->running);
    c->multi = curl->multi_init();
    if (c->multi == NULL) {
        free(c);
        return -ENOMEM;
    }
    curl->multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl->multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c);
    curl->multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl->multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
    curl->multi_setopt(c->multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)connections_per_host_max);
    curl->multi_setopt(c->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    *ret = c;
    return 0;
}

static void call_free(struct web_call *call)
{
    call->client->curl->easy_cleanup(call->easy);
    http_trust_unref(call->trust);
    buf_done(&call->header_text);
    buf_done(&call->response_status);
    buf_done(&call->response_headers);
    buf_done(&call->response_body);
    free(call->header_nodes);
    call->call.magic = 0;
    free(call);
}

static void call_retire(struct web_call *call)
{
    list_remove(&call->link);
    call_free(call);
}

static int error_of(const struct web_call *call, CURLcode code)
{
    if (call->too_large)
        return -EMSGSIZE;
    if (call->switched)
        return 0;
    switch ((int)code) {
    case CURLE_OK:
        return 0;
    case CURLE_OPERATION_TIMEDOUT:
        return -ETIMEDOUT;
    case CURLE_COULDNT_CONNECT:
        return -ECONNREFUSED;
    case CURLE_COULDNT_RESOLVE_HOST:
        return -EHOSTUNREACH;
    case CURLE_PEER_FAILED_VERIFICATION:
        return -EKEYREJECTED;
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
        return -ECONNRESET;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return -EINVAL;
    case CURLE_OUT_OF_MEMORY:
        return -ENOMEM;
    default:
        return -EIO;
    }
}

static void call_finish(struct web_call *call, CURLcode code)
{
    const struct curl_library *curl = call->client->curl;
    struct http_call_header headers[CALL_HEADERS_MAX];
    struct http_call_result result = {
        .error = error_of(call, code),
        .error_text = "",
        .headers = headers,
        .header_count =
            call_split_headers(buf_slice(&call->response_headers), headers, CALL_HEADERS_MAX),
        .body = buf_slice(&call->response_body),
        .reason = call_reason(buf_slice(&call->response_status)),
        .duration_ns = clock_monotonic() - call->call.started_ns,
    };
    if (call->too_large)
        result.error_text = "the answer is larger than allowed";
    else if (result.error != 0)
        result.error_text =
            call->error_text[0] != '\0' ? call->error_text : curl->easy_strerror(code);
    long status = 0;
    curl->easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    result.status = result.error == 0 ? (unsigned)status : 0;
    call->client->curl->multi_remove_handle(call->client->multi, call->easy);
    call->call.done(call->call.ctx, &result);
    call_retire(call);
}

static void client_reap(struct web_client *c)
{
    int left;
    for (CURLMsg *m = c->curl->multi_info_read(c->multi, &left); m != NULL;
         m = c->curl->multi_info_read(c->multi, &left)) {
        if (m->msg != CURLMSG_DONE)
            continue;
        struct web_call *call = NULL;
        c->curl->easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&call);
        call_finish(call, m->data.result);
    }
}

void web_client_free(struct web_client *c)
{
    if (c == NULL)
        return;
    struct http_call_result cancelled = {.error = -ECANCELED,
                                         .error_text = "the client was stopped"};
    while (!list_empty(&c->running)) {
        struct web_call *call = list_entry(list_shift(&c->running), struct web_call, link);
        c->curl->multi_remove_handle(c->multi, call->easy);
        call->call.done(call->call.ctx, &cancelled);
        call_free(call);
    }
    c->curl->multi_cleanup(c->multi);
    loop_timer_cancel(c->loop, &c->timer);
    free(c);
}

static size_t on_header(char *bytes, size_t size, size_t count, void *user)
{
    struct web_call *call = user;
    size_t n = size * count;
    if (slice_starts(slice_of(bytes, n), "HTTP/")) {
        buf_reset(&call->response_headers); /* of the last answer: 1xx may come before it */
        buf_reset(&call->response_status);
        buf_add(&call->response_status, bytes, n < HEADERS_MAX ? n : HEADERS_MAX);
        /* libcurl would wait for another answer, which such a peer does not send */
        call->switched = n > 12 && memcmp(bytes + 8, " 101", 4) == 0;
    } else if (call->response_headers.len + n <= HEADERS_MAX)
        buf_add(&call->response_headers, bytes, n);
    else
        call->too_large = true;
    return call->too_large || call->switched ? 0 : n;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *user)
{
    struct web_call *call = user;
    size_t n = size * count;
    if (n > call->response_max - call->response_body.len) {
        call->too_large = true;
        return 0;
    }
    buf_add(&call->response_body, bytes, n);
    return buf_ok(&call->response_body) ? n : 0;
}

/* libcurl would read the folder of the system's authorities besides the file that has them all,
 * some hundred files for each connection. 0 or negative errno. */
static int set_authorities(struct web_call *call)
{
    const struct curl_library *curl = call->client->curl;
    const char *trusted = call->client->trusted;
    char *system = NULL, path[HTTP_TRUST_PATH_SIZE];
    if (trusted == NULL)
        curl->easy_getinfo(call->easy, CURLINFO_CAINFO, &system);
    bool has_system = system != NULL && access(system, R_OK) == 0;
    if (call->trust != NULL) {
        int r = http_trust_file(call->trust, trusted != NULL ? trusted : system, path);
        if (r < 0)
            return r;
        trusted = path;
    }
    if (trusted != NULL && curl->easy_setopt(call->easy, CURLOPT_CAINFO, trusted) != CURLE_OK)
        return -ENOMEM;
    if (call->client->trusted != NULL || has_system)
        curl->easy_setopt(call->easy, CURLOPT_CAPATH, NULL);
    return 0;
}

/* Options that are the same for every call. */
static void set_options(struct web_call *call)
{
    const struct curl_library *curl = call->client->curl;
    CURL *e = call->easy;
    curl->easy_setopt(e, CURLOPT_PRIVATE, (char *)call);
    curl->easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl->easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl->easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
    curl->easy_setopt(e, CURLOPT_PROXY, "");
    curl->easy_setopt(e, CURLOPT_FORBID_REUSE, 1L);
    curl->easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl->easy_setopt(e, CURLOPT_TCP_NODELAY, 1L);
    curl->easy_setopt(e, CURLOPT_BUFFERSIZE, TRANSFER_BUFFER);
    curl->easy_setopt(e, CURLOPT_UPLOAD_BUFFERSIZE, TRANSFER_BUFFER);
    curl->easy_setopt(e, CURLOPT_ERRORBUFFER, call->error_text);
    curl->easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
    curl->easy_setopt(e, CURLOPT_HEADERDATA, call);
    curl->easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
    curl->easy_setopt(e, CURLOPT_WRITEDATA, call);
}

static struct web_call *call_new(struct web_client *c)
{
    struct web_call *call = calloc(1, sizeof(*call));
    if (call == NULL)
        return NULL;
    call->easy = c->curl->easy_init();
    if (call->easy == NULL) {
        free(call);
        return NULL;
    }
    call->client = c;
    list_init(&call->link);
    set_options(call);
    return call;
}

static void web_cancel(struct http_call *base)
{
    struct web_call *call = container_of(base, struct web_call, call);
    call->client->curl->multi_remove_handle(call->client->multi, call->easy);
    call_retire(call);
}

/* Header lines in one buffer, and list nodes that point into it: libcurl only reads them. 0,
 * -EINVAL, -ENOMEM. */
static int set_headers(struct web_call *call, const struct http_call_options *o)
{
    /* No Expect: 100-continue, and no headers that libcurl would add by itself. */
    static const char *const suppressed[] = {"Expect:", "Accept:", "Content-Type:"};
    size_t nodes = o->header_count + COUNT_OF(suppressed);
    call->header_nodes = calloc(nodes, sizeof(*call->header_nodes));
    if (call->header_nodes == NULL)
        return -ENOMEM;
    for (unsigned i = 0; i < o->header_count; i++) {
        const struct http_call_header *h = &o->headers[i];
        if (call_header_is_bad(h))
            return -EINVAL;
        buf_add_slice(&call->header_text, h->name);
        buf_add_text(&call->header_text, h->value.len > 0 ? ": " : ";");
        buf_add_slice(&call->header_text, h->value);
        buf_add_byte(&call->header_text, '\0');
    }
    for (size_t i = 0; i < COUNT_OF(suppressed); i++)
        buf_add(&call->header_text, suppressed[i], strlen(suppressed[i]) + 1);
    if (!buf_ok(&call->header_text))
        return -ENOMEM;
    char *at = call->header_text.ptr;
    for (size_t i = 0; i < nodes; i++) {
        call->header_nodes[i].data = at;
        call->header_nodes[i].next = i + 1 < nodes ? &call->header_nodes[i + 1] : NULL;
        at += strlen(at) + 1;
    }
    call->client->curl->easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->header_nodes);
    return 0;
}

static void set_method_and_body(struct web_call *call, const struct http_call_options *o)
{
    const struct curl_library *curl = call->client->curl;
    CURL *e = call->easy;
    if (strcmp(o->method, "HEAD") == 0)
        curl->easy_setopt(e, CURLOPT_NOBODY, 1L);
    else if (strcmp(o->method, "GET") != 0 || o->body.len > 0)
        curl->easy_setopt(e, CURLOPT_POST, 1L);
    else
        return;
    curl->easy_setopt(e, CURLOPT_CUSTOMREQUEST, o->method);
    if (o->body.len == 0 && strcmp(o->method, "HEAD") == 0)
        return;
    curl->easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)o->body.len);
    curl->easy_setopt(e, CURLOPT_POSTFIELDS, o->body.len > 0 ? o->body.ptr : "");
}

static long whole_milliseconds(uint64_t ns)
{
    uint64_t ms = (ns + CLOCK_MILLISECOND - 1) / CLOCK_MILLISECOND;
    return ms > LONG_MAX ? LONG_MAX : (long)ms;
}

int web_client_call(struct web_client *c, const struct http_call_options *o, struct http_call **ret)
{
    struct web_call *call = call_new(c);
    if (call == NULL)
        return -ENOMEM;
    call->response_max = o->response_max > 0 ? o->response_max : CALL_RESPONSE_MAX_DEFAULT;
    call->trust = http_trust_ref(o->trust);
    call_begin(&call->call, o, web_cancel);
    int r = set_authorities(call);
    if (r == 0)
        r = set_headers(call, o);
    if (r == 0 && c->curl->easy_setopt(call->easy, CURLOPT_URL, o->url) != CURLE_OK)
        r = -ENOMEM;
    if (r == 0) {
        uint64_t timeout = o->timeout_ns > 0 ? o->timeout_ns : CALL_TIMEOUT_DEFAULT;
        c->curl->easy_setopt(call->easy, CURLOPT_TIMEOUT_MS, whole_milliseconds(timeout));
        set_method_and_body(call, o);
        if (c->curl->multi_add_handle(c->multi, call->easy) != CURLM_OK)
            r = -ENOMEM;
    }
    if (r < 0) {
        call_free(call);
        return r;
    }
    list_append(&c->running, &call->link);
    *ret = &call->call;
    return 0;
}
