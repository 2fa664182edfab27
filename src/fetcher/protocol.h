/* SPDX-License-Identifier: Apache-2.0 */
/* Between a worker and its fetcher, the process that does its HTTP requests.
 *
 * The fetcher is `sluice-fetcher` with one end of a stream socket as descriptor 3; it ends when the
 * worker's end closes. Both sides send frames, numbers are little-endian:
 *
 *   u32 length of the payload, u32 type, u64 id; payload
 *
 * text is u32 length and as many bytes; headers are u32 count, then name and value of each as text.
 *
 *   ALLOW    worker → fetcher, the first frame, once, id 0: u32 count, then as many texts:
 *            host:port, *.suffix:port or [v6]:port (network.allow of the function)
 *   REQUEST  worker → fetcher, id chosen by the worker: u64 milliseconds that are left, u64 most
 *            bytes of the answer's body, u32 enum fetcher_redirect, method, url, headers, body
 *   CANCEL   worker → fetcher: the answer is not wanted any more; it may be on its way
 *   RESPONSE fetcher → worker: u32 status, u32 1 when redirected, reason, url, headers, body
 *   FAILURE  fetcher → worker: u32 enum fetcher_problem, code ("ECONNREFUSED", may be empty),
 *            message
 *
 * Each REQUEST has one RESPONSE or FAILURE, in any order. Neither side trusts the other: a frame
 * that does not read ends the connection. */
#ifndef SLUICE_FETCHER_PROTOCOL_H
#define SLUICE_FETCHER_PROTOCOL_H

#include "base/buf.h"
#include "http/client.h"

#define FETCHER_FD             3
#define FETCHER_FRAME_HEAD     16
#define FETCHER_BODY_MAX       (64u << 20)
#define FETCHER_PAYLOAD_MAX    (FETCHER_BODY_MAX + (1u << 20))
#define FETCHER_URL_MAX        65536
#define FETCHER_METHOD_MAX     64
#define FETCHER_HEADERS_MAX    128
#define FETCHER_HEADS_MAX      65536 /* bytes of all names and values of a request */
#define FETCHER_ALLOW_MAX      1000  /* entries */
#define FETCHER_ALLOW_TEXT_MAX 300   /* bytes of one */
#define FETCHER_IN_FLIGHT_MAX  1024  /* requests of one worker */

enum fetcher_frame_type {
    FETCHER_ALLOW = 1,
    FETCHER_REQUEST,
    FETCHER_CANCEL,
    FETCHER_RESPONSE,
    FETCHER_FAILURE,
    FETCHER_FRAME_TYPE_COUNT,
};

/* What to do with an answer that says where else to look. */
enum fetcher_redirect {
    FETCHER_FOLLOW,
    FETCHER_REFUSE,
    FETCHER_MANUAL,
    FETCHER_REDIRECT_COUNT,
};

enum fetcher_problem {
    FETCHER_NOT_ALLOWED = 1, /* not in network.allow */
    FETCHER_BAD_REQUEST,     /* URL, method or headers */
    FETCHER_NETWORK,
    FETCHER_TIMEOUT,
    FETCHER_TOO_LARGE,
    FETCHER_REDIRECTS, /* too many, not wanted, or to nowhere */
    FETCHER_BUSY,      /* too many at once */
    FETCHER_PROBLEM_COUNT,
};

struct fetcher_frame {
    enum fetcher_frame_type type;
    uint64_t id;
    struct slice payload;
};

/* Gathers the bytes of a stream into frames. Zero is a fresh one. */
struct fetcher_reader {
    struct buf bytes;
    size_t used; /* of them: frames that were handed out */
};

void fetcher_reader_done(struct fetcher_reader *r);
/* Where to put bytes that come next, and how many fit; frames handed out before are gone. NULL: no
 * memory. Say afterwards how many there were. */
char *fetcher_reader_room(struct fetcher_reader *r, size_t *ret_size);
void fetcher_reader_add(struct fetcher_reader *r, size_t count);
/* 1: a frame, valid until the next room; 0: more bytes are needed; -EPROTO. */
int fetcher_reader_next(struct fetcher_reader *r, struct fetcher_frame *ret);

/* Slices point into the payload. */
struct fetcher_request {
    uint64_t timeout_ms, response_max;
    enum fetcher_redirect redirect;
    struct slice method, url, body;
    struct http_call_header headers[FETCHER_HEADERS_MAX];
    unsigned header_count;
};

struct fetcher_response {
    unsigned status;
    bool redirected;
    struct slice reason, url, body;
    struct http_call_header headers[FETCHER_HEADERS_MAX];
    unsigned header_count;
};

struct fetcher_failure {
    enum fetcher_problem problem;
    struct slice code, message;
};

/* Append a whole frame; errors stay in the buffer. */
void fetcher_write_allow(struct buf *out, const struct slice *entries, unsigned count);
void fetcher_write_request(struct buf *out, uint64_t id, const struct fetcher_request *request);
void fetcher_write_cancel(struct buf *out, uint64_t id);
void fetcher_write_response(struct buf *out, uint64_t id, const struct fetcher_response *response);
void fetcher_write_failure(struct buf *out, uint64_t id, const struct fetcher_failure *failure);

/* 0, or -EPROTO for a payload that is not of this form or beyond the limits above. */
int fetcher_read_request(struct slice payload, struct fetcher_request *ret);
int fetcher_read_response(struct slice payload, struct fetcher_response *ret);
int fetcher_read_failure(struct slice payload, struct fetcher_failure *ret);
/* Calls add() for each entry until it returns a negative errno, which is returned. */
int fetcher_read_allow(struct slice payload, int (*add)(void *ctx, struct slice entry), void *ctx);

#endif
