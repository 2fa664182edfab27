/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a request is let in. */
#ifndef SLUICE_HTTP_INTAKE_H
#define SLUICE_HTTP_INTAKE_H

#include "http/request.h"

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

#endif
