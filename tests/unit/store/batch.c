/* SPDX-License-Identifier: Apache-2.0 */
/* The codec: what was sealed is read back, whatever was changed is noticed. */
#include "store/batch.h"

#include "unit.h"

#include <errno.h>
#include <string.h>

#define SALT UINT64_C(0x1122334455667788)

static size_t make_batch(char *bytes, uint32_t chain, uint32_t *ret_crc)
{
    struct record_header r = {.length = 16 + 3 + 5, .type = 1, .key_len = 3, .scope = 9};
    struct batch_header h = {.length = 24,
                             .epoch = 2,
                             .segment = 7,
                             .first = 100,
                             .synced = 99,
                             .time_ns = 12345,
                             .records = 1,
                             .chain = chain};
    memcpy(bytes + 64, &r, sizeof(r));
    memcpy(bytes + 64 + 16, "keyvalue", 8);
    *ret_crc = batch_seal(&h, SALT, bytes);
    return 64 + 24;
}

static void batch_is_read_as_it_was_sealed(void **state)
{
    char bytes[128];
    uint32_t crc;
    struct batch_header h;
    struct store_entry e;
    size_t at = 0;
    make_batch(bytes, 77, &crc);
    assert_true(batch_header_read(bytes, 7, SALT, &h));
    assert_true(batch_intact(&h, bytes));
    assert_int_equal(h.crc, crc);
    assert_int_equal(h.first, 100);
    assert_int_equal(h.chain, 77);
    assert_int_equal(record_next(bytes + 64, h.length, &at, &e), 1);
    assert_int_equal(e.scope, 9);
    assert_true(slice_is(e.key, "key"));
    assert_true(slice_is(e.value, "value"));
    assert_int_equal(record_next(bytes + 64, h.length, &at, &e), 0);
}

static void every_flipped_bit_is_noticed(void **state)
{
    char bytes[128];
    uint32_t crc;
    struct batch_header h;
    size_t len = make_batch(bytes, 77, &crc);
    for (size_t bit = 0; bit < len * 8; bit++) {
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << bit % 8));
        assert_false(batch_header_read(bytes, 7, SALT, &h) && batch_intact(&h, bytes));
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << bit % 8));
    }
}

static void batch_belongs_to_one_segment(void **state)
{
    char bytes[128];
    uint32_t crc;
    struct batch_header h;
    make_batch(bytes, 77, &crc);
    assert_false(batch_header_read(bytes, 8, SALT, &h));
    assert_false(batch_header_read(bytes, 7, SALT + 1, &h));
}

static void crc_depends_on_the_chain(void **state)
{
    char bytes[128];
    uint32_t one, other;
    make_batch(bytes, 77, &one);
    make_batch(bytes, 78, &other);
    assert_int_not_equal(one, other);
}

static void segment_header_is_read_as_it_was_sealed(void **state)
{
    struct segment_header h = {.number = 3, .bytes = 65536, .first = 10, .synced = 9, .salt = SALT};
    struct segment_header got;
    char bytes[sizeof(h)];
    uint32_t crc = segment_header_seal(&h, bytes);
    assert_int_equal(segment_header_read(bytes, &got), 1);
    assert_int_equal(got.number, 3);
    assert_int_equal(got.crc, crc);
    for (size_t bit = 0; bit < sizeof(bytes) * 8; bit++) {
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << bit % 8));
        assert_int_equal(segment_header_read(bytes, &got), 0);
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << bit % 8));
    }
    memset(bytes, 0, sizeof(bytes));
    assert_int_equal(segment_header_read(bytes, &got), 0);
}

static void unknown_incompatible_flags_are_refused(void **state)
{
    struct segment_header h = {.number = 3, .incompat = 0x80, .compat = 0x40}, got;
    char bytes[sizeof(h)];
    segment_header_seal(&h, bytes);
    assert_int_equal(segment_header_read(bytes, &got), -ENOTSUP);
    h.incompat = 0;
    segment_header_seal(&h, bytes);
    assert_int_equal(segment_header_read(bytes, &got), 1);
}

static void malformed_records_are_refused(void **state)
{
    static const struct record_header bad[] = {
        {.length = 0},  {.length = 15},   {.length = 16, .key_len = 1},
        {.length = 33}, {.length = 1000}, {.length = UINT32_MAX},
    };
    char payload[32] = {0};
    struct store_entry e;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        size_t at = 0;
        memcpy(payload, &bad[i], sizeof(bad[i]));
        assert_int_equal(record_next(payload, sizeof(payload), &at, &e), -EBADMSG);
    }
    size_t at = 24;
    assert_int_equal(record_next(payload, sizeof(payload), &at, &e), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batch_is_read_as_it_was_sealed),
        cmocka_unit_test(every_flipped_bit_is_noticed),
        cmocka_unit_test(batch_belongs_to_one_segment),
        cmocka_unit_test(crc_depends_on_the_chain),
        cmocka_unit_test(segment_header_is_read_as_it_was_sealed),
        cmocka_unit_test(unknown_incompatible_flags_are_refused),
        cmocka_unit_test(malformed_records_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
