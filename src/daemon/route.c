/* SPDX-License-Identifier: Apache-2.0 */
/* The one route table: the server's own rows, then the API's, then the broker's, whose patterns are
 * the widest. */
#include "daemon/daemon_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CALL_BODY_MAX (16u << 20)

static size_t own_routes(struct server *s, struct http_route *out, size_t max)
{
    const struct http_route rows[] = {
        {HTTP_GET, "/health/liveness", health_liveness, s, HTTP_ROLE_PUBLIC, 0, false,
         "the loop turns"},
        {HTTP_GET, "/health/readiness", health_readiness, s, HTTP_ROLE_PUBLIC, 0, false,
         "events can be taken"},
        {HTTP_GET, "/livez", health_liveness, s, HTTP_ROLE_PUBLIC, 0, false, "as /health/liveness"},
        {HTTP_GET, "/readyz", health_readiness, s, HTTP_ROLE_PUBLIC, 0, false,
         "as /health/readiness"},
        {HTTP_GET, "/healthz", health_readiness, s, HTTP_ROLE_PUBLIC, 0, false,
         "as /health/readiness"},
        {HTTP_GET, "/metrics", metrics_serve, s, HTTP_ROLE_READ, 0, false, "Prometheus metrics"},
        {HTTP_ANY, "/functions/{namespace}/{name}/{path...}", function_call_serve, s,
         HTTP_ROLE_CALL, CALL_BODY_MAX, false, "call a function"},
        {HTTP_ANY, "/functions/{namespace}/{name}", function_call_serve, s, HTTP_ROLE_CALL,
         CALL_BODY_MAX, false, "call a function"},
    };
    size_t count = sizeof(rows) / sizeof(rows[0]);
    if (count > max)
        return 0;
    memcpy(out, rows, sizeof(rows));
    return count;
}

int server_routes(struct server *s, struct error *err)
{
    s->routes = calloc(SERVER_ROUTES_MAX, sizeof(*s->routes));
    if (s->routes == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    size_t n = own_routes(s, s->routes, SERVER_ROUTES_MAX);
    n += api_routes(s->api, s->routes + n, SERVER_ROUTES_MAX - n);
    n += broker_core_routes(s->broker, s->routes + n, SERVER_ROUTES_MAX - n);
    s->route_count = n;
    return 0;
}
