/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker tells its host (protocol.h), or a standalone server its user. Lines never block the
 * worker: when the host does not read, they are counted and the count is reported as soon as there
 * is room. */
#include "worker/worker_internal.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A text of this many bytes fits into a report even when each byte is escaped. */
#define REPORT_PIECE_MAX 3200
#define REPORT_TAIL_ROOM 600
#define REPORT_END_LEN   2 /* what end() adds */

static const char *const level_names[] = {
    [REPORT_DEBUG] = "debug",
    [REPORT_INFO] = "info",
    [REPORT_WARN] = "warn",
    [REPORT_ERROR] = "error",
};
_Static_assert(sizeof(level_names) / sizeof(level_names[0]) == REPORT_LEVEL_COUNT, "names");

static int report_fd = STDERR_FILENO;
static bool is_plain = true;
static unsigned long dropped;
static struct buf line;

void report_setup(int fd, bool plain)
{
    report_fd = fd;
    is_plain = plain;
}

static void write_line(void)
{
    if (!buf_ok(&line)) {
        buf_done(&line);
        line = (struct buf)BUF_INIT;
        dropped++;
        return;
    }
    ssize_t n;
    do
        n = write(report_fd, line.ptr, line.len);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        dropped++;
}

static void begin(const char *report)
{
    buf_reset(&line);
    buf_add_text(&line, "{\"report\":\"");
    buf_add_text(&line, report);
    buf_add_byte(&line, '"');
}

static void add_text(const char *key, struct slice text)
{
    buf_add_text(&line, ",\"");
    buf_add_text(&line, key);
    buf_add_text(&line, "\":");
    buf_add_json_string(&line, text);
}

static void end(void)
{
    buf_add_text(&line, "}\n");
    if (line.len <= WORKER_REPORT_MAX)
        write_line();
    else
        dropped++;
}

/* stdio would ask for the state of the file first, which the system call filter forbids. */
void report_plain(const char *label, const char *value)
{
    buf_reset(&line);
    buf_add_text(&line, label);
    buf_add_text(&line, value);
    buf_add_byte(&line, '\n');
    write_line();
}

void report_ready(void)
{
    if (is_plain)
        return;
    begin("ready");
    end();
}

void report_draining(void)
{
    if (is_plain)
        return;
    begin("draining");
    end();
}

static struct slice shorten(struct slice text, size_t max)
{
    while (text.len > max || (text.len > 0 && text.len == max && (text.ptr[max - 1] & 0x80)))
        text.len = text.len > max ? max : text.len - 1;
    return text;
}

static void describe_failure(const struct engine_failure *f)
{
    buf_add_slice(&line, buf_slice(&f->name));
    if (f->name.len > 0 && f->message.len > 0)
        buf_add_text(&line, ": ");
    buf_add_slice(&line, buf_slice(&f->message));
    if (f->name.len + f->message.len == 0)
        buf_add_text(&line, "unknown error");
}

void report_failed(const struct engine_failure *f)
{
    autobuf message = BUF_INIT;
    buf_reset(&line);
    describe_failure(f);
    buf_add_slice(&message, shorten(buf_slice(&line), REPORT_TAIL_ROOM));
    if (is_plain) {
        buf_reset(&line);
        if (f->line > 0)
            buf_printf(&line, SLICE_FMT ":%d:%d: ", SLICE_ARG(buf_slice(&f->file)), f->line,
                       f->column);
        buf_add_slice(&line, buf_slice(&message));
        buf_add_byte(&line, '\n');
        write_line();
        return;
    }
    begin("failed");
    add_text("message", buf_slice(&message));
    if (f->line > 0) {
        add_text("file", shorten(buf_slice(&f->file), REPORT_TAIL_ROOM / 2));
        buf_printf(&line, ",\"line\":%d,\"column\":%d", f->line, f->column);
    }
    end();
}

void report_failed_text(const char *message)
{
    struct engine_failure f = {0};
    buf_add_text(&f.message, message);
    report_failed(&f);
    engine_failure_done(&f);
}

static void begin_log(enum report_level level, struct slice event, struct slice text)
{
    begin("log");
    buf_add_text(&line, ",\"time\":");
    buf_add_decimal(&line, (int64_t)clock_realtime());
    buf_add_text(&line, ",\"level\":\"");
    buf_add_text(&line, level_names[level]);
    buf_add_byte(&line, '"');
    add_text("event", shorten(event, 128));
    add_text("text", text);
}

static void log_piece(enum report_level level, struct slice event, struct slice text)
{
    begin_log(level, event, text);
    end();
}

/* Most texts fit into one report. */
static bool log_whole(enum report_level level, struct slice event, struct slice text)
{
    if (text.len > REPORT_PIECE_MAX)
        return false;
    begin_log(level, event, text);
    if (line.len > WORKER_REPORT_MAX - REPORT_END_LEN)
        return false;
    end();
    return true;
}

/* How much of the text goes into one report: all, or up to a line's or a character's end. Escaped,
 * a control character takes six bytes. */
static size_t piece_length(struct slice text)
{
    size_t room = REPORT_PIECE_MAX, n = 0, newline = 0;
    for (; n < text.len; n++) {
        unsigned char c = (unsigned char)text.ptr[n];
        size_t cost = c < 0x20 && c != '\n' ? 6 : c == '"' || c == '\\' || c == '\n' ? 2 : 1;
        if (c >= 0x80)
            cost = 3; /* an invalid byte becomes U+FFFD */
        if (cost > room)
            break;
        room -= cost;
        if (c == '\n')
            newline = n + 1;
    }
    if (n == text.len)
        return n;
    if (newline > 0)
        return newline;
    while (n > 1 && ((unsigned char)text.ptr[n] & 0xc0) == 0x80)
        n--;
    return n;
}

static void tell_dropped(void)
{
    if (dropped == 0)
        return;
    unsigned long count = dropped;
    dropped = 0;
    char text[96];
    int n = snprintf(text, sizeof(text), "%lu log lines were lost: the reader was too slow", count);
    log_piece(REPORT_WARN, slice_of(NULL, 0), slice_of(text, (size_t)n));
    if (dropped > 0)
        dropped += count - 1;
}

void report_log(enum report_level level, struct slice event, struct slice text)
{
    if (is_plain) {
        buf_reset(&line);
        buf_add_slice(&line, text);
        buf_add_byte(&line, '\n');
        write_line();
        return;
    }
    tell_dropped();
    if (log_whole(level, event, text))
        return;
    do {
        size_t n = piece_length(text);
        size_t shown = n > 0 && n < text.len && text.ptr[n - 1] == '\n' ? n - 1 : n;
        log_piece(level, event, slice_of(text.ptr, shown));
        text = slice_of(text.ptr + n, text.len - n);
    } while (text.len > 0);
}

void report_limit(const char *limit, struct slice event, const char *message)
{
    if (is_plain) {
        report_log(REPORT_ERROR, event, slice_text(message));
        return;
    }
    tell_dropped();
    begin("limit");
    add_text("limit", slice_text(limit));
    add_text("event", shorten(event, 128));
    add_text("message", shorten(slice_text(message), REPORT_TAIL_ROOM));
    end();
}
