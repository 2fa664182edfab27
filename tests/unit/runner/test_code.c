/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/code.h"

#include "base/buf.h"
#include "base/fdio.h"
#include "base/memory.h"
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];

static int setup(void **state)
{
    strcpy(folder, "/tmp/sluice-code-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int teardown(void **state)
{
    return fdio_remove_tree(folder);
}

static int write_bundle(const char *files, const char *name, struct error *err)
{
    struct bundle b = {.root = json_pack("{}"), .files = json_loads(files, 0, NULL)};
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    b.main = "run.bin";
    assert_non_null(b.files);
    int r = code_write(path, &b, (uid_t)-1, err);
    json_decref(b.files);
    bundle_done(&b);
    return r;
}

static mode_t mode_of(const char *name)
{
    char path[256];
    struct stat info;
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    assert_int_equal(lstat(path, &info), 0);
    return info.st_mode;
}

static void writes_files_and_folders(void **state)
{
    struct error err = ERROR_INIT;
    assert_int_equal(write_bundle("{\"a.py\":\"text\",\"b/c/d.py\":\"\",\"b/s\":\"#!/bin/sh\\n\","
                                  "\"run.bin\":\"x\"}",
                                  "f", &err),
                     0);
    assert_int_equal(mode_of("f/code/a.py"), S_IFREG | 0644);
    assert_int_equal(mode_of("f/code/b/c"), S_IFDIR | 0755);
    assert_int_equal(mode_of("f/code/b/s"), S_IFREG | 0755);
    assert_int_equal(mode_of("f/code/run.bin"), S_IFREG | 0755);
    assert_int_equal(mode_of("f/packages"), S_IFDIR | 0755);
    autobuf text = BUF_INIT;
    char path[128];
    snprintf(path, sizeof(path), "%s/f/code/a.py", folder);
    assert_int_equal(fdio_read_file(path, 100, &text), 0);
    assert_string_equal(text.ptr, "text");
    /* what was there before goes */
    assert_int_equal(write_bundle("{\"z\":\"\"}", "f", &err), 0);
    snprintf(path, sizeof(path), "%s/f/code/a.py", folder);
    assert_int_equal(access(path, F_OK), -1);
}

/* Names are checked when the bundle is read; here they are not, and nothing leaves the folder. */
static void stays_in_its_folder(void **state)
{
    struct error err = ERROR_INIT;
    static const char *const cases[] = {
        "{\"../out\":\"\"}", "{\"a/../../out\":\"\"}",    "{\"/tmp/sluice-code-out\":\"\"}",
        "{\"..\":\"\"}",     "{\"a\":\"\",\"a/b\":\"\"}",
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        if (write_bundle(cases[i], "f", &err) >= 0)
            fail_msg("%s was written", cases[i]);
    char path[128];
    snprintf(path, sizeof(path), "%s/out", folder);
    assert_int_equal(access(path, F_OK), -1);
    snprintf(path, sizeof(path), "%s/f/out", folder);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(access("/tmp/sluice-code-out", F_OK), -1);
}

static void a_link_is_not_followed(void **state)
{
    struct error err = ERROR_INIT;
    char path[128], target[128];
    snprintf(target, sizeof(target), "%s/elsewhere", folder);
    snprintf(path, sizeof(path), "%s/f", folder);
    assert_int_equal(mkdir(target, 0700), 0);
    assert_int_equal(symlink(target, path), 0);
    assert_int_equal(write_bundle("{\"a\":\"\"}", "f", &err), 0);
    strcat(target, "/code");
    assert_int_equal(access(target, F_OK), -1);
    assert_int_equal(mode_of("f") & S_IFMT, S_IFDIR);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(writes_files_and_folders),
        TEST(stays_in_its_folder),
        TEST(a_link_is_not_followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
