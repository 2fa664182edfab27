/* SPDX-License-Identifier: Apache-2.0 */
#include "http/chunked.h"

#include "base/buf.h"
#include "base/must.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* Reads a copy of exactly these bytes. Adds the data to data; *ret_rest is what stands behind. */
static int read_piece(struct chunked *c, struct slice piece, struct buf *data, size_t *ret_rest)
{
    char *copy = malloc(piece.len);
    must(copy != NULL);
    memcpy(copy, piece.ptr, piece.len);
    struct slice left = slice_of(copy, piece.len);
    int got = 0;
    while (got == 0 && left.len > 0) {
        struct slice found = {0};
        size_t before = left.len;
        got = chunked_read(c, &left, &found);
        must(left.len <= before && left.ptr + left.len == copy + piece.len);
        must(got != 0 || left.len < before); /* or a caller that calls again never ends */
        must(found.len == 0 || (found.ptr >= copy && found.ptr + found.len <= copy + piece.len));
        buf_add_slice(data, found);
    }
    *ret_rest = left.len;
    free(copy);
    return got;
}

/* Returns how it ended; *ret_rest: how many bytes stand behind the body. */
static int read_all(struct slice all, size_t step, struct buf *data, size_t *ret_rest)
{
    struct chunked c;
    chunked_begin(&c);
    int got = 0;
    *ret_rest = 0;
    for (size_t at = 0; got == 0 && at < all.len; at += step) {
        size_t len = all.len - at < step ? all.len - at : step;
        got = read_piece(&c, slice_of(all.ptr + at, len), data, ret_rest);
        *ret_rest += all.len - at - len;
    }
    must(got == 0 || got == 1 || got == -EPROTO || got == -EMSGSIZE);
    return got;
}

/* The plain encoding of data and what stood behind the body: reads as the same. */
static void check_again(struct slice data, struct slice behind)
{
    autobuf text = BUF_INIT;
    autobuf again = BUF_INIT;
    size_t rest;
    if (data.len > 0) {
        buf_printf(&text, "%zx\r\n", data.len);
        buf_add_slice(&text, data);
        buf_add_text(&text, "\r\n");
    }
    buf_add_text(&text, "0\r\n\r\n");
    buf_add_slice(&text, behind);
    must(read_all(buf_slice(&text), SIZE_MAX / 2, &again, &rest) == 1);
    must(rest == behind.len && slice_equal(data, buf_slice(&again)));
}

/* The first byte says how the rest is cut; however it is, the outcome is that of one piece. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    if (len < 2)
        return 0;
    struct slice all = slice_of((const char *)bytes + 1, len - 1);
    autobuf whole = BUF_INIT;
    autobuf cut = BUF_INIT;
    size_t whole_rest, cut_rest;
    int want = read_all(all, all.len, &whole, &whole_rest);
    must(read_all(all, bytes[0] + 1u, &cut, &cut_rest) == want);
    must(want < 0 || slice_equal(buf_slice(&whole), buf_slice(&cut)));
    must(whole.len < all.len);
    if (want == 1) {
        must(whole_rest == cut_rest);
        must(memcmp(all.ptr + all.len - whole_rest - 2, "\r\n", 2) == 0);
        check_again(buf_slice(&whole), slice_of(all.ptr + all.len - whole_rest, whole_rest));
    }
    return 0;
}
