/* SPDX-License-Identifier: Apache-2.0 */
/* The list of segments: names, finding by position and time, marks. */
#include "store/segment.h"

#include "unit.h"

#include <errno.h>
#include <stdlib.h>

static int open_any(void *ctx, const char *path, int flags, int mode)
{
    ++*(int *)ctx;
    return 100;
}

static int close_any(void *ctx, int fd)
{
    --*(int *)ctx;
    return 0;
}

struct fixture {
    int open_files;
    struct store_io io;
    struct segments segments;
};

/* Three segments: positions from 1, 101 and 201, times 1000, 2000 and 3000. */
static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->io = (struct store_io){.ctx = &f->open_files, .open = open_any, .close = close_any};
    segments_init(&f->segments, &f->io, "/d/log");
    for (uint64_t i = 0; i < 3; i++) {
        struct segment_header h = {
            .number = i + 1, .bytes = 16 << 20, .first = 100 * i + 1, .time_ns = 1000 * (i + 1)};
        assert_int_equal(segments_append(&f->segments, segment_new(&h, 0, -1)), 0);
    }
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    segments_done(&f->segments);
    assert_int_equal(f->open_files, 0);
    free(f);
    return 0;
}

static void names_are_numbers(void **state)
{
    struct fixture *f = *state;
    uint64_t number = 0;
    char *path = segments_path(&f->segments, 0xab);
    assert_string_equal(path, "/d/log/00000000000000ab.log");
    free(path);
    assert_true(segment_parse_name("00000000000000ab.log", &number));
    assert_int_equal(number, 0xab);
    assert_false(segment_parse_name("00000000000000AB.log", &number));
    assert_false(segment_parse_name("00000000000000ab.lo", &number));
    assert_false(segment_parse_name("0000000000000ab.logg", &number));
    assert_false(segment_parse_name(".", &number));
}

static void expect_position(struct fixture *f, uint64_t position, uint64_t number)
{
    struct segment *g;
    assert_int_equal(segments_acquire(&f->segments, position, &g), 0);
    assert_int_equal(g->number, number);
    assert_int_equal(f->open_files, 1);
    segments_release(&f->segments, g);
    assert_int_equal(f->open_files, 0);
}

static void positions_are_found(void **state)
{
    struct fixture *f = *state;
    expect_position(f, 1, 1);
    expect_position(f, 100, 1);
    expect_position(f, 101, 2);
    expect_position(f, 250, 3);
    expect_position(f, 9999, 3);
    expect_position(f, 0, 1);
}

static void times_are_found(void **state)
{
    struct fixture *f = *state;
    static const uint64_t times[][2] = {{1, 1},    {1000, 1}, {1001, 1},
                                        {2000, 1}, {2001, 2}, {9999, 3}};
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        struct segment *g;
        assert_int_equal(segments_acquire_time(&f->segments, times[i][0], &g), 0);
        assert_int_equal(g->number, times[i][1]);
        segments_release(&f->segments, g);
    }
}

static void marks_are_sparse_and_found(void **state)
{
    struct fixture *f = *state;
    struct segment *g = f->segments.list[0];
    uint64_t offset = SEGMENT_HEADER_BYTES;
    for (uint64_t i = 0; i < 100; i++, offset += 64 << 10) {
        struct batch_header h = {.first = i * 10 + 1, .time_ns = 1000 + i};
        segments_note(&f->segments, g, &h, offset);
        segments_note(&f->segments, g, &h, offset); /* again: nothing */
    }
    assert_int_equal(g->marks_len, 24);
    assert_int_equal(segments_mark_position(&f->segments, g, 1), SEGMENT_HEADER_BYTES);
    assert_int_equal(segments_mark_position(&f->segments, g, 40), SEGMENT_HEADER_BYTES);
    assert_int_equal(segments_mark_position(&f->segments, g, 41),
                     SEGMENT_HEADER_BYTES + SEGMENT_MARK_BYTES);
    assert_int_equal(segments_mark_position(&f->segments, g, 85),
                     SEGMENT_HEADER_BYTES + 2 * SEGMENT_MARK_BYTES);
    assert_int_equal(segments_mark_time(&f->segments, g, 1004), SEGMENT_HEADER_BYTES);
    assert_int_equal(segments_mark_time(&f->segments, g, 1005),
                     SEGMENT_HEADER_BYTES + SEGMENT_MARK_BYTES);
}

static void following_is_known(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(f->segments.list[0]->following, 101);
    assert_int_equal(f->segments.list[2]->following, 0);
    assert_int_equal(f->segments.first, 1);
}

#define WITH_LIST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_LIST(names_are_numbers),  WITH_LIST(positions_are_found),
        WITH_LIST(times_are_found),    WITH_LIST(marks_are_sparse_and_found),
        WITH_LIST(following_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
