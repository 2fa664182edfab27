/* SPDX-License-Identifier: Apache-2.0 */
/* Chunked answers of unknown length. Bytes wait in the stream; the HTTP thread takes them when the
 * socket is writable, and suspends the connection while there are none. The stream belongs to its
 * response: it is freed, and closed() called, when libmicrohttpd drops that. */
#include "base/must.h"
#include "http/http_internal.h"

#include <errno.h>
#include <stdlib.h>

#define STREAM_PENDING_MAX (4 * 1024 * 1024)
#define STREAM_BLOCK       (32 * 1024)
#define STREAM_MAGIC       0x5354524du

struct http_stream {
    unsigned magic;
    struct MHD_Connection *mhd;
    void (*closed)(void *ctx);
    void *ctx;
    pthread_mutex_t lock; /* everything below */
    struct buf pending;
    size_t taken; /* of pending */
    bool parked, ended, aborted;
};

/* Under the stream's lock. */
static void stream_wake(struct http_stream *s)
{
    if (!s->parked)
        return;
    s->parked = false;
    MHD_resume_connection(s->mhd);
}

static ssize_t stream_read(void *cls, uint64_t position, char *out, size_t max)
{
    struct http_stream *s = must_be((struct http_stream *)cls, STREAM_MAGIC);
    ssize_t result;
    pthread_mutex_lock(&s->lock);
    size_t waiting = s->pending.len - s->taken;
    if (s->aborted) {
        result = MHD_CONTENT_READER_END_WITH_ERROR;
    } else if (waiting > 0) {
        size_t n = waiting < max ? waiting : max;
        memcpy(out, s->pending.ptr + s->taken, n);
        s->taken += n;
        if (s->taken == s->pending.len) {
            buf_reset(&s->pending);
            s->taken = 0;
        }
        result = (ssize_t)n;
    } else if (s->ended) {
        result = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        s->parked = true;
        MHD_suspend_connection(s->mhd);
        result = 0;
    }
    pthread_mutex_unlock(&s->lock);
    return result;
}

static void stream_free(void *cls)
{
    struct http_stream *s = must_be((struct http_stream *)cls, STREAM_MAGIC);
    if (s->closed != NULL)
        s->closed(s->ctx);
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
    struct MHD_Response *response =
        s == NULL ? NULL
                  : MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, stream_read,
                                                      s, stream_free);
    if (response == NULL) {
        free(s);
        http_respond_errorf(r, 503, "out of memory");
        return NULL;
    }
    *s = (struct http_stream){.magic = STREAM_MAGIC, .mhd = r->mhd, .closed = closed, .ctx = ctx};
    pthread_mutex_init(&s->lock, NULL);
    if (content_type != NULL)
        MHD_add_response_header(response, "Content-Type", content_type);
    r->sending = UINT64_MAX;
    atomic_store_explicit(&r->connection->stream, s, memory_order_release);
    http_response_deliver(r, status, response);
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

void http_stream_abort(struct http_stream *s)
{
    pthread_mutex_lock(&s->lock);
    s->aborted = true;
    stream_wake(s);
    pthread_mutex_unlock(&s->lock);
}

void http_stream_detach(struct http_connection *c)
{
    if (atomic_load_explicit(&c->stream, memory_order_relaxed) == NULL)
        return;
    pthread_mutex_lock(&c->server->lock); /* the sweep may be using it */
    atomic_store_explicit(&c->stream, NULL, memory_order_relaxed);
    pthread_mutex_unlock(&c->server->lock);
}
