/* SPDX-License-Identifier: Apache-2.0 */
/* One generator thread: an epoll loop over its keep-alive connections, each with at most one
 * request outstanding.
 *
 * Closed loop: every connection sends as soon as it has its answer. Fixed rate: requests have due
 * times, an idle connection takes the next that is due, and latency counts from the due time, so
 * that a slow peer cannot hide its queue by slowing the generator down ("coordinated omission"). */
#include "load.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_MAX     128
#define CONNECT_WAIT_S 5
#define GRACE_NS       (2 * NS_PER_S) /* for the last answers at a fixed rate or count */

struct connection {
    int fd;
    bool busy, writing;
    uint64_t due_ns;
    size_t written;
    char *request; /* this connection's copy of the template */
    struct wire_reader reader;
};

struct run {
    struct client *client;
    const struct load_options *options;
    int epoll;
    struct connection *connections;
    struct connection **idle; /* a stack */
    unsigned idle_count, alive;
    uint64_t sent, next_id;
    uint64_t quota;                    /* of this thread; 0: none */
    uint64_t interval_ns, next_due_ns; /* fixed rate only */
    uint64_t measure_ns, end_ns;
};

uint64_t load_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static int connect_to(const struct load_options *o)
{
    int fd = socket(o->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    struct timeval wait = {.tv_sec = CONNECT_WAIT_S};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
    if (o->address.ss_family != AF_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (connect(fd, (const struct sockaddr *)&o->address, o->address_len) < 0) {
        int r = -errno;
        close(fd);
        return r;
    }
    return fd;
}

static void watch(struct run *run, struct connection *c, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = c};
    epoll_ctl(run->epoll, operation, c->fd, &event);
}

static bool connection_open(struct run *run, struct connection *c)
{
    c->fd = connect_to(run->options);
    c->busy = c->writing = false;
    if (c->fd < 0) {
        run->client->errors[CLIENT_CONNECT]++;
        return false;
    }
    watch(run, c, EPOLL_CTL_ADD, EPOLLIN);
    run->idle[run->idle_count++] = c;
    run->alive++;
    return true;
}

static void connection_drop(struct run *run, struct connection *c)
{
    close(c->fd);
    c->fd = -1;
    run->alive--;
    for (unsigned i = 0; !c->busy && i < run->idle_count; i++) {
        if (run->idle[i] == c) {
            run->idle[i] = run->idle[--run->idle_count];
            break;
        }
    }
}

static void connection_reopen(struct run *run, struct connection *c)
{
    connection_drop(run, c);
    run->client->reconnects++;
    connection_open(run, c);
}

static void connection_fail(struct run *run, struct connection *c, enum client_error error)
{
    run->client->errors[error]++;
    connection_reopen(run, c);
}

static void connection_write(struct run *run, struct connection *c)
{
    size_t len = run->client->template->len;
    while (c->written < len) {
        ssize_t n =
            send(c->fd, c->request + c->written, len - c->written, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            if (!c->writing)
                watch(run, c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
            c->writing = true;
            return;
        }
        if (n < 0) {
            connection_fail(run, c, CLIENT_CLOSED);
            return;
        }
        c->written += (size_t)n;
    }
    if (c->writing)
        watch(run, c, EPOLL_CTL_MOD, EPOLLIN);
    c->writing = false;
}

static bool may_send(const struct run *run, uint64_t now)
{
    if (run->quota != 0)
        return run->sent < run->quota;
    return (run->interval_ns != 0 ? run->next_due_ns : now) < run->end_ns;
}

/* Lets idle connections take what is due. */
static void send_due(struct run *run)
{
    uint64_t now = load_now_ns();
    /* A connection that fails at once is idle again: each gets one chance a turn. */
    for (unsigned chances = run->idle_count; chances > 0 && may_send(run, now); chances--) {
        uint64_t due = now;
        if (run->interval_ns != 0) {
            if (run->next_due_ns > now)
                return;
            due = run->next_due_ns;
            run->next_due_ns += run->interval_ns;
        }
        struct connection *c = run->idle[--run->idle_count];
        c->busy = true;
        c->due_ns = due;
        c->written = 0;
        run->sent++;
        wire_reader_reset(&c->reader);
        wire_stamp(run->client->template, c->request, run->next_id++, due);
        connection_write(run, c);
    }
}

static void count_answer(struct run *run, const struct connection *c)
{
    uint64_t now = load_now_ns();
    struct client *client = run->client;
    client->answered++;
    bool by_time = run->quota == 0;
    /* A fixed rate counts what was due inside the window, a closed loop what was answered in it. */
    uint64_t when = run->interval_ns != 0 ? c->due_ns : now;
    if (by_time && (when < run->measure_ns || when >= run->end_ns))
        return;
    client->statuses[c->reader.status]++;
    if (c->reader.status < 400)
        histogram_add(&client->latency, now - c->due_ns);
    client->elapsed_ns = now - run->measure_ns;
}

static void connection_read(struct run *run, struct connection *c)
{
    size_t at = c->reader.state == WIRE_HEAD ? c->reader.len : 0;
    ssize_t n = recv(c->fd, c->reader.buf + at, sizeof(c->reader.buf) - at, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 && !c->busy) { /* the peer may end an idle connection */
        connection_reopen(run, c);
        return;
    }
    if (n <= 0) {
        connection_fail(run, c, CLIENT_CLOSED);
        return;
    }
    enum wire_result result = c->busy ? wire_reader_take(&c->reader, (size_t)n) : WIRE_BAD;
    if (result == WIRE_MORE)
        return;
    if (result == WIRE_BAD) {
        connection_fail(run, c, CLIENT_PROTOCOL);
        return;
    }
    count_answer(run, c);
    c->busy = false;
    run->idle[run->idle_count++] = c;
    if (c->reader.close)
        connection_reopen(run, c);
}

/* When the loop has to look again although nothing arrived. */
static struct timespec next_wait(const struct run *run, uint64_t now)
{
    uint64_t wait = NS_PER_S / 10;
    if (run->interval_ns != 0 && run->idle_count > 0 && may_send(run, now)) {
        uint64_t left = run->next_due_ns > now ? run->next_due_ns - now : 0;
        wait = left < wait ? left : wait;
    }
    return (struct timespec){.tv_sec = 0, .tv_nsec = (long)wait};
}

static bool is_over(const struct run *run, uint64_t now)
{
    if (run->alive == 0)
        return true;
    bool outstanding = run->idle_count < run->alive;
    if (run->quota == 0 && run->interval_ns == 0)
        return now >= run->end_ns;
    uint64_t last = run->quota == 0 ? run->end_ns + GRACE_NS : UINT64_MAX;
    return (!may_send(run, now) && !outstanding) || now >= last;
}

static void loop(struct run *run)
{
    struct epoll_event events[EVENTS_MAX];
    for (;;) {
        send_due(run);
        uint64_t now = load_now_ns();
        if (is_over(run, now))
            return;
        struct timespec wait = next_wait(run, now);
        int n = epoll_pwait2(run->epoll, events, EVENTS_MAX, &wait, NULL);
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            if (c->fd >= 0 && c->writing && (events[i].events & EPOLLOUT) != 0)
                connection_write(run, c);
            if (c->fd >= 0 && (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
                connection_read(run, c);
        }
    }
}

static bool run_open(struct run *run)
{
    unsigned n = run->client->connections;
    run->epoll = epoll_create1(EPOLL_CLOEXEC);
    run->connections = calloc(n, sizeof(*run->connections));
    run->idle = calloc(n, sizeof(struct connection *));
    if (run->epoll < 0 || run->connections == NULL || run->idle == NULL)
        return false;
    for (unsigned i = 0; i < n; i++) {
        struct connection *c = &run->connections[i];
        c->fd = -1;
        c->reader.kind = run->options->mode == LOAD_REDIS ? WIRE_REDIS_REPLY : WIRE_HTTP_RESPONSE;
        c->request = strdup(run->client->template->bytes);
        if (c->request == NULL)
            return false;
        connection_open(run, c);
    }
    return true;
}

static void run_close(struct run *run)
{
    for (unsigned i = 0; run->connections != NULL && i < run->client->connections; i++) {
        struct connection *c = &run->connections[i];
        if (c->fd >= 0 && c->busy)
            run->client->unfinished++;
        if (c->fd >= 0)
            close(c->fd);
        free(c->request);
    }
    free(run->connections);
    free(run->idle);
    if (run->epoll >= 0)
        close(run->epoll);
}

void *client_run(void *argument)
{
    struct client *client = argument;
    const struct load_options *o = client->options;
    struct run run = {.client = client,
                      .options = o,
                      .epoll = -1,
                      .next_id = ((uint64_t)client->number << 56) | 1};
    prctl(PR_SET_TIMERSLACK, 1000ul); /* due times in microseconds */
    bool opened = run_open(&run);

    run.measure_ns = client->start_ns + o->warmup_ns;
    run.end_ns = run.measure_ns + o->duration_ns;
    if (o->count != 0)
        run.quota = o->count / o->threads + (client->number < o->count % o->threads);
    if (o->rate > 0) {
        run.interval_ns = (uint64_t)((double)NS_PER_S * o->threads / o->rate);
        run.next_due_ns = client->start_ns + run.interval_ns * client->number / o->threads;
    }
    if (opened)
        loop(&run);
    if (run.quota == 0)
        client->elapsed_ns = o->duration_ns;
    run_close(&run);
    return NULL;
}
