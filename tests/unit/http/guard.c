/* SPDX-License-Identifier: Apache-2.0 */
#include "http/guard.h"

#include "base/buf.h"
#include "unit.h"

static const char *const hosts[] = {"sluice.example.org", NULL};
static const char *const origins[] = {"https://console.example.org", NULL};
static struct http_guard guard = {.hosts = hosts,
                                  .origins = origins,
                                  .check_host = true,
                                  .bound_host = "build.local",
                                  .bound_address = "10.0.0.7"};
static struct error err;

static unsigned host(const char *text, bool any_host)
{
    struct http_header_scan scan = {.host = slice_text(text), .host_count = 1};
    return http_guard_host(&guard, &scan, any_host, &err);
}

static void knows_its_names(void **state)
{
    static const char *const good[] = {"localhost",
                                       "LocalHost:8080",
                                       "127.0.0.1:1",
                                       "127.1.2.3",
                                       "[::1]",
                                       "[::1]:8080",
                                       "build.local:80",
                                       "10.0.0.7",
                                       "10.0.0.7:8080",
                                       "localhost.",
                                       "Sluice.Example.ORG.:443",
                                       "localhost:"};
    static const char *const foreign[] = {"evil.com",
                                          "evil.com:8080",
                                          "localhost.evil.com",
                                          "127.0.0.1.evil.com",
                                          "10.0.0.8",
                                          "[::2]",
                                          "0.0.0.0",
                                          "sluice.example.org.evil",
                                          "x.svc",
                                          "b.n.svc.cluster.local",
                                          "xlocalhost"};
    static const char *const malformed[] = {
        "",    ":80",         "localhost:x", "localhost:99999", "[::1",        "[::1]x", "a:b:c",
        "a b", "u@localhost", "localhost/",  "\"localhost\"",   "localhost\\", "."};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_int_equal(host(good[i], false), 0);
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
        assert_int_equal(host(foreign[i], false), 421);
    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++)
        assert_true(host(malformed[i], true) == 400 || slice_is(slice_text(malformed[i]), "."));
    struct http_header_scan none = {.host_count = 0};
    assert_int_equal(http_guard_host(&guard, &none, false, &err), 400);
}

static void takes_cluster_names_at_the_ingress_only(void **state)
{
    assert_int_equal(host("default-broker.js-example-service.svc.cluster.local", true), 0);
    assert_int_equal(host("default-broker.js-example-service.svc", true), 0);
    assert_int_equal(host("b.n.SVC.cluster.local.:80", true), 0);
    assert_int_equal(host("svc.cluster.local.evil.com", true), 421);
    assert_int_equal(host(".svc", true), 421);
}

static void takes_any_address_when_bound_to_all(void **state)
{
    guard.wildcard = true;
    assert_int_equal(host("192.168.1.5:8080", false), 0);
    assert_int_equal(host("[fe80::1]:8080", false), 0);
    assert_int_equal(host("evil.com", false), 421); /* rebinding needs a name */
    guard.wildcard = false;
    guard.check_host = false;
    assert_int_equal(host("evil.com", false), 0);
    guard.check_host = true;
}

static void refuses_foreign_origins(void **state)
{
    struct http_header_scan scan = {.origin_count = 0};
    assert_int_equal(http_guard_origin(&guard, &scan, &err), 0);
    scan = (struct http_header_scan){.origin = SLICE("https://console.example.org"),
                                     .origin_count = 1};
    assert_int_equal(http_guard_origin(&guard, &scan, &err), 0);
    scan.origin_count = 2;
    assert_int_equal(http_guard_origin(&guard, &scan, &err), 403);
    scan = (struct http_header_scan){.origin = SLICE("null"), .origin_count = 1};
    assert_int_equal(http_guard_origin(&guard, &scan, &err), 403);
    scan.origin = SLICE("https://console.example.org.evil.com");
    assert_int_equal(http_guard_origin(&guard, &scan, &err), 403);
    guard.origins = NULL;
    scan.origin = SLICE("https://console.example.org");
    assert_int_equal(http_guard_origin(&guard, &scan, &err), 403);
    guard.origins = origins;
}

static void refuses_odd_paths(void **state)
{
    static const char *const good[] = {"/",    "/a",     "/a/b",     "/a%20b", "/...", "/.a",
                                       "/a..", "/a/..b", "/%2e%2ea", "/%7E",   "//",   "/\xc3\xa9"};
    static const char *const bad[] = {"",          "a",     "*",       "/a b",  "/a\x01", "/a\x7f",
                                      "/.",        "/..",   "/a/../b", "/a/.",  "/a/./b", "/%2e",
                                      "/%2E%2e/b", "/.%2e", "/a%",     "/a%2",  "/a%zz",  "/a%00",
                                      "/a%1F",     "/a%7f", "/a#b",    "/a\tb", "/a\r"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_int_equal(http_guard_path(slice_text(good[i]), &err), 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(http_guard_path(slice_text(bad[i]), &err), 400);
}

/* The framing that a head's fields say: 0 and the length, or the status to refuse with. */
static unsigned framing(const char *fields, uint64_t *ret_length)
{
    static struct request_head head;
    autobuf bytes = BUF_INIT;
    buf_printf(&bytes, "POST / HTTP/1.1\r\n%s\r\n", fields);
    request_head_begin(&head);
    assert_int_equal(request_head_read(&head, bytes.ptr, bytes.len, &err), 1);
    struct http_header_scan scan;
    http_guard_scan(&head, bytes.ptr, &scan);
    return http_guard_framing(&scan, head.minor, ret_length, &err);
}

static void reads_framing(void **state)
{
    static const struct {
        const char *fields;
        uint64_t length;
    } good[] = {
        {"", 0},
        {"Host: a\r\n", 0},
        {"Content-Length: 0\r\n", 0},
        {"content-LENGTH:\t17 \r\n", 17},
        {"Content-Length: 0017\r\n", 17},
        {"Transfer-Encoding: chunked\r\n", HTTP_LENGTH_CHUNKED},
        {"transfer-encoding:CHUNKED\r\n", HTTP_LENGTH_CHUNKED},
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        uint64_t length = 1;
        assert_int_equal(framing(good[i].fields, &length), 0);
        assert_int_equal(length, good[i].length);
    }
}

static void refuses_ambiguous_framing(void **state)
{
    static const struct {
        const char *fields;
        unsigned status;
    } bad[] = {
        {"Content-Length: 1\r\nContent-Length: 1\r\n", 400},
        {"Content-Length: 1, 1\r\n", 400},
        {"Content-Length: +1\r\n", 400},
        {"Content-Length: -1\r\n", 400},
        {"Content-Length: 0x1\r\n", 400},
        {"Content-Length: 1 1\r\n", 400},
        {"Content-Length:\r\n", 400},
        {"Content-Length: 18446744073709551615\r\n", 413},
        {"Content-Length: 18446744073709551616\r\n", 413},
        {"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", 400},
        {"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400},
        {"Transfer-Encoding: gzip, chunked\r\n", 501},
        {"Transfer-Encoding: identity\r\n", 501},
        {"Transfer-Encoding: chunked, chunked\r\n", 501},
        {"Transfer-Encoding:\r\n", 501},
        {"Host: a\r\nHost: a\r\n", 400},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint64_t length = 0;
        unsigned status = framing(bad[i].fields, &length);
        if (status != bad[i].status || length != HTTP_LENGTH_CHUNKED)
            fail_msg("%s: %u", bad[i].fields, status);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_its_names),
        cmocka_unit_test(takes_cluster_names_at_the_ingress_only),
        cmocka_unit_test(takes_any_address_when_bound_to_all),
        cmocka_unit_test(refuses_foreign_origins),
        cmocka_unit_test(refuses_odd_paths),
        cmocka_unit_test(reads_framing),
        cmocka_unit_test(refuses_ambiguous_framing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
