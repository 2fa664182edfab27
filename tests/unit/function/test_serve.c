/* SPDX-License-Identifier: Apache-2.0 */
/* Functions and their logs behind the HTTP server: what is forwarded and what is not, and streams
 * of logs that go on. */
#include "../unit.h"
#include "base/fdio.h"
#include "base/memory.h"
#include "http/server.h"
#include "world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define JS(code) "{\"runtime\":\"js\",\"codeSource\":{\"index.js\":\"" code "\"}}"

static struct world *world;
static struct http_server *server;

struct handover {
    struct loop_message message;
    struct http_request *request;
    bool log, follow;
};

static void on_loop(struct loop_message *m)
{
    struct handover *h = container_of(m, struct handover, message);
    if (h->log)
        function_serve_log(world->host, h->request, "demo", "f", 2, h->follow);
    else
        function_serve(world->host, h->request);
}

static void handle(struct http_request *request, void *ctx)
{
    struct handover *h = http_request_alloc(request, sizeof(*h));
    struct slice query = http_request_query(request);
    *h = (struct handover){.message.receive = on_loop,
                           .request = request,
                           .log = ctx != NULL,
                           .follow = slice_is(query, "follow")};
    loop_post(world->loop, &h->message);
}

static int setup(void **state)
{
    int r = world_setup(state);
    world = *state;
    static const struct http_route routes[] = {
        {HTTP_ANY, "/functions/{namespace}/{name}/{path...}", handle, NULL, HTTP_ROLE_CALL,
         8u << 20, false, ""},
        {HTTP_GET, "/log", handle, &server, HTTP_ROLE_READ, 0, false, ""},
    };
    const struct http_server_options options = {
        .listen = "127.0.0.1:0",
        .listen_fd = -1,
        .threads = 2,
        .routes = routes,
        .route_count = COUNT_OF(routes),
    };
    struct error err = ERROR_INIT;
    if (r == 0 && http_server_start(&options, &server, &err) < 0)
        fail_msg("%s", err.message);
    return r;
}

static int teardown(void **state)
{
    function_host_free(world->host); /* ends streams, which the server waits for */
    world->host = NULL;
    http_server_stop(server);
    return world_teardown(state);
}

static int connect_to_server(void)
{
    const char *address = http_server_address(server);
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1)),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&in, sizeof(in)), 0);
    assert_int_equal(fdio_set_nonblocking(fd), 0);
    return fd;
}

/* Reads until the text holds part, turning the loop meanwhile. */
static bool read_until(int fd, struct buf *text, const char *part, unsigned milliseconds)
{
    for (unsigned waited = 0; waited < milliseconds; waited += 5) {
        char *at = buf_reserve(text, 65536);
        ssize_t n = read(fd, at, 65535);
        if (n > 0)
            text->len += (size_t)n;
        text->ptr[text->len] = '\0';
        if (strstr(text->ptr, part) != NULL)
            return true;
        if (n == 0)
            return false;
        world_turn(world, 5);
    }
    return false;
}

static void ask(const char *head, const char *body, struct buf *answer)
{
    autobuf request = BUF_INIT;
    buf_printf(&request, "%s\r\nHost: localhost\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\n", head);
    buf_printf(&request, "X-Passed: 1\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body);
    autoclose int fd = connect_to_server();
    assert_int_equal(write(fd, request.ptr, request.len), request.len);
    buf_reset(answer);
    (void)read_until(fd, answer, "never said", 5000); /* to the end of the connection */
}

static void assert_has(const struct buf *text, const char *part)
{
    if (strstr(text->ptr, part) == NULL)
        fail_msg("\"%s\" does not hold \"%s\"", text->ptr, part);
}

static void requests_go_through(void **state)
{
    world_apply(world, "f", JS("one"));
    assert_true(world_ready(world, "f", 5000));
    autobuf answer = BUF_INIT;
    ask("PUT /functions/demo/f/a%20b/c?d=e%2F HTTP/1.1", "body", &answer);
    assert_has(&answer, "HTTP/1.1 200");
    assert_has(&answer, "one|PUT /a%20b/c?d=e%2F|passed|body");
    assert_has(&answer, "X-Pid: ");
    assert_null(strstr(answer.ptr, "Keep-Alive: x"));
    assert_null(strstr(answer.ptr, "HOP"));
    ask("POST /functions/demo/f HTTP/1.1", "x", &answer);
    assert_has(&answer, "one|POST /|passed|x");
    ask("PATCH /functions/demo/f/teapot HTTP/1.1", "", &answer);
    assert_has(&answer, "HTTP/1.1 418");
}

static void what_cannot_be_called_is_said(void **state)
{
    autobuf answer = BUF_INIT;
    ask("GET /functions/demo/f/ HTTP/1.1", "", &answer);
    assert_has(&answer, "HTTP/1.1 404");
    assert_has(&answer, "there is no function f in namespace demo");
    world_apply(world, "f", JS("fail"));
    assert_true(world_wait_condition(world, "f", "Ready", "False/LoadFailed", 5000));
    ask("GET /functions/demo/f/ HTTP/1.1", "", &answer);
    assert_has(&answer, "HTTP/1.1 503");
    assert_has(&answer, "Retry-After: ");
    assert_has(&answer, "Client-Retry: ");
    assert_has(&answer, "SyntaxError");
    world_apply(world, "f",
                "{\"runtime\":\"js\",\"codeSource\":{\"index.js\":\"one\"},\"limits\":"
                "{\"requestBytes\":\"16\",\"responseBytes\":\"64\"}}");
    assert_true(world_ready(world, "f", 5000));
    ask("POST /functions/demo/f/ HTTP/1.1", "0123456789abcdefg", &answer);
    assert_has(&answer, "HTTP/1.1 413");
    ask("POST /functions/demo/f/crash HTTP/1.1", "", &answer);
    assert_has(&answer, "HTTP/1.1 502");
}

static void logs_are_served(void **state)
{
    autobuf answer = BUF_INIT;
    ask("GET /log HTTP/1.1", "", &answer);
    assert_has(&answer, "HTTP/1.1 404");
    world_apply(world, "f", JS("one"));
    assert_true(world_ready(world, "f", 5000));
    struct function *f = function_host_find(world->host, "demo", "f");
    for (int i = 0; i < 5; i++) {
        char text[16];
        int len = snprintf(text, sizeof(text), "line %d", i);
        function_log_add(f->log, 0, "info", slice_of(NULL, 0), slice_of(text, (size_t)len));
    }
    ask("GET /log HTTP/1.1", "", &answer);
    assert_has(&answer, "text/plain");
    assert_has(&answer, "1970-01-01T00:00:00.000Z info line 3\n");
    assert_has(&answer, "line 4\n");
    assert_null(strstr(answer.ptr, "line 2"));
}

static void logs_are_followed(void **state)
{
    world_apply(world, "f", JS("one"));
    assert_true(world_ready(world, "f", 5000));
    struct function *f = function_host_find(world->host, "demo", "f");
    function_log_add(f->log, 0, "info", slice_of(NULL, 0), SLICE("before"));
    static const char request[] = "GET /log?follow HTTP/1.1\r\nHost: localhost\r\n\r\n";
    autoclose int one = connect_to_server();
    autoclose int two = connect_to_server();
    autobuf first = BUF_INIT, second = BUF_INIT;
    assert_true(write(one, request, sizeof(request) - 1) > 0);
    assert_true(write(two, request, sizeof(request) - 1) > 0);
    assert_true(read_until(one, &first, "before", 3000));
    assert_true(read_until(two, &second, "before", 3000));
    struct answer a;
    assert_int_equal(world_call(world, "f", "/log", "", &a), 0);
    answer_done(&a);
    assert_true(read_until(one, &first, "second \\x07", 3000));
    assert_true(read_until(two, &second, "second \\x07", 3000));
    close(STEAL_FD(one)); /* a peer that goes */
    for (int i = 0; i < 20; i++) {
        function_log_add(f->log, 0, "info", slice_of(NULL, 0), SLICE("after"));
        world_turn(world, 5);
    }
    assert_true(read_until(two, &second, "after", 3000));
    world_delete(world, "f");
    assert_true(read_until(two, &second, "\r\n0\r\n\r\n", 3000)); /* the stream's end */
}

static void old_lines_make_room(void **state)
{
    world_apply(world, "f", JS("one"));
    assert_true(world_ready(world, "f", 5000));
    struct function *f = function_host_find(world->host, "demo", "f");
    char text[1000];
    memset(text, 'x', sizeof(text));
    for (int i = 0; i < 2500; i++) {
        int len = snprintf(text, 8, "%06d", i);
        text[len] = ' ';
        function_log_add(f->log, 0, "info", slice_of(NULL, 0), slice_of(text, sizeof(text)));
    }
    autobuf all = BUF_INIT, few = BUF_INIT;
    assert_int_equal(function_log_read(f->log, 0, &all), 0);
    assert_true(all.len > 1u << 20 && all.len <= 2u << 20);
    assert_null(strstr(all.ptr, "info 000000 "));
    assert_non_null(strstr(all.ptr, "info 002499 "));
    assert_non_null(strstr(all.ptr, "info 001600 "));
    assert_int_equal(function_log_read(f->log, 3, &few), 0);
    assert_true(strncmp(few.ptr + 25, "info 002497 ", 12) == 0);
    buf_reset(&few);
    assert_int_equal(function_log_read(f->log, 500, &few), 0); /* more than memory has */
    assert_true(strncmp(few.ptr + 25, "info 002000 ", 12) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        ROW(requests_go_through), ROW(what_cannot_be_called_is_said), ROW(logs_are_served),
        ROW(logs_are_followed),   ROW(old_lines_make_room),
    };
    return cmocka_run_group_tests_name("functions over HTTP", tests, NULL, NULL);
}
