/* SPDX-License-Identifier: Apache-2.0 */
/* One TCP or Unix connection, reused by its requests one after another. Belongs to its reactor's
 * thread. */
#ifndef SLUICE_HTTP_CONNECTION_H
#define SLUICE_HTTP_CONNECTION_H

#include "base/list.h"
#include "http/chunked.h"
#include "http/request.h"

#include <stdatomic.h>
#include <stdint.h>

struct reactor;

enum connection_phase {
    CONNECTION_HEAD,    /* reading a request's head, or waiting for one */
    CONNECTION_BODY,    /* reading a body of known length */
    CONNECTION_CHUNKS,  /* reading a body in chunks */
    CONNECTION_DRAIN,   /* the request is refused; its short body is thrown away */
    CONNECTION_HANDLED, /* the handler was called */
    CONNECTION_WRITE,   /* sending the answer */
    CONNECTION_STREAM,  /* sending an answer of unknown length */
    CONNECTION_LINGER,  /* the last answer is sent; what still comes is thrown away, because
                           closing on unread bytes would take the answer from the peer's hands */
    CONNECTION_PHASE_COUNT,
};

struct http_connection {
    struct list node; /* in its reactor's list */
    struct reactor *reactor;
    struct http_server *server;
    _Atomic int fd; /* -1: the server went before the request was answered */
    enum connection_phase phase;
    bool can_read, can_write; /* as epoll said last (edges) */
    bool hung_up;             /* the peer has sent all it will */
    bool idle;                /* so that it may be gone, and its stream has nothing for it */
    bool watched;             /* its reactor has it */
    bool dead;                /* closed; freed when it leaves the queue */
    bool served;              /* a request was answered on it: its peer knows that it may end */
    uint64_t deadline_ns;     /* cut when it passes; UINT64_MAX: never */
    uint64_t lingered;        /* bytes thrown away */

    char *in; /* bytes from the peer: the head and what came with it */
    size_t in_len, in_cap;
    size_t used;       /* of in: up to where the current request takes them */
    uint64_t began_ns; /* receiving the body, or sending the answer */
    uint64_t body_left;
    struct chunked chunked;
    size_t sent;     /* of the answer */
    size_t buffered; /* what the kernel took of it at once: no sign of a peer that reads */

    _Atomic bool queued;
    struct http_connection *next_queued;

    size_t good_host_len;
    char good_host[64]; /* the last Host that was let in: the next request most likely has it too */
    struct http_request request;
};

/* Takes the descriptor over; the reactor will watch it. NULL when out of memory. */
struct http_connection *http_connection_new(struct http_server *s, struct reactor *re, int fd);
void http_connection_on_events(struct http_connection *c, uint32_t events);
/* Somebody woke it: an answer is there, or a stream has news. */
void http_connection_on_wake(struct http_connection *c);
void http_connection_on_deadline(struct http_connection *c);
/* The server takes no more: ends what waits for its next request. */
void http_connection_on_quiesce(struct http_connection *c);
void http_connection_close(struct http_connection *c);

#endif
