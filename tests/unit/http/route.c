/* SPDX-License-Identifier: Apache-2.0 */
#include "http/route.h"
#include "unit.h"

#include <errno.h>

static void nothing(struct http_request *r, void *ctx)
{
}

#define ROW(methods, pattern)                                                                      \
    {                                                                                              \
        methods, pattern, nothing, NULL, HTTP_ROLE_PUBLIC, 0, false, NULL                          \
    }

static const struct http_route rows[] = {
    ROW(HTTP_GET, "/"),
    ROW(HTTP_GET, "/health/liveness"),
    ROW(HTTP_GET | HTTP_POST, "/apis/{group}/{version}/namespaces/{namespace}/{plural}"),
    ROW(HTTP_ANY, "/functions/{namespace}/{name}/{rest...}"),
    ROW(HTTP_GET, "/docs/index"),
    ROW(HTTP_GET, "/docs/{page}"),
    ROW(HTTP_POST, "/{namespace}/{broker}"),
    ROW(HTTP_DELETE, "/{namespace}/{broker}"),
};

static struct http_router *router;
static struct http_match match;

static const char *find(enum http_method method, const char *path)
{
    http_router_match(router, method, slice_text(path), &match);
    return match.route != NULL ? match.route->pattern : NULL;
}

static bool param_is(unsigned i, const char *name, const char *value)
{
    return i < match.param_count && slice_is(match.params[i].name, name) &&
           slice_is(match.params[i].value, value);
}

static void finds_rows(void **state)
{
    assert_string_equal(find(HTTP_GET, "/"), "/");
    assert_string_equal(find(HTTP_GET, "/health/liveness"), "/health/liveness");
    assert_string_equal(find(HTTP_HEAD, "/health/liveness"), "/health/liveness");
    assert_string_equal(find(HTTP_POST, "/ns/broker"), "/{namespace}/{broker}");
    assert_true(param_is(0, "namespace", "ns") && param_is(1, "broker", "broker"));
    assert_string_equal(find(HTTP_POST, "/apis/g/v1/namespaces/n/triggers"), rows[2].pattern);
    assert_true(param_is(0, "group", "g") && param_is(3, "plural", "triggers"));
    assert_string_equal(find(HTTP_GET, "/docs/index"), "/docs/index");
    assert_string_equal(find(HTTP_GET, "/docs/other"), "/docs/{page}");
    assert_string_equal(find(HTTP_POST, "/docs/other"), "/{namespace}/{broker}");
}

static void takes_the_rest(void **state)
{
    assert_string_equal(find(HTTP_PUT, "/functions/n/f"), rows[3].pattern);
    assert_true(param_is(2, "rest", ""));
    assert_string_equal(find(HTTP_OTHER, "/functions/n/f/"), rows[3].pattern);
    assert_true(param_is(2, "rest", ""));
    assert_string_equal(find(HTTP_PUT, "/functions/n/f/a//b/"), rows[3].pattern);
    assert_true(param_is(2, "rest", "a//b/"));
}

static void finds_nothing_else(void **state)
{
    static const char *const paths[] = {
        "",    "x",   "//",   "/health", "/health/",          "/a/b/c",      "/a/",
        "/ns", "//a", "/a//", "/apis",   "/health/liveness/", "/functions/n"};
    for (size_t i = 0; i + 1 < sizeof(paths) / sizeof(paths[0]); i++) {
        assert_null(find(HTTP_GET, paths[i]));
        if (!slice_is(slice_text(paths[i]), ""))
            assert_int_equal(match.param_count, 0);
    }
    assert_null(find(HTTP_GET, "/a/b"));
    assert_int_equal(match.allowed, HTTP_POST | HTTP_DELETE);
    assert_null(find(HTTP_GET, "/a/b/c"));
    assert_int_equal(match.allowed, 0);
}

static void refuses_malformed_rows(void **state)
{
    static const struct http_route bad[] = {
        ROW(HTTP_GET, "a"),
        ROW(HTTP_GET, NULL),
        ROW(HTTP_GET, "/{"),
        ROW(HTTP_GET, "/{}"),
        ROW(HTTP_GET, "/{a"),
        ROW(HTTP_GET, "/{a...}/b"),
        ROW(HTTP_GET, "/{...}"),
        ROW(0, "/a"),
        {HTTP_GET, "/a", nothing, NULL, 0, 0, false, NULL},
        {HTTP_GET, "/a", nothing, NULL, HTTP_ROLE_COUNT, 0, false, NULL},
        {HTTP_GET, "/a", NULL, NULL, HTTP_ROLE_ADMIN, 0, false, NULL},
        ROW(HTTP_GET, "/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}"),
        ROW(HTTP_GET, "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17"),
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct http_router *r = NULL;
        struct error err = ERROR_INIT;
        assert_int_equal(http_router_new(&bad[i], 1, &r, &err), -EINVAL);
        assert_true(err.message[0] != '\0');
        assert_null(r);
    }
}

static int make(void **state)
{
    struct error err = ERROR_INIT;
    return http_router_new(rows, sizeof(rows) / sizeof(rows[0]), &router, &err);
}

static int done(void **state)
{
    http_router_free(router);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_rows),
        cmocka_unit_test(takes_the_rest),
        cmocka_unit_test(finds_nothing_else),
        cmocka_unit_test(refuses_malformed_rows),
    };
    return cmocka_run_group_tests(tests, make, done);
}
