/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP/1.1 server (RFC 9110, RFC 9112): threads that parse requests, gather bodies within
 * limits and a deadline, find the route and call its handler once the request is complete. A
 * handler answers at once or keeps the request and answers later from any thread. */
#ifndef SLUICE_HTTP_SERVER_H
#define SLUICE_HTTP_SERVER_H

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_server;
struct http_request;
struct http_stream;

enum http_method {
    HTTP_GET = 1 << 0,
    HTTP_HEAD = 1 << 1,
    HTTP_POST = 1 << 2,
    HTTP_PUT = 1 << 3,
    HTTP_PATCH = 1 << 4,
    HTTP_DELETE = 1 << 5,
    HTTP_OPTIONS = 1 << 6,
    HTTP_OTHER = 1 << 7,
    HTTP_ANY = 0xff,
};

enum http_role {
    HTTP_ROLE_PUBLIC = 1,
    HTTP_ROLE_SEND,
    HTTP_ROLE_CALL,
    HTTP_ROLE_READ,
    HTTP_ROLE_ADMIN,
    HTTP_ROLE_COUNT
};

/* Runs on an HTTP thread, once, when headers and body are complete. It must lead to exactly one
 * http_respond() or http_stream_begin(). */
typedef void http_handler_fn(struct http_request *request, void *ctx);

/* One row of the route table. pattern: segments separated by /, {name} takes one segment, a last
 * {name...} takes the rest (which may be empty). The first row whose pattern fits the path and
 * whose methods hold the method wins; if only patterns fit: 405 with Allow made from all rows that
 * fit, none: 404. Literal segments beat {name} only by standing earlier. */
struct http_route {
    unsigned methods;
    const char *pattern;
    http_handler_fn *handler;
    void *ctx;
    enum http_role role; /* required: 0 is refused at start */
    size_t body_max;     /* larger: 413 as soon as it is known */
    bool any_host;       /* the cluster-style Host names are right here (ingress) */
    const char *help;
};

struct http_server_options {
    const char *listen; /* HOST:PORT, [::1]:PORT; NULL: use listen_fd */
    int listen_fd;      /* an already listening socket (TCP or Unix) that the server takes over,
                           -1 for none */
    unsigned
        threads; /* 0: the caller drives it with http_server_run_once (single-threaded worker) */
    unsigned connections_max; /* 0: default */
    const struct http_route *routes;
    size_t route_count;
    /* DESIGN §13. Names that Host may have, besides loopback names and the bound address;
     * NULL-terminated, or NULL. */
    const char *const *hosts;
    const char *const *origins; /* allowed Origin values, "*" for all, or NULL: every request with
                                   an Origin is refused */
    bool check_host;            /* false for Unix sockets of workers */
    size_t body_budget;         /* bytes of bodies in memory over all connections; beyond: 429 with
                                   Retry-After. 0: none */
    unsigned header_timeout_s, body_timeout_s, idle_timeout_s; /* 0: defaults 10, 60, 75 */
    unsigned stop_timeout_s; /* for kept requests to be answered at the end; 0: default 10 */
    /* Called on each HTTP thread when it has called the handlers of all requests that were there,
     * so that what they have in common can be done once; may be NULL. */
    void (*turn_end)(void *ctx);
    void *turn_end_ctx;
    /* Called with each finished request for access metrics; may be NULL. route is NULL when none
     * fitted. */
    void (*observe)(void *ctx, const struct http_route *route, unsigned status,
                    uint64_t duration_ns);
    void *observe_ctx;
};

int http_server_start(const struct http_server_options *options, struct http_server **ret,
                      struct error *err);
/* The bound address as HOST:PORT, valid as long as the server. */
const char *http_server_address(const struct http_server *s);
/* No new connections are taken, idle ones are closed; requests in progress may finish. */
void http_server_quiesce(struct http_server *s);
/* Quiesces; and what becomes whole from here on gets 503, and its connection is closed. */
void http_server_refuse(struct http_server *s);
/* Connections that are open. Any thread. */
unsigned http_server_connections(const struct http_server *s);
/* No handler will be called any more, and what they were given before is answered and sent. False
 * for a moment after http_server_refuse(), which the threads must learn of. Any thread. */
bool http_server_settled(const struct http_server *s);
/* Refuses, and waits for threads to end: for up to stop_timeout_s when kept requests are not
 * answered yet (any thread may do it meanwhile). Connections of those that still are not, and
 * streams that still run, are cut; closed() of the latter is called. An answer that comes after
 * that is thrown away; what it is for stays in memory until the process ends. */
void http_server_stop(struct http_server *s);
/* threads == 0 only: one turn of work, waiting for up to timeout_ms (-1: for ever) with that signal
 * mask (NULL: as it is). Who waits elsewhere watches the descriptor for reading, for no longer than
 * http_server_timeout_ms() (-1: for ever), and then takes a turn with 0. */
void http_server_run_once(struct http_server *s, int timeout_ms, const sigset_t *waiting);
int http_server_fd(struct http_server *s);
int http_server_timeout_ms(struct http_server *s);

/* ---- the request: all slices live until the answer is given ---- */
enum http_method http_request_method(const struct http_request *r);
const char *http_request_method_text(const struct http_request *r);
struct slice http_request_path(const struct http_request *r);      /* raw, without query */
struct slice http_request_query(const struct http_request *r);     /* raw, without ? */
unsigned http_request_minor_version(const struct http_request *r); /* of HTTP/1.x: 0 or 1 */
/* Value of {name} of the route's pattern, percent-decoded; ptr NULL when there is none. */
struct slice http_request_param(const struct http_request *r, const char *name);
/* Decoded value of the first query parameter of that name; ptr NULL when absent. */
struct slice http_request_query_value(struct http_request *r, const char *name);

/* Decoded name of the first query parameter that is none of these; ptr NULL when there is none. */
struct slice http_request_query_unknown(struct http_request *r, const char *const *names,
                                        size_t count);
/* First header of that name (case-insensitive); ptr NULL when absent. */
struct slice http_request_header(const struct http_request *r, const char *name);
void http_request_each_header(const struct http_request *r,
                              void (*each)(void *ctx, struct slice name, struct slice value),
                              void *ctx);
struct slice http_request_body(const struct http_request *r);
const struct http_route *http_request_route(const struct http_request *r);
/* Memory that lives as long as the request; NULL when out of memory. Handler's thread only, until
 * it is handed on. */
void *http_request_alloc(struct http_request *r, size_t len);
/* A place for the handler's own state between threads. */
void http_request_set_state(struct http_request *r, void *state);
void *http_request_state(const struct http_request *r);

/* ---- the answer: any thread, exactly once; the request is gone afterwards ---- */
struct http_header {
    struct slice name, value;
};
struct http_response {
    unsigned status;
    const char *content_type; /* NULL: none */
    const struct http_header *headers;
    size_t header_count; /* names and values: 12 KiB in all, or the answer becomes a 500 */
    struct slice body;   /* copied unless body_owned */
    char *body_owned;    /* malloc'ed, taken over and freed; its length is body.len (body.ptr is not
                            looked at) */
};
void http_respond(struct http_request *r, const struct http_response *response);
/* {"error":{"status":…,"reason":…,"message":…,"field":…}} with application/json. 429 and 503 get
 * Retry-After: 1. */
void http_respond_error(struct http_request *r, unsigned status, const struct error *err);
__attribute__((format(printf, 3, 4))) void
http_respond_errorf(struct http_request *r, unsigned status, const char *format, ...);
/* Fast path: status with an empty body from a response made once (202, 204). */
void http_respond_empty(struct http_request *r, unsigned status);
const char *http_status_text(unsigned status);

/* NULL when out of memory: then the request was answered with 503 and closed will not be called.
 * A chunked answer of unknown length. closed(ctx) is called once, on an HTTP thread, when the peer
 * is gone or after http_stream_end() was flushed; after it the stream must not be used. write and
 * end: any thread, not after closed. write returns -ENOBUFS when the peer reads too slowly (over 4
 * MiB pending): the caller ends the stream. */
struct http_stream *http_stream_begin(struct http_request *r, unsigned status,
                                      const char *content_type, void (*closed)(void *ctx),
                                      void *ctx);
int http_stream_write(struct http_stream *s, struct slice bytes);
/* Bytes that the peer has not taken yet. Any thread. */
size_t http_stream_pending(struct http_stream *s);
/* Calls drained(ctx), with closed()'s ctx, once and on an HTTP thread, when no more than `left`
 * bytes are pending; another call takes the place of the last. False: so it is already, and drained
 * will not be called. Any thread, not after closed. */
bool http_stream_await(struct http_stream *s, size_t left, void (*drained)(void *ctx));
/* Bytes are pending and the peer has taken none for the server's body_timeout. */
bool http_stream_stuck(struct http_stream *s);
void http_stream_end(struct http_stream *s);
/* Ends it at once, without what is pending; the peer sees a connection that broke. closed()
 * follows. Any thread, not after closed. */
void http_stream_cut(struct http_stream *s);

#endif
