/* SPDX-License-Identifier: Apache-2.0 */
#include "http/chunked.h"

#include "base/buf.h"
#include "unit.h"

#include <errno.h>

/* Feeds the bytes in pieces of that many. Gives what chunked_read() gave last, the data, and what
 * was left behind the body. */
static int read_in_steps(struct slice all, size_t step, struct buf *data, size_t *ret_rest)
{
    struct chunked c;
    int status = 0;
    chunked_begin(&c);
    buf_reset(data);
    for (size_t at = 0; at < all.len && status == 0; at += step) {
        size_t n = all.len - at < step ? all.len - at : step;
        struct slice piece = slice_of(all.ptr + at, n), part;
        while (piece.len > 0 && status == 0) {
            status = chunked_read(&c, &piece, &part);
            buf_add_slice(data, part);
        }
        *ret_rest = piece.len + (all.len - at - n);
    }
    return status;
}

static void reads_bodies_cut_anywhere(void **state)
{
    static const struct {
        const char *bytes, *data;
        size_t rest;
    } good[] = {
        {"0\r\n\r\n", "", 0},
        {"0\r\n\r\nGET /", "", 5},
        {"4\r\nWiki\r\n5\r\npedia\r\n0\r\n\r\n", "Wikipedia", 0},
        {"A\r\n0123456789\r\na\r\n0123456789\r\n000\r\n\r\n", "01234567890123456789", 0},
        {"1;a=b;c=\"d\"\r\nx\r\n0;last\r\n\r\n", "x", 0},
        {"1 ;a\r\nx\r\n0\r\nSome: trailer\r\nOther: one\r\n\r\n?", "x", 1},
        {"2\r\n\r\n\r\n0\r\n\r\n", "\r\n", 0},
        {"0000000000000000000001\r\nx\r\n0\r\n\r\n", "x", 0},
    };
    autobuf data = BUF_INIT;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct slice all = slice_text(good[i].bytes);
        for (size_t step = 1; step <= all.len; step++) {
            size_t rest = 0;
            if (read_in_steps(all, step, &data, &rest) != 1)
                fail_msg("%s by %zu", good[i].bytes, step);
            assert_true(slice_is(buf_slice(&data), good[i].data));
            assert_int_equal(rest, good[i].rest);
        }
    }
}

static void refuses_what_is_malformed(void **state)
{
    static const char *const bad[] = {
        "\r\n",
        "x\r\n",
        "-1\r\n",
        "+1\r\n",
        "0x1\r\n",
        " 1\r\n",
        ";a\r\n",
        "1\nx",
        "1\r\nx\n0",
        "1\r\nx0\r\n",
        "1\r\nxy\r\n",
        "1\rx",
        "1;a\nx",
        "1;a\x01\r\n",
        "1;\r\r\nx",
        "0\r\n\n",
        "0\n\r\n",
        "0\r\n: a\r\n",
        "0\r\n a: b\r\n",
        "0\r\na\n\r\n",
        "0\r\na\x01\r\n",
        "0\r\na\rb\r\n",
        "1\r\nx\r\r\n0\r\n",
        "1\r\nx\r\n\r\n0\r\n",
        "1,\r\nx",
        "5 \r\n",
        "5\t\r\n",
        "5 5\r\n",
        "0 \r\n\r\n",
        "0\r\nab\r\n\r\n",
        "0\r\na b: c\r\n",
        "0\r\nGET / HTTP/1.1\r\n",
    };
    autobuf data = BUF_INIT;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        size_t rest = 0;
        if (read_in_steps(slice_text(bad[i]), 100, &data, &rest) != -EPROTO ||
            read_in_steps(slice_text(bad[i]), 1, &data, &rest) != -EPROTO)
            fail_msg("%zu: %s", i, bad[i]);
    }
}

static void limits_lines(void **state)
{
    static const char *const heads[] = {"0\r\na: ", "1;", "", "ffffffffffffffffffffff"};
    static const char fillers[] = {'x', 'x', '0', 'f'};
    autobuf bytes = BUF_INIT, data = BUF_INIT;
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        size_t rest = 0;
        buf_reset(&bytes);
        buf_add_text(&bytes, heads[i]);
        while (bytes.len < CHUNKED_TRAILER_MAX + 100)
            buf_add_byte(&bytes, fillers[i]);
        assert_int_equal(read_in_steps(buf_slice(&bytes), 1000, &data, &rest), -EMSGSIZE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_bodies_cut_anywhere),
        cmocka_unit_test(refuses_what_is_malformed),
        cmocka_unit_test(limits_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
