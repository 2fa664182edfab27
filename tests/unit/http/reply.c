/* SPDX-License-Identifier: Apache-2.0 */
#include "http/reply.h"

#include "unit.h"

#include <errno.h>

struct expectation {
    const char *bytes;
    int result; /* of the feed that decides */
    unsigned status;
    const char *body;
    bool keep_alive;
};

static const struct expectation good[] = {
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 1, 200, "hello", true},
    {"HTTP/1.1 204 No Content\r\n\r\n", 1, 204, "", true},
    {"HTTP/1.1 304 x\r\nContent-Length: 9\r\n\r\n", 1, 304, "", true},
    {"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nConnection: close\r\n\r\n", 1, 200, "", false},
    {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: x, Close\t,y\r\n\r\n", 1, 200, "", false},
    {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: closed\r\n\r\n", 1, 200, "", true},
    {"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", 1, 200, "", true},
    {"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", 1, 200, "x", false},
    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok", 1, 201,
     "ok", true},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nWiki\r\n5;x=y\r\npedia\r\n0\r\nA: "
     "b\r\n\r\n",
     1, 200, "Wikipedia", true},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n", 1, 200, "", true},
    {"HTTP/1.1 500 no\r\nContent-Length: 1\r\n\r\nxEXTRA", 1, 500, "x", false},
};

/* However the bytes are cut, the answer is the same. */
static void reads_answers_cut_anywhere(void **state)
{
    struct reply r = {0};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct slice all = slice_text(good[i].bytes);
        for (size_t step = 1; step <= all.len; step++) {
            int result = 0;
            reply_begin(&r, false, 100);
            for (size_t at = 0; at < all.len && result == 0; at += step)
                result = reply_feed(
                    &r, slice_of(all.ptr + at, at + step > all.len ? all.len - at : step));
            assert_int_equal(result, 1);
            assert_int_equal(r.status, good[i].status);
            assert_true(slice_is(buf_slice(&r.body), good[i].body));
            if (step == all.len)
                assert_int_equal(r.keep_alive, good[i].keep_alive);
        }
    }
    reply_done(&r);
}

static void refuses_what_is_no_answer(void **state)
{
    static const struct {
        const char *bytes;
        int result;
    } bad[] = {
        {"GET / HTTP/1.1\r\n\r\n", -EPROTO},
        {"HTTP/2 200 OK\r\n\r\n", -EPROTO},
        {"HTTP/1.1 0x0 OK\r\n\r\n", -EPROTO},
        {"HTTP/1.1 099 OK\r\n\r\n", -EPROTO},
        {"HTTP/1.1 2000 OK\r\n\r\n", -EPROTO},
        {"HTTP/1.1 20\r\n\r\n", -EPROTO},
        {"HTTP/1.1 101 Switching\r\n\r\n", -EPROTO},
        {"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", -EPROTO},
        {"HTTP/1.1 200 OK\r\n: empty\r\n\r\n", -EPROTO},
        {"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", -EPROTO},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", -EPROTO},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", -EPROTO},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", -EPROTO},
        {"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n", -EMSGSIZE},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n", -EMSGSIZE},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\n",
         -EMSGSIZE},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n65\r\nsome of it", -EMSGSIZE},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n64\r\nb", -EMSGSIZE},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n64\r\n", -EMSGSIZE},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", -EPROTO},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", -EPROTO},
    };
    struct reply r = {0};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        reply_begin(&r, false, 100);
        if (reply_feed(&r, slice_text(bad[i].bytes)) != bad[i].result)
            fail_msg("%s", bad[i].bytes);
    }
    reply_done(&r);
}

static void limits_the_head(void **state)
{
    struct reply r = {0};
    reply_begin(&r, false, 100);
    int result = reply_feed(&r, slice_text("HTTP/1.1 200 OK\r\n"));
    for (int i = 0; i < 100000 && result == 0; i++)
        result = reply_feed(&r, slice_text("A: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n"));
    assert_int_equal(result, -EMSGSIZE);
    reply_begin(&r, false, 100); /* and those of answers that only announce one */
    result = 0;
    for (int i = 0; i < 100000 && result == 0; i++)
        result = reply_feed(&r, slice_text("HTTP/1.1 100 Continue\r\n\r\n"));
    assert_int_equal(result, -EMSGSIZE);
    reply_done(&r);
}

static void the_end_ends_only_what_may_end_so(void **state)
{
    struct reply r = {0};
    reply_begin(&r, false, 100);
    assert_int_equal(reply_feed(&r, slice_text("HTTP/1.1 200 OK\r\n\r\nuntil the end")), 0);
    assert_int_equal(reply_end(&r), 1);
    assert_true(slice_is(buf_slice(&r.body), "until the end"));
    assert_false(r.keep_alive);
    static const char *const cut[] = {
        "", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"};
    for (size_t i = 0; i < 4; i++) {
        reply_begin(&r, false, 100);
        assert_int_equal(reply_feed(&r, slice_text(cut[i])), 0);
        assert_int_equal(reply_end(&r), -ECONNRESET);
    }
    reply_begin(&r, true, 100); /* HEAD */
    assert_int_equal(reply_feed(&r, slice_text("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")), 1);
    reply_done(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_answers_cut_anywhere),
        cmocka_unit_test(refuses_what_is_no_answer),
        cmocka_unit_test(limits_the_head),
        cmocka_unit_test(the_end_ends_only_what_may_end_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
