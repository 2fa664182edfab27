/* SPDX-License-Identifier: Apache-2.0 */
/* POST /-/redrive and DELETE /-/dead: all dead letters that the query means, so many at a time;
 * what one request does is one group, which happens or does not. */
#include "broker/dead.h"
#include "broker/dead_walk.h"
#include "broker/requeue.h"

#include <errno.h>
#include <string.h>

struct sweep {
    struct dead_walk walk;
    bool deletes;
    struct requeue *requeue;
    unsigned passed; /* claimed, on their way to the dead-letter sink, or without a broker */
};

static struct sweep *sweep_of(struct dead_walk *w)
{
    return container_of(w, struct sweep, walk);
}

static void answer(struct sweep *s, unsigned count)
{
    autobuf out = BUF_INIT;
    buf_printf(&out, "{\"%s\":%u,\"skipped\":%u", s->deletes ? "deleted" : "redriven", count,
               s->passed);
    dead_walk_write_continue(&s->walk, &out);
    buf_add_text(&out, "}\n");
    dead_walk_answer(&s->walk, &out);
}

static void refuse(struct sweep *s, int error)
{
    dead_select_done(&s->walk.select);
    http_respond_errorf(s->walk.request, 503, "the store took no write: %s", strerror(-error));
}

/* What is known of deliveries is known for a turn. */
static void begin_turn(struct dead_walk *w)
{
    requeue_look_again(sweep_of(w)->requeue);
}

static bool page_full(struct dead_walk *w)
{
    const struct sweep *s = sweep_of(w);
    return requeue_count(s->requeue) == w->limit;
}

static bool turn_full(struct dead_walk *w)
{
    (void)w;
    return false;
}

static void take(struct dead_walk *w, struct trigger *t, const struct dead_row *row)
{
    struct sweep *s = sweep_of(w);
    bool taken = s->deletes ? requeue_delete(s->requeue, t, row->position)
                            : t->broker != NULL && requeue_dead(s->requeue, t, row);
    s->passed += taken ? 0 : 1;
}

static void done(void *ctx, int error, unsigned count)
{
    struct sweep *s = ctx;
    if (error != 0)
        refuse(s, error);
    else
        answer(s, count);
}

static void end(struct dead_walk *w)
{
    struct sweep *s = sweep_of(w);
    struct requeue *q = STEAL(s->requeue);
    if (w->failed || requeue_count(q) == 0) {
        requeue_free(q);
        answer(s, 0);
    } else {
        requeue_append(q, done, s);
    }
}

static const struct dead_walk_ops ops = {.limit_max = REQUEUE_MAX,
                                         .begin_turn = begin_turn,
                                         .page_full = page_full,
                                         .turn_full = turn_full,
                                         .take = take,
                                         .end = end};

static void begin_on_loop(struct loop_message *m)
{
    struct sweep *s = container_of(container_of(m, struct dead_walk, message), struct sweep, walk);
    s->requeue = requeue_new(s->walk.core, RETRY_REDRIVEN);
    if (s->requeue == NULL) {
        refuse(s, -ENOMEM);
        return;
    }
    dead_walk_start(&s->walk);
}

static void serve(struct http_request *request, void *ctx, bool deletes)
{
    struct sweep *s = http_request_alloc(request, sizeof(*s));
    if (s == NULL) {
        http_respond_errorf(request, 503, "out of memory");
        return;
    }
    *s = (struct sweep){.deletes = deletes};
    if (!dead_walk_read(&s->walk, ctx, request, &ops))
        return;
    struct slice all = http_request_query_value(request, "all");
    if (!dead_select_narrows(&s->walk.select) && (all.ptr == NULL || !slice_is(all, "true"))) {
        dead_select_done(&s->walk.select);
        http_respond_errorf(request, 400,
                            "say which dead letters are meant (namespace=, trigger=, type=, …), or "
                            "all=true");
        return;
    }
    s->walk.message.receive = begin_on_loop;
    loop_post(s->walk.core->loop, &s->walk.message);
}

void dead_redrive_many(struct http_request *request, void *ctx)
{
    serve(request, ctx, false);
}

void dead_delete_many(struct http_request *request, void *ctx)
{
    serve(request, ctx, true);
}
