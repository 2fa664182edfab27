/* SPDX-License-Identifier: Apache-2.0 */
/* The load generator's framing and histogram: a benchmark that miscounts is worse than none. */
#include "load.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* Hands text over in pieces of step bytes; the last result. */
static enum wire_result take(struct wire_reader *r, enum wire_kind kind, const char *text,
                             size_t step)
{
    enum wire_result result = WIRE_MORE;
    size_t len = strlen(text);
    r->kind = kind;
    wire_reader_reset(r);
    for (size_t at = 0; at < len && result == WIRE_MORE; at += step) {
        size_t n = len - at < step ? len - at : step;
        size_t to = r->state == WIRE_HEAD ? r->len : 0;
        memcpy(r->buf + to, text + at, n);
        result = wire_reader_take(r, n);
        if (result == WIRE_DONE)
            assert_int_equal(at + n, len);
    }
    return result;
}

static void take_every_way(enum wire_kind kind, const char *text, enum wire_result expected,
                           unsigned status)
{
    static struct wire_reader r;
    for (size_t step = 1; step <= strlen(text); step++) {
        assert_int_equal(take(&r, kind, text, step), expected);
        if (expected == WIRE_DONE)
            assert_int_equal(r.status, status);
    }
}

static void test_http_answers(void **state)
{
    (void)state;
    take_every_way(WIRE_HTTP_RESPONSE, "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n",
                   WIRE_DONE, 202);
    take_every_way(WIRE_HTTP_RESPONSE, "HTTP/1.1 204 No Content\r\nServer: x\r\n\r\n", WIRE_DONE,
                   204);
    take_every_way(WIRE_HTTP_RESPONSE, "HTTP/1.1 200 OK\r\ncontent-length:5\r\n\r\nhello",
                   WIRE_DONE, 200);
    take_every_way(WIRE_HTTP_RESPONSE,
                   "HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n"
                   "5;name=abc\r\nhello\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n",
                   WIRE_DONE, 500);
    /* unfinished, unframed, no HTTP */
    take_every_way(WIRE_HTTP_RESPONSE, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
                   WIRE_MORE, 0);
    take_every_way(WIRE_HTTP_RESPONSE, "HTTP/1.1 200 OK\r\nServer: x\r\n\r\n", WIRE_BAD, 0);
    take_every_way(WIRE_HTTP_RESPONSE, "SSH-2.0-OpenSSH_9.2 and more\r\n\r\n", WIRE_BAD, 0);
}

static void test_more_than_asked_is_bad(void **state)
{
    (void)state;
    static struct wire_reader r;
    const char *two = "HTTP/1.1 202 A\r\nContent-Length: 0\r\n\r\nHTTP/1.1 202 A\r\n";
    assert_int_equal(take(&r, WIRE_HTTP_RESPONSE, two, strlen(two)), WIRE_BAD);
}

static void test_close_is_seen(void **state)
{
    (void)state;
    static struct wire_reader r;
    const char *text = "HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n";
    assert_int_equal(take(&r, WIRE_HTTP_RESPONSE, text, 7), WIRE_DONE);
    assert_true(r.close);
}

static void test_requests(void **state)
{
    (void)state;
    static struct wire_reader r;
    const char *text = "POST / HTTP/1.1\r\nCe-Id: 00ab-00000000012345678901\r\n"
                       "Content-Length: 2\r\n\r\n{}";
    assert_int_equal(take(&r, WIRE_HTTP_REQUEST, text, 9), WIRE_DONE);
    assert_int_equal(r.sent_ns, 12345678901ull);
    assert_int_equal(r.method, 'P');
    take_every_way(WIRE_HTTP_REQUEST, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", WIRE_DONE, 0);
}

static void test_redis_replies(void **state)
{
    (void)state;
    take_every_way(WIRE_REDIS_REPLY, "$3\r\n1-0\r\n", WIRE_DONE, 200);
    take_every_way(WIRE_REDIS_REPLY, "$-1\r\n", WIRE_DONE, 200);
    take_every_way(WIRE_REDIS_REPLY, "-ERR no\r\n", WIRE_DONE, 500);
    take_every_way(WIRE_REDIS_REPLY, "HTTP/1.1\r\n", WIRE_BAD, 0);
}

static void test_template(void **state)
{
    (void)state;
    struct load_options o = {.method = "POST",
                             .path = "/a",
                             .host = "h:1",
                             .body = "{\"t\":\"{sent}\"}",
                             .headers = {"ce-id: {id}-{sent}"},
                             .header_count = 1};
    struct wire_template t;
    assert_int_equal(wire_template_init(&t, &o), 0);
    wire_stamp(&t, t.bytes, 0xabc, 1234567890123456789ull);
    assert_string_equal(t.bytes, "POST /a HTTP/1.1\r\nHost: h:1\r\n"
                                 "ce-id: 0000000000000abc-01234567890123456789\r\n"
                                 "Content-Length: 28\r\n\r\n{\"t\":\"01234567890123456789\"}");
    wire_template_done(&t);
}

static void test_histogram(void **state)
{
    (void)state;
    static struct histogram h, both;
    for (uint64_t i = 1; i <= 100000; i++)
        histogram_add(&h, i * 1000);
    const double quantiles[] = {0.01, 0.5, 0.9, 0.99};
    for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++) {
        double exact = quantiles[i] * 1e8;
        double got = (double)histogram_quantile(&h, quantiles[i]);
        assert_true(got > exact * 0.99 && got < exact * 1.01);
    }
    assert_int_equal(histogram_quantile(&h, 1), 100000000);
    histogram_add(&h, UINT64_MAX);
    histogram_merge(&both, &h);
    assert_int_equal(both.count, 100001);
    assert_int_equal(both.max, UINT64_MAX);
    assert_int_equal(histogram_quantile(&(struct histogram){0}, 0.5), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http_answers),  cmocka_unit_test(test_more_than_asked_is_bad),
        cmocka_unit_test(test_close_is_seen), cmocka_unit_test(test_requests),
        cmocka_unit_test(test_redis_replies), cmocka_unit_test(test_template),
        cmocka_unit_test(test_histogram),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
