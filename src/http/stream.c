/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of unknown length. Bytes wait in the stream; the connection's thread takes them when the
 * socket is writable, and is woken when there are some again. The connection owns the stream. */
#include "http/stream.h"
#include "base/must.h"
#include "http/connection.h"
#include "http/reactor.h"
#include "http/request.h"
#include "http/response.h"

#include <errno.h>
#include <stdlib.h>

#define STREAM_PENDING_MAX (4 * 1024 * 1024)
#define STREAM_BLOCK       (32 * 1024)
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
};

/* Under the stream's lock: the connection lives as long as it has the stream. */
static void stream_wake(struct http_stream *s)
{
    s->parked = false;
    reactor_wake_connection(s->connection);
}

static void stream_take_block(struct http_stream *s, bool chunked, struct buf *out)
{
    size_t waiting = s->pending.len - s->taken;
    size_t n = waiting < STREAM_BLOCK ? waiting : STREAM_BLOCK;
    if (chunked)
        buf_printf(out, "%zx\r\n", n);
    buf_add(out, s->pending.ptr + s->taken, n);
    if (chunked)
        buf_add_text(out, "\r\n");
    s->taken += n;
    if (s->taken == s->pending.len) {
        buf_reset(&s->pending);
        s->taken = 0;
    }
}

enum stream_news http_stream_take(struct http_stream *s, bool chunked, struct buf *out)
{
    enum stream_news news = STREAM_IDLE;
    pthread_mutex_lock(&must_be(s, STREAM_MAGIC)->lock);
    if (s->pending.len > s->taken) {
        stream_take_block(s, chunked, out);
        news = STREAM_BYTES;
    } else if (s->ended) {
        if (chunked)
            buf_add_text(out, "0\r\n\r\n");
        news = STREAM_OVER;
    } else {
        s->parked = true;
    }
    pthread_mutex_unlock(&s->lock);
    return news;
}

bool http_stream_ended(struct http_stream *s, size_t *ret_left)
{
    pthread_mutex_lock(&s->lock);
    bool ended = s->ended;
    *ret_left = s->pending.len - s->taken;
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
    size_t waiting = s->pending.len - s->taken;
    pthread_mutex_unlock(&s->lock);
    return waiting;
}

int http_stream_write(struct http_stream *s, struct slice bytes)
{
    int status = 0;
    pthread_mutex_lock(&s->lock);
    size_t waiting = s->pending.len - s->taken;
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
