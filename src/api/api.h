/* SPDX-License-Identifier: Apache-2.0 */
/* The resource API in Kubernetes' wire form over the registry: discovery, create, get, list (Table
 * too), replace, delete. The routes' handlers hand each request to the loop thread. */
#ifndef SLUICE_API_API_H
#define SLUICE_API_API_H

#include "base/loop.h"
#include "function/function.h"
#include "http/server.h"
#include "resource/registry.h"

struct api;

/* What an administrator shows: a hash of it. */
struct admin_token {
    bool given; /* false: nobody can show it */
    uint8_t digest[32];
};
/* The file's text without blanks at its ends; at least 16 characters. 0 or negative errno. */
int admin_token_load(struct admin_token *t, const char *path, struct error *err);

/* Before registry_load(): it observes every kind. admin is borrowed; NULL: nobody is one. */
struct api *api_new(struct loop *l, struct registry *r, struct function_host *functions,
                    const struct admin_token *admin);
/* Ends the watches cleanly and takes no new ones: before the HTTP server is stopped. Loop thread.
 */
void api_quiesce(struct api *a);
/* After the HTTP server was stopped; the loop is not run any more. */
void api_free(struct api *a);
/* Copies its rows (handlers with ctx = a) to routes; returns how many. At most max. */
size_t api_routes(struct api *a, struct http_route *routes, size_t max);

#endif
