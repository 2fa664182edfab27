/* SPDX-License-Identifier: Apache-2.0 */
/* What one function printed: the newest lines in memory, and with a persistent host two bounded
 * files, NAME.log and the one before it, NAME.log.1. Lines look like
 *   2026-11-21T08:39:00.123Z info [event id] text
 * and a text of several lines goes on indented, so that no function can forge another's line. */
#include "function/function_internal.h"

#include "base/clock.h"
#include "base/fdio.h"
#include "worker/protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define MEMORY_MAX    (128u << 10)
#define FILE_MAX      (1u << 20)
#define FOLLOWERS_MAX 64
#define EVENT_MAX     128
#define UNWRITTEN_MAX (32u << 10)

/* One stream that is kept open. The list and the stream hold a reference each: the peer may go
 * while the list still has it. */
struct follower {
    struct list link;
    pthread_mutex_t lock;
    struct http_stream *stream; /* loop thread only */
    bool closed;
    int references;
};

struct function_log {
    struct buf memory;     /* whole lines */
    struct buf unwritten;  /* whole lines that the file has not yet */
    char *path, *old_path; /* NULL: memory only */
    int fd;                /* -1: not open yet, or its last write failed */
    size_t file_len;
    struct list followers;
    unsigned follower_count;
};

struct function_log *function_log_new(const struct function_log_folder *folder,
                                      const char *namespace_name, const char *name)
{
    struct function_log *l = calloc(1, sizeof(*l));
    if (l == NULL)
        return NULL;
    l->fd = -1;
    list_init(&l->followers);
    if (folder->path == NULL)
        return l;
    if (asprintf(&l->path, "%s/%s/%s.log", folder->path, namespace_name, name) < 0)
        l->path = NULL;
    if (l->path == NULL || asprintf(&l->old_path, "%s.1", l->path) < 0) {
        l->old_path = NULL;
        function_log_free(l, false);
        return NULL;
    }
    return l;
}

/* ---- followers ---- */

static void follower_release(struct follower *f, bool closed)
{
    pthread_mutex_lock(&f->lock);
    f->closed = f->closed || closed;
    bool last = --f->references == 0;
    pthread_mutex_unlock(&f->lock);
    if (!last)
        return;
    pthread_mutex_destroy(&f->lock);
    free(f);
}

/* On an HTTP thread. */
static void follower_on_closed(void *ctx)
{
    follower_release(ctx, true);
}

/* False when it is of no use any more. */
static bool follower_write(struct follower *f, struct slice text)
{
    pthread_mutex_lock(&f->lock);
    bool alive = !f->closed;
    if (alive && http_stream_write(f->stream, text) < 0) {
        http_stream_end(f->stream); /* it reads too slowly */
        alive = false;
    }
    pthread_mutex_unlock(&f->lock);
    return alive;
}

static void follower_end(struct function_log *l, struct follower *f, bool end_stream)
{
    list_remove(&f->link);
    l->follower_count--;
    pthread_mutex_lock(&f->lock);
    if (end_stream && !f->closed)
        http_stream_end(f->stream);
    pthread_mutex_unlock(&f->lock);
    follower_release(f, false);
}

static void tell_followers(struct function_log *l, struct slice text)
{
    list_for_each_safe (node, following, &l->followers) {
        struct follower *f = list_entry(node, struct follower, link);
        if (!follower_write(f, text))
            follower_end(l, f, false);
    }
}

static void log_follow(struct function_log *l, struct http_request *request, unsigned tail_lines)
{
    autobuf text = BUF_INIT;
    struct follower *f = calloc(1, sizeof(*f));
    tell_followers(l, slice_of("", 0)); /* lets go of those whose peers are gone */
    if (f == NULL || l->follower_count >= FOLLOWERS_MAX ||
        function_log_read(l, tail_lines, &text) < 0) {
        free(f);
        http_respond_errorf(request, 503, "the log cannot be followed by more than %d at once",
                            FOLLOWERS_MAX);
        return;
    }
    pthread_mutex_init(&f->lock, NULL);
    f->references = 2;
    f->stream = http_stream_begin(request, 200, "text/plain; charset=utf-8", follower_on_closed, f);
    if (f->stream == NULL) { /* answered with an error already */
        pthread_mutex_destroy(&f->lock);
        free(f);
        return;
    }
    list_append(&l->followers, &f->link);
    l->follower_count++;
    if (text.len > 0 && !follower_write(f, buf_slice(&text)))
        follower_end(l, f, false);
}

/* ---- writing ---- */

static bool is_printed(unsigned char c)
{
    return (c >= 0x20 && c != 0x7f) || c == '\t';
}

static void add_text(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        size_t from = i;
        while (i < text.len && is_printed((unsigned char)text.ptr[i]))
            i++;
        buf_add(out, text.ptr + from, i - from);
        if (i == text.len)
            return;
        if (text.ptr[i] != '\n')
            buf_printf(out, "\\x%02x", (unsigned char)text.ptr[i]);
        else if (i + 1 < text.len)
            buf_add_text(out, "\n    ");
    }
}

static void make_line(struct buf *out, uint64_t time_ns, const char *level, struct slice event,
                      struct slice text)
{
    char time[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(time_ns, 3, time);
    buf_add_text(out, time);
    buf_add_byte(out, ' ');
    add_text(out, slice_text(level));
    if (event.len > 0) {
        buf_add_text(out, " [");
        add_text(out, slice_of(event.ptr, event.len < EVENT_MAX ? event.len : EVENT_MAX));
        buf_add_byte(out, ']');
    }
    buf_add_byte(out, ' ');
    add_text(out, text);
    buf_add_byte(out, '\n');
}

/* Keeps at least half of what may be kept, so that moving is rare. */
static void remember(struct function_log *l, struct slice line)
{
    struct buf *m = &l->memory;
    if (m->failed)
        *m = (struct buf)BUF_INIT;
    if (m->len + line.len > MEMORY_MAX && m->len > MEMORY_MAX / 2) {
        char *from = memchr(m->ptr + m->len - MEMORY_MAX / 2, '\n', MEMORY_MAX / 2);
        size_t drop = from != NULL ? (size_t)(from + 1 - m->ptr) : m->len;
        memmove(m->ptr, m->ptr + drop, m->len - drop);
        m->len -= drop;
    }
    buf_add_slice(m, line);
}

static int log_open(struct function_log *l)
{
    l->fd = open(l->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (l->fd < 0 && errno == ENOENT) {
        char *slash = strrchr(l->path, '/');
        *slash = '\0';
        (void)mkdir(l->path, 0700);
        *slash = '/';
        l->fd = open(l->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    }
    struct stat info;
    if (l->fd < 0 || fstat(l->fd, &info) < 0)
        return -errno;
    l->file_len = (size_t)info.st_size;
    return 0;
}

static void log_close(struct function_log *l)
{
    if (l->fd >= 0)
        close(STEAL_FD(l->fd));
}

/* A full disk loses lines of functions' logs, never more: memory has them still. */
static void log_write_file(struct function_log *l, struct slice lines)
{
    if (l->fd < 0 && log_open(l) < 0)
        return;
    if (l->file_len > 0 && l->file_len + lines.len > FILE_MAX) {
        log_close(l);
        if (rename(l->path, l->old_path) < 0 || log_open(l) < 0)
            return;
    }
    if (fdio_write_all(l->fd, lines.ptr, lines.len) < 0)
        log_close(l);
    else
        l->file_len += lines.len;
}

void function_log_flush(struct function_log *l)
{
    if (l->unwritten.len > 0 && l->path != NULL)
        log_write_file(l, buf_slice(&l->unwritten));
    if (l->unwritten.cap > UNWRITTEN_MAX + WORKER_REPORT_MAX)
        buf_done(&l->unwritten);
    buf_reset(&l->unwritten);
}

void function_log_rest(struct function_log *l)
{
    function_log_flush(l);
    log_close(l);
    buf_done(&l->unwritten);
}

void function_log_add(struct function_log *l, uint64_t time_ns, const char *level,
                      struct slice event, struct slice text)
{
    autobuf line = BUF_INIT;
    make_line(&line, time_ns, level, event, text);
    if (!buf_ok(&line))
        return;
    remember(l, buf_slice(&line));
    if (l->path != NULL)
        buf_add_slice(&l->unwritten, buf_slice(&line));
    if (l->unwritten.len > UNWRITTEN_MAX)
        function_log_flush(l);
    tell_followers(l, buf_slice(&line));
}

/* ---- reading ---- */

/* Where the last lines begin; *ret_enough says that there are so many. */
static size_t tail_start(const char *text, size_t len, unsigned lines, bool *ret_enough)
{
    size_t at = len;
    unsigned seen = 0;
    *ret_enough = true;
    while (at > 0) {
        if (text[at - 1] == '\n' && ++seen > lines)
            return at;
        at--;
    }
    *ret_enough = seen >= lines;
    return 0;
}

int function_log_read(struct function_log *l, unsigned tail_lines, struct buf *out)
{
    function_log_flush(l);
    const struct buf *m = &l->memory;
    bool enough = false;
    size_t start = tail_lines > 0 ? tail_start(m->ptr, m->len, tail_lines, &enough) : 0;
    if (l->path == NULL || enough) {
        buf_add(out, m->ptr + start, m->len - start);
        return buf_ok(out) ? 0 : -ENOMEM;
    }
    autobuf files = BUF_INIT;
    int r = fdio_read_file(l->old_path, 2 * FILE_MAX, &files);
    if (r == 0 || r == -ENOENT)
        r = fdio_read_file(l->path, 2 * FILE_MAX, &files);
    if (r == -ENOENT)
        r = 0;
    if (r < 0)
        return r;
    start = tail_lines > 0 ? tail_start(files.ptr, files.len, tail_lines, &enough) : 0;
    buf_add(out, files.ptr + start, files.len - start);
    return buf_ok(out) ? 0 : -ENOMEM;
}

void function_log_serve(struct function_log *l, struct http_request *request, unsigned tail_lines,
                        bool follow)
{
    if (follow) {
        log_follow(l, request, tail_lines);
        return;
    }
    autobuf text = BUF_INIT;
    int r = function_log_read(l, tail_lines, &text);
    if (r < 0) {
        http_respond_errorf(request, 500, "the log cannot be read: %s", strerror(-r));
        return;
    }
    const struct http_response response = {
        .status = 200, .content_type = "text/plain; charset=utf-8", .body = buf_slice(&text)};
    http_respond(request, &response);
}

void function_log_free(struct function_log *l, bool remove_files)
{
    while (!list_empty(&l->followers))
        follower_end(l, list_entry(l->followers.next, struct follower, link), true);
    function_log_flush(l);
    log_close(l);
    if (remove_files && l->path != NULL && l->old_path != NULL) {
        (void)unlink(l->path);
        (void)unlink(l->old_path);
    }
    free(l->path);
    free(l->old_path);
    buf_done(&l->memory);
    buf_done(&l->unwritten);
    free(l);
}
