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

/* Before registry_load(): it observes every kind. */
struct api *api_new(struct loop *l, struct registry *r, struct function_host *functions);
/* Ends the watches cleanly and takes no new ones: before the HTTP server is stopped. Loop thread.
 */
void api_quiesce(struct api *a);
/* After the HTTP server was stopped; the loop is not run any more. */
void api_free(struct api *a);
/* Copies its rows (handlers with ctx = a) to routes; returns how many. At most max. */
size_t api_routes(struct api *a, struct http_route *routes, size_t max);

#endif
