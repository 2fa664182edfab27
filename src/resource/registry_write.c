/* SPDX-License-Identifier: Apache-2.0 */
/* Writes on their way: a queue, and one group in the log each. Those that do not touch each other
 * are on their way together, so that one sync serves many. */
#include "base/memory.h"
#include "base/must.h"
#include "resource/registry_internal.h"

#include <errno.h>
#include <stdlib.h>

static void registry_turn(struct registry *r);

static void receive_kick(struct loop_message *m)
{
    struct registry *r = container_of(m, struct registry, kick);
    r->kicked = false;
    registry_turn(r);
}

static void kick(struct registry *r)
{
    if (r->kicked || r->stopped)
        return;
    r->kicked = true;
    loop_post(r->loop, &r->kick);
}

static void retry_delayed(struct loop_timer *t)
{
    struct registry *r = t->ctx;
    for (struct list *node; (node = list_shift(&r->delayed)) != NULL;)
        list_append(&r->queue, node);
    kick(r);
}

struct registry *registry_new(struct store *s, struct loop *l)
{
    struct registry *r = calloc(1, sizeof(*r));
    if (r == NULL)
        return NULL;
    *r = (struct registry){.store = s, .loop = l, .next_number = 1};
    list_init(&r->queue);
    list_init(&r->delayed);
    list_init(&r->in_flight);
    r->kick.receive = receive_kick;
    r->retry = (struct loop_timer){.due = retry_delayed, .ctx = r};
    return r;
}

void registry_write_free(struct registry_write *w)
{
    for (size_t i = 0; i < w->step_count; i++)
        json_decref(w->steps[i].object);
    free(w->steps);
    json_decref(w->object);
    free(w->namespace_name);
    free(w->name);
    free(w->uid);
    free(w->version);
    buf_done(&w->key);
    free(w);
}

void registry_answer(struct registry_write *w, struct resource *resource)
{
    if (w->done != NULL)
        w->done(w->ctx, w->status, resource, &w->err);
    w->done = NULL;
}

/* Does not free what is in flight: its message may still come. */
void registry_stop(struct registry *r)
{
    r->stopped = true;
    for (struct list *node; (node = list_shift(&r->queue)) != NULL;) {
        struct registry_write *w = list_entry(node, struct registry_write, node);
        registry_refuse(w, 503, "the server is stopping: try again");
        registry_answer(w, NULL);
        registry_write_free(w);
    }
    for (struct list *node; (node = list_shift(&r->delayed)) != NULL;)
        registry_write_free(list_entry(node, struct registry_write, node));
    list_for_each (node, &r->in_flight) {
        struct registry_write *w = list_entry(node, struct registry_write, node);
        registry_refuse(w, 503, "the server is stopping: whether this was written is not known");
        registry_answer(w, NULL);
    }
}

void registry_free(struct registry *r)
{
    if (r == NULL)
        return;
    registry_stop(r);
    loop_timer_cancel(r->loop, &r->retry);
    for (struct list *node; (node = list_shift(&r->in_flight)) != NULL;)
        registry_write_free(list_entry(node, struct registry_write, node));
    map_done(&r->busy);
    for (size_t i = 0; i < REGISTRY_KINDS_MAX; i++) {
        for (size_t j = 0; j < r->shelves[i].len; j++)
            registry_entry_free(r->shelves[i].entries[j]);
        free(r->shelves[i].entries);
    }
    free(r);
}

/* ---- the group of a write ---- */

/* The JSON that is kept has no version: it is the row's position. */
static int dump_value(struct registry_step *step, struct buf *out)
{
    json_t *object = json_copy(step->object);
    json_t *metadata = json_copy(json_object_get(step->object, "metadata"));
    json_object_del(metadata, "resourceVersion");
    if (json_object_set_new(object, "metadata", metadata) < 0) {
        json_decref(object);
        return -ENOMEM;
    }
    buf_add_byte(out, REGISTRY_VALUE_FORMAT);
    buf_add(out, "\0\0\0", 3);
    buf_add_u32(out, step->number);
    size_t header = out->len;
    resource_dump(out, object);
    json_decref(object);
    step->bytes = out->len - header;
    return !buf_ok(out) ? -ENOMEM : step->bytes > REGISTRY_VALUE_MAX ? -EFBIG : 0;
}

static int group_add_step(struct store_group *g, struct registry_step *step)
{
    const char *space = "", *name;
    if (step->entry != NULL) {
        space = step->entry->namespace_name;
        name = step->entry->name;
    } else {
        if (step->kind->namespaced)
            space = resource_text_at(step->object, "metadata.namespace");
        name = resource_text_at(step->object, "metadata.name");
    }
    autobuf key = BUF_INIT, value = BUF_INIT;
    registry_key(step->kind, space, name, &key);
    int status = buf_ok(&key) ? 0 : -ENOMEM;
    if (status == 0 && step->change == REGISTRY_DELETED) {
        store_group_add(g, STORE_RECORD_DELETE, STORE_TABLE_RESOURCES, buf_slice(&key), SLICE(""));
        return 0;
    }
    if (status == 0)
        status = dump_value(step, &value);
    if (status == 0)
        store_group_add(g, STORE_RECORD_PUT, STORE_TABLE_RESOURCES, buf_slice(&key),
                        buf_slice(&value));
    return status;
}

/* Behind the records of all steps, whose positions are counted from the group's first. */
static int group_add_extension(struct registry *r, struct registry_write *w,
                               const struct registry_step *step, struct store_group *g)
{
    size_t kind = registry_kind_index(step->kind);
    if (r->extensions[kind].extend == NULL ||
        (step->change != REGISTRY_ADDED && step->change != REGISTRY_DELETED))
        return 0;
    bool added = step->change == REGISTRY_ADDED;
    int status = r->extensions[kind].extend(
        r->extensions[kind].ctx, step->change, added ? step->number : step->entry->resource.number,
        added ? step->object : step->entry->resource.object, g, &w->err);
    if (status < 0 && w->err.message[0] != '\0')
        w->status = 422;
    return status;
}

static int group_make(struct registry *r, struct registry_write *w, struct store_group *g)
{
    int status = 0;
    for (size_t i = 0; i < w->step_count && status == 0; i++)
        status = group_add_step(g, &w->steps[i]);
    for (size_t i = 0; i < w->step_count && status == 0; i++)
        status = group_add_extension(r, w, &w->steps[i], g);
    if (status < 0)
        return status;
    if (w->numbers > 0) {
        autobuf value = BUF_INIT;
        buf_add_u32(&value, r->next_number + w->numbers);
        store_group_add(g, STORE_RECORD_PUT, STORE_TABLE_NUMBERS, REGISTRY_NUMBER_KEY,
                        buf_slice(&value));
    }
    return g->status;
}

/* ---- those that may not go together ---- */

/* What these change, other writes are validated against: namespaces must be there, and brokers may
 * be made on the way. */
static bool is_alone(const struct registry_write *w)
{
    return w->what != WRITE_STATUS &&
           (w->kind == &resource_kind_namespace || w->kind == &resource_kind_broker);
}

/* The key of the object that is asked for; an empty one while its name is not made yet. */
static void key_of(const struct registry_write *w, struct buf *out)
{
    const char *space = w->namespace_name, *name = w->name;
    if (name == NULL) {
        const json_t *object = w->step_count > 0 ? w->steps[w->subject].object : w->object;
        space = resource_text_at(object, "metadata.namespace");
        name = resource_text_at(object, "metadata.name");
    }
    if (name != NULL && *name != '\0')
        registry_key(w->kind, w->kind->namespaced && space != NULL ? space : "", name, out);
}

/* It is validated when those on their way are written, or refused. */
static bool must_wait(const struct registry *r, const struct registry_write *w)
{
    if (list_empty(&r->in_flight))
        return false;
    if (r->alone || is_alone(w) || r->in_flight_count >= REGISTRY_IN_FLIGHT_MAX)
        return true;
    autobuf key = BUF_INIT;
    key_of(w, &key);
    return !buf_ok(&key) || (key.len > 0 && map_get(&r->busy, buf_slice(&key)) != NULL);
}

static void forget_steps(struct registry_write *w)
{
    for (size_t i = 0; i < w->step_count; i++)
        json_decref(w->steps[i].object);
    w->step_count = 0;
    w->subject = 0;
    w->numbers = 0;
    w->status = 0;
}

/* Its key is taken until arrive(). */
static int depart(struct registry *r, struct registry_write *w)
{
    buf_reset(&w->key);
    key_of(w, &w->key);
    if (!buf_ok(&w->key) || map_put(&r->busy, buf_slice(&w->key), w) < 0)
        return -ENOMEM;
    r->alone = is_alone(w) || w->step_count > 1;
    r->next_number += w->numbers;
    r->in_flight_count++;
    list_append(&r->in_flight, &w->node);
    return 0;
}

static void arrive(struct registry *r, struct registry_write *w)
{
    must(map_remove(&r->busy, buf_slice(&w->key)) == w);
    r->alone = false;
    r->in_flight_count--;
    list_remove(&w->node);
}

/* ---- from the queue to the log ---- */

static void refuse_append(struct registry_write *w, int error)
{
    if (error == -EFBIG || error == -EMSGSIZE)
        registry_refuse(w, 413, "the object is too large: at most 30 MiB as JSON");
    else
        registry_refuse(w, 503, "the store took no write: %s", strerror(-error));
}

/* A status that could not be written is tried again: its controller will not send it twice. */
static void failed(struct registry *r, struct registry_write *w, int error)
{
    if (w->status < 400)
        refuse_append(w, error);
    if (w->what != WRITE_STATUS || error == -EFBIG || r->stopped) {
        registry_answer(w, NULL);
        registry_write_free(w);
        return;
    }
    struct registry_entry *e = registry_entry_find(r, w->kind, w->namespace_name, w->name);
    if (e == NULL || e->queued_status != NULL) { /* gone, or there is a newer one */
        registry_write_free(w);
        return;
    }
    e->queued_status = w;
    forget_steps(w);
    list_append(&r->delayed, &w->node);
    loop_timer_set(r->loop, &r->retry,
                   loop_now(r->loop) + REGISTRY_STATUS_RETRY_S * UINT64_C(1000000000));
}

static void receive_appended(struct loop_message *m)
{
    struct registry_write *w = container_of(m, struct registry_write, message);
    struct registry *r = w->registry;
    arrive(r, w);
    if (w->append_error < 0) {
        failed(r, w, w->append_error);
    } else {
        registry_apply(r, w);
        registry_write_free(w);
    }
    if (!list_empty(&r->queue))
        kick(r); /* after the others that the same sync served */
}

/* Log thread. */
static void write_appended(void *ctx, int error, uint64_t position)
{
    struct registry_write *w = ctx;
    w->append_error = error;
    w->position = position;
    w->message.receive = receive_appended;
    loop_post(w->registry->loop, &w->message);
}

static struct resource *existing(struct registry *r, struct registry_write *w)
{
    if (w->status >= 400 || w->object == NULL)
        return NULL;
    const char *space = resource_text_at(w->object, "metadata.namespace");
    const char *name = resource_text_at(w->object, "metadata.name");
    return name != NULL ? registry_find(r, w->kind, space != NULL ? space : "", name) : NULL;
}

/* Nothing is written: an error, no change, or a dry run, whose draft is shown. */
static void finish_unwritten(struct registry *r, struct registry_write *w)
{
    struct resource draft = {.kind = w->kind};
    struct resource *shown = existing(r, w);
    if (w->status < 400 && w->step_count > 0) {
        const struct registry_step *step = &w->steps[w->subject];
        draft.object = step->object != NULL ? step->object : step->entry->resource.object;
        draft.name = resource_text_at(draft.object, "metadata.name");
        draft.namespace_name = resource_text_at(draft.object, "metadata.namespace");
        draft.namespace_name = draft.namespace_name != NULL ? draft.namespace_name : "";
        shown = &draft;
    }
    registry_answer(w, shown);
    registry_write_free(w);
}

static void forget_queued_status(struct registry *r, struct registry_write *w)
{
    if (w->what != WRITE_STATUS)
        return;
    struct registry_entry *e = registry_entry_find(r, w->kind, w->namespace_name, w->name);
    if (e != NULL && e->queued_status == w)
        e->queued_status = NULL;
}

static void append(struct registry *r, struct registry_write *w)
{
    struct store_group g;
    store_group_init(&g);
    int status = group_make(r, w, &g);
    if (status == 0)
        status = depart(r, w);
    if (status < 0)
        failed(r, w, status);
    else
        store_append(r->store, &g, write_appended, w);
    store_group_done(&g);
}

/* False: it makes more than one object and must go alone; it is back in the queue. */
static bool begin(struct registry *r, struct registry_write *w)
{
    forget_queued_status(r, w);
    registry_prepare(r, w);
    if (w->status >= 400 || w->step_count == 0 || w->dry_run) {
        finish_unwritten(r, w);
        return true;
    }
    if (w->step_count > 1 && !list_empty(&r->in_flight)) {
        forget_steps(w);
        list_append(r->queue.next, &w->node);
        return false;
    }
    append(r, w);
    return true;
}

static void registry_turn(struct registry *r)
{
    while (!r->stopped && !list_empty(&r->queue)) {
        struct registry_write *w = list_entry(r->queue.next, struct registry_write, node);
        if (must_wait(r, w))
            return;
        list_remove(&w->node);
        if (!begin(r, w))
            return;
    }
}

/* ---- asking for writes ---- */

static char *copy(const char *text, bool *failed_copy)
{
    char *result = text != NULL ? strdup(text) : NULL;
    *failed_copy = *failed_copy || (text != NULL && result == NULL);
    return result;
}

static struct registry_write *write_new(struct registry *r, enum registry_write_kind what,
                                        const struct registry_request *q)
{
    struct registry_write *w = calloc(1, sizeof(*w));
    if (w == NULL)
        return NULL;
    bool failed_copy = false;
    *w = (struct registry_write){.registry = r,
                                 .what = what,
                                 .kind = q->kind,
                                 .object = json_incref(q->object),
                                 .namespace_name = copy(q->namespace_name, &failed_copy),
                                 .name = copy(q->name, &failed_copy),
                                 .uid = copy(q->uid, &failed_copy),
                                 .version = copy(q->version, &failed_copy),
                                 .dry_run = q->dry_run,
                                 .err = ERROR_INIT};
    list_init(&w->node);
    if (!failed_copy)
        return w;
    registry_write_free(w);
    return NULL;
}

void registry_submit(struct registry *r, const struct registry_request *request,
                     registry_done_fn *done, void *ctx)
{
    static const enum registry_write_kind kinds[] = {[REGISTRY_CREATE] = WRITE_CREATE,
                                                     [REGISTRY_REPLACE] = WRITE_REPLACE,
                                                     [REGISTRY_DELETE] = WRITE_DELETE};
    struct registry_write *w = r->stopped ? NULL : write_new(r, kinds[request->operation], request);
    if (w == NULL) {
        struct error err = ERROR_INIT;
        error_set(&err, -ENOMEM, "%s", r->stopped ? "the server is stopping" : "out of memory");
        if (done != NULL)
            done(ctx, 503, NULL, &err);
        return;
    }
    w->done = done;
    w->ctx = ctx;
    list_append(&r->queue, &w->node);
    kick(r);
}

void registry_create(struct registry *r, const struct resource_kind *kind, json_t *object,
                     registry_done_fn *done, void *ctx)
{
    struct registry_request q = {.operation = REGISTRY_CREATE, .kind = kind, .object = object};
    registry_submit(r, &q, done, ctx);
}

void registry_replace(struct registry *r, const struct resource_kind *kind, json_t *object,
                      registry_done_fn *done, void *ctx)
{
    struct registry_request q = {.operation = REGISTRY_REPLACE, .kind = kind, .object = object};
    registry_submit(r, &q, done, ctx);
}

void registry_delete(struct registry *r, const struct resource_kind *kind,
                     const char *namespace_name, const char *name, registry_done_fn *done,
                     void *ctx)
{
    struct registry_request q = {
        .operation = REGISTRY_DELETE, .kind = kind, .namespace_name = namespace_name, .name = name};
    registry_submit(r, &q, done, ctx);
}

void registry_set_status(struct registry *r, struct resource *resource, json_t *status)
{
    struct registry_entry *e = container_of(resource, struct registry_entry, resource);
    json_t *generation =
        json_object_get(json_object_get(resource->object, "metadata"), "generation");
    if (json_is_object(status) && generation != NULL)
        json_object_set(status, "observedGeneration", generation);
    if (e->queued_status != NULL) {
        json_decref(e->queued_status->object);
        e->queued_status->object = status;
        return;
    }
    struct registry_request q = {.kind = resource->kind,
                                 .object = status,
                                 .namespace_name = resource->namespace_name,
                                 .name = resource->name};
    struct registry_write *w = r->stopped ? NULL : write_new(r, WRITE_STATUS, &q);
    json_decref(status);
    if (w == NULL)
        return;
    w->number = resource->number;
    e->queued_status = w;
    list_append(&r->queue, &w->node);
    kick(r);
}

json_t *registry_condition(const char *type, const char *status, const char *reason,
                           const char *message)
{
    json_t *c = json_pack("{s:s, s:s}", "type", type, "status", status);
    if (c != NULL && reason != NULL && *reason != '\0')
        json_object_set_new(c, "reason", json_string(reason));
    if (c != NULL && message != NULL && *message != '\0')
        json_object_set_new(c, "message", json_string(message));
    return c;
}
