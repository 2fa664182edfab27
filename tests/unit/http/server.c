/* SPDX-License-Identifier: Apache-2.0 */
#include "http/server.h"

#include "base/clock.h"
#include "base/encoding.h"
#include "peer.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/un.h>

/* ---- a thread that answers what handlers hand to it ---- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t thread;
    struct http_request *waiting[1024];
    unsigned count;
    bool stop;
} later = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

static void *later_main(void *arg)
{
    pthread_mutex_lock(&later.lock);
    while (!later.stop || later.count > 0) {
        if (later.count == 0) {
            pthread_cond_wait(&later.wake, &later.lock);
            continue;
        }
        struct http_request *r = later.waiting[--later.count];
        pthread_mutex_unlock(&later.lock);
        struct http_response response = {
            .status = 200, .content_type = "text/plain", .body = http_request_body(r)};
        http_respond(r, &response);
        pthread_mutex_lock(&later.lock);
    }
    pthread_mutex_unlock(&later.lock);
    return NULL;
}

static void answer_later(struct http_request *r, void *ctx)
{
    pthread_mutex_lock(&later.lock);
    assert_true(later.count < 1024);
    later.waiting[later.count++] = r;
    pthread_cond_signal(&later.wake);
    pthread_mutex_unlock(&later.lock);
}

/* ---- handlers ---- */

static void *answer_empty(void *r)
{
    http_respond_empty(r, 202);
    return NULL;
}

/* The answer is there before the handler returns, from another thread. */
static void answer_elsewhere(struct http_request *r, void *ctx)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, answer_empty, r), 0);
    pthread_join(thread, NULL);
}

static void answer_param(struct http_request *r, void *ctx)
{
    struct slice name = http_request_param(r, "name"), q = http_request_query_value(r, "q");
    char *text = NULL;
    int len = asprintf(&text, SLICE_FMT "|" SLICE_FMT "|%s", SLICE_ARG(name), SLICE_ARG(q),
                       q.ptr != NULL ? "q" : "none");
    struct http_header header = {SLICE("X-Two"), SLICE("2")};
    struct http_response response = {.status = 200,
                                     .content_type = "text/plain",
                                     .headers = &header,
                                     .header_count = 1,
                                     .body = slice_of(NULL, (size_t)len),
                                     .body_owned = text};
    assert_null(http_request_param(r, "nope").ptr);
    http_respond(r, &response);
}

static void answer_headers(struct http_request *r, void *ctx)
{
    static char value[3000];
    memset(value, 'v', sizeof(value));
    struct http_header headers[5];
    uint64_t count = 0;
    for (size_t i = 0; i < 5; i++)
        headers[i] = (struct http_header){SLICE("X-Big"), slice_of(value, sizeof(value))};
    assert_int_equal(encoding_parse_u64(http_request_param(r, "count"), &count), 0);
    struct http_response response = {
        .status = 200, .headers = headers, .header_count = count, .body_owned = calloc(1, 1)};
    http_respond(r, &response);
}

static void count_header(void *ctx, struct slice name, struct slice value)
{
    ++*(unsigned *)ctx;
}

static void answer_header(struct http_request *r, void *ctx)
{
    unsigned count = 0;
    http_request_each_header(r, count_header, &count);
    char *memory = http_request_alloc(r, 5000);
    assert_non_null(memory);
    memset(memory, 0, 5000);
    http_request_set_state(r, memory);
    assert_ptr_equal(http_request_state(r), memory);
    assert_string_equal(http_request_method_text(r), "GET");
    assert_int_equal(http_request_method(r), HTTP_GET);
    assert_true(slice_is(http_request_path(r), "/header"));
    assert_true(slice_is(http_request_query(r), "a=b?c&d"));
    assert_null(http_request_header(r, "X-None").ptr);
    http_respond_errorf(r, 418, SLICE_FMT "|%u", SLICE_ARG(http_request_header(r, "x-MINE")),
                        count);
}

static void answer_busy(struct http_request *r, void *ctx)
{
    struct error err = ERROR_INIT;
    error_field(&err, -EAGAIN, "spec.x", "too \"busy\"");
    http_respond_error(r, 503, &err);
}

static const struct http_route routes[] = {
    {HTTP_POST, "/later", answer_later, NULL, HTTP_ROLE_PUBLIC, 1 << 20, false, NULL},
    {HTTP_POST, "/elsewhere", answer_elsewhere, NULL, HTTP_ROLE_PUBLIC, 100, true, NULL},
    {HTTP_GET, "/hello/{name}", answer_param, NULL, HTTP_ROLE_PUBLIC, 0, false, NULL},
    {HTTP_GET, "/header", answer_header, NULL, HTTP_ROLE_PUBLIC, 0, false, NULL},
    {HTTP_GET, "/headers/{count}", answer_headers, NULL, HTTP_ROLE_PUBLIC, 0, false, NULL},
    {HTTP_ANY, "/busy", answer_busy, NULL, HTTP_ROLE_PUBLIC, 0, false, NULL},
};

static _Atomic unsigned observed, observed_routes;

static void observe(void *ctx, const struct http_route *route, unsigned status,
                    uint64_t duration_ns)
{
    observed++;
    observed_routes += route != NULL;
    assert_true(duration_ns < 60 * CLOCK_SECOND);
}

static struct http_server *server;

static void start(const char *listen, int fd, unsigned threads)
{
    struct http_server_options options = {.listen = listen,
                                          .listen_fd = fd,
                                          .threads = threads,
                                          .routes = routes,
                                          .route_count = sizeof(routes) / sizeof(routes[0]),
                                          .check_host = true,
                                          .observe = observe};
    struct error err = ERROR_INIT;
    if (http_server_start(&options, &server, &err) < 0)
        fail_msg("%s", err.message);
}

static int setup(void **state)
{
    start("127.0.0.1:0", -1, 2);
    later.stop = false;
    return pthread_create(&later.thread, NULL, later_main, NULL);
}

/* The server first: it waits for what is with the thread. */
static int teardown(void **state)
{
    http_server_stop(server);
    pthread_mutex_lock(&later.lock);
    later.stop = true;
    pthread_cond_signal(&later.wake);
    pthread_mutex_unlock(&later.lock);
    pthread_join(later.thread, NULL);
    return 0;
}

static int ask(const char *request, struct buf *out)
{
    return peer_ask(http_server_address(server), slice_text(request), out);
}

#define END " HTTP/1.1\r\nHost: localhost\r\n\r\n"

static void answers_at_once(void **state)
{
    autobuf out = BUF_INIT;
    assert_int_equal(ask("GET /hello/a%20b?x=1&q=c%2fd+e" END, &out), 200);
    assert_non_null(strstr(out.ptr, "\r\n\r\na b|c/d e|q"));
    assert_non_null(strstr(out.ptr, "\r\nContent-Type: text/plain\r\n"));
    assert_non_null(strstr(out.ptr, "\r\nX-Two: 2\r\n"));
    assert_int_equal(ask("GET /hello/x" END, &out), 200);
    assert_non_null(strstr(out.ptr, "\r\n\r\nx||none"));
    assert_int_equal(ask("GET /hello/x?qq=1&q" END, &out), 200);
    assert_non_null(strstr(out.ptr, "\r\n\r\nx||q"));
    assert_int_equal(ask("GET http://localhost/hello/x?q=%zz%" END, &out), 200);
    assert_non_null(strstr(out.ptr, "\r\n\r\nx|%zz%|q"));
    assert_int_equal(ask("HEAD /hello/x" END, &out), 200);
    assert_non_null(strstr(out.ptr, "Content-Length: 7\r\n"));
    assert_int_equal(
        ask("GET /header?a=b?c&d HTTP/1.1\r\nHost: localhost\r\nX-Mine: 5\r\n\r\n", &out), 418);
    assert_non_null(strstr(out.ptr, "\"message\":\"5|2\""));
}

static void answers_errors_in_json(void **state)
{
    autobuf out = BUF_INIT;
    assert_int_equal(ask("GET /busy" END, &out), 503);
    assert_non_null(strstr(out.ptr, "\r\nRetry-After: 1\r\n"));
    assert_non_null(strstr(out.ptr, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(out.ptr, "\r\n\r\n{\"error\":{\"status\":503,\"reason\":\"Service "
                                    "Unavailable\",\"message\":\"too \\\"busy\\\"\",\"field\":"
                                    "\"spec.x\"}}\n"));
    assert_int_equal(ask("BREW /busy" END, &out), 503);
    assert_int_equal(ask("GET /nowhere" END, &out), 404);
    assert_non_null(strstr(out.ptr, "there is nothing at /nowhere"));
    assert_int_equal(ask("GET /later" END, &out), 405);
    assert_non_null(strstr(out.ptr, "\r\nAllow: POST, OPTIONS\r\n"));
    assert_int_equal(ask("BREW /later" END, &out), 405);
    assert_int_equal(ask("OPTIONS /hello/x" END, &out), 204);
    assert_non_null(strstr(out.ptr, "\r\nAllow: GET, HEAD, OPTIONS\r\n"));
    assert_int_equal(ask("OPTIONS *" END, &out), 204);
    assert_int_equal(ask("GET *" END, &out), 400);
    assert_int_equal(ask("GET /hello/a%2Fb" END, &out), 400);
    assert_int_equal(ask("GET /hello/.." END, &out), 400);
}

static void limits_the_header_of_an_answer(void **state)
{
    autobuf out = BUF_INIT;
    assert_int_equal(ask("GET /headers/4" END, &out), 200);
    assert_true(out.len > 12000);
    assert_int_equal(ask("GET /headers/5" END, &out), 500);
    assert_non_null(strstr(out.ptr, "header fields take"));
}

static void answers_later(void **state)
{
    autobuf out = BUF_INIT;
    assert_int_equal(
        ask("POST /later HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello", &out),
        200);
    assert_non_null(strstr(out.ptr, "\r\n\r\nhello"));
    assert_int_equal(
        ask("POST /later HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
            "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
            &out),
        200);
    assert_non_null(strstr(out.ptr, "\r\n\r\nhello"));
    assert_int_equal(ask("POST /elsewhere" END, &out), 202);
}

static void serves_several_requests_on_a_connection(void **state)
{
    autobuf in = BUF_INIT, out = BUF_INIT;
    int fd = peer_connect(http_server_address(server));
    peer_send(fd,
              SLICE("POST /later HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\none"
                    "GET /hello/two" END "GET /nowhere" END
                    "POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nskip"
                    "POST /elsewhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 101\r\n\r\n"));
    char skipped[101] = {0};
    peer_send(fd, slice_of(skipped, sizeof(skipped)));
    peer_send(fd, SLICE("POST /elsewhere" END));
    static const char *const expected[] = {"HTTP/1.1 200", "HTTP/1.1 200", "HTTP/1.1 404",
                                           "HTTP/1.1 404", "HTTP/1.1 413", "HTTP/1.1 202"};
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        assert_true(peer_answer(fd, &in, &out, false));
        assert_true(slice_starts(buf_slice(&out), expected[i]));
    }
    close(fd);
}

/* More requests than a connection may have in one turn, answered by another thread, and in every
 * other round a peer that leaves before it has read them all: some are still with that thread when
 * the server stops. */
static void serves_long_pipelines(void **state)
{
    autobuf request = BUF_INIT;
    for (int i = 0; i < 200; i++)
        buf_add_text(&request, i % 3 == 0 ? "GET /hello/x" END
                                          : "POST /later HTTP/1.1\r\nHost: localhost\r\n"
                                            "Content-Length: 3\r\n\r\nabc");
    for (int round = 0; round < 20; round++) {
        autobuf in = BUF_INIT, out = BUF_INIT;
        int fd = peer_connect(http_server_address(server));
        peer_send(fd, slice_of(request.ptr, request.len / 2));
        peer_send(fd, slice_of(request.ptr + request.len / 2, request.len - request.len / 2));
        for (int i = 0; i < (round % 2 == 0 ? 200 : 100); i++) {
            assert_true(peer_answer(fd, &in, &out, false));
            assert_true(slice_starts(buf_slice(&out), "HTTP/1.1 200"));
        }
        close(fd);
    }
}

static void *ask_often(void *arg)
{
    autobuf in = BUF_INIT, out = BUF_INIT;
    int fd = peer_connect(http_server_address(server));
    for (int i = 0; i < 200; i++) {
        autobuf request = BUF_INIT;
        size_t len = (size_t)(i * 37 % 9000);
        buf_printf(&request,
                   "POST /later HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %zu\r\n\r\n", len);
        char *body = buf_reserve(&request, len);
        memset(body, 'a' + i % 26, len);
        request.len += len;
        peer_send(fd, buf_slice(&request));
        bool good = peer_answer(fd, &in, &out, false) && out.len > len &&
                    memcmp(out.ptr + out.len - len, request.ptr + request.len - len, len) == 0;
        if (!good) {
            close(fd);
            return "a wrong answer";
        }
    }
    close(fd);
    return NULL;
}

static void serves_many_at_once(void **state)
{
    pthread_t threads[8];
    unsigned before = observed;
    for (int i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_often, NULL), 0);
    for (int i = 0; i < 8; i++) {
        void *problem;
        pthread_join(threads[i], &problem);
        assert_null(problem);
    }
    for (int i = 0; i < 1000 && observed < before + 1600; i++)
        usleep(1000); /* the last ones are counted after they were sent */
    assert_int_equal(observed - before, 1600);
}

static void refuses_what_smuggles(void **state)
{
    static const char *const requests[] = {
        "POST /later HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: "
        "2\r\n\r\nab",
        "POST /later HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: "
        "1\r\n\r\na",
        "POST /later HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: "
        "chunked\r\n\r\n0\r\n\r\n",
        "POST /later HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
        "Transfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        "GET /hello/x HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
        "GET /hello/x HTTP/1.1\r\nHost: localhost\r\nContent-Length : 5\r\n\r\n",
        "GET /hello/x HTTP/1.1\r\nHost: localhost\r\nX Y: 5\r\n\r\n",
        "POST /later HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        "POST /later HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1x\r\n\r\n",
        "GET /hello/x y HTTP/1.1\r\nHost: localhost\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        autobuf in = BUF_INIT, out = BUF_INIT;
        int fd = peer_connect(http_server_address(server));
        peer_send(fd, slice_text(requests[i]));
        assert_true(peer_answer(fd, &in, &out, false));
        if (!slice_starts(buf_slice(&out), "HTTP/1.1 400"))
            fail_msg("%s: %s", requests[i], out.ptr);
        assert_true(peer_closed(fd));
        close(fd);
    }
    autobuf out = BUF_INIT;
    assert_int_equal(peer_ask(http_server_address(server),
                              SLICE("GET /hello/x\0y HTTP/1.1\r\nHost: localhost\r\n\r\n"), &out),
                     400);
    assert_int_equal(
        ask("POST /later HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n", &out),
        501);
}

static void refuses_foreign_pages(void **state)
{
    autobuf out = BUF_INIT;
    assert_int_equal(ask("GET /hello/x HTTP/1.1\r\nHost: evil.com\r\n\r\n", &out), 421);
    assert_int_equal(ask("GET /nowhere HTTP/1.1\r\nHost: evil.com\r\n\r\n", &out), 421);
    assert_int_equal(ask("POST /elsewhere HTTP/1.1\r\nHost: b.n.svc.cluster.local\r\n\r\n", &out),
                     202);
    assert_int_equal(ask("POST /later HTTP/1.1\r\nHost: b.n.svc.cluster.local\r\n\r\n", &out), 421);
    assert_int_equal(ask("GET /hello/x HTTP/1.1\r\n\r\n", &out), 400);
    assert_int_equal(ask("GET http://evil.com/hello/x HTTP/1.1\r\nHost: localhost\r\n\r\n", &out),
                     400);
    assert_int_equal(
        ask("GET /hello/x HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\n\r\n", &out),
        403);
    assert_non_null(strstr(out.ptr, "\"field\":\"Origin\""));
}

/* A request whose body of three bytes is waited for, which the server has said. */
static int begin_post(void)
{
    autobuf in = BUF_INIT, out = BUF_INIT;
    int fd = peer_connect(http_server_address(server));
    peer_send(fd, SLICE("POST /later HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n"
                        "Expect: 100-continue\r\n\r\n"));
    assert_true(peer_answer(fd, &in, &out, false));
    assert_true(slice_starts(buf_slice(&out), "HTTP/1.1 100"));
    return fd;
}

/* The server's socket of this connection. */
static int other_end(int fd)
{
    struct sockaddr_in mine = {0}, theirs = {0};
    socklen_t len = sizeof(mine);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&mine, &len), 0);
    for (int other = 3; other < 1024; other++) {
        len = sizeof(theirs);
        if (getpeername(other, (struct sockaddr *)&theirs, &len) == 0 && len == sizeof(theirs) &&
            theirs.sin_family == AF_INET && theirs.sin_port == mine.sin_port)
            return other;
    }
    fail_msg("the server has no such connection");
    return -1;
}

/* New connections are closed; what is in progress is answered, and the answer says that it is the
 * last (RFC 9112 §9.6). */
static void quiesces(void **state)
{
    autobuf in = BUF_INIT, out = BUF_INIT;
    int fd = begin_post();
    http_server_quiesce(server);
    http_server_quiesce(server);
    for (int late; (late = peer_connect(http_server_address(server))) >= 0; close(late))
        assert_true(peer_closed(late)); /* at once, and not when its time is up */
    peer_send(fd, SLICE("one"));
    assert_true(peer_answer(fd, &in, &out, false));
    assert_true(slice_starts(buf_slice(&out), "HTTP/1.1 200"));
    assert_non_null(strstr(out.ptr, "\r\nConnection: close\r\n"));
    assert_true(peer_closed(fd));
    close(fd);
}

/* A connection whose next request is there in part. */
static int begin_get(const char *part)
{
    autobuf in = BUF_INIT, out = BUF_INIT, request = BUF_INIT;
    int fd = peer_connect(http_server_address(server));
    buf_printf(&request, "GET /hello/x" END "%s", part);
    peer_send(fd, buf_slice(&request));
    assert_true(peer_answer(fd, &in, &out, false));
    return fd;
}

/* No handler sees what becomes whole after that. */
static void refuses_at_the_end(void **state)
{
    const struct {
        int fd;
        const char *rest;
    } begun[] = {{begin_post(), "one"}, {begin_get("GET /hel"), "lo/x" END}};
    http_server_refuse(server);
    for (int i = 0; i < 10000 && !http_server_settled(server); i++)
        usleep(1000);
    assert_true(http_server_settled(server));
    for (size_t i = 0; i < sizeof(begun) / sizeof(begun[0]); i++) {
        autobuf in = BUF_INIT, out = BUF_INIT;
        peer_send(begun[i].fd, slice_text(begun[i].rest));
        assert_true(peer_answer(begun[i].fd, &in, &out, false));
        assert_true(slice_starts(buf_slice(&out), "HTTP/1.1 503"));
        assert_non_null(strstr(out.ptr, "the server is stopping"));
        assert_non_null(strstr(out.ptr, "\r\nConnection: close\r\n"));
        assert_true(peer_closed(begun[i].fd));
        close(begun[i].fd);
    }
}

/* A peer that vanishes is noticed, however long nothing is said. */
static void asks_whether_peers_are_there(void **state)
{
    static const struct {
        int level, name, value;
    } expected[] = {
        {SOL_SOCKET, SO_KEEPALIVE, 1},   {IPPROTO_TCP, TCP_NODELAY, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, 45}, {IPPROTO_TCP, TCP_KEEPINTVL, 15},
        {IPPROTO_TCP, TCP_KEEPCNT, 3},   {IPPROTO_TCP, TCP_USER_TIMEOUT, 90000},
    };
    autobuf in = BUF_INIT, out = BUF_INIT;
    int fd = peer_connect(http_server_address(server));
    peer_send(fd, SLICE("GET /hello/x" END));
    assert_true(peer_answer(fd, &in, &out, false));
    int accepted = other_end(fd);
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        int value = -1;
        socklen_t len = sizeof(value);
        assert_int_equal(getsockopt(accepted, expected[i].level, expected[i].name, &value, &len),
                         0);
        assert_int_equal(value, expected[i].value);
    }
    close(fd);
}

/* A thread on its way to sleep must not miss it, which takes luck to hit. */
static void stops_at_any_moment(void **state)
{
    struct http_server *mine = server;
    for (uint64_t i = 0; i < 3000; i++) {
        start("127.0.0.1:0", -1, 2);
        uint64_t begin = clock_monotonic();
        while (clock_monotonic() - begin < i % 200 * 500)
            ;
        http_server_stop(server);
    }
    server = mine;
}

static void listens_on_ipv6(void **state)
{
    struct http_server *mine = server;
    start("[::1]:0", -1, 1);
    autobuf out = BUF_INIT;
    assert_true(slice_starts(slice_text(http_server_address(server)), "[::1]:"));
    assert_int_equal(ask("GET /hello/x HTTP/1.1\r\nHost: [::1]:5\r\n\r\n", &out), 200);
    http_server_stop(server);
    server = mine;
}

static void says_why_it_does_not_start(void **state)
{
    static const char *const bad[] = {"nonsense", "127.0.0.1:x", "127.0.0.1:70000",
                                      "::1:80",   "192.0.2.1:0", "no.such.host.invalid:80"};
    for (size_t i = 0; i <= sizeof(bad) / sizeof(bad[0]); i++) {
        bool taken = i == sizeof(bad) / sizeof(bad[0]);
        struct http_server_options options = {
            .listen = taken ? http_server_address(server) : bad[i], .listen_fd = -1, .threads = 1};
        struct error err = ERROR_INIT;
        struct http_server *none = NULL;
        assert_true(http_server_start(&options, &none, &err) < 0);
        assert_null(none);
        assert_true(err.message[0] != '\0');
    }
}

/* As a worker does it: no threads, a Unix socket, the caller's epoll. */
static void runs_without_threads(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "/tmp/sluice-http-test-%d", getpid());
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 16), 0);
    struct http_server *mine = server;
    start(NULL, fd, 0);
    assert_int_equal(http_server_timeout_ms(server), -1);
    int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
    int loop = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    assert_int_equal(epoll_ctl(loop, EPOLL_CTL_ADD, http_server_fd(server), &event), 0);
    autobuf in = BUF_INIT;
    for (int round = 0; round < 3; round++) {
        peer_send(client, SLICE("POST /later HTTP/1.1\r\nHost: localhost\r\nContent-Length: "
                                "5\r\n\r\nhello"));
        buf_reset(&in);
        ssize_t n = -1;
        for (int i = 0; i < 1000 && n < 0; i++) {
            int wait = http_server_timeout_ms(server);
            epoll_wait(loop, &event, 1, wait < 0 || wait > 20 ? 20 : wait);
            http_server_run_once(server, 0, NULL);
            char *at = buf_reserve(&in, 4096);
            n = recv(client, at, 4095, 0);
        }
        assert_true(n > 0);
        in.ptr[n] = '\0';
        assert_non_null(strstr(in.ptr, "\r\n\r\nhello"));
    }
    close(client);
    close(loop);
    http_server_stop(server);
    unlink(address.sun_path);
    server = mine;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(answers_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(answers_errors_in_json, setup, teardown),
        cmocka_unit_test_setup_teardown(limits_the_header_of_an_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(answers_later, setup, teardown),
        cmocka_unit_test_setup_teardown(serves_several_requests_on_a_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(serves_long_pipelines, setup, teardown),
        cmocka_unit_test_setup_teardown(serves_many_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_what_smuggles, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_foreign_pages, setup, teardown),
        cmocka_unit_test_setup_teardown(quiesces, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_at_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(asks_whether_peers_are_there, setup, teardown),
        cmocka_unit_test_setup_teardown(stops_at_any_moment, setup, teardown),
        cmocka_unit_test_setup_teardown(listens_on_ipv6, setup, teardown),
        cmocka_unit_test_setup_teardown(says_why_it_does_not_start, setup, teardown),
        cmocka_unit_test_setup_teardown(runs_without_threads, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
