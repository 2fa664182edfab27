/* SPDX-License-Identifier: Apache-2.0 */
/* A connection as a machine of phases (enum connection_phase). Each phase has a step that goes on
 * as far as the socket and the answer let it; a step says whether another phase follows at once,
 * whether it waits (for bytes, room, an answer), or whether the connection is over.
 *
 * A refused request is answered after its body was read and thrown away when that is short, so that
 * the connection stays usable. Otherwise it is answered at once and the connection lingers. */
#include "http/connection.h"
#include "base/clock.h"
#include "base/must.h"
#include "http/intake.h"
#include "http/reactor.h"
#include "http/response.h"
#include "http/server_internal.h"
#include "http/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define IN_FIRST       4096 /* bytes of a request that are read in one go */
#define IN_CHUNKS      4096 /* room for chunks behind a head */
#define DRAIN_MAX      (64 * 1024)
#define LINGER_MAX     (2 * 1024 * 1024)
#define LINGER_NS      CLOCK_SECOND
#define STREAM_IDLE_NS CLOCK_SECOND              /* for a peer that may be gone */
#define FRESH_NS       (500 * CLOCK_MILLISECOND) /* for a first request, when no others are taken */
#define REQUESTS_TURN  32 /* pipelined requests before other connections get their turn */

enum step { STEP_WAIT, STEP_ON, STEP_CLOSE };

struct http_connection *http_connection_new(struct http_server *s, struct reactor *re, int fd)
{
    struct http_connection *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return NULL;
    c->server = s;
    c->reactor = re;
    c->fd = fd;
    c->can_write = true;
    c->deadline_ns = UINT64_MAX;
    c->request.server = s;
    c->request.connection = c;
    request_head_begin(&c->request.head);
    list_init(&c->node);
    return c;
}

void http_connection_close(struct http_connection *c)
{
    struct http_request *r = &c->request;
    if (r->stream != NULL)
        http_stream_release(STEAL(r->stream)); /* from here on nobody wakes it */
    reactor_remove(c->reactor, c);
    close(c->fd);
    http_request_reset(r);
    buf_done(&r->body_buffer);
    buf_done(&r->answer);
    free(c->in);
    c->dead = true;
    if (!atomic_load(&c->queued))
        free(c);
}

/* ---- reading ---- */

enum got { GOT_NONE, GOT_BYTES, GOT_END };

/* A short read means that there is no more: the next bytes come with another edge. */
static enum got receive(struct http_connection *c, char *to, size_t room, size_t *ret_len)
{
    while (c->can_read) {
        ssize_t n = recv(c->fd, to, room, 0);
        if (n > 0) {
            c->can_read = (size_t)n == room || c->hung_up;
            *ret_len = (size_t)n;
            return GOT_BYTES;
        }
        if (n == 0 || (errno != EAGAIN && errno != EINTR))
            return GOT_END;
        if (errno == EAGAIN)
            c->can_read = false;
    }
    return GOT_NONE;
}

static bool in_grow(struct http_connection *c, size_t cap)
{
    char *in = realloc(c->in, cap);
    if (in == NULL)
        return false;
    c->in = in;
    c->in_cap = cap;
    return true;
}

static enum got receive_in(struct http_connection *c)
{
    size_t n = 0;
    enum got got = receive(c, c->in + c->in_len, c->in_cap - c->in_len, &n);
    if (got == GOT_BYTES)
        c->in_len += n;
    return got;
}

/* A peer must send, and take, bytes at a rate on average, once it had some time. */
static void set_deadline(struct http_connection *c, uint64_t moved)
{
    c->deadline_ns =
        c->began_ns + c->server->body_timeout_ns + moved / HTTP_BODY_RATE * CLOCK_SECOND;
}

static void begin_write_rest(struct http_connection *c)
{
    c->phase = CONNECTION_WRITE;
    c->began_ns = c->reactor->now_ns;
    c->buffered = 0;
    set_deadline(c, 0);
}

/* The answer is in the request: sends it. */
static void begin_write(struct http_connection *c)
{
    if (c->request.answer.len == 0)
        http_response_write_empty(&c->request);
    begin_write_rest(c);
}

/* ---- refusing ---- */

static enum step refuse(struct http_connection *c, unsigned status, const struct error *err)
{
    c->request.close_after = true;
    http_intake_refuse(&c->request, status, err);
    begin_write(c);
    return STEP_ON;
}

static enum step refuse_text(struct http_connection *c, unsigned status, const char *message)
{
    struct error err = ERROR_INIT;
    error_set(&err, -EINVAL, "%s", message);
    return refuse(c, status, &err);
}

/* The head is whole. Where its framing cannot be trusted, intake made the body endless. */
static enum step refuse_head(struct http_connection *c, unsigned status, const struct error *err)
{
    struct http_request *r = &c->request;
    if ((r->asked && r->body_length > 0) || r->body_length > DRAIN_MAX)
        return refuse(c, status, err);
    size_t there = c->in_len - c->used;
    size_t of_body = r->body_length < there ? (size_t)r->body_length : there;
    c->used += of_body;
    c->body_left = r->body_length - of_body;
    http_intake_refuse(r, status, err);
    begin_write(c);
    if (c->body_left > 0)
        c->phase = CONNECTION_DRAIN;
    return STEP_ON;
}

/* ---- the phases ---- */

/* The bytes of a head are made room for as they come, up to its limit. */
static bool head_room(struct http_connection *c)
{
    if (c->in_cap == 0)
        return in_grow(c, IN_FIRST);
    return c->in_len < c->in_cap || in_grow(c, 2 * c->in_cap);
}

static void leave_to_send(struct http_connection *c)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    /* Nothing is under way, so it fits; a peer that is gone shows when it is read from. */
    ssize_t sent = send(c->fd, text, sizeof(text) - 1, MSG_NOSIGNAL);
    (void)sent;
}

/* The request is whole. */
static enum step handle(struct http_connection *c)
{
    struct http_request *r = &c->request;
    if (c->reactor->state >= HTTP_SERVER_REFUSES)
        return refuse_text(c, 503, "the server is stopping");
    c->phase = CONNECTION_HANDLED;
    c->deadline_ns = UINT64_MAX;
    atomic_store_explicit(&r->progress, HTTP_RUNNING, memory_order_relaxed);
    r->match.route->handler(r, r->match.route->ctx);
    int expected = HTTP_RUNNING;
    atomic_compare_exchange_strong_explicit(&r->progress, &expected, HTTP_PARKED,
                                            memory_order_acq_rel, memory_order_acquire);
    return expected == HTTP_ANSWERED ? STEP_ON : STEP_WAIT;
}

static enum step begin_length(struct http_connection *c)
{
    struct http_request *r = &c->request;
    size_t there = c->in_len - c->used;
    if (there >= r->body_length) {
        r->body = slice_of(c->in + c->used, (size_t)r->body_length);
        c->used += (size_t)r->body_length;
        return handle(c);
    }
    if (buf_reserve(&r->body_buffer, (size_t)r->body_length) == NULL)
        return refuse_text(c, 503, "out of memory");
    buf_add(&r->body_buffer, c->in + c->used, there);
    c->used = c->in_len;
    c->body_left = r->body_length - there;
    c->phase = CONNECTION_BODY;
    return STEP_ON;
}

/* What the handler will see of the head must not move any more: room for chunks is made before. */
static enum step begin_request(struct http_connection *c)
{
    struct http_request *r = &c->request;
    struct error err = ERROR_INIT;
    if (c->in_cap - r->head.length < IN_CHUNKS && !in_grow(c, c->in_cap + IN_CHUNKS))
        return refuse_text(c, 503, "out of memory");
    r->bytes = c->in;
    c->used = r->head.length;
    unsigned refused = http_intake_head(r, &err);
    if (r->body_length > 0) {
        c->began_ns = c->reactor->now_ns;
        set_deadline(c, 0);
    }
    if (refused != 0)
        return refuse_head(c, refused, &err);
    if (r->asked && r->body_length > 0 && c->in_len == c->used)
        leave_to_send(c);
    if (r->body_length != HTTP_LENGTH_CHUNKED)
        return begin_length(c);
    chunked_begin(&c->chunked);
    c->phase = CONNECTION_CHUNKS;
    return STEP_ON;
}

static enum step step_head(struct http_connection *c)
{
    struct http_request *r = &c->request;
    struct error err = ERROR_INIT;
    for (;;) {
        unsigned read = request_head_read(&r->head, c->in, c->in_len, &err);
        if (read == 1)
            return begin_request(c);
        if (read != 0) {
            r->bytes = c->in;
            http_intake_broken_head(r);
            return refuse(c, read, &err);
        }
        if (!head_room(c))
            return refuse_text(c, 503, "out of memory");
        bool first = c->in_len == 0;
        switch (receive_in(c)) {
        case GOT_NONE:
            return STEP_WAIT;
        case GOT_END:
            return STEP_CLOSE;
        case GOT_BYTES:
            if (first)
                c->deadline_ns = c->reactor->now_ns + c->server->header_timeout_ns;
            break;
        }
    }
}

static enum step step_body(struct http_connection *c)
{
    struct buf *body = &c->request.body_buffer;
    while (c->body_left > 0) {
        size_t n = 0;
        switch (receive(c, body->ptr + body->len, (size_t)c->body_left, &n)) {
        case GOT_NONE:
            return STEP_WAIT;
        case GOT_END:
            return STEP_CLOSE;
        case GOT_BYTES:
            body->len += n;
            c->body_left -= n;
            set_deadline(c, body->len);
            break;
        }
    }
    c->request.body = buf_slice(body);
    return handle(c);
}

/* Works off the chunks that stand behind the head, then makes room for more of them there. */
static enum step step_chunks(struct http_connection *c)
{
    struct http_request *r = &c->request;
    for (;;) {
        struct error err = ERROR_INIT;
        struct slice data, rest = slice_of(c->in + c->used, c->in_len - c->used);
        int over = chunked_read(&c->chunked, &rest, &data);
        c->used = c->in_len - rest.len;
        unsigned refused =
            over >= 0 ? http_intake_chunk(r, data, chunked_announced(&c->chunked), &err) : 0;
        if (refused != 0)
            return refuse(c, refused, &err);
        if (over == -EMSGSIZE)
            return refuse_text(c, 413,
                               "a chunk's size, its extensions or the trailer are too long");
        if (over < 0)
            return refuse_text(c, 400, "the body's chunks are malformed");
        if (over == 1) {
            r->body = buf_slice(&r->body_buffer);
            return handle(c);
        }
        if (rest.len > 0)
            continue;
        c->used = c->in_len = r->head.length;
        switch (receive_in(c)) {
        case GOT_NONE:
            return STEP_WAIT;
        case GOT_END:
            return STEP_CLOSE;
        case GOT_BYTES:
            set_deadline(c, r->body_buffer.len);
            break;
        }
    }
}

/* The answer is there already; the head is not needed any more. */
static enum step step_drain(struct http_connection *c)
{
    while (c->body_left > 0) {
        size_t n = 0, room = c->body_left < c->in_cap ? (size_t)c->body_left : c->in_cap;
        switch (receive(c, c->in, room, &n)) {
        case GOT_NONE:
            return STEP_WAIT;
        case GOT_END:
            return STEP_CLOSE;
        case GOT_BYTES:
            c->body_left -= n;
            break;
        }
    }
    c->used = c->in_len = 0;
    begin_write(c);
    return STEP_ON;
}

static enum step step_handled(struct http_connection *c)
{
    struct http_request *r = &c->request;
    if (atomic_load_explicit(&r->progress, memory_order_acquire) != HTTP_ANSWERED)
        return STEP_WAIT;
    if (r->stream != NULL && r->method != HTTP_HEAD) {
        c->phase = CONNECTION_STREAM;
        return STEP_ON;
    }
    if (r->stream != NULL)
        http_stream_release(STEAL(r->stream));
    begin_write(c);
    return STEP_ON;
}

/* ---- writing ---- */

enum put { PUT_ALL, PUT_SOME, PUT_FAILED };

/* Sends what is left of the answer's bytes. */
static enum put transmit(struct http_connection *c)
{
    const struct http_request *r = &c->request;
    size_t total = r->answer.len + r->answer_body_len;
    while (c->sent < total) {
        if (!c->can_write)
            return PUT_SOME;
        size_t of_head = c->sent < r->answer.len ? c->sent : r->answer.len;
        struct iovec parts[2] = {
            {r->answer.ptr + of_head, r->answer.len - of_head},
            {r->answer_body, r->answer_body_len},
        };
        if (r->answer_body != NULL) {
            parts[1].iov_base = r->answer_body + (c->sent - of_head);
            parts[1].iov_len -= c->sent - of_head;
        }
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
        ssize_t n = r->answer_body_len == 0
                        ? send(c->fd, parts[0].iov_base, parts[0].iov_len, MSG_NOSIGNAL)
                        : sendmsg(c->fd, &message, MSG_NOSIGNAL);
        if (n >= 0)
            c->sent += (size_t)n;
        else if (errno == EAGAIN)
            c->can_write = false;
        else if (errno != EINTR)
            return PUT_FAILED;
    }
    return PUT_ALL;
}

static void observe(const struct http_request *r)
{
    const struct http_server_options *o = &r->server->options;
    if (o->observe != NULL)
        o->observe(o->observe_ctx, r->match.route, r->status,
                   r->started_ns != 0 ? clock_monotonic() - r->started_ns : 0);
}

/* What came behind the request is the next one's. */
static void in_shift(struct http_connection *c)
{
    size_t rest = c->in_len - c->used;
    if (rest > 0)
        memmove(c->in, c->in + c->used, rest);
    c->in_len = rest;
    c->used = 0;
    if (c->in_cap > HTTP_BUFFER_KEPT && rest <= IN_FIRST)
        (void)in_grow(c, IN_FIRST); /* shrinks */
}

/* Waits for its next request. */
static void begin_wait(struct http_connection *c)
{
    request_head_begin(&c->request.head);
    c->phase = CONNECTION_HEAD;
    c->deadline_ns = c->reactor->now_ns +
                     (c->in_len > 0 ? c->server->header_timeout_ns : c->server->idle_timeout_ns);
}

/* The answer is out. A wake-up that is still on its way must have come before the next request
 * begins, which it could be taken for. */
static enum step finish(struct http_connection *c)
{
    struct http_request *r = &c->request;
    if (atomic_load(&c->queued))
        return STEP_WAIT;
    bool last = r->close_after;
    c->served = true;
    observe(r);
    http_request_reset(r);
    c->sent = 0;
    c->body_left = 0;
    in_shift(c);
    last = last || c->reactor->state != HTTP_SERVER_RUNS;
    if (!last) {
        begin_wait(c);
        return STEP_ON;
    }
    shutdown(c->fd, SHUT_WR);
    c->phase = CONNECTION_LINGER;
    c->deadline_ns = c->reactor->now_ns + LINGER_NS;
    return STEP_ON;
}

static enum step step_write(struct http_connection *c)
{
    switch (transmit(c)) {
    case PUT_SOME:
        if (c->buffered == 0)
            c->buffered = c->sent;
        set_deadline(c, c->sent - c->buffered);
        return STEP_WAIT;
    case PUT_FAILED:
        return STEP_CLOSE;
    case PUT_ALL:
        break;
    }
    return finish(c);
}

/* One that has ended must be taken in time. */
static enum step stream_blocked(struct http_connection *c)
{
    size_t left = 0;
    if (c->deadline_ns == UINT64_MAX && http_stream_ended(c->request.stream, &left))
        c->deadline_ns =
            c->reactor->now_ns + c->server->body_timeout_ns + left / HTTP_BODY_RATE * CLOCK_SECOND;
    return STEP_WAIT;
}

/* It stays. But a peer that sends no more may be gone, and nothing but writing to it would tell: if
 * nothing is written for STREAM_IDLE_NS (the sweep may take as long to see it), it is closed, even
 * when the peer has closed its own direction only and still reads. */
static enum step stream_idle(struct http_connection *c)
{
    c->idle = c->hung_up;
    if (c->idle)
        c->deadline_ns = c->reactor->now_ns + STREAM_IDLE_NS;
    return STEP_WAIT;
}

static void stream_resume(struct http_connection *c)
{
    if (c->idle)
        c->deadline_ns = UINT64_MAX;
    c->idle = false;
}

static enum step step_stream(struct http_connection *c)
{
    struct http_request *r = &c->request;
    for (;;) {
        enum put put = transmit(c);
        if (put != PUT_ALL)
            return put == PUT_SOME ? stream_blocked(c) : STEP_CLOSE;
        buf_reset(&r->answer);
        c->sent = 0;
        enum stream_news news = http_stream_take(r->stream, r->head.minor > 0, &r->answer);
        if (!buf_ok(&r->answer))
            return STEP_CLOSE;
        if (news == STREAM_IDLE)
            return stream_idle(c);
        stream_resume(c);
        if (news == STREAM_OVER) {
            http_stream_release(STEAL(r->stream));
            begin_write_rest(c);
            return STEP_ON;
        }
    }
}

static enum step step_linger(struct http_connection *c)
{
    char bytes[4096];
    size_t n = 0;
    enum got got;
    while ((got = receive(c, bytes, sizeof(bytes), &n)) == GOT_BYTES) {
        c->lingered += n;
        if (c->lingered > LINGER_MAX)
            return STEP_CLOSE;
    }
    return got == GOT_END ? STEP_CLOSE : STEP_WAIT;
}

/* ---- what the reactor calls ---- */

static void run(struct http_connection *c)
{
    static enum step (*const steps[CONNECTION_PHASE_COUNT])(struct http_connection * c) = {
        [CONNECTION_HEAD] = step_head,       [CONNECTION_BODY] = step_body,
        [CONNECTION_CHUNKS] = step_chunks,   [CONNECTION_DRAIN] = step_drain,
        [CONNECTION_HANDLED] = step_handled, [CONNECTION_WRITE] = step_write,
        [CONNECTION_STREAM] = step_stream,   [CONNECTION_LINGER] = step_linger,
    };
    for (unsigned answered = 0; answered < REQUESTS_TURN;) {
        answered += c->phase == CONNECTION_WRITE;
        switch (steps[c->phase](c)) {
        case STEP_WAIT:
            return;
        case STEP_CLOSE:
            http_connection_close(c);
            return;
        case STEP_ON:
            break;
        }
    }
    reactor_wake_connection(c); /* goes on when the others had their turn */
}

void http_connection_on_events(struct http_connection *c, uint32_t events)
{
    bool broken = (events & (EPOLLHUP | EPOLLERR)) != 0;
    bool ended = broken || (events & EPOLLRDHUP) != 0;
    c->hung_up = c->hung_up || ended;
    c->can_read = c->can_read || ended || (events & EPOLLIN) != 0;
    c->can_write = c->can_write || ended || (events & EPOLLOUT) != 0;
    if (c->phase == CONNECTION_STREAM && broken) {
        http_connection_close(c); /* nobody reads it any more */
        return;
    }
    /* Only who answers ends the phase HANDLED, by a wake-up; and one that is on its way already
     * must come before a handler is called, or it could be taken for that of its answer. */
    if (c->phase != CONNECTION_HANDLED && !atomic_load(&c->queued))
        run(c);
}

/* Whether it outlives the end of taking requests: while it has one, or a moment for its first one.
 * Nobody sends that again, as is done on a connection that was used before (RFC 9112 §9.3.1). */
static bool stays(struct http_connection *c)
{
    if (c->phase != CONNECTION_HEAD || c->in_len > 0)
        return true;
    if (c->served || c->reactor->state != HTTP_SERVER_QUIESCED)
        return false;
    uint64_t patience = c->reactor->now_ns + FRESH_NS;
    if (patience < c->deadline_ns)
        c->deadline_ns = patience;
    return true;
}

void http_connection_on_wake(struct http_connection *c)
{
    if (!c->watched) { /* it was accepted */
        c->deadline_ns = c->reactor->now_ns + c->server->header_timeout_ns;
        if (!reactor_add(c->reactor, c))
            return;
        if (c->reactor->state != HTTP_SERVER_RUNS && !stays(c)) { /* it came in at the end */
            http_connection_close(c);
            return;
        }
    }
    run(c);
}

void http_connection_on_deadline(struct http_connection *c)
{
    bool partial = c->in_len > c->request.head.line; /* more than empty lines */
    bool late = (c->phase == CONNECTION_HEAD && partial) || c->phase == CONNECTION_BODY ||
                c->phase == CONNECTION_CHUNKS;
    if (!late) {
        http_connection_close(c);
        return;
    }
    refuse_text(c, 408, "the request did not come in time");
    run(c);
}

void http_connection_on_quiesce(struct http_connection *c)
{
    if (!stays(c))
        http_connection_close(c);
}
