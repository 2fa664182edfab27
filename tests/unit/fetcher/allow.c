/* SPDX-License-Identifier: Apache-2.0 */
/* Which URLs an allow-list lets through, and what is called then. */
#include "fetcher/fetcher.h"

#include "unit.h"

#include <errno.h>

static struct allow_list list_of(const char *const *entries)
{
    struct allow_list l = {NULL, 0};
    for (; *entries != NULL; entries++)
        assert_int_equal(allow_add(&l, slice_text(*entries)), 0);
    return l;
}

/* Whether the list lets a URL through; -EINVAL when it is none that could be called. */
static int verdict(const struct allow_list *l, const char *text)
{
    struct destination d;
    autobuf url = BUF_INIT;
    int r = destination_of(slice_text(text), &d, &url, NULL);
    return r < 0 ? r : allow_has(l, &d);
}

static const char *const listed[] = {
    "api.github.com:443", "*.example.org:443",    "Plain.Test:80", "other.test:8080",
    "127.0.0.1:80",       "[2001:db8:0:0::1]:80", "localhost:80",  NULL};

static void test_urls(void **state)
{
    static const struct {
        const char *url;
        int verdict;
    } cases[] = {
        {"https://api.github.com/", 1},
        {"https://api.github.com", 1},
        {"HTTPS://API.GitHub.COM/x", 1},
        {"https://api.github.com:443/x", 1},
        {"https://api.github.com:/x", 1},
        {"https://api.github.com./x", 1},
        {"https://api.github.com?q", 1},
        {"http://api.github.com/", 0},
        {"http://api.github.com:443/", 1},
        {"https://api.github.com:8443/", 0},
        {"https://api.github.com.evil.test/", 0},
        {"https://evilapi.github.com/", 0},
        {"https://github.com/", 0},
        /* who is before the @ says nothing about where it goes */
        {"https://api.github.com@evil.test/", -EINVAL},
        {"https://api.github.com:443@evil.test:443/", -EINVAL},
        {"https://user:pass@api.github.com/", -EINVAL},
        {"https://evil.test/@api.github.com/", 0},
        {"https://evil.test#@api.github.com/", 0},
        {"https://evil.test?@api.github.com/", 0},
        {"https://evil.test\\@api.github.com/", -EINVAL},
        {"https://api.github.com\\.evil.test/", -EINVAL},
        {"https://api.github.com%2eevil.test/", -EINVAL},
        {"https://api.github.com%00.evil.test/", -EINVAL},
        {"https://api.github.com\t.evil.test/", -EINVAL},
        {"https://api.github.com../", -EINVAL},
        {"https:api.github.com/", -EINVAL},
        {"//api.github.com/", -EINVAL},
        {"file:///etc/passwd", -EINVAL},
        {"ftp://api.github.com/", -EINVAL},
        {"", -EINVAL},
        /* a suffix is names below it */
        {"https://a.example.org/", 1},
        {"https://a.b.example.org/", 1},
        {"https://example.org/", 0},
        {"https://.example.org/", -EINVAL},
        {"https://aexample.org/", 0},
        {"https://a.example.org.test/", 0},
        {"http://plain.test/", 1},
        {"http://PLAIN.test:80/", 1},
        {"http://other.test/", 0},
        {"http://other.test:8080/", 1},
        /* other names in another script, as they are written */
        {"http://pl\xc3\xa4in.test/", -EINVAL},
        {"http://xn--plin-loa.test/", 0},
        /* addresses only when they are listed, and in no other form */
        {"http://127.0.0.1/", 1},
        {"http://127.0.0.1./", 1},
        {"http://127.0.0.2/", 0},
        {"http://127.1/", -EINVAL},
        {"http://2130706433/", -EINVAL},
        {"http://0x7f000001/", -EINVAL},
        {"http://0x7f.0.0.1/", -EINVAL},
        {"http://0177.0.0.1/", -EINVAL},
        {"http://127.0.0.0x1/", -EINVAL},
        {"http://127.0.0.1.2/", -EINVAL},
        {"http://[::ffff:127.0.0.1]/", 0},
        {"http://[::1]/", 0},
        {"http://[2001:db8::1]/", 1},
        {"http://[2001:0DB8::0001]:80/", 1},
        {"http://[2001:db8::2]/", 0},
        {"http://[2001:db8::1%25eth0]/", -EINVAL},
        {"http://[fe80::1%eth0]/", -EINVAL},
        {"http://[127.0.0.1]/", -EINVAL},
        {"http://localhost/", 1},
    };
    struct allow_list l = list_of(listed);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int got = verdict(&l, cases[i].url);
        if (got != cases[i].verdict)
            fail_msg("%s: %d, not %d", cases[i].url, got, cases[i].verdict);
    }
    allow_done(&l);
}

static void test_empty_list(void **state)
{
    struct allow_list l = {NULL, 0};
    assert_int_equal(verdict(&l, "http://localhost/"), 0);
}

static void test_entries(void **state)
{
    static const char *const bad[] = {
        "",        ":80",    "host",           "host:",    "host:0",      "host:65536",
        "host:x",  "*:80",   "*.:80",          "a*.b:80",  "*.*.b:80",    "[]:80",
        "[::1:80", "::1:80", "*.[::1]:80",     "*.1.2:80", "http://h:80", "h/:80",
        "u@h:80",  "h h:80", "[127.0.0.1]:80",
    };
    struct allow_list l = {NULL, 0};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (allow_add(&l, slice_text(bad[i])) != -EINVAL)
            fail_msg("\"%s\" was taken", bad[i]);
    assert_int_equal(l.count, 0);
    allow_done(&l);
}

/* What is called is written anew from what was checked. */
static void test_written(void **state)
{
    static const struct {
        const char *text, *url;
    } cases[] = {
        {"http://HOST", "http://host/"},
        {"http://host.:80/a?b#c", "http://host/a?b"},
        {"https://host:443?q=1", "https://host/?q=1"},
        {"https://host:80/\xc3\xbc", "https://host:80/%C3%BC"},
        {"http://[0:0::1]:8080/", "http://[::1]:8080/"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct destination d;
        autobuf url = BUF_INIT;
        assert_int_equal(destination_of(slice_text(cases[i].text), &d, &url, NULL), 0);
        assert_string_equal(url.ptr, cases[i].url);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_empty_list),
        cmocka_unit_test(test_entries),
        cmocka_unit_test(test_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
