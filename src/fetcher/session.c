/* SPDX-License-Identifier: Apache-2.0 */
/* The worker's socket: requests come in, answers go out as they are ready. What the worker does not
 * read stays here up to a limit; beyond it, nothing more is read from it. */
#include "fetcher/fetcher.h"

#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define CONNECTIONS_PER_HOST 32
#define UNREAD_MAX           (32u << 20) /* bytes of answers that the worker has not taken yet */
#define READS_MAX            64          /* of one turn */

struct frame_out {
    struct list link;
    struct buf bytes;
    size_t sent;
};

struct session {
    struct loop *loop;
    struct http_client *client;
    struct loop_watch watch;
    int socket;
    bool over; /* the worker is gone, or does not keep to the protocol */
    struct fetcher_reader reader;
    struct allow_list allow;
    struct list jobs;   /* struct job */
    struct list unread; /* struct frame_out */
    size_t unread_bytes;
};

struct session *session_new(struct loop *l, int socket, const char *trusted)
{
    struct session *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return NULL;
    s->loop = l;
    s->socket = socket;
    list_init(&s->jobs);
    list_init(&s->unread);
    s->client = http_client_new(l, CONNECTIONS_PER_HOST);
    if (s->client == NULL || (trusted != NULL && http_client_trust(s->client, trusted) < 0)) {
        session_free(s);
        return NULL;
    }
    return s;
}

static void frame_free(struct frame_out *f)
{
    buf_done(&f->bytes);
    free(f);
}

void session_free(struct session *s)
{
    while (!list_empty(&s->jobs))
        job_cancel(list_entry(s->jobs.next, struct job, link));
    http_client_free(s->client);
    while (!list_empty(&s->unread))
        frame_free(list_entry(list_shift(&s->unread), struct frame_out, link));
    loop_unwatch(s->loop, &s->watch);
    fetcher_reader_done(&s->reader);
    allow_done(&s->allow);
    free(s);
}

const struct allow_list *session_allow(const struct session *s)
{
    return &s->allow;
}

struct http_client *session_client(struct session *s)
{
    return s->client;
}

struct loop *session_loop(struct session *s)
{
    return s->loop;
}

static void finish(struct session *s)
{
    s->over = true;
    loop_stop(s->loop);
}

/* ---- out ---- */

/* What is to be watched: room to write when something is left, requests unless too much is. */
static void watch_again(struct session *s)
{
    uint32_t events =
        (list_empty(&s->unread) ? 0u : EPOLLOUT) | (s->unread_bytes < UNREAD_MAX ? EPOLLIN : 0u);
    if (s->watch.active && s->watch.events != events &&
        loop_rewatch(s->loop, &s->watch, events) < 0)
        finish(s);
}

static void send_unread(struct session *s)
{
    while (!list_empty(&s->unread)) {
        struct frame_out *f = list_entry(s->unread.next, struct frame_out, link);
        ssize_t n = send(s->socket, f->bytes.ptr + f->sent, f->bytes.len - f->sent,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0) {
            finish(s);
            return;
        }
        f->sent += (size_t)n;
        s->unread_bytes -= (size_t)n;
        if (f->sent < f->bytes.len)
            continue;
        list_remove(&f->link);
        frame_free(f);
    }
    watch_again(s);
}

void session_send(struct session *s, struct buf *frame)
{
    struct frame_out *f = buf_ok(frame) ? calloc(1, sizeof(*f)) : NULL;
    if (f == NULL) { /* an answer that is missing would be waited for */
        buf_done(frame);
        log_error("no memory for an answer");
        finish(s);
        return;
    }
    f->bytes = *frame;
    s->unread_bytes += f->bytes.len;
    list_append(&s->unread, &f->link);
    if (!s->over)
        send_unread(s);
}

/* ---- in ---- */

static unsigned count_jobs(const struct session *s)
{
    unsigned count = 0;
    list_for_each (node, &s->jobs)
        count++;
    return count;
}

static void cancel(struct session *s, uint64_t id)
{
    list_for_each_safe (node, following, &s->jobs) {
        struct job *j = list_entry(node, struct job, link);
        if (j->id == id) {
            job_cancel(j);
            return;
        }
    }
}

static int obey(struct session *s, const struct fetcher_frame *f)
{
    struct fetcher_request request;
    switch (f->type) {
    case FETCHER_REQUEST:
        if (fetcher_read_request(f->payload, &request) < 0)
            return -EPROTO;
        if (count_jobs(s) >= FETCHER_IN_FLIGHT_MAX)
            job_refuse(s, f->id, FETCHER_BUSY, "too many requests at once");
        else
            job_start(s, &s->jobs, f->id, f->payload);
        return 0;
    case FETCHER_CANCEL:
        cancel(s, f->id);
        return 0;
    case FETCHER_ALLOW:
    case FETCHER_RESPONSE:
    case FETCHER_FAILURE:
    case FETCHER_FRAME_TYPE_COUNT:
        break;
    }
    return -EPROTO;
}

/* Takes what the socket has: 1, 0 when it has nothing now, -EPIPE at its end, or an errno. */
static int receive(struct session *s)
{
    size_t size = 0;
    char *room = fetcher_reader_room(&s->reader, &size);
    if (room == NULL)
        return -ENOMEM;
    ssize_t n;
    do
        n = recv(s->socket, room, size, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return n == 0 ? -EPIPE : errno == EAGAIN ? 0 : -errno;
    fetcher_reader_add(&s->reader, (size_t)n);
    return 1;
}

static int serve_frames(struct session *s)
{
    struct fetcher_frame frame;
    int r = 1;
    while (r == 1) {
        r = fetcher_reader_next(&s->reader, &frame);
        if (r == 1) {
            int status = obey(s, &frame);
            r = status < 0 ? status : 1;
        }
    }
    return r;
}

static void ready(struct loop_watch *w, uint32_t events)
{
    struct session *s = w->ctx;
    if ((events & EPOLLOUT) != 0)
        send_unread(s);
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0)
        return;
    for (int i = 0; i < READS_MAX && !s->over && s->unread_bytes < UNREAD_MAX; i++) {
        int r = receive(s);
        if (r == 0)
            return;
        if (r == 1)
            r = serve_frames(s);
        if (r == -EPROTO)
            log_error("the worker does not keep to the protocol");
        if (r < 0)
            finish(s);
    }
}

/* ---- the beginning ---- */

static int add_entry(void *ctx, struct slice entry)
{
    struct session *s = ctx;
    return allow_add(&s->allow, entry);
}

int session_read_allow(struct session *s, struct error *err)
{
    struct fetcher_frame frame = {.id = 0};
    int r = 0;
    while (r == 0) {
        struct pollfd fd = {.fd = s->socket, .events = POLLIN};
        if (poll(&fd, 1, -1) < 0 && errno != EINTR)
            return error_set(err, -errno, "cannot wait for the allow-list");
        r = receive(s);
        if (r == 1)
            r = fetcher_reader_next(&s->reader, &frame);
    }
    if (r < 0)
        return error_set(err, r, "the worker sent no allow-list");
    if (frame.type != FETCHER_ALLOW)
        return error_set(err, -EPROTO, "the worker's first frame is no allow-list");
    r = fetcher_read_allow(frame.payload, add_entry, s);
    return r < 0 ? error_set(err, r, "the allow-list has an entry that is no HOST:PORT") : 0;
}

int session_serve(struct session *s)
{
    s->watch.ready = ready;
    s->watch.ctx = s;
    int r = loop_watch(s->loop, &s->watch, s->socket, EPOLLIN);
    if (r < 0)
        return r;
    return serve_frames(s); /* what came with the allow-list */
}
