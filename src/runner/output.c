/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/output.h"

#include "base/clock.h"
#include "base/memory.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define READS_A_TURN 4
#define READS_AT_END 64

static void keep_tail(struct output *o, struct slice line)
{
    if (line.len > OUTPUT_TAIL_MAX / 2)
        line = slice_of(line.ptr, OUTPUT_TAIL_MAX / 2);
    if (o->tail.len + line.len + 1 > OUTPUT_TAIL_MAX) {
        size_t from = o->tail.len > OUTPUT_TAIL_MAX / 2 ? o->tail.len - OUTPUT_TAIL_MAX / 2 : 0;
        const char *next = memchr(o->tail.ptr + from, '\n', o->tail.len - from);
        size_t gone = next != NULL ? (size_t)(next - o->tail.ptr) + 1 : o->tail.len;
        memmove(o->tail.ptr, o->tail.ptr + gone, o->tail.len - gone);
        o->tail.len -= gone;
    }
    buf_add_slice(&o->tail, line);
    buf_add_byte(&o->tail, '\n');
}

/* A bucket that fills at the rate and holds four seconds of it. */
static bool spend(struct output *o, size_t bytes)
{
    if (o->rate == 0)
        return true;
    uint64_t now = clock_monotonic(), most = 4 * o->rate;
    uint64_t filled = (now - o->allowed_at) / CLOCK_MILLISECOND * o->rate / 1000;
    if (filled > 0) {
        o->allowed_at = now;
        o->allowance = o->allowance + filled < most ? o->allowance + filled : most;
    }
    if (o->allowance < bytes + 64)
        return false;
    o->allowance -= bytes + 64;
    return true;
}

static void hand_on(struct output *o, struct slice line)
{
    if (line.len > 0 && line.ptr[line.len - 1] == '\r')
        line.len--;
    keep_tail(o, line);
    if (!spend(o, line.len)) {
        o->lost++;
        return;
    }
    if (o->lost > 0) {
        autobuf text = BUF_INIT;
        buf_printf(&text, "%lu lines were left out: more than %llu bytes a second", o->lost,
                   (unsigned long long)o->rate);
        o->lost = 0;
        o->print(o->ctx, buf_slice(&text));
    }
    o->print(o->ctx, line);
}

static void take(struct output *o, const char *bytes, size_t len)
{
    while (len > 0) {
        const char *newline = memchr(bytes, '\n', len);
        size_t part = newline != NULL ? (size_t)(newline - bytes) : len;
        size_t room = OUTPUT_LINE_MAX - o->line.len;
        bool whole = newline != NULL && part <= room;
        part = part < room ? part : room;
        buf_add(&o->line, bytes, part);
        if (whole || o->line.len >= OUTPUT_LINE_MAX) {
            if (buf_ok(&o->line))
                hand_on(o, buf_slice(&o->line));
            buf_reset(&o->line);
        }
        part += whole;
        bytes += part;
        len -= part;
    }
}

static void stop(struct output *o)
{
    if (o->fd < 0)
        return;
    loop_unwatch(o->loop, &o->watch);
    close(STEAL_FD(o->fd));
}

static void read_some(struct output *o, int reads)
{
    char bytes[16384];
    for (int i = 0; i < reads && o->fd >= 0; i++) {
        ssize_t n = read(o->fd, bytes, sizeof(bytes));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0)
            stop(o);
        else
            take(o, bytes, (size_t)n);
    }
}

static void on_ready(struct loop_watch *w, uint32_t events)
{
    read_some(w->ctx, READS_A_TURN);
}

int output_begin(struct output *o, struct loop *loop, int fd, uint64_t rate)
{
    o->loop = loop;
    o->fd = fd;
    o->rate = rate;
    o->allowance = 4 * rate;
    o->allowed_at = clock_monotonic();
    o->watch = (struct loop_watch){.ready = on_ready, .ctx = o};
    int r = loop_watch(loop, &o->watch, fd, EPOLLIN);
    if (r < 0)
        close(STEAL_FD(o->fd));
    return r;
}

void output_drain(struct output *o)
{
    read_some(o, READS_AT_END);
    stop(o);
    if (o->line.len > 0 && buf_ok(&o->line))
        hand_on(o, buf_slice(&o->line));
    buf_reset(&o->line);
}

void output_end(struct output *o)
{
    output_drain(o);
    buf_done(&o->line);
    buf_done(&o->tail);
}
