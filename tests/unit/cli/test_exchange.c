/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses of servers, which of them need libcurl, and what both ways send. */
#include "cli/exchange.h"

#include "base/clock.h"
#include "base/memory.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

static void test_addresses(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"127.0.0.1:8080", "http://127.0.0.1:8080"},
        {"http://h", "http://h"},
        {"http://h/f/", "http://h/f/"},
        {"h/p?back=/a/", "http://h/p?back=/a/"},
        {"HTTP://h", "HTTP://h"},
        {"[::1]:80", "http://[::1]:80"},
        {"h:80/x?to=http://y", "http://h:80/x?to=http://y"},
        {"h/http://y", "http://h/http://y"},
        {"//h", "http:////h"},
        {"ftp://h", "ftp://h"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        autobuf out = BUF_INIT;
        exchange_address(rows[i][0], &out);
        assert_string_equal(out.ptr, rows[i][1]);
    }
}

static struct url parts_of(const char *url)
{
    struct exchange x = {.url = url, .server = url};
    struct error err = ERROR_INIT;
    if (exchange_split(&x, &err) < 0)
        fail_msg("%s", err.message);
    return x.parts;
}

static void test_bad_urls(void **state)
{
    (void)state;
    static const char *const urls[] = {
        "ftp://h",     "http://",        "http:////h", "http://[",
        "http://h:0/", "http://h:99999", "http://a b",
    };
    for (size_t i = 0; i < COUNT_OF(urls); i++) {
        struct exchange x = {.url = urls[i], .server = urls[i]};
        struct error err = ERROR_INIT;
        assert_int_equal(exchange_split(&x, &err), -EINVAL);
        assert_non_null(strstr(err.message, urls[i]));
        assert_non_null(strstr(err.message, "should look like"));
    }
}

static void test_what_is_local(void **state)
{
    (void)state;
    static const char *const local[] = {
        "http://127.0.0.1", "http://127.9.8.7:1/x", "http://127.1",     "http://localhost:80",
        "http://LocalHost", "http://[::1]:9",       "https://[0:0::1]",
    };
    static const char *const other[] = {
        "http://128.0.0.1",
        "http://127.example.com",
        "http://localhost.example.com",
        "http://[::2]",
        "http://a-very-long-name.with.many-parts.of.some.example.com",
        "http://[::1%25lo]:1",
    };
    for (size_t i = 0; i < COUNT_OF(local); i++) {
        struct url u = parts_of(local[i]);
        assert_true(exchange_is_local(&u));
    }
    for (size_t i = 0; i < COUNT_OF(other); i++) {
        struct url u = parts_of(other[i]);
        assert_false(exchange_is_local(&u));
    }
}

static bool needs_curl(const char *url)
{
    struct url u = parts_of(url);
    return exchange_needs_curl(&u);
}

static void forget_proxies(void)
{
    unsetenv("http_proxy");
    unsetenv("all_proxy");
    unsetenv("ALL_PROXY");
}

static void test_what_needs_curl(void **state)
{
    (void)state;
    forget_proxies();
    assert_false(needs_curl("http://127.0.0.1:8080"));
    assert_false(needs_curl("http://server.example.com/base"));
    assert_false(needs_curl("http://[fe80::1]"));
    assert_true(needs_curl("https://127.0.0.1"));
    assert_true(needs_curl("http://me:secret@127.0.0.1"));
    assert_true(needs_curl("http://b\xc3\xbc"
                           "cher.example"));
    assert_true(needs_curl("http://%61.example"));
    assert_true(needs_curl("http://[fe80::1%25eth0]"));
    static const char *const names[] = {"http_proxy", "all_proxy", "ALL_PROXY"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        setenv(names[i], "http://proxy:3128", 1);
        assert_true(needs_curl("http://server.example.com"));
        assert_false(needs_curl("http://localhost:8080"));
        setenv(names[i], "", 1);
        assert_false(needs_curl("http://server.example.com"));
    }
    /* A CGI script's variable is the request header Proxy: libcurl does not read it either. */
    setenv("HTTP_PROXY", "http://proxy:3128", 1);
    assert_false(needs_curl("http://server.example.com"));
    unsetenv("HTTP_PROXY");
    forget_proxies();
}

/* ---- against a socket ---- */

struct peer {
    int fd;
    char url[64];
    pthread_t thread;
    char request[4096]; /* what came on the first connection */
};

static void peer_listen(struct peer *p)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(address);
    *p = (struct peer){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    assert_int_equal(bind(p->fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(p->fd, 4), 0);
    assert_int_equal(getsockname(p->fd, (struct sockaddr *)&address, &size), 0);
    snprintf(p->url, sizeof(p->url), "http://127.0.0.1:%u/a?b", (unsigned)ntohs(address.sin_port));
}

static void *answer_once(void *ctx)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    struct peer *p = ctx;
    size_t len = 0;
    int fd = accept(p->fd, NULL, NULL);
    while (len < sizeof(p->request) - 1 && strstr(p->request, "\r\n\r\n{}") == NULL) {
        ssize_t n = recv(fd, p->request + len, sizeof(p->request) - 1 - len, 0);
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    (void)send(fd, answer, strlen(answer), MSG_NOSIGNAL);
    close(fd);
    return NULL;
}

static const struct remote_request full_request = {
    .method = "POST",
    .accept = "text/plain",
    .headers = {"X-Empty: \r\nX-Full: a: b\r\n", 25},
    .body = {"{}", 2},
    .has_body = true,
};

/* Sends it the one way or the other; p->request has what came. */
static void converse(struct peer *p, bool by_curl)
{
    struct remote_reply reply = {0};
    struct exchange x = {.request = &full_request,
                         .limit_ns = 20 * CLOCK_SECOND,
                         .url = p->url,
                         .server = p->url,
                         .reply = &reply};
    struct error err = ERROR_INIT;
    assert_int_equal(exchange_split(&x, &err), 0);
    assert_int_equal(pthread_create(&p->thread, NULL, answer_once, p), 0);
    struct direct *direct = direct_new();
    struct curl_way *curl = curl_way_new(&err);
    int status = by_curl ? curl_way_exchange(curl, &x, &err) : direct_exchange(direct, &x, &err);
    pthread_join(p->thread, NULL);
    if (status < 0)
        print_error("%s\n", err.message);
    assert_int_equal(status, 0);
    assert_int_equal(reply.status, 200);
    assert_string_equal(reply.body.ptr, "ok");
    remote_reply_done(&reply);
    direct_free(direct);
    curl_way_free(curl);
    close(p->fd);
}

static void test_what_is_sent(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "\r\nHost: 127.0.0.1:",
        "\r\nUser-Agent: sluice/",
        "\r\nAccept: text/plain\r\n",
        "\r\nContent-Length: 2\r\n",
        "\r\nX-Full: a: b\r\n",
        "\r\nX-Empty:",
        "\r\n\r\n{}",
    };
    for (int by_curl = 0; by_curl <= 1; by_curl++) {
        struct peer p;
        peer_listen(&p);
        converse(&p, by_curl == 1);
        assert_int_equal(strncmp(p.request, "POST /a?b HTTP/1.1\r\n", 20), 0);
        for (size_t i = 0; i < COUNT_OF(lines); i++)
            if (strstr(p.request, lines[i]) == NULL)
                fail_msg("%s is not in %s", lines[i], p.request);
        assert_null(strcasestr(p.request, "content-type"));
        assert_null(strcasestr(p.request, "expect"));
    }
}

static void test_what_a_url_becomes(void **state)
{
    (void)state;
    struct peer p;
    peer_listen(&p);
    char *end = strchr(p.url + strlen("http://"), '/');
    snprintf(end, sizeof(p.url) - (size_t)(end - p.url), "/f\xc3\xbc/?a=\xff&back=/b/");
    converse(&p, false);
    static const char line[] = "POST /f%C3%BC/?a=%FF&back=/b/ HTTP/1.1\r\n";
    assert_int_equal(strncmp(p.request, line, strlen(line)), 0);
}

static void test_a_server_that_never_answers(void **state)
{
    (void)state;
    struct peer p;
    struct remote_reply reply = {0};
    struct error err = ERROR_INIT;
    peer_listen(&p);
    struct exchange x = {.request = &full_request,
                         .url = p.url,
                         .server = p.url,
                         .limit_ns = 20 * CLOCK_MILLISECOND,
                         .reply = &reply};
    assert_int_equal(exchange_split(&x, &err), 0);
    struct direct *d = direct_new();
    assert_int_equal(direct_exchange(d, &x, &err), -ETIMEDOUT);
    assert_non_null(strstr(err.message, "does not answer"));
    assert_non_null(strstr(err.message, p.url));
    direct_free(d);
    close(p.fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_bad_urls),
        cmocka_unit_test(test_what_is_local),
        cmocka_unit_test(test_what_needs_curl),
        cmocka_unit_test(test_what_is_sent),
        cmocka_unit_test(test_what_a_url_becomes),
        cmocka_unit_test(test_a_server_that_never_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
