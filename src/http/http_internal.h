/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of the HTTP server only. */
#ifndef SLUICE_HTTP_HTTP_INTERNAL_H
#define SLUICE_HTTP_HTTP_INTERNAL_H

#include "base/list.h"
#include "http/chunked.h"
#include "http/request_head.h"
#include "http/server.h"

#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

/* ---- route.c ---- */

#define HTTP_PARAMS_MAX 8

struct http_param {
    struct slice name, value; /* name: of the pattern */
};

struct http_router;
/* -EINVAL with the reason when a row is malformed. rows are borrowed. */
int http_router_new(const struct http_route *rows, size_t count, struct http_router **ret,
                    struct error *err);
void http_router_free(struct http_router *r);

struct http_match {
    const struct http_route *route; /* NULL: none takes the method */
    unsigned allowed;               /* methods of all rows whose pattern fits; 0: no pattern fits */
    struct http_param params[HTTP_PARAMS_MAX]; /* values raw */
    unsigned param_count;
};
void http_router_match(const struct http_router *r, enum http_method method, struct slice path,
                       struct http_match *ret);

/* ---- guard.c: what a request must look like before a route sees it ---- */

#define HTTP_HOST_MAX 256

struct http_guard {
    const char *const *hosts;
    const char *const *origins;
    bool check_host;
    char bound_host[HTTP_HOST_MAX]; /* as it was configured, without port */
    char bound_address[INET6_ADDRSTRLEN + 2];
    bool wildcard; /* bound to every address: any IP address is one of ours */
};

/* What one pass over the headers finds. */
struct http_header_scan {
    struct slice host, origin, content_length, transfer_encoding, expect, connection;
    unsigned host_count, origin_count, content_length_count, transfer_encoding_count, expect_count,
        connection_count;
    bool close, keep_alive; /* options of the Connection fields */
};
void http_guard_scan(const struct request_head *head, const char *bytes,
                     struct http_header_scan *ret);
/* Each: 0, or the status to refuse with and the reason. */

/* *ret_length: of the body, HTTP_LENGTH_CHUNKED when it is not known before its end. After a
 * refusal nobody knows where the next request begins. */
#define HTTP_LENGTH_CHUNKED UINT64_MAX
unsigned http_guard_framing(const struct http_header_scan *scan, unsigned minor,
                            uint64_t *ret_length, struct error *err);
unsigned http_guard_origin(const struct http_guard *g, const struct http_header_scan *scan,
                           struct error *err);
unsigned http_guard_host(const struct http_guard *g, const struct http_header_scan *scan,
                         bool any_host, struct error *err);
/* Control characters, spaces, bad escapes, dot segments. */
unsigned http_guard_path(struct slice path, struct error *err);

/* ---- request.c ---- */

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

/* ---- intake.c: whether a request is let in ---- */

/* The head is whole. 0: it is let in, and r->body_length says what follows. Otherwise the status to
 * refuse with; r->body_length is HTTP_LENGTH_CHUNKED when the framing cannot be trusted. */
unsigned http_intake_head(struct http_request *r, struct error *err);
/* A piece of a body in chunks, of which at least announced bytes more will come. 0, or the status
 * to refuse with. */
unsigned http_intake_chunk(struct http_request *r, struct slice data, uint64_t announced,
                           struct error *err);
/* The head was refused; what is known of it counts for the answer. */
void http_intake_broken_head(struct http_request *r);
/* Answers with the refusal, as a handler would. */
void http_intake_refuse(struct http_request *r, unsigned status, const struct error *err);

/* ---- response.c ---- */

/* The bytes of the answer that only its status and length 0 make. HTTP thread. */
void http_response_write_empty(struct http_request *r);
/* The head of a stream's answer; the body follows in chunks, or until the end for HTTP/1.0. */
void http_response_write_stream_head(struct http_request *r, unsigned status,
                                     const char *content_type);
/* Hands the answer that is in the request to the HTTP thread. The request may be gone then. */
void http_response_deliver(struct http_request *r, unsigned status);
/* The error's JSON. */
void http_response_error_body(unsigned status, const struct error *err, struct buf *out);
void http_allow_header(unsigned methods, char *out, size_t size);

/* ---- connection.c: one per TCP or Unix connection, reused by its requests one after another ----
 */

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
    int fd;
    enum connection_phase phase;
    bool can_read, can_write; /* as epoll said last (edges) */
    bool hung_up;             /* the peer has sent all it will */
    bool watched;             /* its reactor has it */
    bool dead;                /* closed; freed when it leaves the queue */
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

/* ---- reactor.c: a thread's loop over its connections ---- */

struct reactor {
    struct http_server *server;
    int epoll_fd, wake_fd;
    bool listens;       /* it accepts, for all of them */
    bool listen_paused; /* too many connections, or no descriptors: until the next sweep */
    bool saw_quiesce;
    _Atomic(struct http_connection *) queue; /* woken ones, newest first */
    _Atomic int sleeping;
    _Atomic unsigned wakers; /* threads in reactor_wake_connection() */
    struct list connections;
    _Atomic unsigned load; /* connections */
    uint64_t now_ns;       /* a few milliseconds coarse: for deadlines */
    uint64_t next_sweep_ns;
    pthread_t thread;
    bool runs;
};

int reactor_open(struct reactor *re, struct http_server *s, bool listens, struct error *err);
/* Closes all its connections. */
void reactor_close(struct reactor *re);
/* Waits for up to that long (-1: for ever) and works off what is there. waiting: the signal mask
 * meanwhile, or NULL. */
void reactor_turn(struct reactor *re, int timeout_ms, const sigset_t *waiting);
/* The connection's own thread. add: false when it could not be watched and is closed. */
bool reactor_add(struct reactor *re, struct http_connection *c);
void reactor_remove(struct reactor *re, struct http_connection *c);
int reactor_timeout_ms(const struct reactor *re);
/* Any thread: makes the reactor call http_connection_on_wake(). */
void reactor_wake_connection(struct http_connection *c);
void reactor_wake(struct reactor *re);

/* ---- stream.c ---- */

enum stream_news { STREAM_IDLE, STREAM_BYTES, STREAM_OVER };
/* Moves bytes of the stream into out, framed as one chunk when chunked; STREAM_IDLE: there are
 * none, and whoever writes next wakes the connection. */
enum stream_news http_stream_take(struct http_stream *s, bool chunked, struct buf *out);
/* No more will be written; *ret_left: bytes that the peer has not taken. */
bool http_stream_ended(struct http_stream *s, size_t *ret_left);
/* Calls closed() and frees it. HTTP thread. */
void http_stream_release(struct http_stream *s);

/* ---- listen.c ---- */
struct http_listen {
    int fd;
    bool is_tcp;
    char address[HTTP_HOST_MAX + 8]; /* HOST:PORT, or unix:PATH */
};
int http_listen_open(const char *listen, struct http_listen *ret, struct http_guard *guard,
                     struct error *err);
/* Fills in address and guard from a socket that listens already. */
int http_listen_adopt(int fd, struct http_listen *ret, struct http_guard *guard, struct error *err);

/* ---- server.c ---- */

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
