/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SLUICE_DAEMON_DAEMON_INTERNAL_H
#define SLUICE_DAEMON_DAEMON_INTERNAL_H

#include "api/api.h"
#include "base/list.h"
#include "broker/broker.h"
#include "daemon/serve.h"
#include "function/function.h"
#include "http/client.h"
#include "http/server.h"
#include "resource/registry.h"
#include "store/store.h"

#include <stdatomic.h>

/* ---- overload.c: loop thread ---- */
struct overload {
    uint64_t memory_max, memory, looked_at;
};
/* 0, or -EAGAIN with why calls of functions are refused now. memory_max: bytes; 0: half of the
 * machine's. waited_ns: for how long the call has waited for the loop. */
int overload_check(struct overload *o, uint64_t memory_max, uint64_t waited_ns, struct error *err);

/* The running server: what serve.c puts together and takes apart. */
struct server {
    const struct serve_options *options;
    struct loop *loop;
    struct store *store;
    struct registry *registry;
    struct http_client *client;
    struct broker_core *broker;
    struct function_host *functions;
    struct admin_token admin;
    struct overload overload;
    struct api *api;
    struct http_server *http;
    struct http_route *routes;
    size_t route_count;
    struct loop_watch signals;
    struct list scrapes; /* of /metrics, under way */
    unsigned scrape_count;
    atomic_bool stopping;
    uint64_t started_ns; /* realtime */
};

/* ---- route.c: the one route table ---- */
#define SERVER_ROUTES_MAX 96
int server_routes(struct server *s, struct error *err);

/* ---- health.c and scrape.c: their handlers; ctx is the server ---- */
http_handler_fn health_liveness, health_readiness, metrics_serve;
/* When no HTTP thread runs any more. */
void metrics_free_all(struct server *s);

/* ---- call.c: /functions/…; ctx is the server ---- */
http_handler_fn function_call_serve;

#endif
