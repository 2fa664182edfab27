/* SPDX-License-Identifier: Apache-2.0 */
/* GET /metrics: the rows of the table as text. It is made on the loop, where the numbers live, a
 * little in each turn, so that ten thousand triggers hold up nobody; what does not fit into one
 * answer is streamed as fast as the peer takes it. */
#include "daemon/daemon_internal.h"
#include "daemon/metrics.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/must.h"

#include <pthread.h>

#define SCRAPES_MAX    8
#define TURN_COST      1000         /* brokers, triggers and retries looked at in one turn, … */
#define TURN_BYTES     (64u << 10)  /* … and text made in it */
#define WHOLE_MAX      (256u << 10) /* more is streamed */
#define PENDING_MAX    (1u << 20)   /* bytes that the peer has not taken, beyond which it waits */
#define SCRAPE_TIMEOUT (60 * CLOCK_SECOND)
#define SCRAPE_MAGIC   0x73637270u

/* Loop thread, stream apart. */
struct scrape {
    unsigned magic;
    struct list link; /* in server->scrapes */
    struct server *server;
    struct http_request *request; /* until it is answered */
    unsigned sets;
    uint64_t asked_ns; /* monotonic */
    struct metrics_snapshot snapshot;
    struct exposition exposition;
    struct buf out;
    size_t row;
    struct metrics_place place;
    bool turn_posted, gone; /* whoever of turn and closed() comes last frees it */
    struct loop_message turn, drained, closed;
    struct loop_timer timeout;
    pthread_mutex_t lock;
    struct http_stream *stream; /* under lock; NULL: there is none, or it is closed */
    bool closed_already;        /* under lock */
};

static void scrape_free(struct scrape *c)
{
    loop_timer_cancel(c->server->loop, &c->timeout);
    if (!list_empty(&c->link))
        c->server->scrape_count--;
    list_remove(&c->link);
    exposition_done(&c->exposition);
    buf_done(&c->out);
    pthread_mutex_destroy(&c->lock);
    c->magic = 0;
    free(c);
}

void metrics_free_all(struct server *s)
{
    while (!list_empty(&s->scrapes))
        scrape_free(list_entry(s->scrapes.next, struct scrape, link));
}

/* ---- the stream, which may be gone ---- */

static void closed_on_loop(struct loop_message *m)
{
    struct scrape *c = container_of(m, struct scrape, closed);
    c->gone = true;
    if (!c->turn_posted)
        scrape_free(c);
}

/* HTTP thread; the last time that it touches the scrape. */
static void stream_closed(void *ctx)
{
    struct scrape *c = must_be((struct scrape *)ctx, SCRAPE_MAGIC);
    struct loop *loop = c->server->loop;
    pthread_mutex_lock(&c->lock);
    c->stream = NULL;
    c->closed_already = true;
    pthread_mutex_unlock(&c->lock);
    loop_post(loop, &c->closed);
}

/* HTTP thread. */
static void stream_drained(void *ctx)
{
    struct scrape *c = must_be((struct scrape *)ctx, SCRAPE_MAGIC);
    loop_post(c->server->loop, &c->drained);
}

static void stream_cut(struct scrape *c)
{
    pthread_mutex_lock(&c->lock);
    if (c->stream != NULL)
        http_stream_cut(c->stream);
    pthread_mutex_unlock(&c->lock);
}

static void timed_out(struct loop_timer *timer)
{
    stream_cut(must_be((struct scrape *)timer->ctx, SCRAPE_MAGIC));
}

/* False: the request is answered already, and no stream will be. */
static bool stream_open(struct scrape *c)
{
    struct http_stream *stream = http_stream_begin(
        STEAL(c->request), 200, exposition_content_type(c->exposition.format), stream_closed, c);
    if (stream == NULL)
        return false;
    pthread_mutex_lock(&c->lock);
    if (!c->closed_already)
        c->stream = stream;
    pthread_mutex_unlock(&c->lock);
    loop_timer_set(c->server->loop, &c->timeout, loop_now(c->server->loop) + SCRAPE_TIMEOUT);
    return true;
}

/* Hands over what was made; the end, too. False: somebody else goes on with the scrape, when the
 * peer has taken more or is gone. */
static bool stream_send(struct scrape *c, bool whole)
{
    bool more = false;
    pthread_mutex_lock(&c->lock);
    if (c->stream != NULL && (!buf_ok(&c->out) || !buf_ok(&c->exposition.labels) ||
                              http_stream_write(c->stream, buf_slice(&c->out)) < 0)) {
        http_stream_cut(c->stream);
    } else if (c->stream != NULL && whole) {
        http_stream_end(c->stream);
    } else if (c->stream != NULL) {
        more = http_stream_pending(c->stream) <= PENDING_MAX ||
               !http_stream_await(c->stream, PENDING_MAX / 2, stream_drained);
    }
    pthread_mutex_unlock(&c->lock);
    buf_reset(&c->out);
    return more;
}

static void answer_whole(struct scrape *c)
{
    struct http_request *request = STEAL(c->request);
    if (!buf_ok(&c->out) || !buf_ok(&c->exposition.labels))
        http_respond_errorf(request, 503, "out of memory");
    else
        http_respond(request, &(struct http_response){
                                  .status = 200,
                                  .content_type = exposition_content_type(c->exposition.format),
                                  .body = buf_slice(&c->out)});
}

/* ---- the text ---- */

static void take_snapshot(const struct server *s, uint64_t asked_ns, struct metrics_snapshot *ret)
{
    *ret = (struct metrics_snapshot){
        .uptime = (double)(clock_realtime() - s->started_ns) / CLOCK_SECOND,
        .loop_delay = (double)(clock_monotonic() - asked_ns) / CLOCK_SECOND,
        .connections = http_server_connections(s->http),
    };
    broker_core_stats(s->broker, &ret->broker);
    store_stats(s->store, &ret->store);
    function_host_stats(s->functions, &ret->functions);
}

/* To the next row that is asked for. */
static void next_row(struct scrape *c)
{
    while (c->row < metrics_row_count &&
           (metrics_rows[c->row].part != NULL || (c->sets & (1u << metrics_rows[c->row].set)) == 0))
        c->row++;
    c->place = (struct metrics_place){0};
    if (c->row < metrics_row_count)
        exposition_metric(&c->exposition, &metrics_rows[c->row].metric);
}

/* A turn's share. True: all is written. */
static bool write_some(struct scrape *c)
{
    size_t from = c->out.len;
    unsigned cost = 0, each;
    while (c->row < metrics_row_count && cost < TURN_COST && c->out.len - from < TURN_BYTES) {
        if (!metrics_walk(&c->exposition, &metrics_rows[c->row], c->server->broker, &c->snapshot,
                          &c->place, &each)) {
            c->row++;
            next_row(c);
        }
        cost += each;
    }
    if (c->row < metrics_row_count)
        return false;
    exposition_end(&c->exposition);
    return true;
}

static void post_turn(struct scrape *c)
{
    c->turn_posted = true;
    loop_post(c->server->loop, &c->turn);
}

static void turn(struct loop_message *m)
{
    struct scrape *c = container_of(m, struct scrape, turn);
    c->turn_posted = false;
    if (c->gone) {
        scrape_free(c);
        return;
    }
    bool whole = write_some(c);
    if (whole && c->request != NULL) {
        answer_whole(c);
        scrape_free(c);
    } else if (c->request != NULL && c->out.len > WHOLE_MAX && !stream_open(c)) {
        scrape_free(c);
    } else if (c->request != NULL || stream_send(c, whole)) {
        post_turn(c);
    }
}

static void drained_on_loop(struct loop_message *m)
{
    post_turn(container_of(m, struct scrape, drained));
}

static void begin(struct loop_message *m)
{
    struct scrape *c = container_of(m, struct scrape, turn);
    struct server *s = c->server;
    if (s->scrape_count >= SCRAPES_MAX) {
        http_respond_errorf(STEAL(c->request), 503, "%u scrapes are under way already",
                            SCRAPES_MAX);
        scrape_free(c);
        return;
    }
    list_append(&s->scrapes, &c->link);
    s->scrape_count++;
    take_snapshot(s, c->asked_ns, &c->snapshot);
    next_row(c);
    c->turn.receive = turn;
    turn(&c->turn);
}

void metrics_serve(struct http_request *request, void *ctx)
{
    struct error err = ERROR_INIT;
    unsigned sets = metrics_sets(http_request_query_value(request, "collect"), &err);
    if (sets == 0) {
        http_respond_error(request, 400, &err);
        return;
    }
    struct scrape *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        http_respond_errorf(request, 503, "out of memory");
        return;
    }
    c->magic = SCRAPE_MAGIC;
    c->server = ctx;
    c->request = request;
    c->sets = sets;
    c->asked_ns = clock_monotonic();
    list_init(&c->link);
    pthread_mutex_init(&c->lock, NULL);
    exposition_init(&c->exposition, exposition_choose(http_request_header(request, "Accept")),
                    &c->out);
    c->turn.receive = begin;
    c->drained.receive = drained_on_loop;
    c->closed.receive = closed_on_loop;
    c->timeout.due = timed_out;
    c->timeout.ctx = c;
    loop_post(c->server->loop, &c->turn);
}
