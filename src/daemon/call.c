/* SPDX-License-Identifier: Apache-2.0 */
/* /functions/{namespace}/{name}/…: from an HTTP thread to the function host on the loop. */
#include "daemon/daemon_internal.h"

#include "base/memory.h"

struct call {
    struct loop_message message;
    struct server *server;
    struct http_request *request;
};

static void serve_on_loop(struct loop_message *m)
{
    struct call *c = container_of(m, struct call, message);
    function_serve(c->server->functions, c->request);
}

void function_call_serve(struct http_request *request, void *ctx)
{
    struct call *c = http_request_alloc(request, sizeof(*c));
    if (c == NULL) {
        http_respond_errorf(request, 503, "out of memory");
        return;
    }
    *c = (struct call){{.receive = serve_on_loop}, ctx, request};
    loop_post(c->server->loop, &c->message);
}
