/* SPDX-License-Identifier: Apache-2.0 */
/* Reads one HTTP/1.1 answer as its bytes come in (RFC 9112 §4 to §7): bodies by length, chunked, or
 * until the peer closes. Pure: no descriptors, no clock. */
#ifndef SLUICE_HTTP_REPLY_H
#define SLUICE_HTTP_REPLY_H

#include "base/buf.h"
#include "http/chunked.h"

#include <stdbool.h>
#include <stdint.h>

enum reply_state {
    REPLY_HEAD,
    REPLY_LENGTH,
    REPLY_CHUNKED,
    REPLY_UNTIL_CLOSE,
    REPLY_DONE,
    REPLY_STATE_COUNT,
};

#define REPLY_HEAD_MAX (64 * 1024)

struct reply {
    enum reply_state state;
    bool without_body; /* the answer of a HEAD request */
    bool keep_alive;   /* the connection can be used again, once DONE */
    unsigned status;
    size_t body_max;
    size_t interim; /* bytes of answers that came before the real one (1xx) */
    uint64_t left;  /* bytes of the body that are still to come, when its length is known */
    struct chunked chunked;
    struct buf head; /* status line and header lines, as they came */
    struct buf body;
};

/* Keeps the memory of the last one. */
void reply_begin(struct reply *r, bool without_body, size_t body_max);
void reply_done(struct reply *r);
/* 1: the answer is whole; 0: more is needed; -EPROTO: no HTTP; -EMSGSIZE: too large; -ENOMEM. */
int reply_feed(struct reply *r, struct slice bytes);
/* The peer closed. 1: that was the end of the body; -ECONNRESET: it was too early. */
int reply_end(struct reply *r);
/* The header lines, without the status line. */
struct slice reply_headers(const struct reply *r);

#endif
