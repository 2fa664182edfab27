/* SPDX-License-Identifier: Apache-2.0 */
/* A write whose group is synced: the shelves, the observers, the answer. */
#include "base/memory.h"
#include "base/must.h"
#include "resource/registry_internal.h"

static struct resource *apply_added(struct registry *r, struct registry_step *step,
                                    uint64_t position)
{
    struct registry_entry *e = registry_entry_add(r, step->kind, step->number, STEAL(step->object));
    must(e != NULL); /* it is in the log: the state here must follow, or stop */
    e->resource.version = position;
    e->bytes = step->bytes;
    r->bytes += step->bytes;
    registry_notify(r, REGISTRY_ADDED, e, NULL);
    return &e->resource;
}

static struct resource *apply_changed(struct registry *r, struct registry_step *step,
                                      uint64_t position)
{
    struct registry_entry *e = step->entry;
    json_t *before = e->resource.object;
    e->resource.object = STEAL(step->object);
    e->resource.version = position;
    r->bytes += step->bytes - e->bytes;
    e->bytes = step->bytes;
    registry_notify(r, step->change, e, before);
    json_decref(before);
    return &e->resource;
}

/* The entry lives until the answer was given: it is the last state. */
static struct resource *apply_deleted(struct registry *r, struct registry_step *step,
                                      uint64_t position)
{
    struct registry_entry *e = step->entry;
    json_t *last = json_copy(e->resource.object);
    json_t *metadata = json_copy(json_object_get(last, "metadata"));
    json_object_set_new(last, "metadata", metadata);
    registry_set_version(last, position);
    json_t *before = e->resource.object;
    e->resource.object = last;
    e->resource.version = position;
    registry_entry_remove(r, e);
    if (e->queued_status != NULL)
        e->queued_status->number = 0; /* nobody has this number: it will find nothing to do */
    registry_notify(r, REGISTRY_DELETED, e, before);
    json_decref(before);
    return &e->resource;
}

static struct resource *apply_step(struct registry *r, struct registry_step *step,
                                   uint64_t position)
{
    r->version = position;
    if (step->change == REGISTRY_DELETED)
        return apply_deleted(r, step, position);
    must(registry_set_version(step->object, position) == 0);
    return step->change == REGISTRY_ADDED ? apply_added(r, step, position)
                                          : apply_changed(r, step, position);
}

void registry_apply(struct registry *r, struct registry_write *w)
{
    struct resource *subject = NULL;
    for (size_t i = 0; i < w->step_count; i++) {
        struct resource *resource = apply_step(r, &w->steps[i], w->position + i);
        if (i == w->subject)
            subject = resource;
    }
    registry_answer(w, subject);
    for (size_t i = 0; i < w->step_count; i++)
        if (w->steps[i].change == REGISTRY_DELETED)
            registry_entry_free(w->steps[i].entry);
}
