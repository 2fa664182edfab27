/* SPDX-License-Identifier: Apache-2.0 */
/* /-/dead/{namespace}/{trigger}/{position}: one dead letter is shown, gets another event, is
 * deleted, or goes back to the deliveries. */
#include "base/encoding.h"
#include "base/must.h"
#include "broker/dead.h"
#include "broker/requeue.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum verb { VERB_GET, VERB_PUT, VERB_DELETE, VERB_REDRIVE };

struct dead_one {
    struct loop_message message;
    struct broker_core *core;
    struct http_request *request;
    enum verb verb;
    struct slice namespace_name, trigger;
    uint64_t position;
    struct buf event; /* encoded, of VERB_PUT */
};

/* The request's memory goes with the answer. */
static void refuse(struct dead_one *o, unsigned status, const char *message)
{
    struct http_request *request = o->request;
    buf_done(&o->event);
    http_respond_errorf(request, status, "%s", message);
}

static void refuse_busy(struct dead_one *o)
{
    refuse(o, 409,
           "this dead letter is on its way to the dead-letter sink, or somebody else changes it "
           "right now: try again later");
}

static void answer_letter(struct dead_one *o, const struct trigger *t, const struct dead_row *row)
{
    autobuf out = BUF_INIT;
    dead_write(o->core, t, row, &out);
    buf_add_text(&out, "\n");
    if (buf_ok(&out))
        http_respond(o->request, &(struct http_response){.status = 200,
                                                         .content_type = "application/json",
                                                         .body = buf_slice(&out)});
    else
        refuse(o, 503, "out of memory");
}

static int read_row(struct dead_one *o, const struct trigger *t, struct buf *key, struct buf *value,
                    struct dead_row *ret)
{
    row_object_key(t->number, o->position, key);
    int r = store_get(o->core->store, STORE_TABLE_DEAD, buf_slice(key), value, NULL);
    return r < 0 ? r : row_dead_read(buf_slice(key), buf_slice(value), ret);
}

static struct trigger *find_trigger(const struct dead_one *o)
{
    char space[256], name[256];
    snprintf(space, sizeof(space), SLICE_FMT, SLICE_ARG(o->namespace_name));
    snprintf(name, sizeof(name), SLICE_FMT, SLICE_ARG(o->trigger));
    const struct resource *r =
        registry_find(o->core->registry, &resource_kind_trigger, space, name);
    return r != NULL ? r->controller : NULL;
}

/* ---- changes ---- */

static void done(void *ctx, int error, unsigned count)
{
    struct dead_one *o = ctx;
    (void)count;
    if (error != 0) {
        char message[200];
        snprintf(message, sizeof(message), "the store took no write: %s", strerror(-error));
        refuse(o, error == -EMSGSIZE ? 413 : 503, message);
        return;
    }
    struct http_request *request = o->request;
    buf_done(&o->event);
    http_respond_empty(request, 204);
}

static bool add(struct requeue *q, struct dead_one *o, struct trigger *t,
                const struct dead_row *row)
{
    switch (o->verb) {
    case VERB_PUT:
        return requeue_edit(q, t, o->position, buf_slice(&o->event));
    case VERB_DELETE:
        return requeue_delete(q, t, o->position);
    case VERB_REDRIVE:
        return requeue_dead(q, t, row);
    case VERB_GET:
        break;
    }
    unreachable_code();
}

static void change(struct dead_one *o, struct trigger *t, const struct dead_row *row)
{
    struct requeue *q = requeue_new(o->core, RETRY_REDRIVEN);
    if (q == NULL) {
        refuse(o, 503, "out of memory");
    } else if (o->verb == VERB_REDRIVE && t->broker == NULL) {
        requeue_free(q);
        refuse(o, 409, "the trigger has no broker: nothing is delivered until it has one");
    } else if (!add(q, o, t, row)) {
        requeue_free(q);
        refuse_busy(o);
    } else {
        requeue_append(q, done, o);
    }
}

/* Loop thread. */
static void on_loop(struct loop_message *m)
{
    struct dead_one *o = container_of(m, struct dead_one, message);
    autobuf key = BUF_INIT;
    autobuf value = BUF_INIT;
    struct dead_row row;
    struct trigger *t = find_trigger(o);
    if (t == NULL)
        refuse(o, 404, "there is no such trigger");
    else if (read_row(o, t, &key, &value, &row) < 0)
        refuse(o, 404, "the trigger has no dead letter of this position");
    else if (o->verb == VERB_GET)
        answer_letter(o, t, &row);
    else
        change(o, t, &row);
}

/* ---- the request ---- */

static struct dead_one *begin(struct http_request *request, void *ctx, enum verb verb)
{
    struct dead_one *o = http_request_alloc(request, sizeof(*o));
    uint64_t position;
    if (o == NULL) {
        http_respond_errorf(request, 503, "out of memory");
        return NULL;
    }
    if (encoding_parse_u64(http_request_param(request, "position"), &position) < 0) {
        http_respond_errorf(request, 400, "the position must be a number");
        return NULL;
    }
    *o = (struct dead_one){.core = ctx,
                           .request = request,
                           .verb = verb,
                           .namespace_name = http_request_param(request, "namespace"),
                           .trigger = http_request_param(request, "trigger"),
                           .position = position,
                           .event = BUF_INIT};
    o->message.receive = on_loop;
    return o;
}

static void serve(struct http_request *request, void *ctx, enum verb verb)
{
    struct dead_one *o = begin(request, ctx, verb);
    if (o != NULL)
        loop_post(o->core->loop, &o->message);
}

void dead_get(struct http_request *request, void *ctx)
{
    serve(request, ctx, VERB_GET);
}

void dead_delete(struct http_request *request, void *ctx)
{
    serve(request, ctx, VERB_DELETE);
}

void dead_redrive(struct http_request *request, void *ctx)
{
    serve(request, ctx, VERB_REDRIVE);
}

/* One event as a structured-mode document, whatever the Content-Type says. */
void dead_put(struct http_request *request, void *ctx)
{
    struct event event = {0};
    struct event_arena arena = {0};
    struct error err = ERROR_INIT;
    struct dead_one *o = begin(request, ctx, VERB_PUT);
    if (o == NULL)
        return;
    int r = event_json_read(http_request_body(request), &event, &arena, &err);
    if (r == 0)
        event_encode(&event, &o->event);
    event_arena_done(&arena);
    if (r < 0) {
        http_respond_error(request, r == -E2BIG ? 413 : 400, &err);
    } else if (!buf_ok(&o->event)) {
        refuse(o, 503, "out of memory");
    } else {
        loop_post(o->core->loop, &o->message);
    }
}
