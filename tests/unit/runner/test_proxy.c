/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/proxy.h"

#include "base/memory.h"
#include "unit.h"

static struct proxy_request request;
static struct error err;

static unsigned read_text(const char *text)
{
    proxy_request_done(&request);
    request = (struct proxy_request){0};
    return proxy_read(slice_text(text), &request, &err);
}

static void takes_tunnels(void **state)
{
    static const char text[] = "CONNECT a.example:443 HTTP/1.1\r\nHost: b\r\n\r\nafter";
    assert_int_equal(read_text(text), 1);
    assert_true(request.tunnel);
    assert_string_equal(request.host, "a.example");
    assert_int_equal(request.port, 443);
    assert_int_equal(request.length, sizeof(text) - 1 - strlen("after"));
    assert_int_equal(read_text("CONNECT [::1]:443 HTTP/1.1\r\n\r\n"), 1);
    assert_string_equal(request.host, "::1");
    for (size_t len = 0; len < sizeof(text) - 1 - strlen("after"); len++)
        assert_int_equal(proxy_read(slice_of(text, len), &request, &err), 0);
}

static void rewrites_whole_urls(void **state)
{
    assert_int_equal(read_text("POST http://A.example:81/p?q=1 HTTP/1.1\r\nHost: evil\r\n"
                               "Proxy-Connection: keep-alive\r\nProxy-Authorization: x\r\n"
                               "Connection: keep-alive\r\nContent-Length: 3\r\nX-A: b\r\n\r\nabc"),
                     1);
    assert_false(request.tunnel);
    assert_string_equal(request.host, "A.example");
    assert_int_equal(request.port, 81);
    assert_string_equal(request.head.ptr,
                        "POST /p?q=1 HTTP/1.1\r\nHost: A.example:81\r\nConnection: close\r\n"
                        "Content-Length: 3\r\nX-A: b\r\n\r\n");
    assert_int_equal(read_text("GET http://a.example HTTP/1.1\r\n\r\n"), 1);
    assert_int_equal(request.port, 80);
    assert_true(slice_starts(buf_slice(&request.head), "GET / HTTP/1.1\r\nHost: a.example\r\n"));
}

static void refuses_the_rest(void **state)
{
    static const char *const cases[] = {
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET https://a.example/ HTTP/1.1\r\n\r\n",
        "GET http://u:p@a.example/ HTTP/1.1\r\n\r\n",
        "GET http:///x HTTP/1.1\r\n\r\n",
        "GET ftp://a.example/ HTTP/1.1\r\n\r\n",
        "CONNECT a.example HTTP/1.1\r\n\r\n",
        "CONNECT a.example: HTTP/1.1\r\n\r\n",
        "CONNECT a.example:0 HTTP/1.1\r\n\r\n",
        "CONNECT a.example:99999 HTTP/1.1\r\n\r\n",
        "CONNECT :443 HTTP/1.1\r\n\r\n",
        "CONNECT ::1:443 HTTP/1.1\r\n\r\n",
        "CONNECT http://a:443 HTTP/1.1\r\n\r\n",
        "nonsense\r\n\r\n",
        "GET http://a/ HTTP/1.1\nHost: a\n\n",
        "GET http://a/ HTTP/1.1\r\nA : b\r\n\r\n",
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        if (read_text(cases[i]) != 400)
            fail_msg("was taken: %s", cases[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_tunnels),
        cmocka_unit_test(rewrites_whole_urls),
        cmocka_unit_test(refuses_the_rest),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    proxy_request_done(&request);
    return failed;
}
