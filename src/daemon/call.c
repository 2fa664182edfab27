/* SPDX-License-Identifier: Apache-2.0 */
/* /functions/{namespace}/{name}/…: from an HTTP thread to the function host on the loop. */
#include "daemon/daemon_internal.h"

#include "base/clock.h"
#include "base/memory.h"

struct call {
    struct loop_message message;
    struct server *server;
    struct http_request *request;
    uint64_t posted_at;
};

static void serve_on_loop(struct loop_message *m)
{
    struct call *c = container_of(m, struct call, message);
    struct server *s = c->server;
    struct error err = ERROR_INIT;
    uint64_t waited = clock_monotonic() - c->posted_at;
    if (overload_check(&s->overload, s->options->overload_memory, waited, &err) < 0)
        function_refuse(s->functions, c->request, &err);
    else
        function_serve(s->functions, c->request);
}

void function_call_serve(struct http_request *request, void *ctx)
{
    struct call *c = http_request_alloc(request, sizeof(*c));
    if (c == NULL) {
        http_respond_errorf(request, 503, "out of memory");
        return;
    }
    *c = (struct call){{.receive = serve_on_loop}, ctx, request, clock_monotonic()};
    loop_post(c->server->loop, &c->message);
}
