/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies, budgets and deadlines of the HTTP server. */
#include "http/server.h"

#include "base/clock.h"
#include "peer.h"

#include <pthread.h>

static void answer_length(struct http_request *r, void *ctx)
{
    http_respond_errorf(r, 200, "%zu bytes", http_request_body(r).len);
}

static struct http_request *kept;

static void keep(struct http_request *r, void *ctx)
{
    __atomic_store_n(&kept, r, __ATOMIC_RELEASE);
}

static void answer_much(struct http_request *r, void *ctx)
{
    static const size_t len = 32 * 1024 * 1024;
    struct http_response response = {
        .status = 200, .body = slice_of(NULL, len), .body_owned = calloc(1, len)};
    http_respond(r, &response);
}

static const struct http_route routes[] = {
    {HTTP_POST, "/small", answer_length, NULL, HTTP_ROLE_PUBLIC, 1000, false, NULL},
    {HTTP_POST, "/large", answer_length, NULL, HTTP_ROLE_PUBLIC, 1 << 20, false, NULL},
    {HTTP_POST, "/keep", keep, NULL, HTTP_ROLE_PUBLIC, 1 << 20, false, NULL},
    {HTTP_GET, "/much", answer_much, NULL, HTTP_ROLE_PUBLIC, 0, false, NULL},
};

static struct http_server *server;
static const char *address;

static void start(unsigned threads, unsigned connections_max)
{
    struct http_server_options options = {.listen = "127.0.0.1:0",
                                          .listen_fd = -1,
                                          .threads = threads,
                                          .connections_max = connections_max,
                                          .routes = routes,
                                          .route_count = sizeof(routes) / sizeof(routes[0]),
                                          .check_host = true,
                                          .body_budget = 300000,
                                          .header_timeout_s = 1,
                                          .body_timeout_s = 1,
                                          .idle_timeout_s = 1,
                                          .stop_timeout_s = 1};
    struct error err = ERROR_INIT;
    if (http_server_start(&options, &server, &err) < 0)
        fail_msg("%s", err.message);
    address = http_server_address(server);
    __atomic_store_n(&kept, NULL, __ATOMIC_RELEASE);
}

static int setup(void **state)
{
    start(2, 0);
    return 0;
}

static int teardown(void **state)
{
    http_server_stop(server);
    return 0;
}

/* A request with a body of that many bytes. */
static void make_request(struct buf *out, const char *path, size_t len, const char *more)
{
    buf_reset(out);
    buf_printf(out, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n%s\r\n", path,
               len, more);
    char *body = buf_reserve(out, len);
    memset(body, 'x', len);
    out->len += len;
}

static void make_chunked(struct buf *out, const char *path, size_t len)
{
    static const char chunk[4096] = {0};
    buf_reset(out);
    buf_printf(out, "POST %s HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
               path);
    for (size_t sent = 0; sent < len; sent += sizeof(chunk)) {
        size_t n = len - sent < sizeof(chunk) ? len - sent : sizeof(chunk);
        buf_printf(out, "%zx\r\n", n);
        buf_add(out, chunk, n);
        buf_add_text(out, "\r\n");
    }
    buf_add_text(out, "0\r\n\r\n");
}

/* The budget that the request before took is given back once its answer is sent, which the peer may
 * see a little earlier. */
static int ask_with_room(struct slice request, struct buf *out)
{
    int status = peer_ask(address, request, out);
    for (int i = 0; i < 1000 && status == 429; i++) {
        usleep(10000);
        status = peer_ask(address, request, out);
    }
    return status;
}

static void takes_bodies_up_to_the_limit(void **state)
{
    autobuf request = BUF_INIT, out = BUF_INIT;
    static const size_t sizes[] = {0, 1, 999, 1000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        char expected[32];
        snprintf(expected, sizeof(expected), "\"%zu bytes\"", sizes[i]);
        make_request(&request, "/small", sizes[i], "");
        assert_int_equal(peer_ask(address, buf_slice(&request), &out), 200);
        assert_non_null(strstr(out.ptr, expected));
        make_chunked(&request, "/small", sizes[i]);
        assert_int_equal(peer_ask(address, buf_slice(&request), &out), 200);
        assert_non_null(strstr(out.ptr, expected));
    }
    make_request(&request, "/large", 250000, "");
    assert_int_equal(ask_with_room(buf_slice(&request), &out), 200);
    make_chunked(&request, "/large", 250000);
    assert_int_equal(ask_with_room(buf_slice(&request), &out), 200);
    assert_non_null(strstr(out.ptr, "\"250000 bytes\""));
}

static void refuses_larger_ones(void **state)
{
    autobuf request = BUF_INIT, out = BUF_INIT;
    static const size_t sizes[] = {1001, 65536, 65537, 2000000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        make_request(&request, "/small", sizes[i], "");
        assert_int_equal(peer_ask(address, buf_slice(&request), &out), 413);
        assert_non_null(strstr(out.ptr, "the body is larger than 1000 bytes"));
        make_chunked(&request, "/small", sizes[i]);
        assert_int_equal(peer_ask(address, buf_slice(&request), &out), 413);
    }
    make_request(&request, "/much", 70000, "");
    assert_int_equal(peer_ask(address, buf_slice(&request), &out), 405);
    make_request(&request, "/nowhere", 70000, "");
    assert_int_equal(peer_ask(address, buf_slice(&request), &out), 404);
    assert_int_equal(peer_ask(address,
                              SLICE("GET /much HTTP/1.1\r\nHost: localhost\r\nContent-Length: "
                                    "1\r\n\r\nx"),
                              &out),
                     413);
    assert_non_null(strstr(out.ptr, "no body is taken here"));
}

/* A client that waits for leave gets the refusal at once, and sends nothing. */
static void refuses_before_the_body_when_asked(void **state)
{
    autobuf in = BUF_INIT, out = BUF_INIT;
    int fd = peer_connect(address);
    peer_send(
        fd, SLICE("POST /small HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\nExpect: "
                  "100-continue\r\n\r\n"));
    assert_true(peer_answer(fd, &in, &out, false));
    assert_true(slice_starts(buf_slice(&out), "HTTP/1.1 413"));
    assert_true(peer_closed(fd));
    close(fd);
    assert_int_equal(peer_ask(address,
                              SLICE("POST /small HTTP/1.1\r\nHost: localhost\r\nContent-Length: "
                                    "99999999999999999999999\r\n\r\n"),
                              &out),
                     413);
}

static const char small_request[] = "POST /small HTTP/1.1\r\nHost: localhost\r\n\r\n";
static const char keep_request[] =
    "POST /keep HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\na";

/* Sends a request for /keep; gives its connection once the handler has it. */
static int have_kept(struct slice request)
{
    int fd = peer_connect(address);
    __atomic_store_n(&kept, NULL, __ATOMIC_RELEASE);
    peer_send(fd, request);
    for (int i = 0; i < 10000 && __atomic_load_n(&kept, __ATOMIC_ACQUIRE) == NULL; i++)
        usleep(1000);
    assert_non_null(__atomic_load_n(&kept, __ATOMIC_ACQUIRE));
    return fd;
}

static void keeps_to_its_budget(void **state)
{
    autobuf request = BUF_INIT, out = BUF_INIT, in = BUF_INIT;
    make_request(&request, "/keep", 200000, "");
    int fd = have_kept(buf_slice(&request));
    make_request(&request, "/large", 150000, "");
    assert_int_equal(peer_ask(address, buf_slice(&request), &out), 429);
    assert_non_null(strstr(out.ptr, "\r\nRetry-After: 1\r\n"));
    make_chunked(&request, "/large", 150000);
    assert_int_equal(peer_ask(address, buf_slice(&request), &out), 429);
    make_request(&request, "/small", 1000, ""); /* small ones are never in the way */
    assert_int_equal(peer_ask(address, buf_slice(&request), &out), 200);
    http_respond_empty(kept, 202);
    assert_true(peer_answer(fd, &in, &out, false));
    close(fd);
    make_request(&request, "/large", 150000, "");
    assert_int_equal(ask_with_room(buf_slice(&request), &out), 200);
}

static void limits_headers(void **state)
{
    autobuf request = BUF_INIT, out = BUF_INIT;
    buf_add_text(&request, "POST /small HTTP/1.1\r\nHost: localhost\r\nX: ");
    for (int i = 0; i < 10000; i++)
        buf_add_byte(&request, 'y');
    buf_add_text(&request, "\r\n\r\n");
    assert_int_equal(peer_ask(address, buf_slice(&request), &out), 200);
    buf_reset(&request);
    buf_add_text(&request, "POST /small HTTP/1.1\r\nHost: localhost\r\n");
    for (int i = 0; i < 100000; i++)
        buf_add_text(&request, "X: y\r\n");
    buf_add_text(&request, "\r\n");
    assert_int_equal(peer_ask(address, buf_slice(&request), &out), 431);
    buf_reset(&request);
    buf_add_text(&request, "POST /");
    for (int i = 0; i < 100000; i++)
        buf_add_byte(&request, 'y');
    buf_add_text(&request, " HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_int_equal(peer_ask(address, buf_slice(&request), &out), 414);
}

/* Sends a byte now and then, well within any time-out per inactivity, until it is cut off: without
 * a limit to the whole that is never. */
static bool is_cut(const char *head, const char *byte)
{
    int fd = peer_connect(address);
    uint64_t begin = clock_monotonic();
    bool cut = false;
    peer_send(fd, slice_text(head));
    while (!cut && clock_monotonic() - begin < 20 * CLOCK_SECOND) {
        char c[4096];
        struct pollfd p = {.fd = fd, .events = POLLIN};
        cut = poll(&p, 1, 100) > 0 && recv(fd, c, sizeof(c), 0) <= 0;
        peer_send(fd, slice_text(byte));
    }
    close(fd);
    return cut;
}

static void cuts_slow_clients(void **state)
{
    assert_true(is_cut("", ""));                           /* never says anything */
    assert_true(is_cut("GET /mu", "c"));                   /* a request line without end */
    assert_true(is_cut("GET /much HTTP/1.1\r\nX: ", "y")); /* headers without end */
    assert_true(
        is_cut("POST /large HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n\r\n", "y"));
    assert_true(
        is_cut("POST /large HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
               "1\r\ny\r\n"));
    /* after an answer as well */
    assert_true(is_cut("POST /small HTTP/1.1\r\nHost: localhost\r\n\r\n", "P"));
}

static void cuts_idle_and_half_open_clients(void **state)
{
    autobuf in = BUF_INIT, out = BUF_INIT;
    int fd = peer_connect(address);
    peer_send(fd, SLICE("POST /small HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    assert_true(peer_answer(fd, &in, &out, false));
    assert_true(peer_closed(fd));
    close(fd);
    fd = peer_connect(address);
    peer_send(fd,
              SLICE("POST /large HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc"));
    shutdown(fd, SHUT_WR);
    assert_true(peer_closed(fd));
    close(fd);
}

/* However long nothing happened before: a new connection has all its time. */
static void gives_new_connections_their_time(void **state)
{
    autobuf in = BUF_INIT, out = BUF_INIT;
    usleep(2500000);
    int fds[8];
    for (int i = 0; i < 8; i++)
        fds[i] = peer_connect(address);
    usleep(300000);
    for (int i = 0; i < 8; i++) {
        peer_send(fds[i], SLICE("POST /small HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        assert_true(peer_answer(fds[i], &in, &out, false));
        close(fds[i]);
    }
}

/* A kept request is not cut, however long its answer takes. */
static void waits_for_answers(void **state)
{
    autobuf in = BUF_INIT, out = BUF_INIT;
    int fd = have_kept(slice_text(keep_request));
    usleep(3500000); /* longer than every time-out */
    http_respond_empty(kept, 202);
    assert_true(peer_answer(fd, &in, &out, false));
    assert_true(slice_starts(buf_slice(&out), "HTTP/1.1 202"));
    close(fd);
}

/* The server may be stopped as soon as the call that answers has returned; the peer gets the
 * answer. */
static void sends_the_last_answer(void **state)
{
    autobuf in = BUF_INIT, out = BUF_INIT;
    for (int round = 0; round < 50; round++) {
        int fd = have_kept(slice_text(keep_request));
        usleep(round % 3 * 1000);
        http_respond_empty(kept, 202);
        http_server_stop(server);
        assert_true(peer_answer(fd, &in, &out, false));
        assert_true(slice_starts(buf_slice(&out), "HTTP/1.1 202"));
        close(fd);
        setup(state);
    }
}

/* Returns once the server listens no more: it has begun to stop. */
static void wait_for_the_end(void)
{
    for (int late; (late = peer_connect(address)) >= 0; close(late))
        usleep(1000);
}

static void *answer_at_the_end(void *arg)
{
    wait_for_the_end();
    http_respond_empty(kept, 202);
    return NULL;
}

/* What is answered while the server stops is sent. */
static void stops_when_all_is_answered(void **state)
{
    autobuf in = BUF_INIT, out = BUF_INIT;
    for (int round = 0; round < 20; round++) {
        pthread_t thread;
        int fd = have_kept(slice_text(keep_request));
        assert_int_equal(pthread_create(&thread, NULL, answer_at_the_end, NULL), 0);
        if (round % 2 == 0) {
            http_server_refuse(server);
            while (!http_server_settled(server))
                usleep(1000);
        }
        http_server_stop(server);
        pthread_join(thread, NULL);
        assert_true(peer_answer(fd, &in, &out, false));
        assert_true(slice_starts(buf_slice(&out), "HTTP/1.1 202"));
        close(fd);
        setup(state);
    }
}

static void settles_when_all_is_answered(void **state)
{
    int fd = have_kept(slice_text(keep_request));
    assert_false(http_server_settled(server));
    http_server_refuse(server);
    wait_for_the_end();
    assert_false(http_server_settled(server));
    http_respond_empty(kept, 202);
    for (int i = 0; i < 10000 && !http_server_settled(server); i++)
        usleep(1000);
    assert_true(http_server_settled(server));
    close(fd);
}

/* What nobody answers does not hold the server up for ever, and its answer may come late. */
static void stops_without_an_answer(void **state)
{
    int fd = have_kept(slice_text(keep_request));
    http_server_stop(server);
    assert_true(peer_closed(fd));
    http_respond_errorf(kept, 503, "too late");
    close(fd);
    setup(state);
}

/* A peer that goes away while its request is kept does no harm. */
static void stands_a_peer_that_left(void **state)
{
    autobuf in = BUF_INIT, out = BUF_INIT;
    http_server_stop(server);
    start(1, 0); /* one thread learns of one thing after the other */
    int fd = have_kept(slice_text(keep_request));
    struct linger reset = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(fd);
    assert_int_equal(peer_ask(address, slice_text(small_request), &out), 200);
    http_respond_empty(kept, 202);
    assert_int_equal(peer_ask(address, slice_text(small_request), &out), 200);
}

static bool is_served(int fd)
{
    autobuf in = BUF_INIT, out = BUF_INIT;
    return peer_answer(fd, &in, &out, false) && slice_starts(buf_slice(&out), "HTTP/1.1 200");
}

/* At the limit the next peer waits for no longer than until one leaves. */
static void serves_the_next_when_one_leaves(void **state)
{
    http_server_stop(server);
    start(2, 2);
    int fds[3];
    for (int i = 0; i < 2; i++) {
        fds[i] = peer_connect(address);
        peer_send(fds[i], slice_text(small_request));
        assert_true(is_served(fds[i]));
    }
    uint64_t begin = clock_monotonic();
    for (int round = 0; round < 20; round++) {
        fds[2] = peer_connect(address);
        peer_send(fds[2], slice_text(small_request));
        close(fds[0]);
        assert_true(is_served(fds[2]));
        fds[0] = fds[1];
        fds[1] = fds[2];
    }
    assert_true(clock_monotonic() - begin < 10 * CLOCK_SECOND); /* a second for each, once */
    close(fds[0]);
    close(fds[1]);
}

/* A reader that takes nothing is cut although the answer was given. */
static void cuts_readers_that_do_not_read(void **state)
{
    int fd = peer_connect(address);
    peer_send(fd, SLICE("GET /much HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    usleep(4000000);
    char bytes[65536];
    size_t total = 0;
    for (ssize_t n; (n = recv(fd, bytes, sizeof(bytes), 0)) > 0;)
        total += (size_t)n;
    assert_true(total < 32 * 1024 * 1024);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(takes_bodies_up_to_the_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_larger_ones, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_before_the_body_when_asked, setup, teardown),
        cmocka_unit_test_setup_teardown(keeps_to_its_budget, setup, teardown),
        cmocka_unit_test_setup_teardown(limits_headers, setup, teardown),
        cmocka_unit_test_setup_teardown(cuts_slow_clients, setup, teardown),
        cmocka_unit_test_setup_teardown(cuts_idle_and_half_open_clients, setup, teardown),
        cmocka_unit_test_setup_teardown(gives_new_connections_their_time, setup, teardown),
        cmocka_unit_test_setup_teardown(waits_for_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(sends_the_last_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(stops_when_all_is_answered, setup, teardown),
        cmocka_unit_test_setup_teardown(settles_when_all_is_answered, setup, teardown),
        cmocka_unit_test_setup_teardown(stops_without_an_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(serves_the_next_when_one_leaves, setup, teardown),
        cmocka_unit_test_setup_teardown(stands_a_peer_that_left, setup, teardown),
        cmocka_unit_test_setup_teardown(cuts_readers_that_do_not_read, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
