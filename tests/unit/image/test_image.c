/* SPDX-License-Identifier: Apache-2.0 */
/* Trees, their tar, and what is cut off programs; whole images are tested end to end. */
#include "image/image.h"

#include "base/fdio.h"

#include <elf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int note(void *ctx, const char *path, unsigned mode, struct slice bytes)
{
    buf_printf(ctx, "%s %o %s\n", path, mode, bytes.ptr == NULL ? "folder" : "file");
    return 0;
}

static void test_tree(void **state)
{
    (void)state;
    struct tree *t = tree_new();
    autobuf seen = BUF_INIT;
    assert_int_equal(tree_add(t, "b/c/d", 0644, SLICE("four")), 0);
    assert_int_equal(tree_add_folder(t, "tmp", 01777), 0);
    assert_int_equal(tree_add(t, "a", 0755, SLICE("")), 0);
    assert_int_equal(tree_add(t, "a", 0755, SLICE("")), -EEXIST);
    assert_int_equal(tree_add(t, "a/below-a-file", 0755, SLICE("")), -EEXIST);
    static const char *const bad[] = {"", "/a", "a//b", "./a", "a/..", "..", "a/./b", "a/"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(tree_add(t, bad[i], 0644, SLICE("x")), -EINVAL);
    char longest[300];
    memset(longest, 'x', sizeof(longest));
    longest[sizeof(longest) - 1] = '\0';
    assert_int_equal(tree_add(t, longest, 0644, SLICE("")), -ENAMETOOLONG);
    assert_true(tree_has(t, "b/c"));
    assert_int_equal(tree_bytes(t), 4);
    assert_int_equal(tree_each(t, note, &seen), 0);
    assert_string_equal(seen.ptr, "a 755 file\nb 755 folder\nb/c 755 folder\nb/c/d 644 file\n"
                                  "tmp 1777 folder\n");
    tree_free(t);
}

static void test_tar(void **state)
{
    (void)state;
    struct tree *t = tree_new();
    autobuf tar = BUF_INIT;
    assert_int_equal(tree_add(t, "file", 0640, SLICE("text")), 0);
    tar_write(t, 1700000000, &tar);
    assert_true(buf_ok(&tar));
    assert_int_equal(tar.len, 512 * 4);
    assert_string_equal(tar.ptr, "file");
    assert_memory_equal(tar.ptr + 100,
                        "0000640\0"
                        "0000000\0"
                        "0000000\0",
                        24);
    assert_memory_equal(tar.ptr + 124,
                        "00000000004\0"
                        "14524770400\0",
                        24);
    assert_memory_equal(tar.ptr + 257,
                        "ustar\0"
                        "00",
                        8);
    assert_memory_equal(tar.ptr + 512, "text\0", 5);
    unsigned sum = 8 * ' ';
    for (size_t i = 0; i < 512; i++)
        sum += i >= 148 && i < 156 ? 0 : (unsigned char)tar.ptr[i];
    assert_int_equal(strtoul(tar.ptr + 148, NULL, 8), sum);
    tree_free(t);
}

/* Up to 255 bytes, parted at a slash; where there is none in reach it fails. */
static void test_long_names(void **state)
{
    (void)state;
    char path[256];
    memset(path, 'x', sizeof(path));
    path[90] = '/';
    path[180] = '\0';
    struct tree *t = tree_new();
    autobuf tar = BUF_INIT;
    assert_int_equal(tree_add(t, path, 0644, SLICE("")), 0);
    tar_write(t, 0, &tar);
    assert_true(buf_ok(&tar));
    assert_memory_equal(tar.ptr + 512, path + 91, 89); /* after the folder's own header */
    assert_memory_equal(tar.ptr + 512 + 345, path, 90);
    tree_free(t);
    t = tree_new();
    path[90] = 'x';
    autobuf failed = BUF_INIT;
    assert_int_equal(tree_add(t, path, 0644, SLICE("")), 0);
    tar_write(t, 0, &failed);
    assert_false(buf_ok(&failed));
    tree_free(t);
}

static void test_strip(void **state)
{
    (void)state;
    autobuf self = BUF_INIT;
    char loader[256];
    assert_int_equal(fdio_read_file("/proc/self/exe", 64u << 20, &self), 0);
    size_t before = self.len;
    assert_int_equal(elf_interpreter(buf_slice(&self), loader), 0);
    assert_int_equal(loader[0], '/');
    assert_int_equal(elf_strip(&self), 0);
    assert_true(self.len < before);
    /* stripped once, it stays as it is, and is as good */
    before = self.len;
    assert_int_equal(elf_strip(&self), 0);
    assert_int_equal(self.len, before);
    for (size_t len = 0; len < 4096 && len < self.len; len += 7) {
        autobuf cut = BUF_INIT;
        buf_add(&cut, self.ptr, len);
        assert_int_equal(elf_strip(&cut), -ENOEXEC);
    }
    autobuf text = BUF_INIT;
    buf_add_text(&text, "#!/bin/sh\n");
    assert_int_equal(elf_strip(&text), -ENOEXEC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tree),
        cmocka_unit_test(test_tar),
        cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_strip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
