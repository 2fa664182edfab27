/* SPDX-License-Identifier: Apache-2.0 */
#include "http/request_head.h"

#include "base/buf.h"
#include "unit.h"

static struct request_head head;
static struct error err;

static unsigned read_all(const char *bytes, size_t len)
{
    request_head_begin(&head);
    return request_head_read(&head, bytes, len, &err);
}

/* The same bytes, one more each time: the result must not depend on how they come. */
static unsigned read_dripping(const char *bytes, size_t len)
{
    request_head_begin(&head);
    for (size_t n = 0; n <= len; n++) {
        unsigned read = request_head_read(&head, bytes, n, &err);
        if (read != 0)
            return read;
    }
    return 0;
}

static void reads_a_head_cut_anywhere(void **state)
{
    static const char bytes[] = "\r\nPOST /a/b?c=%20 HTTP/1.1\r\nHost: x\r\nEmpty:\r\nX-Y:\t a, "
                                "b\xc3\xa9 \t\r\n\r\nbody";
    for (int drip = 0; drip < 2; drip++) {
        size_t len = sizeof(bytes) - 1;
        assert_int_equal(drip ? read_dripping(bytes, len) : read_all(bytes, len), 1);
        assert_int_equal(head.length, len - 4);
        assert_true(slice_is(request_head_method(&head, bytes), "POST"));
        assert_true(slice_is(request_head_target(&head, bytes), "/a/b?c=%20"));
        assert_int_equal(head.minor, 1);
        assert_int_equal(head.field_count, 3);
        assert_true(slice_is(request_field_name(&head.fields[0], bytes), "Host"));
        assert_true(slice_is(request_field_value(&head.fields[0], bytes), "x"));
        assert_true(slice_is(request_field_value(&head.fields[1], bytes), ""));
        assert_true(slice_is(request_field_value(&head.fields[2], bytes), "a, b\xc3\xa9"));
    }
}

static void knows_versions(void **state)
{
    static const struct {
        const char *version;
        unsigned result, minor;
    } versions[] = {
        {"HTTP/1.1", 1, 1},    {"HTTP/1.0", 1, 0},   {"HTTP/1.2", 1, 1},   {"HTTP/1.9", 1, 1},
        {"HTTP/2.0", 505, 0},  {"HTTP/0.9", 505, 0}, {"HTTP/9.9", 505, 0}, {"HTTP/1", 400, 0},
        {"HTTP/1.11", 400, 0}, {"http/1.1", 400, 0}, {"HTTP/1,1", 400, 0}, {"HTTP/1.x", 400, 0},
        {"HTTP/x.1", 400, 0},  {"ICY/1.1", 400, 0},  {"", 400, 0},         {" HTTP/1.1", 400, 0},
    };
    for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
        autobuf bytes = BUF_INIT;
        buf_printf(&bytes, "GET / %s\r\n\r\n", versions[i].version);
        unsigned read = read_all(bytes.ptr, bytes.len);
        if (read != versions[i].result)
            fail_msg("%s: %u %s", versions[i].version, read, err.message);
        if (read == 1)
            assert_int_equal(head.minor, versions[i].minor);
    }
}

#define LINE "GET / HTTP/1.1\r\n"

static void refuses_what_is_malformed(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
    } bad[] = {
#define BAD(text) {text, sizeof(text) - 1}
        BAD("GET / HTTP/1.1\n"),
        BAD("\n"),
        BAD("\r\n\r\n\r\n\r\n\r\n"),
        BAD("\rGET / HTTP/1.1\r\n"),
        BAD(" GET / HTTP/1.1\r\n"),
        BAD("GET  / HTTP/1.1\r\n"),
        BAD("GET\t/ HTTP/1.1\r\n"),
        BAD("GET /  HTTP/1.1\r\n"),
        BAD("GET / HTTP/1.1 \r\n"),
        BAD("GET /\r\n"),
        BAD("GET\r\n"),
        BAD("GET HTTP/1.1\r\n"),
        BAD("G(T / HTTP/1.1\r\n"),
        BAD("GET /a\0b HTTP/1.1\r\n"),
        BAD("GET /a\tb HTTP/1.1\r\n"),
        BAD("GET /a\rb HTTP/1.1\r\n"),
        BAD("GET /a\x7f HTTP/1.1\r\n"),
        BAD("GET /a\xc3\xa9 HTTP/1.1\r\n"),
        BAD("AMETHODWITHMORELETTERSTHANANYTHATEVERWAS / HTTP/1.1\r\n"),
        BAD(LINE "Host: a\n"),
        BAD(LINE "Host: a\rb\r\n"),
        BAD(LINE "Host: a\r\r\n"),
        BAD(LINE "Host: a\0b\r\n"),
        BAD(LINE "Host: a\x01\r\n"),
        BAD(LINE "Host: a\x7f\r\n"),
        BAD(LINE "Host : a\r\n"),
        BAD(LINE "Host\t: a\r\n"),
        BAD(LINE " Host: a\r\n"),
        BAD(LINE "Host: a\r\n b: c\r\n"),
        BAD(LINE "Host: a\r\n\tb\r\n"),
        BAD(LINE "Host\r\n"),
        BAD(LINE ": a\r\n"),
        BAD(LINE "H\xc3\xa9: a\r\n"),
        BAD(LINE "H(st): a\r\n"),
        BAD(LINE "H\0st: a\r\n"),
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (read_all(bad[i].bytes, bad[i].len) != 400 ||
            read_dripping(bad[i].bytes, bad[i].len) != 400)
            fail_msg("%zu: %s", i, bad[i].bytes);
        assert_true(err.message[0] != '\0');
    }
}

static void limits_every_part(void **state)
{
    autobuf bytes = BUF_INIT;
    buf_add_text(&bytes, "GET /");
    while (bytes.len < REQUEST_TARGET_MAX + 4)
        buf_add_byte(&bytes, 'x');
    buf_add_text(&bytes, " HTTP/1.1\r\n\r\n");
    assert_int_equal(read_all(bytes.ptr, bytes.len), 1);
    buf_reset(&bytes);
    buf_add_text(&bytes, "GET /");
    while (bytes.len < REQUEST_TARGET_MAX + 5)
        buf_add_byte(&bytes, 'x');
    buf_add_text(&bytes, " HTTP/1.1\r\n\r\n");
    assert_int_equal(read_all(bytes.ptr, bytes.len), 414);
    buf_reset(&bytes);
    while (bytes.len < 2 * REQUEST_HEAD_MAX)
        buf_add_byte(&bytes, 'x');
    assert_int_equal(read_all(bytes.ptr, bytes.len), 414);

    for (unsigned more = 0; more < 2; more++) {
        buf_reset(&bytes);
        buf_add_text(&bytes, LINE);
        for (unsigned i = 0; i < REQUEST_FIELDS_MAX + more; i++)
            buf_add_text(&bytes, "a: b\r\n");
        buf_add_text(&bytes, "\r\n");
        assert_int_equal(read_all(bytes.ptr, bytes.len), more ? 431 : 1);
    }
    for (unsigned more = 0; more < 2; more++) {
        buf_reset(&bytes);
        buf_add_text(&bytes, LINE "a: ");
        while (bytes.len < REQUEST_HEAD_MAX - 4 + more)
            buf_add_byte(&bytes, 'x');
        buf_add_text(&bytes, "\r\n\r\n");
        assert_int_equal(read_all(bytes.ptr, bytes.len), more ? 431 : 1);
        assert_int_equal(read_dripping(bytes.ptr, bytes.len), more ? 431 : 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_head_cut_anywhere),
        cmocka_unit_test(knows_versions),
        cmocka_unit_test(refuses_what_is_malformed),
        cmocka_unit_test(limits_every_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
