/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of answers, and how they get to the connection. */
#ifndef SLUICE_HTTP_RESPONSE_H
#define SLUICE_HTTP_RESPONSE_H

#include "http/request.h"

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

#endif
