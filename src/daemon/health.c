/* SPDX-License-Identifier: Apache-2.0 */
/* Liveness: the loop still turns. Readiness: events can be taken and made durable. */
#include "daemon/daemon_internal.h"

#include <errno.h>
#include <stdio.h>

struct probe {
    struct loop_message message;
    struct http_request *request;
};

static void respond_text(struct http_request *request, unsigned status, const char *text)
{
    http_respond(request, &(struct http_response){.status = status,
                                                  .content_type = "application/json",
                                                  .body = slice_text(text)});
}

static void alive(struct loop_message *m)
{
    struct probe *p = container_of(m, struct probe, message);
    respond_text(p->request, 200, "{\"status\":\"ok\"}\n");
}

void health_liveness(struct http_request *request, void *ctx)
{
    struct server *s = ctx;
    struct probe *p = http_request_alloc(request, sizeof(*p));
    if (p == NULL) {
        http_respond_errorf(request, 503, "out of memory");
        return;
    }
    *p = (struct probe){.message = {.receive = alive}, .request = request};
    loop_post(s->loop, &p->message);
}

/* NULL when ready. */
static const char *not_ready_because(const struct server *s)
{
    struct store_stats stats;
    if (atomic_load(&s->stopping))
        return "the server is stopping";
    store_stats(s->store, &stats);
    if (stats.stopped)
        return "the log has stopped after a failed sync; restart when the disk is sound";
    if (stats.condition == -ENOSPC)
        return "the log has no room: the disk or the configured size is full";
    if (stats.condition != 0)
        return "the log could not be synced; it goes on in a new segment";
    return NULL;
}

void health_readiness(struct http_request *request, void *ctx)
{
    const char *reason = not_ready_because(ctx);
    if (reason == NULL)
        respond_text(request, 200, "{\"status\":\"ok\"}\n");
    else
        http_respond_errorf(request, 503, "%s", reason);
}
