/* SPDX-License-Identifier: Apache-2.0 */
/* The routes of the resource API. */
#include "api/api_internal.h"
#include "base/memory.h"

#include <stdlib.h>

struct api *api_new(struct loop *l, struct registry *r, struct function_host *functions,
                    const struct admin_token *admin)
{
    struct api *a = calloc(1, sizeof(*a));
    if (a == NULL)
        return NULL;
    *a = (struct api){.loop = l, .registry = r, .functions = functions, .admin = admin};
    a->watches = watch_set_new(a);
    if (a->watches == NULL) {
        free(a);
        return NULL;
    }
    return a;
}

void api_quiesce(struct api *a)
{
    a->quiet = true;
    watch_set_quiesce(a->watches);
}

void api_free(struct api *a)
{
    if (a == NULL)
        return;
    watch_set_free(a->watches);
    free(a);
}

#define READS  (HTTP_GET | HTTP_HEAD)
#define WRITES (HTTP_PUT | HTTP_PATCH | HTTP_DELETE)

/* The same four shapes for the core group and the named ones. */
#define RESOURCE_ROUTES(prefix)                                                                      \
    {READS, prefix "/namespaces/{namespace}/{plural}", query_handle, NULL, HTTP_ROLE_READ, 0,        \
     false, "list or watch the objects of a namespace"},                                             \
        {HTTP_POST,       prefix "/namespaces/{namespace}/{plural}",                                 \
         query_handle,    NULL,                                                                      \
         HTTP_ROLE_ADMIN, API_BODY_MAX,                                                              \
         false,           "create an object"},                                                       \
        {HTTP_DELETE,     prefix "/namespaces/{namespace}/{plural}",                                 \
         query_handle,    NULL,                                                                      \
         HTTP_ROLE_ADMIN, API_SMALL_MAX,                                                             \
         false,           "refused: objects are deleted one by one"},                                \
        {READS,          prefix "/namespaces/{namespace}/{plural}/{name}",                           \
         query_handle,   NULL,                                                                       \
         HTTP_ROLE_READ, 0,                                                                          \
         false,          "get an object"},                                                           \
        {WRITES,          prefix "/namespaces/{namespace}/{plural}/{name}",                          \
         query_handle,    NULL,                                                                      \
         HTTP_ROLE_ADMIN, API_BODY_MAX,                                                              \
         false,           "replace, patch or delete an object"},                                     \
        {READS,          prefix "/{plural}",                                                         \
         query_handle,   NULL,                                                                       \
         HTTP_ROLE_READ, 0,                                                                          \
         false,          "list or watch the objects of all namespaces"},                             \
        {HTTP_POST,       prefix "/{plural}", query_handle, NULL,                                    \
         HTTP_ROLE_ADMIN, API_BODY_MAX,       false,        "create an object without a namespace"}, \
        {HTTP_DELETE,     prefix "/{plural}",                                                        \
         query_handle,    NULL,                                                                      \
         HTTP_ROLE_ADMIN, API_SMALL_MAX,                                                             \
         false,           "refused: objects are deleted one by one"},                                \
        {READS, prefix "/{plural}/{name}",          query_handle, NULL, HTTP_ROLE_READ, 0,           \
         false, "get an object without a namespace"},                                                \
    {                                                                                                \
        WRITES, prefix "/{plural}/{name}", query_handle, NULL, HTTP_ROLE_ADMIN, API_BODY_MAX,        \
            false, "replace, patch or delete an object without a namespace"                          \
    }

static const struct http_route rows[] = {
    {READS, "/version", discovery_handle_version, NULL, HTTP_ROLE_READ, 0, false,
     "version, as Kubernetes reports it"},
    {READS, "/api", discovery_handle_core, NULL, HTTP_ROLE_READ, 0, false,
     "versions of the core group"},
    {READS, "/apis", discovery_handle_groups, NULL, HTTP_ROLE_READ, 0, false, "groups"},
    {READS, "/api/{version}", discovery_handle_resources, NULL, HTTP_ROLE_READ, 0, false,
     "kinds of the core group"},
    {READS, "/apis/{group}", discovery_handle_group, NULL, HTTP_ROLE_READ, 0, false,
     "versions of a group"},
    {READS, "/apis/{group}/{version}", discovery_handle_resources, NULL, HTTP_ROLE_READ, 0, false,
     "kinds of a group"},
    {READS, "/openapi/v2", openapi_handle_v2, NULL, HTTP_ROLE_READ, 0, false,
     "OpenAPI document of all kinds, in the protobuf form of older clients"},
    {READS, "/openapi/v3", openapi_handle_v3, NULL, HTTP_ROLE_READ, 0, false,
     "index of the OpenAPI documents"},
    {READS, "/openapi/v3/{document...}", openapi_handle_v3, NULL, HTTP_ROLE_READ, 0, false,
     "OpenAPI document of a group version"},
    {READS, "/apis/sluice.dev/v1/namespaces/{namespace}/functions/{name}/log", log_handle, NULL,
     HTTP_ROLE_READ, 0, false, "what a function printed"},
    {READS, "/api/v1/namespaces/{namespace}/pods/{name}/log", log_handle, NULL, HTTP_ROLE_READ, 0,
     false, "the same, for kubectl logs"},
    RESOURCE_ROUTES("/api/{version}"),
    RESOURCE_ROUTES("/apis/{group}/{version}"),
};

size_t api_routes(struct api *a, struct http_route *routes, size_t max)
{
    size_t count = COUNT_OF(rows) < max ? COUNT_OF(rows) : max;
    for (size_t i = 0; i < count; i++) {
        routes[i] = rows[i];
        routes[i].ctx = a;
    }
    return count;
}
