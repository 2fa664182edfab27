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

struct http_server {
    struct http_server_options options;
    struct http_router *router;
    struct http_guard guard;
    struct http_listen listen;
    _Atomic size_t body_bytes; /* of the budget */
    uint64_t header_timeout_ns, body_timeout_ns, idle_timeout_ns;
    unsigned connections_max;
    _Atomic unsigned connection_count;
    _Atomic bool quiesced, stopping;
    unsigned reactor_count;
    struct reactor *reactors;
};

#endif
