/* SPDX-License-Identifier: Apache-2.0 */
/* The worker's loop: requests, and what the calls that wait are waiting for. */
#include "worker/program.h"

#include "base/clock.h"
#include "base/must.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>

struct watch {
    void (*ready)(void *ctx, short revents);
    void *ctx;
};

/* The first place of fds is the server's. */
static struct pollfd fds[1 + WORKER_WATCH_MAX];
static struct watch watches[1 + WORKER_WATCH_MAX];
static unsigned watch_count;
static bool ending;

volatile sig_atomic_t wait_stopping;

sigset_t wait_mask(void)
{
    sigset_t mask;
    sigprocmask(SIG_SETMASK, NULL, &mask);
    sigdelset(&mask, SIGTERM);
    sigdelset(&mask, SIGINT);
    return mask;
}

static unsigned place_of(int fd)
{
    for (unsigned i = 1; i <= watch_count; i++)
        if (fds[i].fd == fd)
            return i;
    return 0;
}

int worker_watch(int fd, short events, void (*ready)(void *ctx, short revents), void *ctx)
{
    if (watch_count == WORKER_WATCH_MAX)
        return -ENOSPC;
    watch_count++;
    fds[watch_count] = (struct pollfd){.fd = fd, .events = events};
    watches[watch_count] = (struct watch){ready, ctx};
    return 0;
}

void worker_watch_events(int fd, short events)
{
    unsigned at = place_of(fd);
    must(at > 0);
    fds[at].events = events;
}

void worker_unwatch(int fd)
{
    unsigned at = place_of(fd);
    if (at == 0)
        return;
    fds[at] = fds[watch_count];
    watches[at] = watches[watch_count];
    watch_count--;
}

static bool is_for_requests_only(void)
{
    return operation_count() == 0 && !admission_is_busy();
}

void wait_end_when_idle(void)
{
    ending = true;
}

bool wait_is_over(void)
{
    return ending && is_for_requests_only();
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Milliseconds until then, rounded up; -1: for ever. */
static int timeout_until(uint64_t then, int most)
{
    uint64_t now = clock_monotonic();
    if (then == UINT64_MAX)
        return most;
    uint64_t ms = then > now ? (then - now + CLOCK_MILLISECOND - 1) / CLOCK_MILLISECOND : 0;
    if (ms > INT_MAX)
        ms = INT_MAX;
    return most >= 0 && (uint64_t)most < ms ? most : (int)ms;
}

/* A callback may change the watches: each descriptor is looked up anew. */
static void serve_watches(void)
{
    struct pollfd ready[WORKER_WATCH_MAX];
    unsigned count = 0;
    for (unsigned i = 1; i <= watch_count; i++)
        if (fds[i].revents != 0)
            ready[count++] = fds[i];
    for (unsigned i = 0; i < count; i++) {
        unsigned at = place_of(ready[i].fd);
        if (at > 0)
            watches[at].ready(watches[at].ctx, ready[i].revents);
    }
}

static void poll_all(struct http_server *server, int timeout_ms, const sigset_t *mask)
{
    struct timespec timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};
    fds[0] = (struct pollfd){.fd = server != NULL ? http_server_fd(server) : -1, .events = POLLIN};
    int n = ppoll(fds, 1 + watch_count, timeout_ms < 0 ? NULL : &timeout, mask);
    if (n <= 0)
        return;
    serve_watches();
}

static void wait_for_all(struct http_server *server, uint64_t until, const sigset_t *mask)
{
    uint64_t next =
        earlier(earlier(until, admission_next_due()), earlier(timer_next_due(), call_next_due()));
    int timeout_ms = timeout_until(next, server != NULL ? http_server_timeout_ms(server) : -1);
    admission_begin_turn();
    if (server == NULL || watch_count > 0) {
        poll_all(server, timeout_ms, mask);
        timeout_ms = 0;
    }
    if (server != NULL)
        http_server_run_once(server, timeout_ms, mask);
    uint64_t now = clock_monotonic();
    call_end_late(now);
    timer_run_due(now);
    admission_run_queue(now);
}

/* An ordinary turn costs one system call. */
void wait_turn(struct http_server *server, uint64_t until, const sigset_t *mask)
{
    if (server == NULL || until != UINT64_MAX || !is_for_requests_only()) {
        wait_for_all(server, until, mask);
        return;
    }
    admission_begin_turn();
    http_server_run_once(server, http_server_timeout_ms(server), mask);
}
