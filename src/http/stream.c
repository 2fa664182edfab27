/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of unknown length. Bytes wait in the stream; the connection's thread takes them when the
 * socket is writable, and is woken when there are some again. The connection owns the stream. */
#include "http/stream.h"
#include "base/clock.h"
#include "base/must.h"
#include "http/connection.h"
#include "http/reactor.h"
#include "http/request.h"
#include "http/response.h"
#include "http/server_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#define STREAM_PENDING_MAX (4 * 1024 * 1024)
#define STREAM_BLOCK       (32 * 1024)
#define STREAM_KEPT        (64 * 1024) /* memory that an empty stream keeps */
#define STREAM_MAGIC       0x5354524du

struct http_stream {
    unsigned magic;
    struct http_connection *connection;
    void (*closed)(void *ctx);
    void *ctx;
    pthread_mutex_t lock; /* everything below */
    struct buf pending;
    size_t taken; /* of pending */
    bool parked, ended;
    uint64_t moved_ns;          /* when bytes began to wait, or the last of them were taken */
    void (*drained)(void *ctx); /* who waits for room; NULL: nobody */
    size_t drained_left;        /* what may be pending then */
};

/* Under the stream's lock. */
static size_t waiting_bytes(const struct http_stream *s)
{
    return s->pending.len - s->taken;
}

/* Under the stream's lock: the connection lives as long as it has the stream. */
static void stream_wake(struct http_stream *s)
{
    s->parked = false;
    reactor_wake_connection(s->connection);
}

static void stream_take_block(struct http_stream *s, bool chunked, struct buf *out)
{
    size_t waiting = waiting_bytes(s);
    size_t n = waiting < STREAM_BLOCK ? waiting : STREAM_BLOCK;
    if (chunked)
        buf_printf(out, "%zx\r\n", n);
    buf_add(out, s->pending.ptr + s->taken, n);
    if (chunked)
        buf_add_text(out, "\r\n");
    s->taken += n;
    s->moved_ns = clock_monotonic();
    if (s->taken < s->pending.len)
        return;
    if (s->pending.cap > STREAM_KEPT)
        buf_done(&s->pending);
    buf_reset(&s->pending);
    s->taken = 0;
}

/* Under the stream's lock: who is to be told that there is room, once. */
static void (*take_drained(struct http_stream *s))(void *ctx)
{
    return s->drained != NULL && waiting_bytes(s) <= s->drained_left ? STEAL(s->drained) : NULL;
}

enum stream_news http_stream_take(struct http_stream *s, bool chunked, struct buf *out)
{
    enum stream_news news = STREAM_IDLE;
    void (*drained)(void *ctx) = NULL;
    pthread_mutex_lock(&must_be(s, STREAM_MAGIC)->lock);
    if (s->pending.len > s->taken) {
        stream_take_block(s, chunked, out);
        drained = take_drained(s);
        news = STREAM_BYTES;
    } else if (s->ended) {
        if (chunked)
            buf_add_text(out, "0\r\n\r\n");
        news = STREAM_OVER;
    } else {
        s->parked = true;
    }
    pthread_mutex_unlock(&s->lock);
    if (drained != NULL) /* closed() comes on this thread, so not before */
        drained(s->ctx);
    return news;
}

bool http_stream_ended(struct http_stream *s, size_t *ret_left)
{
    pthread_mutex_lock(&s->lock);
    bool ended = s->ended;
    *ret_left = waiting_bytes(s);
    pthread_mutex_unlock(&s->lock);
    return ended;
}

void http_stream_release(struct http_stream *s)
{
    if (s->closed != NULL)
        s->closed(s->ctx);
    pthread_mutex_lock(&s->lock); /* whoever wrote last has left */
    pthread_mutex_unlock(&s->lock);
    pthread_mutex_destroy(&s->lock);
    buf_done(&s->pending);
    s->magic = 0;
    free(s);
}

struct http_stream *http_stream_begin(struct http_request *r, unsigned status,
                                      const char *content_type, void (*closed)(void *ctx),
                                      void *ctx)
{
    struct http_stream *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        http_respond_errorf(r, 503, "out of memory");
        return NULL;
    }
    *s = (struct http_stream){
        .magic = STREAM_MAGIC, .connection = r->connection, .closed = closed, .ctx = ctx};
    pthread_mutex_init(&s->lock, NULL);
    http_response_write_stream_head(r, status, content_type);
    r->stream = s;
    http_response_deliver(r, status);
    return s;
}

size_t http_stream_pending(struct http_stream *s)
{
    pthread_mutex_lock(&s->lock);
    size_t waiting = waiting_bytes(s);
    pthread_mutex_unlock(&s->lock);
    return waiting;
}

bool http_stream_await(struct http_stream *s, size_t left, void (*drained)(void *ctx))
{
    pthread_mutex_lock(&s->lock);
    bool wait = waiting_bytes(s) > left;
    if (wait) {
        s->drained = drained;
        s->drained_left = left;
    }
    pthread_mutex_unlock(&s->lock);
    return wait;
}

bool http_stream_stuck(struct http_stream *s)
{
    uint64_t patience = s->connection->server->body_timeout_ns, now = clock_monotonic();
    pthread_mutex_lock(&s->lock);
    bool stuck = waiting_bytes(s) > 0 && now > s->moved_ns && now - s->moved_ns > patience;
    pthread_mutex_unlock(&s->lock);
    return stuck;
}

/* The connection's thread learns it from the socket. */
void http_stream_cut(struct http_stream *s)
{
    static const struct linger reset = {.l_onoff = 1};
    pthread_mutex_lock(&s->lock);
    int fd = s->connection->fd;
    if (fd >= 0) { /* else the server has gone, and its end of the connection with it */
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        shutdown(fd, SHUT_RDWR);
    }
    pthread_mutex_unlock(&s->lock);
}

int http_stream_write(struct http_stream *s, struct slice bytes)
{
    int status = 0;
    pthread_mutex_lock(&s->lock);
    size_t waiting = waiting_bytes(s);
    if (waiting == 0)
        s->moved_ns = clock_monotonic();
    if (s->taken > 0 && s->taken >= s->pending.len / 2) { /* keep the buffer from creeping on */
        memmove(s->pending.ptr, s->pending.ptr + s->taken, waiting);
        s->pending.len = waiting;
        s->taken = 0;
    }
    if (waiting + bytes.len > STREAM_PENDING_MAX) {
        status = -ENOBUFS;
    } else {
        buf_add_slice(&s->pending, bytes);
        status = buf_ok(&s->pending) ? 0 : -ENOBUFS;
        s->pending.failed = false;
        if (s->parked)
            stream_wake(s);
    }
    pthread_mutex_unlock(&s->lock);
    return status;
}

void http_stream_end(struct http_stream *s)
{
    pthread_mutex_lock(&s->lock);
    s->ended = true;
    stream_wake(s);
    pthread_mutex_unlock(&s->lock);
}
