/* SPDX-License-Identifier: Apache-2.0 */
/* What one end writes, the other reads, however the bytes are cut; what is not of this form is
 * refused. */
#include "fetcher/protocol.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "unit.h"

#include <errno.h>

static void feed(struct fetcher_reader *r, struct slice bytes)
{
    while (bytes.len > 0) {
        size_t size = 0;
        char *room = fetcher_reader_room(r, &size);
        assert_non_null(room);
        size_t part = bytes.len < size ? bytes.len : size;
        memcpy(room, bytes.ptr, part);
        fetcher_reader_add(r, part);
        bytes = slice_of(bytes.ptr + part, bytes.len - part);
    }
}

static void assert_slice(struct slice got, const char *want)
{
    assert_true(slice_is(got, want));
}

static const struct fetcher_request request = {
    .timeout_ms = 1500,
    .response_max = 1000,
    .redirect = FETCHER_MANUAL,
    .method = {"PUT", 3},
    .url = {"http://h/", 9},
    .body = {"\0\1\2", 3},
    .headers = {{{"a", 1}, {"b", 1}}, {{"c", 1}, {"", 0}}},
    .header_count = 2,
};

static void write_all(struct buf *out)
{
    const struct slice entries[] = {SLICE("h:80"), SLICE("*.i:443")};
    const struct fetcher_response response = {.status = 404,
                                              .redirected = true,
                                              .reason = SLICE("Not Found"),
                                              .url = SLICE("http://h/x"),
                                              .body = SLICE("body"),
                                              .headers = {{SLICE("n"), SLICE("v")}},
                                              .header_count = 1};
    const struct fetcher_failure failure = {FETCHER_NETWORK, SLICE("ECONNRESET"), SLICE("cut")};
    fetcher_write_allow(out, entries, COUNT_OF(entries));
    fetcher_write_request(out, 7, &request);
    fetcher_write_cancel(out, 1ULL << 40);
    fetcher_write_response(out, 8, &response);
    fetcher_write_failure(out, 9, &failure);
    assert_true(buf_ok(out));
}

static int add_entry(void *ctx, struct slice entry)
{
    struct buf *all = ctx;
    buf_add_slice(all, entry);
    buf_add_byte(all, ' ');
    return 0;
}

static void check_frame(int index, const struct fetcher_frame *f)
{
    static struct fetcher_request q;
    static struct fetcher_response a;
    struct fetcher_failure p;
    autobuf entries = BUF_INIT;
    switch (index) {
    case 0:
        assert_int_equal(f->type, FETCHER_ALLOW);
        assert_int_equal(fetcher_read_allow(f->payload, add_entry, &entries), 0);
        assert_string_equal(entries.ptr, "h:80 *.i:443 ");
        break;
    case 1:
        assert_true(f->type == FETCHER_REQUEST && f->id == 7);
        assert_int_equal(fetcher_read_request(f->payload, &q), 0);
        assert_true(q.timeout_ms == 1500 && q.response_max == 1000 && q.redirect == FETCHER_MANUAL);
        assert_slice(q.method, "PUT");
        assert_slice(q.url, "http://h/");
        assert_true(slice_equal(q.body, request.body));
        assert_int_equal(q.header_count, 2);
        assert_slice(q.headers[0].name, "a");
        assert_slice(q.headers[1].value, "");
        break;
    case 2:
        assert_true(f->type == FETCHER_CANCEL && f->id == 1ULL << 40 && f->payload.len == 0);
        break;
    case 3:
        assert_true(f->type == FETCHER_RESPONSE && f->id == 8);
        assert_int_equal(fetcher_read_response(f->payload, &a), 0);
        assert_true(a.status == 404 && a.redirected && a.header_count == 1);
        assert_slice(a.reason, "Not Found");
        assert_slice(a.url, "http://h/x");
        assert_slice(a.body, "body");
        break;
    default:
        assert_true(f->type == FETCHER_FAILURE && f->id == 9);
        assert_int_equal(fetcher_read_failure(f->payload, &p), 0);
        assert_true(p.problem == FETCHER_NETWORK);
        assert_slice(p.code, "ECONNRESET");
        assert_slice(p.message, "cut");
        break;
    }
}

static void test_every_cut(void **state)
{
    autobuf all = BUF_INIT;
    write_all(&all);
    for (size_t step = 1; step <= all.len; step++) {
        struct fetcher_reader r = {0};
        int count = 0;
        for (size_t at = 0; at < all.len; at += step) {
            struct fetcher_frame f;
            feed(&r, slice_of(all.ptr + at, at + step > all.len ? all.len - at : step));
            while (fetcher_reader_next(&r, &f) == 1)
                check_frame(count++, &f);
        }
        assert_int_equal(count, 5);
        fetcher_reader_done(&r);
    }
}

/* Every shorter payload, and one that is longer, is refused. */
static void test_cut_short(void **state)
{
    static struct fetcher_request q;
    autobuf all = BUF_INIT;
    fetcher_write_request(&all, 1, &request);
    buf_add_byte(&all, 'x');
    struct slice payload = slice_of(all.ptr + FETCHER_FRAME_HEAD, all.len - FETCHER_FRAME_HEAD - 1);
    assert_int_equal(fetcher_read_request(payload, &q), 0);
    for (size_t len = 0; len < payload.len; len++)
        assert_int_equal(fetcher_read_request(slice_of(payload.ptr, len), &q), -EPROTO);
    assert_int_equal(fetcher_read_request(slice_of(payload.ptr, payload.len + 1), &q), -EPROTO);
}

static int next_of_head(uint32_t len, uint32_t type)
{
    char head[FETCHER_FRAME_HEAD] = {0};
    struct fetcher_reader r = {0};
    struct fetcher_frame f;
    bytes_put_le32(head, len);
    bytes_put_le32(head + 4, type);
    feed(&r, slice_of(head, sizeof(head)));
    int status = fetcher_reader_next(&r, &f);
    fetcher_reader_done(&r);
    return status;
}

static void test_bad_heads(void **state)
{
    assert_int_equal(next_of_head(0, FETCHER_CANCEL), 1);
    assert_int_equal(next_of_head(1, FETCHER_CANCEL), 0);
    assert_int_equal(next_of_head(FETCHER_PAYLOAD_MAX, FETCHER_REQUEST), 0);
    assert_int_equal(next_of_head(FETCHER_PAYLOAD_MAX + 1, FETCHER_REQUEST), -EPROTO);
    assert_int_equal(next_of_head(0, 0), -EPROTO);
    assert_int_equal(next_of_head(0, FETCHER_FRAME_TYPE_COUNT), -EPROTO);
    assert_int_equal(next_of_head(UINT32_MAX, FETCHER_CANCEL), -EPROTO);
}

/* A large frame does not stay in memory when it has been read. */
static void test_memory_is_given_back(void **state)
{
    struct fetcher_reader r = {0};
    struct fetcher_frame f;
    struct fetcher_request large = request;
    autobuf all = BUF_INIT;
    size_t size = 0;
    large.body.len = 16u << 20;
    large.body.ptr = calloc(1, large.body.len);
    fetcher_write_request(&all, 1, &large);
    feed(&r, buf_slice(&all));
    assert_int_equal(fetcher_reader_next(&r, &f), 1);
    assert_non_null(fetcher_reader_room(&r, &size));
    assert_true(r.bytes.cap < 1u << 20);
    fetcher_reader_done(&r);
    free((void *)(uintptr_t)large.body.ptr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_cut),
        cmocka_unit_test(test_cut_short),
        cmocka_unit_test(test_bad_heads),
        cmocka_unit_test(test_memory_is_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
