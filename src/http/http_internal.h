/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of the HTTP server only. */
#ifndef SLUICE_HTTP_HTTP_INTERNAL_H
#define SLUICE_HTTP_HTTP_INTERNAL_H

#include "base/list.h"
#include "http/server.h"

#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
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
    struct slice host, origin, content_length, transfer_encoding, expect;
    unsigned host_count, origin_count, content_length_count, transfer_encoding_count;
    bool malformed; /* a name or value that no field may have */
};
void http_guard_scan(struct MHD_Connection *connection, struct http_header_scan *ret);
/* 0, or the status to refuse with and the reason. */
unsigned http_guard_framing(const struct http_header_scan *scan, struct error *err);
unsigned http_guard_origin(const struct http_guard *g, const struct http_header_scan *scan,
                           struct error *err);
unsigned http_guard_host(const struct http_guard *g, const struct http_header_scan *scan,
                         bool any_host, struct error *err);
/* Control characters, spaces, bad escapes, dot segments. */
unsigned http_guard_path(struct slice path, struct error *err);

/* ---- request.c ---- */

#define HTTP_ARENA_INLINE 1024
#define HTTP_BODY_KEPT    (16 * 1024) /* a body buffer up to this stays with the connection */
#define HTTP_DRAIN_MAX                                                                             \
    (64 * 1024) /* a refused body up to this is read so that the connection                        \
                   stays usable */
#define HTTP_LINGER_MAX (2 * 1024 * 1024) /* read after a refusal so that the peer sees it */

enum http_phase {
    HTTP_PHASE_NEW,    /* the request line is there, the headers are not */
    HTTP_PHASE_BODY,   /* gathering the body */
    HTTP_PHASE_DRAIN,  /* refused: the body is thrown away, then the answer is sent */
    HTTP_PHASE_LINGER, /* refused, answered past libmicrohttpd; closed soon */
    HTTP_PHASE_HANDLED /* the handler was called */
};

/* Who has the request between the handler and the answer. The HTTP thread and the thread that
 * answers meet here: whichever comes second finds out. */
enum http_progress {
    HTTP_RUNNING,  /* the HTTP thread is in the handler */
    HTTP_PARKED,   /* the connection is suspended: whoever answers must resume it */
    HTTP_ANSWERED, /* the answer is in the request */
};

struct http_arena_block;

struct http_request {
    struct http_server *server;
    struct http_connection *connection;
    struct MHD_Connection *mhd;
    enum http_phase phase;
    enum http_method method;
    const char *method_text;
    struct slice target;   /* a copy, as it came */
    const char *target_at; /* where libmicrohttpd has it, in the request line */
    struct slice path, query;
    struct http_match match;
    struct buf body;
    size_t budget_taken;
    uint64_t started_ns; /* when somebody observes */
    uint64_t body_began_ns;
    uint64_t lingered; /* bytes thrown away */
    bool close_after;  /* after a refusal the framing cannot be trusted */
    void *state;

    _Atomic int progress;          /* enum http_progress */
    unsigned status;               /* of the answer */
    uint64_t sending;              /* bytes of its body; UINT64_MAX for a stream */
    struct MHD_Response *response; /* NULL: the prebuilt empty one */

    struct http_arena_block *blocks;
    size_t arena_used;
    _Alignas(16) char arena[HTTP_ARENA_INLINE];
};

/* ---- intake.c: libmicrohttpd's callbacks; cls is the server ---- */
void *http_request_on_target(void *cls, const char *target, struct MHD_Connection *connection);
enum MHD_Result http_request_on_progress(void *cls, struct MHD_Connection *connection,
                                         const char *url, const char *method, const char *version,
                                         const char *data, size_t *data_len, void **con_cls);
void http_request_on_completed(void *cls, struct MHD_Connection *connection, void **con_cls,
                               enum MHD_RequestTerminationCode why);
/* Frees what the request still holds. */
void http_request_reset(struct http_request *r);

/* ---- response.c ---- */

/* Queues the answer that is in the request; HTTP thread. */
enum MHD_Result http_response_queue(struct http_request *r);
/* Puts the answer into the request and hands it to the HTTP thread. Takes the response over. */
void http_response_deliver(struct http_request *r, unsigned status, struct MHD_Response *response);
/* The error's JSON as a whole HTTP message, for what cannot go through libmicrohttpd. */
void http_response_error_body(unsigned status, const struct error *err, struct buf *out);
void http_response_raw_error(unsigned status, const struct error *err, struct buf *out);
void http_allow_header(unsigned methods, char *out, size_t size);

/* ---- connection.c: one per TCP or Unix connection, reused by its requests one after another ----
 */

struct http_connection {
    struct list node; /* in the server's list, under its lock */
    struct http_server *server;
    struct MHD_Connection *mhd;
    int fd;
    _Atomic uint64_t deadline_ns; /* the connection is cut when it passes; UINT64_MAX: none */
    _Atomic(struct http_stream *) stream; /* a running stream, for the watch for gone peers */
    size_t good_host_len;
    char good_host[64]; /* the last Host that was let in: the next request most likely has it too */
    struct http_request request;
};

void http_connection_notify(void *cls, struct MHD_Connection *connection, void **socket_context,
                            enum MHD_ConnectionNotificationCode code);
/* The monotonic clock to a few milliseconds, at a quarter of the cost: for deadlines. */
uint64_t http_connection_clock(void);
/* NULL when there was no memory for it. */
struct http_connection *http_connection_of(struct MHD_Connection *connection);
/* Cuts what is overdue; wakes streams whose peer is gone. */
void http_connection_sweep(struct http_server *s, uint64_t now_ns);

/* ---- stream.c ---- */
/* Makes a stream's connection end; called under the server's lock. */
void http_stream_abort(struct http_stream *stream);
/* The connection's request is over, so a stream of it must not look at the connection any more. */
void http_stream_detach(struct http_connection *c);

/* ---- listen.c ---- */
struct http_listen {
    int fd;
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
    struct MHD_Daemon *daemon;
    struct MHD_Response *empty; /* shared by all answers without a body */
    _Atomic size_t body_bytes;  /* of the budget */
    uint64_t header_timeout_ns, body_timeout_ns, idle_timeout_ns;

    pthread_mutex_t lock; /* the list of connections */
    struct list connections;
    _Atomic unsigned connection_count;

    pthread_t sweeper;
    pthread_cond_t sweeper_wake;
    bool sweeper_runs, stopping; /* under lock */
    _Atomic bool quiesced;
    uint64_t next_sweep_ns; /* threads == 0 only */
};

#endif
