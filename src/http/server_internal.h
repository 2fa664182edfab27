/* SPDX-License-Identifier: Apache-2.0 */
/* The server as its own files see it. */
#ifndef SLUICE_HTTP_SERVER_INTERNAL_H
#define SLUICE_HTTP_SERVER_INTERNAL_H

#include "http/guard.h"
#include "http/listen.h"
#include "http/route.h"
#include "http/server.h"

#include <stdatomic.h>
#include <stdint.h>

struct reactor;

/* In this order, and never back. */
enum http_server_state {
    HTTP_SERVER_RUNS,
    HTTP_SERVER_QUIESCED, /* no new connections; requests may finish */
    HTTP_SERVER_REFUSES,  /* no handler is called any more */
    HTTP_SERVER_STOPS,    /* the threads end as soon as no handler has a request */
};

struct http_server {
    struct http_server_options options;
    struct http_router *router;
    struct http_guard guard;
    struct http_listen listen;
    _Atomic size_t body_bytes; /* of the budget */
    uint64_t header_timeout_ns, body_timeout_ns, idle_timeout_ns;
    unsigned connections_max;
    _Atomic unsigned connection_count;
    _Atomic enum http_server_state state;
    uint64_t stop_timeout_ns, stop_deadline_ns; /* the latter: set before the state is STOPS */
    unsigned reactor_count;
    struct reactor *reactors;
    struct http_server *next_kept;
};

#endif
