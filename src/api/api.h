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

struct api *api_new(struct loop *l, struct registry *r, struct function_host *functions);
void api_free(struct api *a);
/* Copies its rows (handlers with ctx = a) to routes; returns how many. At most max. */
size_t api_routes(struct api *a, struct http_route *routes, size_t max);

#endif
