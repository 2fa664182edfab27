/* SPDX-License-Identifier: Apache-2.0 */
/* One request and its answer: what the connection, intake and whoever answers share. */
#ifndef SLUICE_HTTP_REQUEST_H
#define SLUICE_HTTP_REQUEST_H

#include "http/request_head.h"
#include "http/route.h"
#include "http/server.h"

#include <stdatomic.h>

struct http_connection;

#define HTTP_ARENA_INLINE 1024
#define HTTP_BUFFER_KEPT  (16 * 1024) /* a buffer up to this stays with its connection */
#define HTTP_BODY_RATE    65536 /* bytes a second that a peer must send, or take, on average */

/* Who has the request between the handler and the answer. The HTTP thread and the thread that
 * answers meet here: whichever comes second finds out. */
enum http_progress {
    HTTP_RUNNING,  /* the HTTP thread is in the handler */
    HTTP_PARKED,   /* the handler kept the request: whoever answers wakes the connection */
    HTTP_ANSWERED, /* the answer is in the request */
};

struct http_arena_block;

struct http_request {
    struct http_server *server;
    struct http_connection *connection;
    const char *bytes; /* of the head; they stay where they are until the answer is sent */
    enum http_method method;
    struct slice path, query;
    struct http_match match;
    struct slice body; /* beside the head, or in body_buffer */
    struct buf body_buffer;
    size_t budget_taken;
    uint64_t body_length; /* as announced */
    uint64_t started_ns;  /* when somebody observes */
    bool close_after;     /* the answer is the connection's last */
    bool asked;           /* Expect: 100-continue */
    void *state;

    /* The answer. Whoever gives it writes it, then sets progress. */
    _Atomic int progress; /* enum http_progress */
    unsigned status;
    struct buf answer; /* its head and small bodies; empty: the status says it all */
    char *answer_body; /* a large body, malloc'ed */
    size_t answer_body_len;
    struct http_stream *stream;

    struct http_arena_block *blocks;
    size_t arena_used;
    struct request_head head;
    char method_text[REQUEST_METHOD_MAX + 1];
    _Alignas(16) char arena[HTTP_ARENA_INLINE];
};

/* Frees what the request still holds. */
void http_request_reset(struct http_request *r);

#endif
