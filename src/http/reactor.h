/* SPDX-License-Identifier: Apache-2.0 */
/* A thread's loop over its connections. */
#ifndef SLUICE_HTTP_REACTOR_H
#define SLUICE_HTTP_REACTOR_H

#include "base/error.h"
#include "base/list.h"
#include "http/server_internal.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>

struct http_connection;

struct reactor {
    struct http_server *server;
    int epoll_fd, wake_fd;
    bool listens;       /* it accepts, for all of them */
    bool listen_paused; /* no descriptors: until the next sweep */
    bool listen_full;   /* it is paused for too many connections: until one of them is closed */
    enum http_server_state state; /* the server's, as far as it was seen */
    unsigned unanswered;          /* requests that handlers have, once it refuses others */
    _Atomic unsigned unsettled;   /* these and answers on their way; UINT_MAX: not known yet */
    _Atomic(struct http_connection *) queue; /* woken ones, newest first */
    _Atomic int sleeping;
    _Atomic unsigned wakers; /* threads in reactor_wake_connection() */
    struct list connections;
    struct list abandoned; /* connections that were closed under their handlers */
    _Atomic unsigned load; /* connections */
    uint64_t now_ns;       /* a few milliseconds coarse: for deadlines */
    uint64_t next_sweep_ns;
    pthread_t thread;
    bool runs;
};

int reactor_open(struct reactor *re, struct http_server *s, bool listens, struct error *err);
/* Closes all its connections. False: requests are unanswered still, and whoever answers them will
 * come to the reactor and the server, which must stay. */
bool reactor_close(struct reactor *re);
/* Waits for up to that long (-1: for ever) and works off what is there. waiting: the signal mask
 * meanwhile, or NULL. */
void reactor_turn(struct reactor *re, int timeout_ms, const sigset_t *waiting);
/* The connection's own thread. add: false when it could not be watched and is closed. */
bool reactor_add(struct reactor *re, struct http_connection *c);
void reactor_remove(struct reactor *re, struct http_connection *c);
int reactor_timeout_ms(const struct reactor *re);
/* The server stops, and there is nothing to wait for, or no time. */
bool reactor_is_over(const struct reactor *re);
/* Any thread: makes the reactor call http_connection_on_wake(). */
void reactor_wake_connection(struct http_connection *c);
void reactor_wake(struct reactor *re);

#endif
