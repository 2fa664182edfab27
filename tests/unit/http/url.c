/* SPDX-License-Identifier: Apache-2.0 */
#include "http/url.h"

#include "base/buf.h"
#include "base/memory.h"
#include "unit.h"

#include <errno.h>

static void splits_what_is_a_url(void **state)
{
    static const struct {
        const char *text, *authority, *host, *path, *query;
        unsigned port;
        bool secure, is_ipv6, has_userinfo;
    } good[] = {
        {"http://h", "h", "h", "", "", 80, false, false, false},
        {"http://h/", "h", "h", "/", "", 80, false, false, false},
        {"HTTPS://H.example/a/b?c=d#e", "H.example", "H.example", "/a/b", "?c=d", 443, true, false,
         false},
        {"http://h?x=1/2", "h", "h", "", "?x=1/2", 80, false, false, false},
        {"http://h#/x?y", "h", "h", "", "", 80, false, false, false},
        {"http://127.0.0.1:8080/x", "127.0.0.1:8080", "127.0.0.1", "/x", "", 8080, false, false,
         false},
        {"http://h:/x", "h:", "h", "/x", "", 80, false, false, false},
        {"http://[::1]/x", "[::1]", "::1", "/x", "", 80, false, true, false},
        {"http://[fe80::1]:65535", "[fe80::1]:65535", "fe80::1", "", "", 65535, false, true, false},
        {"http://[fe80::1%25eth0]", "[fe80::1%25eth0]", "fe80::1%25eth0", "", "", 80, false, true,
         false},
        {"http://[::ffff:127.0.0.1]", "[::ffff:127.0.0.1]", "::ffff:127.0.0.1", "", "", 80, false,
         true, false},
        {"http://u:p@h:1/@", "h:1", "h", "/@", "", 1, false, false, true},
        {"http://a@b@h/", "h", "h", "/", "", 80, false, false, true},
        {"http://h/%20?%zz", "h", "h", "/%20", "?%zz", 80, false, false, false},
    };
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        struct url u;
        assert_int_equal(url_split(slice_text(good[i].text), &u), 0);
        assert_true(slice_is(u.authority, good[i].authority));
        assert_true(slice_is(u.host, good[i].host));
        assert_true(slice_is(u.path, good[i].path));
        assert_true(slice_is(u.query, good[i].query));
        assert_int_equal(u.port, good[i].port);
        assert_int_equal(u.secure, good[i].secure);
        assert_int_equal(u.is_ipv6, good[i].is_ipv6);
        assert_int_equal(u.has_userinfo, good[i].has_userinfo);
    }
}

static void refuses_what_is_none(void **state)
{
    static const char *const bad[] = {
        "",
        "h",
        "http:",
        "http://",
        "http:///x",
        "http://?x",
        "ftp://h/",
        "http://h:0/",
        "http://h:65536/",
        "http://h:99999999999999999999/",
        "http://h:x",
        "http://:80",
        "http://h:1:2/",
        "http://[::1/",
        "http://[::1]x/",
        "http://[]/",
        "http://[127.0.0.1]/",
        "http://[name]/",
        "http://[:::]/",
        "http://[fe80::1%]/",
        "http://[1111:1111:1111:1111:1111:1111:1111:1111:1111]/",
        "http://@/",
        "http://h/a b",
        "http://h/a\nb",
        "http://h/\x7f",
        "http://h:-1/",
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct url u;
        if (url_split(slice_text(bad[i]), &u) != -EINVAL)
            fail_msg("%s", bad[i]);
    }
}

static void escapes_what_is_not_ascii(void **state)
{
    autobuf out = BUF_INIT;
    url_add_escaped(&out, SLICE("/\xc3\xbc%20/"));
    url_add_escaped(&out, SLICE("?a=\xff&b"));
    assert_true(slice_is(buf_slice(&out), "/%C3%BC%20/?a=%FF&b"));
}

static void leaves_an_empty_port_out(void **state)
{
    assert_true(slice_is(url_without_empty_port(SLICE("h:")), "h"));
    assert_true(slice_is(url_without_empty_port(SLICE("[::1]:")), "[::1]"));
    assert_true(slice_is(url_without_empty_port(SLICE("[::]")), "[::]"));
    assert_true(slice_is(url_without_empty_port(SLICE("h:80")), "h:80"));
}

static void tells_what_is_plain(void **state)
{
    static const struct {
        const char *text;
        bool plain;
    } urls[] = {
        {"http://h/", true},          {"http://h:1/%C3%A9", true},
        {"http://[::1]:1", true},     {"https://h/", false},
        {"http://u@h/", false},       {"http://%68/", false},
        {"http://h\xc3\xa9/", false}, {"http://[fe80::1%25lo]/", false},
    };
    for (size_t i = 0; i < COUNT_OF(urls); i++) {
        struct url u;
        assert_int_equal(url_split(slice_text(urls[i].text), &u), 0);
        assert_int_equal(url_is_plain(&u), urls[i].plain);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits_what_is_a_url),     cmocka_unit_test(refuses_what_is_none),
        cmocka_unit_test(tells_what_is_plain),      cmocka_unit_test(escapes_what_is_not_ascii),
        cmocka_unit_test(leaves_an_empty_port_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
