/* SPDX-License-Identifier: Apache-2.0 */
/* GET /metrics: the rows of the table as text. On the loop, where the numbers live. */
#include "daemon/daemon_internal.h"
#include "daemon/metrics.h"

#include "base/clock.h"
#include "base/memory.h"

struct scrape {
    struct loop_message message;
    struct server *server;
    struct http_request *request;
    enum exposition_format format;
    uint64_t asked_ns; /* monotonic */
};

static void take_snapshot(const struct scrape *c, struct metrics_snapshot *ret)
{
    const struct server *s = c->server;
    *ret = (struct metrics_snapshot){
        .uptime = (double)(clock_realtime() - s->started_ns) / CLOCK_SECOND,
        .loop_delay = (double)(clock_monotonic() - c->asked_ns) / CLOCK_SECOND,
        .connections = http_server_connections(s->http),
    };
    broker_core_stats(s->broker, &ret->broker);
    store_stats(s->store, &ret->store);
    function_host_stats(s->functions, &ret->functions);
}

static void write_row(struct exposition *x, const struct metrics_row *row,
                      const struct metrics_snapshot *snapshot)
{
    exposition_metric(x, &row->metric);
    if (row->value != NULL)
        exposition_value(x, row->value(snapshot));
    else if (row->histogram != NULL)
        exposition_histogram(x, row->histogram(snapshot));
}

static void answer(struct loop_message *m)
{
    struct scrape *c = container_of(m, struct scrape, message);
    struct http_request *request = c->request;
    struct metrics_snapshot snapshot;
    autobuf out = BUF_INIT;
    struct exposition x;
    take_snapshot(c, &snapshot);
    exposition_init(&x, c->format, &out);
    for (size_t i = 0; i < metrics_row_count; i++)
        write_row(&x, &metrics_rows[i], &snapshot);
    exposition_end(&x);
    bool good = buf_ok(&out) && buf_ok(&x.labels);
    exposition_done(&x);
    if (!good)
        http_respond_errorf(request, 503, "out of memory");
    else
        http_respond(request,
                     &(struct http_response){.status = 200,
                                             .content_type = exposition_content_type(c->format),
                                             .body = buf_slice(&out)});
}

void metrics_serve(struct http_request *request, void *ctx)
{
    struct scrape *c = http_request_alloc(request, sizeof(*c));
    if (c == NULL) {
        http_respond_errorf(request, 503, "out of memory");
        return;
    }
    *c = (struct scrape){{.receive = answer},
                         ctx,
                         request,
                         exposition_choose(http_request_header(request, "Accept")),
                         clock_monotonic()};
    loop_post(c->server->loop, &c->message);
}
