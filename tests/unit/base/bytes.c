/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"
#include "base/buf.h"

#include "unit.h"

static const unsigned char raw[] = {0xff, 1, 2, 3, 4, 5, 6, 7, 8};

static void reads_at_any_alignment(void **state)
{
    assert_true(bytes_le32(raw + 1) == 0x04030201);
    assert_true(bytes_be32(raw + 1) == 0x01020304);
    assert_true(bytes_le64(raw + 1) == UINT64_C(0x0807060504030201));
    assert_true(bytes_be64(raw + 1) == UINT64_C(0x0102030405060708));
}

static void writes_what_it_reads(void **state)
{
    unsigned char out[9] = {0xff};
    bytes_put_le32(out + 1, 0x04030201);
    assert_memory_equal(out, raw, 5);
    bytes_put_be32(out + 1, 0x01020304);
    assert_memory_equal(out, raw, 5);
    bytes_put_le64(out + 1, UINT64_C(0x0807060504030201));
    assert_memory_equal(out, raw, 9);
    bytes_put_be64(out + 1, UINT64_C(0x0102030405060708));
    assert_memory_equal(out, raw, 9);
}

static void agrees_with_what_buffers_append(void **state)
{
    autobuf b = BUF_INIT;
    buf_add_u32(&b, 0x80000001);
    buf_add_be32(&b, 0x80000001);
    buf_add_u64(&b, UINT64_C(0x8000000000000001));
    buf_add_be64(&b, UINT64_C(0x8000000000000001));
    assert_int_equal(b.len, 24);
    assert_true(bytes_le32(b.ptr) == 0x80000001);
    assert_true(bytes_be32(b.ptr + 4) == 0x80000001);
    assert_true(bytes_le64(b.ptr + 8) == UINT64_C(0x8000000000000001));
    assert_true(bytes_be64(b.ptr + 16) == UINT64_C(0x8000000000000001));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_at_any_alignment),
        cmocka_unit_test(writes_what_it_reads),
        cmocka_unit_test(agrees_with_what_buffers_append),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
