/* SPDX-License-Identifier: Apache-2.0 */
#include "http/reply.h"

#include "base/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* The first byte says how the rest is cut; however it is, the outcome is that of one piece. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    if (len < 2)
        return 0;
    size_t step = bytes[0] + 1u;
    struct slice all = slice_of(bytes + 1, len - 1);
    struct reply whole = {0}, cut = {0};
    reply_begin(&whole, false, 1024);
    reply_begin(&cut, false, 1024);
    int want = reply_feed(&whole, all);
    int got = 0;
    for (size_t at = 0; at < all.len && got == 0; at += step)
        got = reply_feed(&cut, slice_of(all.ptr + at, at + step > all.len ? all.len - at : step));
    must(want == got);
    must(want != 1 ||
         (whole.status == cut.status && slice_equal(buf_slice(&whole.body), buf_slice(&cut.body))));
    must(whole.body.len <= 1024);
    reply_done(&whole);
    reply_done(&cut);
    return 0;
}
