/* SPDX-License-Identifier: Apache-2.0 */
/* Watches: a stream of changes for each, and the last changes kept so that one can begin in the
 * past. Everything runs on the loop thread but watcher_closed(). */
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
#define WATCH_BACKLOG_MAX   (64u << 20) /* of one slow reader: it is cut off then */
#define WATCH_PIECE         (1u << 20)
#define WATCH_RETRY_NS      (20 * CLOCK_MILLISECOND)
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
    size_t count;
    bool quiesced, begun;                          /* begun: the history has had a change */
    struct watch_event history[WATCH_HISTORY_MAX]; /* a ring */
    size_t first, len, bytes;
    uint64_t floor; /* changes up to this version are not in the history any more */
};

struct watcher {
    unsigned magic;
    struct list node;
    struct watch_set *set;
    struct query *query; /* kind, namespace and selectors; its request is gone */
    struct buf backlog;  /* what the stream did not take yet */
    size_t taken;
    bool ending, headed; /* headed: a Table's columns were sent */
    struct loop_timer flush, end;
    struct loop_message gone; /* from watcher_closed() */
    pthread_mutex_t lock;     /* the two below */
    struct http_stream *stream;
    bool closed;
};

static void watcher_free(struct watcher *w)
{
    struct loop *loop = w->set->api->loop;
    loop_timer_cancel(loop, &w->flush);
    loop_timer_cancel(loop, &w->end);
    list_remove(&w->node);
    w->set->count--;
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

/* ---- writing ---- */

static int write_pieces(struct watcher *w)
{
    int status = 0;
    while (status == 0 && w->taken < w->backlog.len) {
        size_t n = w->backlog.len - w->taken;
        n = n < WATCH_PIECE ? n : WATCH_PIECE;
        status = http_stream_write(w->stream, slice_of(w->backlog.ptr + w->taken, n));
        w->taken += status == 0 ? n : 0;
    }
    if (w->taken == w->backlog.len) {
        buf_reset(&w->backlog);
        w->taken = 0;
    }
    return status;
}

static void watcher_flush(struct watcher *w)
{
    struct loop *loop = w->set->api->loop;
    pthread_mutex_lock(&w->lock);
    if (w->stream != NULL) {
        bool overrun = w->backlog.failed || w->backlog.len > WATCH_BACKLOG_MAX;
        bool waiting = !overrun && write_pieces(w) < 0;
        if (waiting)
            loop_timer_set(loop, &w->flush, loop_now(loop) + WATCH_RETRY_NS);
        else if (overrun || w->ending)
            http_stream_end(w->stream);
        if (!waiting && (overrun || w->ending))
            w->stream = NULL; /* closed() will follow */
    }
    pthread_mutex_unlock(&w->lock);
}

static void watcher_flush_due(struct loop_timer *t)
{
    watcher_flush(t->ctx);
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
    struct watcher *w = calloc(1, sizeof(*w));
    if (w == NULL)
        return NULL;
    *w = (struct watcher){.magic = WATCHER_MAGIC,
                          .set = s,
                          .query = q,
                          .backlog = BUF_INIT,
                          .gone = {.receive = watcher_gone}};
    w->flush = (struct loop_timer){.due = watcher_flush_due, .ctx = w};
    w->end = (struct loop_timer){.due = watcher_end_due, .ctx = w};
    pthread_mutex_init(&w->lock, NULL);
    list_append(&s->watchers, &w->node);
    s->count++;
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
