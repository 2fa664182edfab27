/* SPDX-License-Identifier: Apache-2.0 */
/* Watches: a stream of changes for each, and the last changes kept so that one can begin in the
 * past. What slow readers have not taken is kept within one budget for all, and beyond it the one
 * who has most is cut; so is one who takes nothing for long. Everything runs on the loop thread but
 * watcher_closed() and watcher_drained(). */
#include "api/api_internal.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/must.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#define WATCH_HISTORY_MAX   1024
#define WATCH_HISTORY_BYTES (32u << 20)
#define WATCHERS_MAX        1000
#define WATCH_BACKLOGS_MAX  (64u << 20) /* bytes that wait for all slow readers */
#define WATCH_PIECE         (32u << 10)
#define WATCH_PENDING_MAX   (32u << 10) /* in a stream before the next piece; outside the budget */
#define WATCH_TEND_NS       CLOCK_SECOND
#define WATCHER_MAGIC       0x77617463u

struct watch_event {
    uint64_t version;
    enum registry_change change;
    const struct resource_kind *kind;
    json_t *object, *before; /* before may be NULL */
    size_t bytes;
};

struct watch_set {
    struct api *api;
    struct list watchers;
    size_t count, backlogs;                        /* backlogs: bytes of all */
    struct loop_timer tend;                        /* while there are watchers */
    bool quiesced, begun;                          /* begun: the history has had a change */
    struct watch_event history[WATCH_HISTORY_MAX]; /* a ring */
    size_t first, len, bytes;
    uint64_t floor; /* changes up to this version are not in the history any more */
};

struct watcher {
    unsigned magic;
    struct list node;
    struct watch_set *set;
    struct query *query;   /* kind, namespace and selectors; its request is gone */
    struct buf backlog;    /* what the stream did not take yet */
    size_t taken, counted; /* counted: its share of set->backlogs */
    bool ending, headed;   /* headed: a Table's columns were sent */
    bool waiting;          /* drained will come */
    struct loop_timer end;
    struct loop_message drained; /* from watcher_drained() */
    struct loop_message gone;    /* from watcher_closed() */
    pthread_mutex_t lock;        /* the two below */
    struct http_stream *stream;
    bool closed;
};

/* What waits has become more or less. */
static void watcher_count(struct watcher *w)
{
    w->set->backlogs -= w->counted;
    w->counted = w->backlog.len;
    w->set->backlogs += w->counted;
}

static void watcher_free(struct watcher *w)
{
    struct watch_set *s = w->set;
    loop_timer_cancel(s->api->loop, &w->end);
    list_remove(&w->node);
    s->backlogs -= w->counted;
    if (--s->count == 0)
        loop_timer_cancel(s->api->loop, &s->tend);
    query_free(w->query);
    buf_done(&w->backlog);
    pthread_mutex_destroy(&w->lock);
    w->magic = 0;
    free(w);
}

static void watcher_gone(struct loop_message *m)
{
    struct watcher *w = container_of(m, struct watcher, gone);
    watcher_free(must_be(w, WATCHER_MAGIC));
}

/* HTTP thread; the last time that it touches the watcher. */
static void watcher_closed(void *ctx)
{
    struct watcher *w = must_be((struct watcher *)ctx, WATCHER_MAGIC);
    pthread_mutex_lock(&w->lock);
    w->closed = true;
    w->stream = NULL;
    struct loop *loop = w->set->api->loop;
    pthread_mutex_unlock(&w->lock);
    loop_post(loop, &w->gone);
}

/* HTTP thread. */
static void watcher_drained(void *ctx)
{
    struct watcher *w = must_be((struct watcher *)ctx, WATCHER_MAGIC);
    loop_post(w->set->api->loop, &w->drained);
}

/* ---- writing ---- */

/* What is written is given back, and not only when all is. */
static void backlog_shrink(struct watcher *w)
{
    size_t left = w->backlog.len - w->taken;
    if (left > 0 && w->taken < w->backlog.len / 2)
        return;
    if (left == 0)
        buf_done(&w->backlog);
    else
        memmove(w->backlog.ptr, w->backlog.ptr + w->taken, left);
    w->backlog.len = left;
    w->taken = 0;
}

/* Under the watcher's lock. */
static bool stream_full(struct watcher *w)
{
    w->waiting = http_stream_pending(w->stream) > WATCH_PENDING_MAX &&
                 http_stream_await(w->stream, WATCH_PENDING_MAX / 2, watcher_drained);
    return w->waiting;
}

/* Under the watcher's lock. True when all is written. */
static bool write_pieces(struct watcher *w)
{
    int status = 0;
    while (status == 0 && w->taken < w->backlog.len && !stream_full(w)) {
        size_t n = w->backlog.len - w->taken;
        n = n < WATCH_PIECE ? n : WATCH_PIECE;
        status = http_stream_write(w->stream, slice_of(w->backlog.ptr + w->taken, n));
        w->taken += status == 0 ? n : 0;
    }
    backlog_shrink(w);
    if (status < 0)
        http_stream_cut(w->stream);
    return status == 0 && w->backlog.len == 0;
}

/* Its end is not that of an answer that is whole: the client begins anew. */
static void watcher_cut(struct watcher *w)
{
    pthread_mutex_lock(&w->lock);
    if (w->stream != NULL)
        http_stream_cut(STEAL(w->stream)); /* closed() will follow */
    pthread_mutex_unlock(&w->lock);
    buf_done(&w->backlog);
    w->taken = 0;
    w->ending = true;
    watcher_count(w);
}

static void cut_the_slowest(struct watch_set *s)
{
    struct watcher *slowest = NULL;
    list_for_each (node, &s->watchers) {
        struct watcher *w = list_entry(node, struct watcher, node);
        if (slowest == NULL || w->counted > slowest->counted)
            slowest = w;
    }
    if (slowest != NULL)
        watcher_cut(slowest);
}

static void watcher_flush(struct watcher *w)
{
    pthread_mutex_lock(&w->lock);
    bool writable = w->stream != NULL && !w->waiting && buf_ok(&w->backlog);
    if (writable && write_pieces(w) && w->ending)
        http_stream_end(STEAL(w->stream)); /* closed() will follow */
    pthread_mutex_unlock(&w->lock);
    if (!buf_ok(&w->backlog))
        watcher_cut(w);
    watcher_count(w);
    while (w->set->backlogs > WATCH_BACKLOGS_MAX)
        cut_the_slowest(w->set);
}

static void watcher_drained_on_loop(struct loop_message *m)
{
    struct watcher *w = container_of(m, struct watcher, drained);
    w->waiting = false;
    watcher_flush(w);
}

static bool watcher_stuck(struct watcher *w)
{
    pthread_mutex_lock(&w->lock);
    bool stuck = w->stream != NULL && http_stream_stuck(w->stream);
    pthread_mutex_unlock(&w->lock);
    return stuck;
}

static void tend(struct loop_timer *t)
{
    struct watch_set *s = t->ctx;
    list_for_each (node, &s->watchers) {
        struct watcher *w = list_entry(node, struct watcher, node);
        if (watcher_stuck(w))
            watcher_cut(w);
    }
    loop_timer_set(s->api->loop, t, loop_now(s->api->loop) + WATCH_TEND_NS);
}

static void watcher_end(struct watcher *w)
{
    w->ending = true;
    watcher_flush(w);
}

static void watcher_end_due(struct loop_timer *t)
{
    watcher_end(t->ctx);
}

static void add_event(struct watcher *w, const char *type, const json_t *object)
{
    struct query *q = w->query;
    buf_printf(&w->backlog, "{\"type\":\"%s\",\"object\":", type);
    if (q->shape == QUERY_TABLE) {
        table_begin(&w->backlog, w->headed ? NULL : q->kind, 0, NULL);
        table_row(&w->backlog, q->kind, object, q->include, clock_realtime());
        table_end(&w->backlog);
        w->headed = true;
    } else {
        answer_add_shown(&w->backlog, q->kind, object);
    }
    buf_add_text(&w->backlog, "}\n");
}

/* An object that comes into or falls out of the selection is added or deleted for this watcher. */
static void watcher_tell(struct watcher *w, const struct watch_event *e)
{
    bool now = read_selects(w->query, e->object);
    bool before = e->before != NULL && read_selects(w->query, e->before);
    if (w->ending || e->kind != kinds_stored(w->query->kind) || (!now && !before))
        return;
    if (e->change == REGISTRY_DELETED || !now)
        add_event(w, "DELETED", e->object);
    else
        add_event(w, before ? "MODIFIED" : "ADDED", e->object);
}

/* ---- history ---- */

static void history_drop(struct watch_set *s)
{
    struct watch_event *e = &s->history[s->first];
    s->floor = e->version;
    s->bytes -= e->bytes;
    json_decref(e->object);
    json_decref(e->before);
    s->first = (s->first + 1) % WATCH_HISTORY_MAX;
    s->len--;
}

static struct watch_event *history_add(struct watch_set *s, enum registry_change change,
                                       const struct resource *resource, const json_t *before)
{
    size_t bytes = json_dumpb(resource->object, NULL, 0, JSON_COMPACT) * 2;
    while (s->len == WATCH_HISTORY_MAX || (s->len > 0 && s->bytes + bytes > WATCH_HISTORY_BYTES))
        history_drop(s);
    if (!s->begun)
        s->floor = resource->version - 1;
    s->begun = true;
    struct watch_event *e = &s->history[(s->first + s->len++) % WATCH_HISTORY_MAX];
    *e = (struct watch_event){
        .version = resource->version,
        .change = change,
        .kind = resource->kind,
        .object = json_incref(resource->object),
        .before = before != NULL ? json_incref((json_t *)(uintptr_t)before) : NULL,
        .bytes = bytes,
    };
    s->bytes += bytes;
    return e;
}

static void watch_observe(void *ctx, enum registry_change change, struct resource *resource,
                          const json_t *before)
{
    struct watch_set *s = ctx;
    if (registry_version(s->api->registry) == 0)
        return; /* loading */
    const struct watch_event *e = history_add(s, change, resource, before);
    list_for_each (node, &s->watchers) {
        struct watcher *w = list_entry(node, struct watcher, node);
        watcher_tell(w, e);
        watcher_flush(w);
    }
}

const json_t *watch_gone(const struct watch_set *s, const struct query *q)
{
    for (size_t i = s->len; i-- > 0;) {
        const struct watch_event *e = &s->history[(s->first + i) % WATCH_HISTORY_MAX];
        if (e->change != REGISTRY_DELETED || e->kind != q->kind || !read_selects(q, e->object))
            continue;
        return e->object;
    }
    return NULL;
}

/* ---- beginning ---- */

static int tell_existing(void *ctx, struct resource *resource)
{
    struct watcher *w = ctx;
    if (read_selects(w->query, resource->object))
        add_event(w, "ADDED", resource->object);
    return 0;
}

static void add_bookmark(struct watcher *w, bool initial)
{
    const struct resource_kind *k = w->query->kind;
    buf_printf(&w->backlog, "{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"%s\",\"apiVersion\":\"",
               k->kind);
    resource_kind_api_version(k, &w->backlog);
    buf_printf(&w->backlog, "\",\"metadata\":{\"resourceVersion\":\"%" PRIu64 "\"%s}}}\n",
               registry_version(w->set->api->registry),
               initial ? ",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}" : "");
}

/* In the stream, which clients handle best: they list again and go on. */
static void tell_expired(struct watcher *w, uint64_t version)
{
    struct error err = ERROR_INIT;
    error_set(&err, -ESTALE, "too old resource version: %" PRIu64 " (%" PRIu64 ")", version,
              registry_version(w->set->api->registry));
    buf_add_text(&w->backlog, "{\"type\":\"ERROR\",\"object\":");
    answer_add_status(&w->backlog, 410, NULL, NULL, false, &err);
    buf_add_text(&w->backlog, "}\n");
    w->ending = true;
}

static void tell_since(struct watcher *w, uint64_t version)
{
    const struct watch_set *s = w->set;
    uint64_t now = registry_version(s->api->registry);
    if (version > now || (version < s->floor && version != now) || (s->len == 0 && version < now)) {
        tell_expired(w, version);
        return;
    }
    for (size_t i = 0; i < s->len; i++) {
        const struct watch_event *e = &s->history[(s->first + i) % WATCH_HISTORY_MAX];
        if (e->version > version)
            watcher_tell(w, e);
    }
}

static void watcher_start(struct watcher *w)
{
    const struct query *q = w->query;
    struct loop *loop = w->set->api->loop;
    uint64_t version = q->resource_version != NULL ? strtoull(q->resource_version, NULL, 10) : 0;
    const char *space = *q->namespace_name != '\0' ? q->namespace_name : NULL;
    if (version == 0 || q->initial_events)
        registry_each(w->set->api->registry, kinds_stored(q->kind), space, tell_existing, w);
    else
        tell_since(w, version);
    if (q->initial_events)
        add_bookmark(w, true);
    if (q->timeout_s > 0)
        loop_timer_set(loop, &w->end, loop_now(loop) + q->timeout_s * CLOCK_SECOND);
    watcher_flush(w);
}

static struct watcher *watcher_new(struct watch_set *s, struct query *q)
{
    struct loop *loop = s->api->loop;
    struct watcher *w = calloc(1, sizeof(*w));
    if (w == NULL)
        return NULL;
    *w = (struct watcher){.magic = WATCHER_MAGIC,
                          .set = s,
                          .query = q,
                          .backlog = BUF_INIT,
                          .drained = {.receive = watcher_drained_on_loop},
                          .gone = {.receive = watcher_gone}};
    w->end = (struct loop_timer){.due = watcher_end_due, .ctx = w};
    pthread_mutex_init(&w->lock, NULL);
    list_append(&s->watchers, &w->node);
    if (s->count++ == 0)
        loop_timer_set(loop, &s->tend, loop_now(loop) + WATCH_TEND_NS);
    return w;
}

static void refuse(struct query *q, unsigned status, const char *message)
{
    struct error err = ERROR_INIT;
    error_set(&err, -EAGAIN, "%s", message);
    answer_status(q, status, &err);
}

void watch_begin(struct query *q)
{
    struct watch_set *s = q->api->watches;
    if (s->quiesced || s->count >= WATCHERS_MAX) {
        refuse(q, s->quiesced ? 503 : 429,
               s->quiesced ? "the server is stopping" : "too many watches: at most 1000");
        return;
    }
    struct watcher *w = watcher_new(s, q);
    if (w == NULL) {
        refuse(q, 503, "out of memory");
        return;
    }
    struct http_stream *stream =
        http_stream_begin(q->request, 200, "application/json", watcher_closed, w);
    if (stream == NULL) { /* answered; closed() will not come */
        watcher_free(w);
        return;
    }
    pthread_mutex_lock(&w->lock);
    if (!w->closed)
        w->stream = stream;
    pthread_mutex_unlock(&w->lock);
    watcher_start(w);
}

/* ---- the set ---- */

struct watch_set *watch_set_new(struct api *a)
{
    struct watch_set *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return NULL;
    s->api = a;
    s->tend = (struct loop_timer){.due = tend, .ctx = s};
    list_init(&s->watchers);
    if (registry_observe(a->registry, NULL, watch_observe, s) < 0) {
        free(s);
        return NULL;
    }
    return s;
}

void watch_set_quiesce(struct watch_set *s)
{
    s->quiesced = true;
    list_for_each (node, &s->watchers) {
        watcher_end(list_entry(node, struct watcher, node));
    }
}

void watch_set_free(struct watch_set *s)
{
    list_for_each_safe (node, following, &s->watchers) {
        watcher_free(list_entry(node, struct watcher, node));
    }
    while (s->len > 0)
        history_drop(s);
    free(s);
}
