/* SPDX-License-Identifier: Apache-2.0 */
/* Watches: a stream of changes for each, and the last changes kept so that one can begin in the
 * past. What exists already is told some at a time, as the reader takes it. What slow readers have
 * not taken is kept within one budget for all, and beyond it the one who has most is cut; so is one
 * who takes nothing for long. Everything runs on the loop thread but watcher_closed() and
 * watcher_drained(). */
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
#define WATCH_LIST_TURN     (64u << 10) /* of what exists, before the reader takes it */
#define WATCH_STILL_NS      CLOCK_SECOND
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
    uint64_t moved_ns;     /* when the stream took some last */
    bool ending, headed;   /* headed: a Table's columns were sent */
    bool waiting;          /* drained will come */
    bool listing;          /* more exists than was told */
    struct buf told;       /* while listing: namespace/name of the last; or empty */
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
    w->counted = w->backlog.cap;
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
    buf_done(&w->told);
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
    struct buf *b = &w->backlog;
    size_t left = b->len - w->taken;
    if (left > 0 && w->taken < b->len / 2)
        return;
    if (left == 0) {
        buf_done(b);
    } else {
        memmove(b->ptr, b->ptr + w->taken, left + 1); /* with the NUL */
        b->len = left;
        char *smaller = realloc(b->ptr, left + 1);
        if (smaller != NULL) {
            b->ptr = smaller;
            b->cap = left + 1;
        }
    }
    w->taken = 0;
}

/* Under the watcher's lock. */
static bool stream_full(struct watcher *w)
{
    w->waiting = http_stream_pending(w->stream) > WATCH_PENDING_MAX &&
                 http_stream_await(w->stream, WATCH_PENDING_MAX / 2, watcher_drained);
    return w->waiting;
}

/* Under the watcher's lock. 0, or negative errno: the reader is to be cut. */
static int write_pieces(struct watcher *w)
{
    int status = 0;
    size_t before = w->taken;
    while (status == 0 && w->taken < w->backlog.len && !stream_full(w)) {
        size_t n = w->backlog.len - w->taken;
        n = n < WATCH_PIECE ? n : WATCH_PIECE;
        status = http_stream_write(w->stream, slice_of(w->backlog.ptr + w->taken, n));
        w->taken += status == 0 ? n : 0;
    }
    if (w->taken > before)
        w->moved_ns = loop_now(w->set->api->loop);
    backlog_shrink(w);
    return status;
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
    w->listing = false;
    watcher_count(w);
}

static bool is_still(const struct watcher *w)
{
    return loop_now(w->set->api->loop) - w->moved_ns >= WATCH_STILL_NS;
}

/* Who reads is spared as long as there is one who does not; then the one who has most goes. */
static bool is_slower(const struct watcher *w, const struct watcher *than)
{
    if (than == NULL || is_still(w) != is_still(than))
        return than == NULL || is_still(w);
    return w->counted > than->counted;
}

static void cut_the_slowest(struct watch_set *s)
{
    struct watcher *slowest = NULL;
    list_for_each (node, &s->watchers) {
        struct watcher *w = list_entry(node, struct watcher, node);
        if (w->counted > 0 && is_slower(w, slowest))
            slowest = w;
    }
    watcher_cut(must_be(slowest, WATCHER_MAGIC)); /* there are bytes, so there is one */
}

/* Under the watcher's lock, when all is written. What else exists comes in the next turn. */
static void watcher_go_on(struct watcher *w)
{
    if (w->listing) {
        w->waiting = true;
        loop_post(w->set->api->loop, &w->drained); /* gone comes behind it */
    } else if (w->ending) {
        http_stream_end(STEAL(w->stream)); /* closed() will follow */
    }
}

static void watcher_flush(struct watcher *w)
{
    int status = buf_ok(&w->backlog) ? 0 : -ENOMEM;
    pthread_mutex_lock(&w->lock);
    if (w->stream != NULL && !w->waiting && status == 0) {
        status = write_pieces(w);
        if (status == 0 && w->backlog.len == 0)
            watcher_go_on(w);
    }
    pthread_mutex_unlock(&w->lock);
    if (status < 0)
        watcher_cut(w);
    watcher_count(w);
    while (w->set->backlogs > WATCH_BACKLOGS_MAX)
        cut_the_slowest(w->set);
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

/* It will be told, as it is then, with all that exists. */
static bool comes_later(const struct watcher *w, const json_t *object)
{
    const char *space = resource_text_at(object, "metadata.namespace");
    return w->listing && (w->told.len == 0 ||
                          read_is_after(space != NULL ? space : "",
                                        resource_text_at(object, "metadata.name"), w->told.ptr));
}

/* An object that comes into or falls out of the selection is added or deleted for this watcher. */
static void watcher_tell(struct watcher *w, const struct watch_event *e)
{
    if ((w->ending && !w->listing) || e->kind != kinds_stored(w->query->kind) ||
        comes_later(w, e->object))
        return;
    bool now = read_selects(w->query, e->object);
    bool before = e->before != NULL && read_selects(w->query, e->before);
    if (!now && !before)
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

struct listing_turn {
    struct watcher *watcher;
    const struct resource *last;
};

/* Non-zero when it is enough for one turn. */
static int tell_existing(void *ctx, struct resource *resource)
{
    struct listing_turn *t = ctx;
    struct watcher *w = t->watcher;
    if (w->told.len > 0 && !read_is_after(resource->namespace_name, resource->name, w->told.ptr))
        return 0;
    if (w->backlog.len >= WATCH_LIST_TURN && !w->set->api->quiet && t->last != NULL)
        return 1;
    if (read_selects(w->query, resource->object))
        add_event(w, "ADDED", resource->object);
    t->last = resource;
    return 0;
}

/* What exists, in the order of the registry, from where the last turn stopped. What changes
 * meanwhile is told at once when it stands before that place, and else when its turn comes: at the
 * end the watcher knows the state of that moment. */
static void tell_some(struct watcher *w)
{
    const struct query *q = w->query;
    const char *space = *q->namespace_name != '\0' ? q->namespace_name : NULL;
    struct listing_turn t = {.watcher = w};
    w->listing =
        registry_each(w->set->api->registry, kinds_stored(q->kind), space, tell_existing, &t) != 0;
    buf_reset(&w->told);
    if (w->listing)
        buf_printf(&w->told, "%s/%s", t.last->namespace_name, t.last->name);
    else if (q->initial_events)
        add_bookmark(w, true);
    if (!buf_ok(&w->told))
        w->backlog.failed = true;
}

static void watcher_drained_on_loop(struct loop_message *m)
{
    struct watcher *w = container_of(m, struct watcher, drained);
    w->waiting = false;
    if (w->listing && w->backlog.len == 0)
        tell_some(w);
    watcher_flush(w);
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
    if (version == 0 || q->initial_events)
        tell_some(w);
    else
        tell_since(w, version);
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
                          .told = BUF_INIT,
                          .moved_ns = loop_now(loop),
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
        struct watcher *w = list_entry(node, struct watcher, node);
        if (w->listing)
            tell_some(w); /* all: the server is quiet */
        watcher_end(w);
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
