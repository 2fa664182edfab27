/* SPDX-License-Identifier: Apache-2.0 */
/* GET /-/events: the log's events as lines of JSON, live or from a position on. Each watcher reads
 * the log by itself. There are so many of them at most, each with so much that its reader has not
 * taken; one whose reader takes nothing for long is cut. */
#include "broker/broker_internal.h"

#include "base/clock.h"
#include "base/encoding.h"
#include "base/log.h"
#include "base/must.h"
#include "broker/event_query.h"
#include "broker/events_page.h"
#include "broker/scan.h"

#include <errno.h>
#include <pthread.h>

#define TAILS_MAX           64
#define TAIL_RECORDS_A_TURN 500          /* of all together: deliveries share the loop with them */
#define TAIL_PENDING_MAX    (256u << 10) /* beyond it no further event is read */
#define TAIL_MAGIC          0x7461696cu

struct tail {
    unsigned magic;
    struct broker_core *core;
    struct http_request *request; /* until the stream begins */
    pthread_mutex_t lock;         /* the next two: an HTTP thread closes the stream at any time */
    struct http_stream *stream;
    bool closed_already;
    struct list link;
    struct store_reader *reader; /* NULL while the reader of the stream is waited for */
    struct event_query query;
    uint64_t from; /* where the next reader begins; 0: behind the last event */
    bool follow, ended;
    bool waiting; /* drained will come */
    struct loop_message opened, drained, closed;
};

static void tail_free(struct tail *t)
{
    if (!list_empty(&t->link)) {
        atomic_fetch_sub(&t->core->listeners, 1);
        atomic_fetch_sub(&t->core->counters.tails, 1);
    }
    list_remove(&t->link);
    store_reader_free(t->reader);
    event_query_done(&t->query);
    pthread_mutex_destroy(&t->lock);
    t->magic = 0;
    free(t);
}

static void closed_on_loop(struct loop_message *m)
{
    tail_free(container_of(m, struct tail, closed));
}

/* HTTP thread; the last time that it touches the tail. */
static void stream_closed(void *ctx)
{
    struct tail *t = must_be((struct tail *)ctx, TAIL_MAGIC);
    struct loop *loop = t->core->loop;
    pthread_mutex_lock(&t->lock);
    t->stream = NULL;
    t->closed_already = true;
    pthread_mutex_unlock(&t->lock);
    loop_post(loop, &t->closed);
}

/* ---- the stream, which may be gone ---- */

static int tail_write(struct tail *t, struct slice bytes)
{
    pthread_mutex_lock(&t->lock);
    int status = t->stream != NULL ? http_stream_write(t->stream, bytes) : -EPIPE;
    pthread_mutex_unlock(&t->lock);
    return status;
}

/* HTTP thread. */
static void stream_drained(void *ctx)
{
    struct tail *t = must_be((struct tail *)ctx, TAIL_MAGIC);
    loop_post(t->core->loop, &t->drained);
}

/* True when its reader has so much to take that nothing is written until it has. */
static bool tail_full(struct tail *t)
{
    pthread_mutex_lock(&t->lock);
    t->waiting = t->stream != NULL && http_stream_pending(t->stream) > TAIL_PENDING_MAX &&
                 http_stream_await(t->stream, TAIL_PENDING_MAX / 2, stream_drained);
    pthread_mutex_unlock(&t->lock);
    return t->waiting;
}

static void tail_end(struct tail *t)
{
    t->ended = true;
    pthread_mutex_lock(&t->lock);
    if (t->stream != NULL)
        http_stream_end(t->stream);
    pthread_mutex_unlock(&t->lock);
}

/* Not as an answer that is whole ends. */
static void tail_cut(struct tail *t)
{
    t->ended = true;
    pthread_mutex_lock(&t->lock);
    if (t->stream != NULL)
        http_stream_cut(t->stream);
    pthread_mutex_unlock(&t->lock);
}

static bool tail_stuck(struct tail *t)
{
    pthread_mutex_lock(&t->lock);
    bool stuck = !t->ended && t->stream != NULL && http_stream_stuck(t->stream);
    pthread_mutex_unlock(&t->lock);
    return stuck;
}

/* ---- reading ---- */

static bool wanted(const struct tail *t, const struct broker *b)
{
    return (t->query.namespace_name == NULL ||
            strcmp(b->resource->namespace_name, t->query.namespace_name) == 0) &&
           (t->query.broker == NULL || strcmp(b->resource->name, t->query.broker) == 0);
}

static void write_line(struct tail *t, const struct broker *b, const struct store_entry *entry,
                       const struct event *event)
{
    autobuf line = BUF_INIT;
    events_write(t->core, b->number, entry->position, entry->time_ns, event, &line);
    /* Data stands there as it was sent. Line breaks in it are white space between JSON tokens (in
     * strings they are escaped), and must not end our line. */
    for (size_t i = 0; i < line.len; i++)
        if (line.ptr[i] == '\n' || line.ptr[i] == '\r')
            line.ptr[i] = ' ';
    buf_add_byte(&line, '\n');
    if (!buf_ok(&line) || tail_write(t, buf_slice(&line)) < 0)
        tail_cut(t);
}

/* Returns false when there is nothing more for now. */
static bool tail_step(struct tail *t)
{
    struct store_entry entry;
    if (store_reader_next(t->reader, &entry) != 1) {
        if (!t->follow)
            tail_end(t);
        return false;
    }
    if (entry.type != STORE_RECORD_EVENT)
        return true;
    const struct broker *b = broker_by_number(t->core, entry.scope);
    struct event event = {0};
    if (b != NULL && wanted(t, b) && event_decode(entry.value, &event) == 0 &&
        event_query_matches(&t->query, &event))
        write_line(t, b, &entry, &event);
    return true;
}

/* A reader of the log keeps its last record in memory: not for as long as nobody takes it. */
static bool tail_reads(struct tail *t)
{
    if (tail_full(t)) {
        t->from = store_reader_position(t->reader);
        store_reader_free(STEAL(t->reader));
        return false;
    }
    return true;
}

static bool tail_open_reader(struct tail *t)
{
    if (t->reader == NULL)
        t->reader = store_reader_new(t->core->store, t->from);
    return t->reader != NULL;
}

/* Reads on, so many records at most. */
static void tail_pump(struct tail *t, unsigned *left)
{
    if (t->ended || t->waiting)
        return;
    if (!tail_open_reader(t)) {
        tail_cut(t);
        return;
    }
    for (; *left > 0 && !t->ended; (*left)--)
        if (!tail_reads(t) || !tail_step(t))
            return;
}

static void drained_on_loop(struct loop_message *m)
{
    struct tail *t = container_of(m, struct tail, drained);
    t->waiting = false;
    scan_wake(t->core);
}

/* Who uses up the turn is the last in the next one, in which the others have theirs. */
void tail_pump_all(struct broker_core *b)
{
    unsigned left = TAIL_RECORDS_A_TURN;
    list_for_each_safe (node, following, &b->tails) {
        struct tail *t = list_entry(node, struct tail, link);
        tail_pump(t, &left);
        if (left > 0)
            continue;
        list_remove(&t->link);
        list_append(&b->tails, &t->link);
        scan_wake(b);
        return;
    }
}

void tail_tend_all(struct broker_core *b)
{
    list_for_each_safe (node, following, &b->tails) {
        struct tail *t = list_entry(node, struct tail, link);
        if (!tail_stuck(t))
            continue;
        log_info("GET /-/events: the reader has taken nothing for too long: it is cut");
        atomic_fetch_add(&b->counters.tails_cut, 1);
        tail_cut(t);
    }
}

void tail_end_all(struct broker_core *b)
{
    list_for_each_safe (node, following, &b->tails) {
        struct tail *t = list_entry(node, struct tail, link);
        if (!t->ended)
            tail_end(t);
    }
}

void tail_free_all(struct broker_core *b)
{
    while (!list_empty(&b->tails))
        tail_free(list_entry(b->tails.next, struct tail, link));
}

/* True: the request is answered. */
static bool tail_refused(struct tail *t, struct http_request *request)
{
    if (t->core->quiet) {
        http_respond_errorf(request, 503, "the server is stopping");
        return true;
    }
    if (atomic_load(&t->core->counters.tails) >= TAILS_MAX) {
        http_respond_errorf(request, 429, "too many streams of events: at most %u", TAILS_MAX);
        return true;
    }
    if (t->from == 0)
        t->from = store_synced(t->core->store) + 1;
    if (tail_open_reader(t))
        return false;
    http_respond_errorf(request, 503, "out of memory");
    return true;
}

static void opened_on_loop(struct loop_message *m)
{
    struct tail *t = container_of(m, struct tail, opened);
    struct http_request *request = STEAL(t->request);
    if (tail_refused(t, request)) {
        tail_free(t);
        return;
    }
    struct http_stream *stream =
        http_stream_begin(request, 200, "application/x-ndjson", stream_closed, t);
    if (stream == NULL) { /* answered already */
        tail_free(t);
        return;
    }
    pthread_mutex_lock(&t->lock);
    if (!t->closed_already)
        t->stream = stream;
    pthread_mutex_unlock(&t->lock);
    list_append(&t->core->tails, &t->link);
    atomic_fetch_add(&t->core->listeners, 1);
    atomic_fetch_add(&t->core->counters.tails, 1);
    scan_wake(t->core);
}

/* An answer with an end: so many, or those with one id. */
static bool is_page(struct http_request *request, struct slice follow)
{
    return http_request_query_value(request, "limit").ptr != NULL ||
           http_request_query_value(request, "continue").ptr != NULL ||
           (http_request_query_value(request, "id").ptr != NULL &&
            !(follow.ptr != NULL && slice_is(follow, "true")));
}

void tail_serve(struct http_request *request, void *ctx)
{
    struct slice from = http_request_query_value(request, "from");
    struct slice follow = http_request_query_value(request, "follow");
    uint64_t position = 0;
    if (from.ptr != NULL && slice_is(from, "earliest"))
        position = 1;
    else if (from.ptr != NULL && !slice_is(from, "latest") &&
             encoding_parse_u64(from, &position) < 0) {
        http_respond_errorf(request, 400, "from: a position, earliest or latest, not " SLICE_FMT,
                            SLICE_ARG(from));
        return;
    }
    if (follow.ptr != NULL && !slice_is(follow, "true") && !slice_is(follow, "false")) {
        http_respond_errorf(request, 400, "follow: true or false, not " SLICE_FMT,
                            SLICE_ARG(follow));
        return;
    }
    if (is_page(request, follow)) {
        events_page_serve(request, ctx);
        return;
    }
    struct tail *t = calloc(1, sizeof(*t));
    struct error err = ERROR_INIT;
    if (t == NULL) {
        error_set(&err, -ENOMEM, "out of memory");
        http_respond_error(request, 503, &err);
        return;
    }
    int r = event_query_read(&t->query, request, &err);
    if (r < 0) {
        free(t);
        http_respond_error(request, r == -EINVAL ? 400 : 503, &err);
        return;
    }
    t->magic = TAIL_MAGIC;
    t->core = ctx;
    t->request = request;
    t->from = position;
    t->follow = !(follow.ptr != NULL && slice_is(follow, "false"));
    list_init(&t->link);
    pthread_mutex_init(&t->lock, NULL);
    t->drained.receive = drained_on_loop;
    t->closed.receive = closed_on_loop;
    t->opened.receive = opened_on_loop;
    loop_post(t->core->loop, &t->opened);
}
