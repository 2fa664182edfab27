/* SPDX-License-Identifier: Apache-2.0 */
/* What a request must look like before a route sees it (DESIGN §13). */
#ifndef SLUICE_HTTP_GUARD_H
#define SLUICE_HTTP_GUARD_H

#include "base/error.h"
#include "http/request_head.h"

#include <netinet/in.h>

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
    unsigned host_count, origin_count, content_length_count, transfer_encoding_count, expect_count;
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

#endif
