/* SPDX-License-Identifier: Apache-2.0 */
/* One request to a server and its answer, in one of two ways: plain HTTP over a small client of our
 * own (exchange_direct.c), everything else over libcurl (exchange_curl.c), which is loaded only
 * then: it would cost every start of the program several milliseconds. Both block. */
#ifndef SLUICE_CLI_EXCHANGE_H
#define SLUICE_CLI_EXCHANGE_H

#include "cli/cli_internal.h"
#include "http/url.h"

#define EXCHANGE_ANSWER_MAX      (256u << 20) /* a list of everything, not a stream */
#define EXCHANGE_CONNECT_SECONDS 5
#define EXCHANGE_ANSWER_SECONDS  120

/* All is borrowed for the length of the exchange. */
struct exchange {
    const struct remote_request *request;
    const char *url;                            /* whole */
    struct url parts;                           /* of it */
    const char *server;                         /* what errors call it */
    uint64_t limit_ns;                          /* for the whole answer; 0: none */
    int (*each)(void *ctx, struct slice bytes); /* takes the body of a stream; NULL: no stream */
    void *ctx;
    bool ended;                 /* each() had enough: that is no error */
    struct remote_reply *reply; /* written only on success */
};

/* ---- what both need (exchange.c) ---- */

/* An address as people write it: http:// may be left out. */
void exchange_address(const char *text, struct buf *out);
/* Fills parts from url. 0, or -EINVAL with err. */
int exchange_split(struct exchange *x, struct error *err);
/* A name or an address that stands for this machine. */
bool exchange_is_local(const struct url *u);
/* Whether this is more than plain HTTP straight to the host: TLS, a proxy that the environment
 * names, user information, a host name that has to be encoded first. */
bool exchange_needs_curl(const struct url *u);
/* Whether body bytes of an answer with that status go to each(). */
bool exchange_streams(const struct exchange *x, long status);

/* Errors with what to do next; what: the cause in a few words. Each returns err->code. */
int exchange_bad_url(const struct exchange *x, const char *what, struct error *err);
int exchange_nobody(const struct exchange *x, const char *what, struct error *err);
int exchange_silent(const struct exchange *x, const char *what, struct error *err);
int exchange_no_http(const struct exchange *x, const char *what, struct error *err);
int exchange_failed(const struct exchange *x, const char *what, struct error *err);
int exchange_too_large(const struct exchange *x, struct error *err);

/* ---- the two ways ---- */

struct direct;

/* Keeps one connection for the next exchange with the same host. NULL when out of memory. */
struct direct *direct_new(void);
void direct_free(struct direct *d);
/* 0 when an answer came, whatever its status, or each() had enough; else a negative errno. A
 * request that a kept connection took no longer is sent once more, on a fresh one. */
int direct_exchange(struct direct *d, struct exchange *x, struct error *err);

struct curl_way;

/* NULL with err when libcurl cannot be loaded. */
struct curl_way *curl_way_new(struct error *err);
void curl_way_free(struct curl_way *c);
/* As direct_exchange(). */
int curl_way_exchange(struct curl_way *c, struct exchange *x, struct error *err);

#endif
