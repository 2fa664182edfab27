/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/report.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/fdio.h"
#include "worker/protocol.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Each byte may be escaped, to six at worst. */
#define ESCAPE_WORST 6
#define HEAD_ROOM    200
#define PIECE_MAX    ((WORKER_REPORT_MAX - HEAD_ROOM) / ESCAPE_WORST)
#define PIECE_PLAIN  3200 /* when nothing in it wants escaping */
#define MESSAGE_MAX  500

static int report_fd = -1;
static unsigned long dropped;
static struct buf line;

void report_setup(int fd)
{
    report_fd = fd;
    if (fd >= 0)
        (void)fdio_set_nonblocking(fd);
}

static void write_line(void)
{
    ssize_t n = -1;
    if (buf_ok(&line) && line.len <= WORKER_REPORT_MAX) {
        do
            n = write(report_fd, line.ptr, line.len);
        while (n < 0 && errno == EINTR);
    } else if (!buf_ok(&line)) {
        buf_done(&line);
        line = (struct buf)BUF_INIT;
    }
    if (n < 0)
        dropped++;
}

static void begin(const char *report)
{
    buf_reset(&line);
    buf_printf(&line, "{\"report\":\"%s\"", report);
}

static void add_text(const char *key, struct slice text)
{
    buf_printf(&line, ",\"%s\":", key);
    buf_add_json_string(&line, text);
}

static void end(void)
{
    buf_add_text(&line, "}\n");
    write_line();
}

static void print(int fd, const char *before, struct slice text)
{
    buf_reset(&line);
    buf_add_text(&line, before);
    buf_add_slice(&line, text);
    buf_add_byte(&line, '\n');
    if (buf_ok(&line))
        (void)!write(fd, line.ptr, line.len);
}

/* At most max bytes, and no part of a character at the end. */
static struct slice head_of(struct slice text, size_t max)
{
    if (text.len <= max)
        return text;
    text.len = max;
    while (text.len > 0 && ((unsigned char)text.ptr[text.len] & 0xc0) == 0x80)
        text.len--;
    return text;
}

static void log_piece(const char *level, struct slice text)
{
    begin("log");
    buf_printf(&line, ",\"time\":%lld,\"level\":\"%s\",\"event\":\"\"", (long long)clock_realtime(),
               level);
    add_text("text", text);
    end();
}

static void tell_dropped(void)
{
    unsigned long count = dropped;
    autobuf text = BUF_INIT;
    if (count == 0)
        return;
    dropped = 0;
    buf_printf(&text, "%lu lines were lost: they came faster than they could be written", count);
    log_piece("warn", buf_slice(&text));
    if (dropped > 0)
        dropped = count;
}

static bool wants_escapes(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < ' ' || (unsigned char)text.ptr[i] >= 0x7f ||
            text.ptr[i] == '"' || text.ptr[i] == '\\')
            return true;
    return false;
}

void report_log(const char *level, struct slice text)
{
    if (report_fd < 0) {
        print(strcmp(level, "info") == 0 ? STDOUT_FILENO : STDERR_FILENO, "", text);
        return;
    }
    tell_dropped();
    do {
        struct slice piece = head_of(text, PIECE_PLAIN);
        if (wants_escapes(piece))
            piece = head_of(text, PIECE_MAX);
        if (piece.len == 0)
            piece = text; /* no UTF-8 at all */
        piece.len = piece.len < PIECE_PLAIN ? piece.len : PIECE_PLAIN;
        log_piece(level, piece);
        text = slice_of(text.ptr + piece.len, text.len - piece.len);
    } while (text.len > 0);
}

void report_ready(void)
{
    if (report_fd < 0)
        return;
    begin("ready");
    end();
}

void report_failed(struct slice message, struct slice file, unsigned line_number)
{
    message = head_of(message, MESSAGE_MAX);
    if (report_fd < 0) {
        autobuf position = BUF_INIT;
        if (line_number > 0)
            buf_printf(&position, SLICE_FMT ":%u: ", SLICE_ARG(file), line_number);
        print(STDERR_FILENO, position.ptr != NULL ? position.ptr : "sluice-runner: ", message);
        return;
    }
    begin("failed");
    add_text("message", message);
    if (line_number > 0) {
        add_text("file", head_of(file, MESSAGE_MAX / 2));
        buf_printf(&line, ",\"line\":%u,\"column\":0", line_number);
    }
    end();
}

void report_limit(const char *limit, const char *message)
{
    if (report_fd < 0) {
        print(STDERR_FILENO, "sluice-runner: ", slice_text(message));
        return;
    }
    begin("limit");
    buf_printf(&line, ",\"limit\":\"%s\",\"event\":\"\"", limit);
    add_text("message", slice_text(message));
    end();
}
