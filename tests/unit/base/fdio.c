/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fdio.h"

#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/sluice-fdio-XXXXXX";

static int setup(void **state)
{
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static void replaces_and_reads_files(void **state)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/file", folder);
    assert_int_equal(fdio_replace_file(path, "one", 3, 0600), 0);
    assert_int_equal(fdio_replace_file(path, "three", 5, 0600), 0);
    autobuf b = BUF_INIT;
    assert_int_equal(fdio_read_file(path, 5, &b), 0);
    assert_string_equal(b.ptr, "three");
    buf_reset(&b);
    assert_int_equal(fdio_read_file(path, 4, &b), -EFBIG);
    snprintf(path, sizeof(path), "%s/none/file", folder);
    assert_int_equal(fdio_replace_file(path, "x", 1, 0600), -ENOENT);
}

static void makes_and_removes_trees(void **state)
{
    char path[128], link[160];
    snprintf(path, sizeof(path), "%s/a/b/c", folder);
    assert_int_equal(fdio_make_folders(path, 0700), 0);
    assert_int_equal(fdio_make_folders(path, 0700), 0);
    snprintf(link, sizeof(link), "%s/link", path);
    assert_int_equal(symlink("/usr", link), 0);
    snprintf(path, sizeof(path), "%s/a", folder);
    assert_int_equal(fdio_remove_tree(path), 0);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(access("/usr", F_OK), 0);
    assert_int_equal(fdio_remove_tree(path), 0);
}

static int teardown(void **state)
{
    return fdio_remove_tree(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(replaces_and_reads_files),
                                       cmocka_unit_test(makes_and_removes_trees)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
