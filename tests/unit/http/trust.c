/* SPDX-License-Identifier: Apache-2.0 */
#include "http/trust.h"

#include "unit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *content(const char *path)
{
    static char text[256];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    ssize_t n = read(fd, text, sizeof(text) - 1);
    assert_true(n >= 0);
    text[n] = '\0';
    close(fd);
    return text;
}

static void the_system_is_trusted_as_well(void **state)
{
    char system[] = "/tmp/sluice-trust-XXXXXX", path[HTTP_TRUST_PATH_SIZE] = "";
    int fd = mkstemp(system);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "system", 6), 6);
    close(fd);
    struct http_trust *t = http_trust_of("own");
    assert_int_equal(http_trust_file(t, system, path), 0);
    assert_string_equal(content(path), "system\nown");
    unlink(system);
    memset(path, 0, sizeof(path));
    assert_int_equal(http_trust_file(t, system, path), 0);
    assert_string_equal(content(path), "system\nown"); /* made once, read often */
    http_trust_unref(t);
    assert_int_equal(access(path, F_OK), -1);
}

static void without_a_system(void **state)
{
    static const char *const systems[] = {NULL, "/nonexistent/file"};
    for (size_t i = 0; i < 2; i++) {
        char path[HTTP_TRUST_PATH_SIZE];
        struct http_trust *t = http_trust_of("own");
        assert_int_equal(http_trust_file(t, systems[i], path), 0);
        assert_string_equal(content(path), "\nown");
        http_trust_unref(t);
    }
}

/* A call under way keeps it. */
static void references_are_counted(void **state)
{
    char path[HTTP_TRUST_PATH_SIZE];
    struct http_trust *t = http_trust_of("own");
    struct http_trust *again = http_trust_ref(t);
    http_trust_unref(t);
    assert_int_equal(http_trust_file(again, NULL, path), 0);
    assert_string_equal(content(path), "\nown");
    http_trust_unref(again);
    assert_null(http_trust_ref(NULL));
    http_trust_unref(NULL);
}

/* As many triggers as there are, one file. */
static void equal_ones_are_one(void **state)
{
    struct http_trust *a = http_trust_of("a"), *b = http_trust_of("b"), *c = http_trust_of("c");
    assert_ptr_equal(http_trust_of("b"), b);
    assert_ptr_not_equal(a, b);
    http_trust_unref(b);
    assert_ptr_equal(http_trust_of("b"), b);
    http_trust_unref(b);
    http_trust_unref(b);
    assert_ptr_equal(http_trust_of("a"), a);
    assert_ptr_equal(http_trust_of("c"), c);
    http_trust_unref(a);
    http_trust_unref(a);
    http_trust_unref(c);
    http_trust_unref(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_system_is_trusted_as_well),
        cmocka_unit_test(without_a_system),
        cmocka_unit_test(references_are_counted),
        cmocka_unit_test(equal_ones_are_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
