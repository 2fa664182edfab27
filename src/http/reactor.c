/* SPDX-License-Identifier: Apache-2.0 */
/* One thread's loop: waits for its sockets, accepts, and takes what other threads woke. A socket is
 * told to epoll once, for edges in both directions, so an ordinary request costs one receive and
 * one send and its share of a wait. */
#include "http/reactor.h"
#include "base/clock.h"
#include "base/must.h"
#include "http/connection.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_MAX     128
#define SWEEP_NS       CLOCK_SECOND
#define ACCEPT_TURN    16 /* connections accepted before others get their turn */
#define CONNECTION_SET ((uint32_t)EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)

static uint64_t coarse_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * CLOCK_SECOND + (uint64_t)now.tv_nsec;
}

/* ---- waking ---- */

void reactor_wake(struct reactor *re)
{
    bool ours = re->server->options.threads > 0; /* else the caller may wait in its own way */
    if (ours && (atomic_load(&re->sleeping) == 0 || atomic_exchange(&re->sleeping, 0) == 0))
        return;
    uint64_t one = 1;
    ssize_t written = write(re->wake_fd, &one, sizeof(one));
    must(written == sizeof(one) || errno == EAGAIN);
}

void reactor_wake_connection(struct http_connection *c)
{
    if (atomic_exchange(&c->queued, true))
        return;
    struct reactor *re = c->reactor;
    atomic_fetch_add_explicit(&re->wakers, 1, memory_order_relaxed);
    struct http_connection *head = atomic_load_explicit(&re->queue, memory_order_relaxed);
    do
        c->next_queued = head;
    while (!atomic_compare_exchange_weak(&re->queue, &head, c));
    reactor_wake(re);
    atomic_fetch_sub_explicit(&re->wakers, 1, memory_order_release);
}

static struct http_connection *take_queue(struct reactor *re)
{
    struct http_connection *newest = atomic_exchange(&re->queue, NULL), *oldest = NULL;
    while (newest != NULL) {
        struct http_connection *next = newest->next_queued;
        newest->next_queued = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

static bool serve_queue(struct reactor *re)
{
    struct http_connection *c = take_queue(re);
    bool any = c != NULL;
    while (c != NULL) {
        struct http_connection *next = c->next_queued;
        atomic_store(&c->queued, false);
        if (c->dead)
            free(c);
        else
            http_connection_on_wake(c);
        c = next;
    }
    return any;
}

/* ---- accepting ---- */

static int listen_watch(struct reactor *re, bool on)
{
    struct epoll_event event = {.events = (uint32_t)EPOLLIN | EPOLLEXCLUSIVE, .data.ptr = NULL};
    return epoll_ctl(re->epoll_fd, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, re->server->listen.fd,
                     &event);
}

static bool is_full(const struct http_server *s)
{
    return atomic_load(&s->connection_count) >= s->connections_max;
}

/* The peers wait in the socket's queue meanwhile. */
static void listen_pause(struct reactor *re, bool full)
{
    if (!re->listen_paused)
        listen_watch(re, false);
    re->listen_paused = true;
    re->listen_full = full;
}

static void listen_resume(struct reactor *re)
{
    if (!re->listens || !re->listen_paused || re->state != HTTP_SERVER_RUNS || is_full(re->server))
        return;
    re->listen_paused = listen_watch(re, true) < 0;
    re->listen_full = false;
}

/* It was paused for too many connections, and now there are fewer. */
static bool has_room_again(const struct reactor *re)
{
    return re->listen_full && re->state == HTTP_SERVER_RUNS && !is_full(re->server);
}

static struct reactor *least_loaded(struct http_server *s)
{
    struct reactor *best = &s->reactors[0];
    for (unsigned i = 1; i < s->reactor_count; i++)
        if (atomic_load_explicit(&s->reactors[i].load, memory_order_relaxed) <
            atomic_load_explicit(&best->load, memory_order_relaxed))
            best = &s->reactors[i];
    return best;
}

static void adopt(struct http_server *s, int fd)
{
    struct reactor *re = least_loaded(s);
    struct http_connection *c = http_connection_new(s, re, fd);
    if (c == NULL) {
        close(fd);
        return;
    }
    atomic_fetch_add_explicit(&re->load, 1, memory_order_relaxed);
    atomic_fetch_add(&s->connection_count, 1);
    reactor_wake_connection(c); /* its own thread takes it from here */
}

/* Several processes may share the socket when the caller drives: then each takes one at a time. */
static void accept_some(struct reactor *re)
{
    struct http_server *s = re->server;
    unsigned count = s->options.threads == 0 ? 1 : ACCEPT_TURN;
    for (unsigned i = 0; i < count && !re->listen_paused; i++) {
        if (is_full(s)) {
            listen_pause(re, true);
            return;
        }
        int fd = accept4(s->listen.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            adopt(s, fd);
        else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            listen_pause(re, false);
        else if (errno == EAGAIN)
            return;
    }
}

/* ---- turns ---- */

bool reactor_add(struct reactor *re, struct http_connection *c)
{
    struct epoll_event event = {.events = CONNECTION_SET, .data.ptr = c};
    list_append(&re->connections, &c->node);
    c->watched = true;
    if (epoll_ctl(re->epoll_fd, EPOLL_CTL_ADD, c->fd, &event) == 0)
        return true;
    http_connection_close(c);
    return false;
}

/* Closing the descriptor would not be enough: a child on its way from fork() to exec() has a copy
 * of it, and epoll would tell of it still. */
void reactor_remove(struct reactor *re, struct http_connection *c)
{
    struct http_server *s = re->server;
    epoll_ctl(re->epoll_fd, EPOLL_CTL_DEL, c->fd, NULL);
    list_remove(&c->node);
    atomic_fetch_sub_explicit(&re->load, 1, memory_order_relaxed);
    if (atomic_fetch_sub(&s->connection_count, 1) >= s->connections_max)
        reactor_wake(&s->reactors[0]); /* the one that listens may have waited for that */
}

/* Other processes may listen on the socket of a server that its caller drives: it is left to them.
 * Else it is closed, so that new peers learn it at once. */
static void listen_stop(struct reactor *re)
{
    struct http_server *s = re->server;
    listen_pause(re, false);
    if (s->options.threads == 0)
        return;
    close(s->listen.fd);
    s->listen.fd = -1;
}

static void quiesce(struct reactor *re)
{
    if (re->listens)
        listen_stop(re);
    list_for_each_safe (node, next, &re->connections)
        http_connection_on_quiesce(list_entry(node, struct http_connection, node));
}

/* What is still to be waited for. */
static void take_stock(struct reactor *re)
{
    unsigned unanswered = 0, sending = 0;
    list_for_each (node, &re->connections) {
        const struct http_connection *c = list_entry(node, struct http_connection, node);
        unanswered += c->phase == CONNECTION_HANDLED;
        sending += c->phase == CONNECTION_DRAIN || c->phase == CONNECTION_WRITE;
    }
    re->unanswered = unanswered;
    atomic_store_explicit(&re->unsettled, unanswered + sending, memory_order_release);
}

/* At the end of a turn: what handlers were called for in it was passed on by turn_end. */
static void follow_state(struct reactor *re)
{
    enum http_server_state now = atomic_load(&re->server->state), before = re->state;
    re->state = now;
    if (before == HTTP_SERVER_RUNS && now > before)
        quiesce(re);
    if (now >= HTTP_SERVER_REFUSES)
        take_stock(re);
}

bool reactor_is_over(const struct reactor *re)
{
    return re->state == HTTP_SERVER_STOPS &&
           (re->unanswered == 0 || re->now_ns > re->server->stop_deadline_ns);
}

static void sweep(struct reactor *re)
{
    re->next_sweep_ns = re->now_ns + SWEEP_NS;
    list_for_each_safe (node, next, &re->connections) {
        struct http_connection *c = list_entry(node, struct http_connection, node);
        if (re->now_ns > c->deadline_ns)
            http_connection_on_deadline(c);
    }
    listen_resume(re);
}

int reactor_timeout_ms(const struct reactor *re)
{
    if (atomic_load(&re->queue) != NULL)
        return 0;
    return re->listen_paused || !list_empty(&re->connections) ? (int)(SWEEP_NS / 1000000) : -1;
}

static int wait_for(struct reactor *re, struct epoll_event *events, int timeout_ms,
                    const sigset_t *waiting)
{
    atomic_store(&re->sleeping, 1);
    if (atomic_load(&re->queue) != NULL || atomic_load(&re->server->state) != re->state ||
        has_room_again(re)) /* whoever saw to it before may not have seen it sleep */
        timeout_ms = 0;
    int n = waiting != NULL ? epoll_pwait(re->epoll_fd, events, EVENTS_MAX, timeout_ms, waiting)
                            : epoll_wait(re->epoll_fd, events, EVENTS_MAX, timeout_ms);
    must(n >= 0 || errno == EINTR); /* else this turn and all that follow would do nothing */
    atomic_store(&re->sleeping, 0);
    return n;
}

/* Answers go out before new requests are looked for, and handlers may hold what they were given
 * until turn_end, so the wait between the two must not be one. */
void reactor_turn(struct reactor *re, int timeout_ms, const sigset_t *waiting)
{
    struct epoll_event events[EVENTS_MAX];
    const struct http_server_options *o = &re->server->options;
    bool served = serve_queue(re);
    int n = wait_for(re, events, served ? 0 : timeout_ms, waiting);
    re->now_ns = coarse_clock();
    for (int i = 0; i < n; i++) {
        if (events[i].data.ptr == NULL)
            accept_some(re);
        else if (events[i].data.ptr != re)
            http_connection_on_events(events[i].data.ptr, events[i].events);
    }
    if (o->turn_end != NULL && (served || n > 0))
        o->turn_end(o->turn_end_ctx);
    follow_state(re);
    if (has_room_again(re))
        listen_resume(re);
    if (re->now_ns >= re->next_sweep_ns)
        sweep(re);
}

int reactor_open(struct reactor *re, struct http_server *s, bool listens, struct error *err)
{
    *re = (struct reactor){
        .server = s, .listens = listens, .epoll_fd = -1, .wake_fd = -1, .unsettled = UINT_MAX};
    list_init(&re->connections);
    list_init(&re->abandoned);
    re->now_ns = coarse_clock();
    re->next_sweep_ns = re->now_ns + SWEEP_NS;
    re->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    re->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct epoll_event wake = {.events = (uint32_t)EPOLLIN | EPOLLET, .data.ptr = re};
    if (re->epoll_fd < 0 || re->wake_fd < 0 ||
        epoll_ctl(re->epoll_fd, EPOLL_CTL_ADD, re->wake_fd, &wake) < 0 ||
        (listens && listen_watch(re, true) < 0))
        return error_set(err, -errno, "the HTTP server does not start: %s", strerror(errno));
    return 0;
}

/* Whoever has answered a connection may not have left yet. */
static void wait_for_wakers(const struct reactor *re)
{
    while (atomic_load_explicit(&re->wakers, memory_order_acquire) > 0)
        sched_yield();
}

/* The peer sees its end; the rest belongs to whoever answers it, if ever. The descriptor's number
 * may be another's by then. */
static void abandon(struct reactor *re, struct http_connection *c)
{
    reactor_remove(re, c);
    close(atomic_exchange(&c->fd, -1));
    list_append(&re->abandoned, &c->node);
}

/* Returns how many are abandoned. */
static unsigned close_connections(struct reactor *re)
{
    unsigned abandoned = 0;
    list_for_each_safe (node, next, &re->connections) {
        struct http_connection *c = list_entry(node, struct http_connection, node);
        if (c->phase == CONNECTION_HANDLED) {
            abandon(re, c);
            abandoned++;
        } else {
            http_connection_close(c);
        }
    }
    return abandoned;
}

static void empty_queue(struct reactor *re)
{
    for (struct http_connection *c = take_queue(re), *next; c != NULL; c = next) {
        next = c->next_queued;
        if (!c->watched) /* accepted, never looked at */
            close(c->fd);
        if (!c->watched || c->dead)
            free(c);
    }
}

bool reactor_close(struct reactor *re)
{
    re->state = HTTP_SERVER_STOPS;
    wait_for_wakers(re);
    serve_queue(re); /* the last answers */
    bool answered = close_connections(re) == 0;
    empty_queue(re);
    if (re->epoll_fd >= 0)
        close(re->epoll_fd);
    if (!answered)
        return false;
    wait_for_wakers(re);
    if (re->wake_fd >= 0)
        close(re->wake_fd);
    return true;
}
