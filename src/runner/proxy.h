/* SPDX-License-Identifier: Apache-2.0 */
/* The head of a request to the proxy inside a function's network: CONNECT HOST:PORT, or a request
 * for a whole http:// URL (RFC 9110 §7.6, §9.3.6; RFC 9112 §3.2). Pure. */
#ifndef SLUICE_RUNNER_PROXY_H
#define SLUICE_RUNNER_PROXY_H

#include "base/buf.h"
#include "base/error.h"
#include "runner/allow.h"

#include <stdbool.h>

struct proxy_request {
    bool tunnel;
    char host[ALLOW_HOST_MAX + 1]; /* without brackets */
    uint16_t port;
    size_t length;   /* of the head as it came */
    struct buf head; /* as it goes on, when it is no tunnel: the server's own form, and the last
                        request of its connection */
};

/* bytes: all that came. 0: more is needed. 1: ret is filled in (proxy_request_done() frees it).
 * Otherwise the status to refuse with. */
unsigned proxy_read(struct slice bytes, struct proxy_request *ret, struct error *err);
void proxy_request_done(struct proxy_request *p);

#endif
