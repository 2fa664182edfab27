/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/output.h"

#include "base/fdio.h"
#include "base/memory.h"
#include "unit.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

struct seen {
    struct output output;
    struct loop *loop;
    struct buf lines;
    unsigned count;
    int write_end;
};

static void print(void *ctx, struct slice line)
{
    struct seen *s = ctx;
    s->count++;
    buf_add_slice(&s->lines, line);
    buf_add_byte(&s->lines, '|');
}

static void begin(struct seen *s, uint64_t rate)
{
    int ends[2];
    *s = (struct seen){.loop = loop_new()};
    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    s->write_end = ends[1];
    s->output = (struct output){.fd = -1, .print = print, .ctx = s};
    assert_int_equal(output_begin(&s->output, s->loop, ends[0], rate), 0);
}

static void put(struct seen *s, const char *text)
{
    assert_int_equal(fdio_write_all(s->write_end, text, strlen(text)), 0);
    loop_turn(s->loop, 0);
}

static void end(struct seen *s)
{
    if (s->write_end >= 0)
        close(STEAL_FD(s->write_end));
    output_end(&s->output);
    loop_free(s->loop);
    buf_done(&s->lines);
}

static void whole_lines_come_out(void **state)
{
    struct seen s;
    begin(&s, 0);
    put(&s, "one\ntw");
    assert_string_equal(s.lines.ptr, "one|");
    put(&s, "o\r\n\nthr");
    assert_string_equal(s.lines.ptr, "one|two||");
    close(STEAL_FD(s.write_end));
    output_drain(&s.output);
    assert_string_equal(s.lines.ptr, "one|two||thr|");
    assert_string_equal(s.output.tail.ptr, "one\ntwo\n\nthr\n");
    end(&s);
}

static void long_lines_are_split(void **state)
{
    struct seen s;
    static char text[OUTPUT_LINE_MAX + 11];
    memset(text, 'x', sizeof(text) - 2);
    text[sizeof(text) - 2] = '\n';
    begin(&s, 0);
    put(&s, text);
    put(&s, "end\n");
    assert_int_equal(s.count, 3);
    assert_int_equal(s.lines.len, sizeof(text) - 2 + 3 + 3);
    assert_true(s.output.tail.len <= OUTPUT_TAIL_MAX + 1);
    end(&s);
}

static void too_much_is_counted(void **state)
{
    struct seen s;
    begin(&s, 1000);
    for (int i = 0; i < 200; i++)
        put(&s, "a line of some twenty bytes\n");
    assert_in_range(s.count, 10, 100);
    assert_true(s.output.lost > 100 - s.count);
    end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_lines_come_out),
        cmocka_unit_test(long_lines_are_split),
        cmocka_unit_test(too_much_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
