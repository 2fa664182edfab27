/* SPDX-License-Identifier: Apache-2.0 */
/* The client against a peer in the same program, over a Unix socket, over TCP and through libcurl:
 * the same calls, the same results. */
#include "http/client.h"

#include "base/clock.h"
#include "base/memory.h"
#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Nothing more is said, and nothing more is heard. Over TCP the rest is read all the same: to close
 * with something unread makes the kernel take back what the client has not read yet. */
static void hang_up(int fd)
{
    char rest[16384];
    int domain = 0;
    socklen_t len = sizeof(domain);
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len), 0);
    if (domain == AF_UNIX) {
        shutdown(fd, SHUT_RDWR);
        return;
    }
    shutdown(fd, SHUT_WR);
    while (recv(fd, rest, sizeof(rest), 0) > 0)
        ;
}

/* What the peer does with each request, by the first byte of its body. */
static void answer(int fd, char what)
{
    static const char folded[] = "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n";
    static const char folded_first[] = "HTTP/1.1 200 OK\r\n X: a\r\nContent-Length: 0\r\n\r\n";
    static const char early[] =
        "HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    static const char plain[] = "HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 5\r\n\r\nhello";
    static const char chunked[] =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    static const char junk[] = "this is not HTTP\r\n\r\n";
    static const char large[] = "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n";
    const char *text = what == 'c'   ? chunked
                       : what == 'j' ? junk
                       : what == 'l' ? large
                       : what == 'e' ? early
                       : what == 'f' ? folded
                       : what == 'F' ? folded_first
                                     : plain;
    if (what == 's') /* never */
        return;
    if (what == 'i') { /* until the client has enough */
        static const char interim[] = "HTTP/1.1 100 Continue\r\n\r\n";
        while (send(fd, interim, strlen(interim), MSG_NOSIGNAL) > 0)
            ;
        return;
    }
    if (what != 'x')
        assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    if (what == 'e')
        hang_up(fd);
    if (what == 'x' || what == 'j' || what == 'l')
        shutdown(fd, SHUT_RDWR);
}

static int accepted; /* connections */

static void *serve_connection(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char request[4096];
    bool once = false; /* closes when it sees another request, without a word */
    for (;;) {
        size_t len = 0;
        const char *body = NULL;
        while (body == NULL || len < (size_t)(body + 4 - request) + 1) {
            ssize_t n = recv(fd, request + len, sizeof(request) - len, 0);
            if (n <= 0 || once) {
                close(fd);
                return NULL;
            }
            len += (size_t)n;
            body = memmem(request, len, "\r\n\r\n", 4);
        }
        answer(fd, body[4]);
        once = body[4] == 'o';
    }
}

static void *accept_all(void *arg)
{
    int listener = (int)(intptr_t)arg;
    for (int fd = accept(listener, NULL, NULL); fd >= 0; fd = accept(listener, NULL, NULL)) {
        pthread_t thread;
        __atomic_add_fetch(&accepted, 1, __ATOMIC_SEQ_CST);
        pthread_create(&thread, NULL, serve_connection, (void *)(intptr_t)fd);
        pthread_detach(thread);
    }
    return NULL;
}

static char socket_path[64], tcp_url[64], localhost_url[64], name_url[64], web_url[64];
enum kind { OVER_UNIX, OVER_TCP, OVER_LOCALHOST, OVER_NAME, OVER_CURL, KIND_COUNT };

/* The URL and, for the first kind, the socket. */
static void aim(struct http_call_options *o, enum kind kind)
{
    const char *const urls[] = {"http://f.n.svc/x?y=1", tcp_url, localhost_url, name_url, web_url};
    o->url = urls[kind];
    o->unix_socket = kind == OVER_UNIX ? socket_path : NULL;
}

static struct loop *loop;
static struct http_client *client;

static void listen_on(int fd, const struct sockaddr *address, socklen_t len)
{
    pthread_t thread;
    assert_int_equal(bind(fd, address, len), 0);
    assert_int_equal(listen(fd, 64), 0);
    pthread_create(&thread, NULL, accept_all, (void *)(intptr_t)fd);
    pthread_detach(thread);
}

static int setup(void **state)
{
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    snprintf(socket_path, sizeof(socket_path), "/tmp/sluice-client-%d", (int)getpid());
    strcpy(local.sun_path, socket_path);
    listen_on(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&local, sizeof(local));
    struct sockaddr_in inet = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    listen_on(fd, (struct sockaddr *)&inet, sizeof(inet));
    socklen_t len = sizeof(inet);
    getsockname(fd, (struct sockaddr *)&inet, &len);
    snprintf(tcp_url, sizeof(tcp_url), "http://127.0.0.1:%d/x?y=1", ntohs(inet.sin_port));
    snprintf(localhost_url, sizeof(localhost_url), "HTTP://LocalHost:%d?y=1", ntohs(inet.sin_port));
    /* no address as we read it, but the resolver knows it without asking anybody */
    snprintf(name_url, sizeof(name_url), "http://127.1:%d/x?y=1", ntohs(inet.sin_port));
    /* what has a user name is libcurl's */
    snprintf(web_url, sizeof(web_url), "http://user@127.0.0.1:%d/x?y=1", ntohs(inet.sin_port));
    loop = loop_new();
    client = http_client_new(loop, 8);
    return loop != NULL && client != NULL ? 0 : -1;
}

static int teardown(void **state)
{
    http_client_free(client);
    loop_free(loop);
    return unlink(socket_path);
}

struct outcome {
    int ended, error;
    unsigned status;
    char body[64], header[64], error_text[128];
};

static void note(void *ctx, const struct http_call_result *result)
{
    struct outcome *o = ctx;
    o->ended++;
    o->error = result->error;
    o->status = result->status;
    snprintf(o->error_text, sizeof(o->error_text), "%s", result->error_text);
    snprintf(o->body, sizeof(o->body), SLICE_FMT, SLICE_ARG(result->body));
    for (unsigned i = 0; i < result->header_count; i++)
        if (slice_is_nocase(result->headers[i].name, "x-a"))
            snprintf(o->header, sizeof(o->header), SLICE_FMT, SLICE_ARG(result->headers[i].value));
}

static struct http_call *begin(enum kind kind, const char *body, uint64_t timeout_ns,
                               struct outcome *o)
{
    struct http_call *call = NULL;
    struct http_call_options options = {.method = "POST",
                                        .body = slice_text(body),
                                        .timeout_ns = timeout_ns,
                                        .repeatable = true,
                                        .done = note,
                                        .ctx = o};
    aim(&options, kind);
    assert_int_equal(http_client_call(client, &options, &call), 0);
    assert_int_equal(o->ended, 0); /* never from within */
    return call;
}

static struct outcome call(enum kind kind, const char *body, uint64_t timeout_ns)
{
    struct outcome o = {0};
    begin(kind, body, timeout_ns, &o);
    uint64_t deadline = clock_monotonic() + 20 * CLOCK_SECOND;
    while (o.ended == 0 && clock_monotonic() < deadline)
        loop_turn(loop, CLOCK_SECOND);
    assert_int_equal(o.ended, 1);
    return o;
}

static void all_kinds_give_the_same_results(void **state)
{
    for (enum kind kind = 0; kind < KIND_COUNT; kind++) {
        struct outcome o = call(kind, "plain", 0);
        assert_int_equal(o.error, 0);
        assert_int_equal(o.status, 200);
        assert_string_equal(o.body, "hello");
        assert_string_equal(o.header, "b");
        o = call(kind, "chunked", 0);
        assert_string_equal(o.body, "abc");
        assert_int_equal(call(kind, "silence", 50 * CLOCK_MILLISECOND).error, -ETIMEDOUT);
        assert_true(call(kind, "x closes", 0).error < 0);
        assert_true(call(kind, "junk", 0).error < 0);
        assert_true(call(kind, "large", 0).error < 0);
        assert_int_equal(call(kind, "plain", 0).status, 200); /* and on it goes */
    }
}

static void nobody_there_is_refused(void **state)
{
    struct outcome o = {0};
    struct http_call_options options = {.method = "POST",
                                        .url = "http://f.n.svc/",
                                        .unix_socket = "/tmp/sluice-client-nobody",
                                        .done = note,
                                        .ctx = &o};
    assert_int_equal(http_client_call(client, &options, NULL), 0);
    while (o.ended == 0)
        loop_turn(loop, CLOCK_SECOND);
    assert_int_equal(o.error, -ECONNREFUSED);
}

static void connections_are_kept_and_limited(void **state)
{
    int before = __atomic_load_n(&accepted, __ATOMIC_SEQ_CST);
    struct outcome outcomes[100] = {0};
    for (int i = 0; i < 100; i++)
        begin(OVER_UNIX, "plain", 0, &outcomes[i]);
    for (int i = 0; i < 100; i++)
        while (outcomes[i].ended == 0)
            loop_turn(loop, CLOCK_SECOND);
    for (int i = 0; i < 100; i++)
        assert_int_equal(outcomes[i].status, 200);
    int opened = __atomic_load_n(&accepted, __ATOMIC_SEQ_CST) - before;
    assert_true(opened <= 8);
}

static int cancelled_calls;

static void count_cancelled(void *ctx)
{
    cancelled_calls++;
}

static void cancelled_calls_do_not_end(void **state)
{
    for (enum kind kind = 0; kind < KIND_COUNT; kind++) {
        struct outcome o = {0};
        struct http_call *running = NULL;
        struct http_call_options options = {.method = "POST",
                                            .body = slice_text("silence"),
                                            .done = note,
                                            .cancelled = count_cancelled,
                                            .ctx = &o};
        aim(&options, kind);
        assert_int_equal(http_client_call(client, &options, &running), 0);
        loop_turn(loop, 10 * CLOCK_MILLISECOND);
        http_call_cancel(running);
        loop_turn(loop, 10 * CLOCK_MILLISECOND);
        assert_int_equal(o.ended, 0);
        assert_int_equal(cancelled_calls, (int)kind + 1);
    }
}

static void header_injection_is_refused(void **state)
{
    struct http_call_header bad = {SLICE("X"), SLICE("a\r\nEvil: yes")};
    for (enum kind kind = 0; kind < KIND_COUNT; kind++) {
        struct outcome o = {0};
        struct http_call_options options = {
            .method = "POST", .headers = &bad, .header_count = 1, .done = note, .ctx = &o};
        aim(&options, kind);
        assert_int_equal(http_client_call(client, &options, NULL), -EINVAL);
    }
}

/* An idle connection may be closed at any time (RFC 9112 section 9.3): that is no failed call. */
static void a_kept_connection_that_is_dead_is_no_failure(void **state)
{
    for (enum kind kind = 0; kind < KIND_COUNT; kind++) {
        assert_int_equal(call(kind, "only once", 0).status, 200);
        struct outcome o = call(kind, "plain", 0);
        assert_int_equal(o.error, 0);
        assert_int_equal(o.status, 200);
    }
    assert_true(call(OVER_TCP, "x closes", 0).error < 0); /* but a new one that does is */
}

/* What the peer may have seen is not sent again unless the caller says so. */
static void what_is_not_repeatable_is_sent_once(void **state)
{
    for (enum kind kind = OVER_UNIX; kind <= OVER_NAME; kind++) {
        struct outcome o = {0};
        struct http_call_options options = {
            .method = "POST", .body = SLICE("plain"), .done = note, .ctx = &o};
        assert_int_equal(call(kind, "only once", 0).status, 200);
        aim(&options, kind);
        assert_int_equal(http_client_call(client, &options, NULL), 0);
        while (o.ended == 0)
            loop_turn(loop, CLOCK_SECOND);
        assert_int_equal(o.error, -ECONNRESET);
        assert_null(strstr(o.error_text, "/tmp/")); /* nor is the socket's path told */
        assert_non_null(strstr(o.error_text, "closed before"));
    }
}

static char order[8];

static void note_order(void *ctx, const struct http_call_result *result)
{
    size_t len = strlen(order);
    order[len] = (char)(intptr_t)ctx;
    order[len + 1] = '\0';
}

/* With one connection: the first that came is the first that is served. */
static void those_who_wait_are_served_in_turn(void **state)
{
    struct http_client *narrow = http_client_new(loop, 1);
    struct http_call *calls[4] = {NULL};
    for (int i = 0; i < 4; i++) {
        struct http_call_options options = {.method = "POST",
                                            .body = SLICE("plain"),
                                            .done = note_order,
                                            .ctx = (void *)(intptr_t)('0' + i)};
        aim(&options, OVER_TCP);
        assert_int_equal(http_client_call(narrow, &options, &calls[i]), 0);
    }
    order[0] = '\0';
    http_call_cancel(calls[1]);
    while (strlen(order) < 3)
        loop_turn(loop, CLOCK_SECOND);
    assert_string_equal(order, "023");
    http_client_free(narrow);
}

/* A peer that says for ever that an answer will come does not hold up the others. */
static void endless_interim_answers_end_the_call(void **state)
{
    struct outcome o = call(OVER_TCP, "interim", 0);
    assert_int_equal(o.error, -EMSGSIZE);
}

static void an_answer_before_the_whole_request_counts(void **state)
{
    size_t len = 8 << 20;
    char *body = malloc(len + 1);
    memset(body, 'e', len);
    body[len] = '\0';
    for (enum kind kind = OVER_UNIX; kind <= OVER_NAME; kind++) {
        struct outcome o = call(kind, body, 0);
        assert_int_equal(o.error, 0);
        assert_int_equal(o.status, 413);
        assert_int_equal(call(kind, "plain", 0).status, 200);
    }
    free(body);
}

static void localhost_is_tried_at_both_addresses(void **state)
{
    struct sockaddr_in6 inet = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    socklen_t len = sizeof(inet);
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&inet, len) < 0) {
        print_message("the IPv6 loopback address ::1 is missing\n");
        skip();
    }
    close(fd);
    fd = socket(AF_INET6, SOCK_STREAM, 0);
    listen_on(fd, (struct sockaddr *)&inet, sizeof(inet));
    getsockname(fd, (struct sockaddr *)&inet, &len);
    static const char *const hosts[] = {"localhost", "[::1]"};
    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        char url[64];
        struct outcome o = {0};
        snprintf(url, sizeof(url), "http://%s:%d/", hosts[i], ntohs(inet.sin6_port));
        struct http_call_options options = {
            .method = "POST", .url = url, .body = SLICE("plain"), .done = note, .ctx = &o};
        assert_int_equal(http_client_call(client, &options, NULL), 0);
        while (o.ended == 0)
            loop_turn(loop, CLOCK_SECOND);
        assert_int_equal(o.error, 0);
        assert_int_equal(o.status, 200);
    }
}

static void folded_header_lines_harm_nobody(void **state)
{
    for (enum kind kind = 0; kind < KIND_COUNT; kind++) {
        for (int i = 0; i < 12; i++)
            (void)call(kind, i % 2 == 0 ? "folded" : "Folded at once", 0);
        assert_int_equal(call(kind, "plain", 0).status, 200);
    }
}

static void a_name_without_address_says_so(void **state)
{
    struct outcome o = {0};
    struct http_call_options options = {
        .method = "POST", .url = "http://no-such-name.invalid/", .done = note, .ctx = &o};
    assert_int_equal(http_client_call(client, &options, NULL), 0);
    while (o.ended == 0)
        loop_turn(loop, CLOCK_SECOND);
    assert_int_equal(o.error, -EHOSTUNREACH);
    assert_non_null(strstr(o.error_text, "no-such-name.invalid"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_kinds_give_the_same_results),
        cmocka_unit_test(nobody_there_is_refused),
        cmocka_unit_test(connections_are_kept_and_limited),
        cmocka_unit_test(cancelled_calls_do_not_end),
        cmocka_unit_test(header_injection_is_refused),
        cmocka_unit_test(a_kept_connection_that_is_dead_is_no_failure),
        cmocka_unit_test(what_is_not_repeatable_is_sent_once),
        cmocka_unit_test(those_who_wait_are_served_in_turn),
        cmocka_unit_test(endless_interim_answers_end_the_call),
        cmocka_unit_test(an_answer_before_the_whole_request_counts),
        cmocka_unit_test(folded_header_lines_harm_nobody),
        cmocka_unit_test(a_name_without_address_says_so),
        cmocka_unit_test(localhost_is_tried_at_both_addresses),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
