/* SPDX-License-Identifier: Apache-2.0 */
/* What every call begins with: those of the clients, and those of who stands between a caller and
 * the client and holds a call back for a while. */
#ifndef SLUICE_HTTP_CALL_H
#define SLUICE_HTTP_CALL_H

#include "http/client.h"

struct http_call {
    unsigned magic;
    void (*cancel)(struct http_call *call); /* lets go of it without calling anybody */
    http_call_done_fn *done;
    void (*cancelled)(void *ctx);
    void *ctx;
    uint64_t started_ns;
};

void call_begin(struct http_call *call, const struct http_call_options *o,
                void (*cancel)(struct http_call *call));

#endif
