/* SPDX-License-Identifier: Apache-2.0 */
/* The route table compiled for matching. */
#ifndef SLUICE_HTTP_ROUTE_H
#define SLUICE_HTTP_ROUTE_H

#include "http/server.h"

#define HTTP_PARAMS_MAX 8

struct http_param {
    struct slice name, value; /* name: of the pattern */
};

struct http_router;
/* -EINVAL with the reason when a row is malformed. rows are borrowed. */
int http_router_new(const struct http_route *rows, size_t count, struct http_router **ret,
                    struct error *err);
void http_router_free(struct http_router *r);

struct http_match {
    const struct http_route *route; /* NULL: none takes the method */
    unsigned allowed;               /* methods of all rows whose pattern fits; 0: no pattern fits */
    struct http_param params[HTTP_PARAMS_MAX]; /* values raw */
    unsigned param_count;
};
void http_router_match(const struct http_router *r, enum http_method method, struct slice path,
                       struct http_match *ret);

#endif
