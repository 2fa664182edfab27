/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP client, driven by a loop; loop thread only. Connections are pooled. Redirects are never
 * followed. https goes through libcurl, which is loaded when first needed. */
#ifndef SLUICE_HTTP_CLIENT_H
#define SLUICE_HTTP_CLIENT_H

#include "base/loop.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

struct http_client;
struct http_trust;
struct http_call;

struct http_client *http_client_new(struct loop *l, unsigned connections_per_host_max);
/* The certificates of authorities that https trusts, in place of the system's: a file in PEM form,
 * read at each call. Before the first call. 0 or -ENOMEM. */
int http_client_trust(struct http_client *c, const char *file);
/* Calls still running end with -ECANCELED. */
void http_client_free(struct http_client *c);

struct http_call_header {
    struct slice name, value;
};

struct http_call_result {
    int error; /* 0, or negative errno: -ETIMEDOUT, -ECONNREFUSED, -EHOSTUNREACH, -EMSGSIZE,
                  -ECANCELED… */
    const char *error_text;                 /* what happened, for people; "" without an error */
    unsigned status;                        /* HTTP status, when error is 0 */
    struct slice reason;                    /* the words behind the status, as they came */
    const struct http_call_header *headers; /* names as they came */
    unsigned header_count;
    struct slice body;
    uint64_t duration_ns;
};
/* Everything in the result lives during the call of done only. */
typedef void http_call_done_fn(void *ctx, const struct http_call_result *result);

struct http_call_options {
    const char *method; /* "POST" */
    const char *url;
    const char *unix_socket; /* path, or NULL for TCP */
    const struct http_call_header *headers;
    unsigned header_count;
    struct slice body;        /* borrowed until done */
    uint64_t timeout_ns;      /* 0: 30 s */
    struct http_trust *trust; /* for https, or NULL; referenced until done */
    size_t response_max;      /* bytes of the answer's body; more: -EMSGSIZE. 0: 1 MiB */
    /* The peer may see it twice: when a kept connection turns out to be closed before an answer
     * began, the call goes on with a new one. Else that is -ECONNRESET (RFC 9110 §9.2.2). */
    bool repeatable;
    http_call_done_fn *done; /* never called from within http_client_call() */
    /* Called by http_call_cancel() in place of done, so that what stands between caller and client
     * can let go of ctx; may be NULL. */
    void (*cancelled)(void *ctx);
    void *ctx;
};
/* 0 or negative errno (then done is not called); -ELIBACC: libcurl is needed and cannot be loaded.
 */
int http_client_call(struct http_client *c, const struct http_call_options *options,
                     struct http_call **ret_call);
/* done will not be called; cancelled is. */
void http_call_cancel(struct http_call *call);

#endif
