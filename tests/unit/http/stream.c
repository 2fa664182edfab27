/* SPDX-License-Identifier: Apache-2.0 */
#include "http/server.h"

#include "base/memory.h"
#include "peer.h"

#include <pthread.h>
#include <stdatomic.h>

static struct http_stream *_Atomic stream;
static _Atomic unsigned closed_count;

static void closed(void *ctx)
{
    assert_string_equal(ctx, "ctx");
    stream = NULL;
    closed_count++;
}

static void begin(struct http_request *r, void *ctx)
{
    static char text[] = "ctx";
    stream = http_stream_begin(r, 200, "application/json;stream=watch", closed, text);
}

static struct http_request *_Atomic held;

static void hold(struct http_request *r, void *ctx)
{
    held = r;
}

static const struct http_route routes[] = {
    {HTTP_GET, "/watch", begin, NULL, HTTP_ROLE_PUBLIC, 0, false, NULL},
    {HTTP_GET, "/hold", hold, NULL, HTTP_ROLE_PUBLIC, 0, false, NULL},
};

static struct http_server *server;

static int start(unsigned threads)
{
    struct http_server_options options = {.listen = "127.0.0.1:0",
                                          .listen_fd = -1,
                                          .threads = threads,
                                          .routes = routes,
                                          .route_count = COUNT_OF(routes),
                                          .stop_timeout_s = 1,
                                          .check_host = true,
                                          .body_timeout_s = 1,
                                          .idle_timeout_s = 1};
    struct error err = ERROR_INIT;
    stream = NULL;
    closed_count = 0;
    return http_server_start(&options, &server, &err);
}

static int setup(void **state)
{
    return start(2);
}

/* One thread learns of one thing after the other. */
static int setup_one_thread(void **state)
{
    return start(1);
}

static int teardown(void **state)
{
    if (server != NULL)
        http_server_stop(server);
    return 0;
}

static int watch(void)
{
    int fd = peer_connect(http_server_address(server));
    peer_send(fd, SLICE("GET /watch HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    for (int i = 0; i < 5000 && stream == NULL; i++)
        usleep(1000);
    assert_non_null(stream);
    return fd;
}

static bool wait_closed(unsigned count)
{
    for (int i = 0; i < 5000 && closed_count < count; i++)
        usleep(1000);
    return closed_count == count;
}

static void read_until(int fd, struct buf *in, const char *text)
{
    while (in->len == 0 || strstr(in->ptr, text) == NULL)
        assert_true(peer_more(fd, in));
}

static void sends_as_it_comes_and_ends(void **state)
{
    autobuf in = BUF_INIT;
    int fd = watch();
    assert_int_equal(http_stream_write(stream, SLICE("one\n")), 0);
    read_until(fd, &in, "one\n");
    assert_non_null(strstr(in.ptr, "\r\nContent-Type: application/json;stream=watch\r\n"));
    assert_non_null(strstr(in.ptr, "\r\nTransfer-Encoding: chunked\r\n"));
    usleep(3000000); /* longer than every time-out: an idle stream stays */
    assert_int_equal(http_stream_write(stream, SLICE("two\n")), 0);
    read_until(fd, &in, "two\n");
    assert_int_equal(http_stream_write(stream, SLICE("three\n")), 0);
    http_stream_end(stream);
    read_until(fd, &in, "three\n");
    read_until(fd, &in, "0\r\n\r\n");
    assert_true(wait_closed(1));
    close(fd);
}

static void learns_that_the_peer_is_gone(void **state)
{
    int first = watch();
    stream = NULL;
    int second = watch(), third = peer_connect(http_server_address(server));
    close(first);              /* while the stream is idle */
    shutdown(second, SHUT_WR); /* which looks the same */
    peer_send(third, SLICE("GET /watch HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    shutdown(third, SHUT_WR); /* perhaps before the stream begins */
    assert_true(wait_closed(3));
    close(second);
    close(third);
}

static size_t chunks_length(const char *at)
{
    size_t total = 0;
    for (size_t n; (n = strtoul(at, NULL, 16)) > 0; total += n)
        at = strstr(at, "\r\n") + 2 + n + 2;
    return total;
}

/* It has said all that it will, and reads on. */
static void finishes_for_a_peer_that_sends_no_more(void **state)
{
    static char block[65536];
    memset(block, 'x', sizeof(block));
    autobuf in = BUF_INIT, out = BUF_INIT;
    size_t written = 0;
    int fd = watch();
    while (http_stream_pending(stream) < 1024 * 1024) { /* the socket is full */
        assert_int_equal(http_stream_write(stream, slice_of(block, sizeof(block))), 0);
        written += sizeof(block);
    }
    shutdown(fd, SHUT_WR);
    assert_int_equal(peer_ask(http_server_address(server),
                              SLICE("GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n"), &out),
                     404); /* the server has seen it */
    assert_int_equal(closed_count, 0);
    http_stream_end(stream);
    peer_read_all(fd, &in);
    assert_int_equal(chunks_length(strstr(in.ptr, "\r\n\r\n") + 4), written);
    assert_string_equal(in.ptr + in.len - 5, "0\r\n\r\n");
    assert_true(wait_closed(1));
    close(fd);
}

static void bounds_what_waits(void **state)
{
    static char block[65536];
    int fd = watch(), status = 0;
    size_t written = 0;
    while (written < 64 * 1024 * 1024 && status == 0) {
        status = http_stream_write(stream, slice_of(block, sizeof(block)));
        written += sizeof(block);
    }
    assert_int_equal(status, -ENOBUFS);
    assert_true(http_stream_pending(stream) > 3 * 1024 * 1024);
    assert_true(http_stream_pending(stream) <= 4 * 1024 * 1024);
    http_stream_end(stream);
    autobuf in = BUF_INIT;
    peer_read_all(fd, &in);
    assert_true(wait_closed(1));
    close(fd);
}

static _Atomic unsigned drained_count;

static void drained(void *ctx)
{
    assert_string_equal(ctx, "ctx");
    drained_count++;
}

/* Fills the stream and what the kernel takes from it, until nothing moves any more. */
static void fill(void)
{
    static char block[65536];
    for (int full = 0; full < 20; full++) {
        while (http_stream_write(stream, slice_of(block, sizeof(block))) == 0)
            full = 0;
        usleep(5000);
    }
}

static void tells_when_there_is_room(void **state)
{
    autobuf in = BUF_INIT;
    int fd = watch();
    drained_count = 0;
    assert_false(http_stream_await(stream, 0, drained));
    fill();
    assert_false(http_stream_await(stream, 4 * 1024 * 1024, drained));
    assert_true(http_stream_await(stream, 1024 * 1024, drained));
    assert_int_equal(drained_count, 0);
    while (drained_count == 0)
        assert_true(peer_more(fd, &in));
    assert_true(http_stream_pending(stream) <= 1024 * 1024);
    while (http_stream_pending(stream) > 0)
        assert_true(peer_more(fd, &in));
    assert_int_equal(drained_count, 1); /* once */
    close(fd);
    assert_true(wait_closed(1));
}

static void wait_stuck(void)
{
    for (int i = 0; i < 5000 && !http_stream_stuck(stream); i++)
        usleep(1000);
    assert_true(http_stream_stuck(stream));
}

static void cuts_a_reader_that_is_stuck(void **state)
{
    autobuf in = BUF_INIT;
    int fd = watch();
    assert_false(http_stream_stuck(stream)); /* nothing waits */
    fill();
    wait_stuck();
    size_t before = http_stream_pending(stream);
    while (http_stream_pending(stream) == before)
        assert_true(peer_more(fd, &in));
    assert_false(http_stream_stuck(stream)); /* it has read */
    fill();
    wait_stuck();
    http_stream_cut(stream);
    assert_true(wait_closed(1));
    autobuf rest = BUF_INIT;
    while (peer_more(fd, &rest))
        ;
    assert_true(rest.len >= 5); /* and it does not end as a whole answer does */
    assert_memory_not_equal(rest.ptr + rest.len - 5, "0\r\n\r\n", 5);
    close(fd);
}

static void keeps_order_under_load(void **state)
{
    autobuf in = BUF_INIT;
    int fd = watch();
    for (int i = 0; i < 20000; i++) {
        char line[32];
        int len = snprintf(line, sizeof(line), "line %05d\n", i);
        while (http_stream_write(stream, slice_of(line, (size_t)len)) == -ENOBUFS)
            usleep(1000);
    }
    http_stream_end(stream);
    peer_read_all(fd, &in);
    unsigned expected = 0;
    autobuf text = BUF_INIT; /* without the chunks' frames */
    const char *at = strstr(in.ptr, "\r\n\r\n") + 4;
    for (size_t n; (n = strtoul(at, NULL, 16)) > 0;) {
        at = strstr(at, "\r\n") + 2;
        buf_add(&text, at, n);
        at += n + 2;
    }
    for (const char *line = text.ptr; *line != '\0'; line = strchr(line, '\n') + 1)
        assert_int_equal(strtoul(line + 5, NULL, 10), expected++);
    assert_int_equal(expected, 20000);
    assert_true(wait_closed(1));
    close(fd);
}

static void stops_with_streams_open(void **state)
{
    int first = watch();
    stream = NULL;
    int second = watch();
    http_server_stop(server);
    server = NULL;
    assert_int_equal(closed_count, 2);
    close(first);
    close(second);
}

/* The number of its descriptor is another's since the server went. */
static void cuts_no_stranger(void **state)
{
    int fd = peer_connect(http_server_address(server));
    peer_send(fd, SLICE("GET /hold HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    for (int i = 0; i < 5000 && held == NULL; i++)
        usleep(1000);
    assert_non_null(held);
    http_server_stop(server);
    server = NULL;
    assert_true(peer_closed(fd));
    int pairs[16][2]; /* more than the server had */
    for (size_t i = 0; i < COUNT_OF(pairs); i++)
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pairs[i]), 0);
    begin(held, NULL);
    http_stream_cut(stream);
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        assert_int_equal(send(pairs[i][0], "x", 1, MSG_NOSIGNAL), 1);
        assert_int_equal(send(pairs[i][1], "x", 1, MSG_NOSIGNAL), 1);
        close(pairs[i][0]);
        close(pairs[i][1]);
    }
    close(fd);
}

static void answers_head_without_a_body(void **state)
{
    autobuf in = BUF_INIT, out = BUF_INIT;
    int fd = peer_connect(http_server_address(server));
    peer_send(fd, SLICE("HEAD /watch HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    assert_true(peer_answer(fd, &in, &out, true));
    assert_true(wait_closed(1));
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sends_as_it_comes_and_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(learns_that_the_peer_is_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(finishes_for_a_peer_that_sends_no_more, setup_one_thread,
                                        teardown),
        cmocka_unit_test_setup_teardown(bounds_what_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(tells_when_there_is_room, setup, teardown),
        cmocka_unit_test_setup_teardown(cuts_a_reader_that_is_stuck, setup, teardown),
        cmocka_unit_test_setup_teardown(keeps_order_under_load, setup, teardown),
        cmocka_unit_test_setup_teardown(stops_with_streams_open, setup, teardown),
        cmocka_unit_test_setup_teardown(cuts_no_stranger, setup, teardown),
        cmocka_unit_test_setup_teardown(answers_head_without_a_body, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
