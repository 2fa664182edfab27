/* SPDX-License-Identifier: Apache-2.0 */
/* The two kinds of client behind client.h: client_direct.c for plain HTTP, where libcurl's
 * generality would cost more than the call; client_web.c (libcurl) for https. */
#ifndef SLUICE_HTTP_CLIENT_INTERNAL_H
#define SLUICE_HTTP_CLIENT_INTERNAL_H

#include "base/buf.h"
#include "base/clock.h"
#include "http/call.h"

#define CALL_MAGIC                0x63616c6cu
#define CALL_TIMEOUT_DEFAULT      (30 * CLOCK_SECOND)
#define CALL_RESPONSE_MAX_DEFAULT (1024 * 1024)
#define CALL_HEADERS_MAX          256 /* of an answer; more are left out */

struct url;
/* Request line and headers. 0, -EINVAL for a header that would end its line, -ENOMEM. */
int call_write_head(struct buf *head, const struct http_call_options *o, const struct url *u);
/* A header value that would end its line. */
bool call_header_is_bad(const struct http_call_header *h);
/* Names and values of header lines. Returns how many; at most max. */
unsigned call_split_headers(struct slice text, struct http_call_header *out, unsigned max);

/* The words behind the status in a status line, with or without its line end. */
struct slice call_reason(struct slice status_line);

struct web_client;
/* trusted: a file as for http_client_trust(), borrowed, or NULL. 0, -ELIBACC when libcurl cannot be
 * loaded (curl_library.h), -ENOMEM. */
int web_client_new(struct loop *l, unsigned connections_per_host_max, const char *trusted,
                   struct web_client **ret);
void web_client_free(struct web_client *c);
int web_client_call(struct web_client *c, const struct http_call_options *o,
                    struct http_call **ret);

struct direct_client;
struct direct_client *direct_client_new(struct loop *l, unsigned connections_per_peer_max);
void direct_client_free(struct direct_client *c);
/* 0 or negative errno; -ENOENT: not one of its own, web_client_call() is for it. */
int direct_client_call(struct direct_client *c, const struct http_call_options *o,
                       struct http_call **ret);

#endif
