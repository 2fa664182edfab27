/* SPDX-License-Identifier: Apache-2.0 */
/* The event itself: attributes by name, versions, and the arena that decoded values live in. */
#include "event/event.h"

#include "base/memory.h"
#include "base/must.h"
#include "event/event_internal.h"

#include <errno.h>

struct event_arena_block {
    struct event_arena_block *next;
    size_t used, cap;
    _Alignas(max_align_t) char bytes[];
};

#define EVENT_ARENA_BLOCK (4096 - sizeof(struct event_arena_block))

void *event_arena_alloc(struct event_arena *a, size_t len)
{
    if (len > SIZE_MAX / 2)
        return NULL;
    size_t rounded = (len + 15) & ~(size_t)15;
    struct event_arena_block *b = a->blocks;
    if (b == NULL || b->cap - b->used < rounded) {
        size_t cap = rounded > EVENT_ARENA_BLOCK ? rounded : EVENT_ARENA_BLOCK;
        b = malloc(sizeof(*b) + cap);
        if (b == NULL)
            return NULL;
        *b = (struct event_arena_block){.next = a->blocks, .cap = cap};
        a->blocks = b;
    }
    void *p = b->bytes + b->used;
    b->used += rounded;
    return p;
}

void event_arena_done(struct event_arena *a)
{
    while (a->blocks != NULL) {
        struct event_arena_block *b = a->blocks;
        a->blocks = b->next;
        free(b);
    }
}

struct slice event_arena_copy(struct event_arena *a, struct slice s)
{
    char *copy = event_arena_alloc(a, s.len);
    if (copy != NULL && s.len > 0)
        memcpy(copy, s.ptr, s.len);
    return slice_of(copy, s.len);
}

static const char *const version_texts[EVENT_VERSION_COUNT] = {
    [EVENT_V03] = "0.3",
    [EVENT_V1] = "1.0",
};

const char *event_version_text(enum event_version v)
{
    must(v < EVENT_VERSION_COUNT);
    return version_texts[v];
}

int event_version_parse(struct slice text, enum event_version *ret, struct error *err)
{
    for (unsigned v = 0; v < EVENT_VERSION_COUNT; v++) {
        if (slice_is(text, version_texts[v])) {
            *ret = (enum event_version)v;
            return 0;
        }
    }
    int shown = text.len > 32 ? 32 : (int)text.len;
    return error_field(err, -EINVAL, "specversion",
                       "specversion is \"%.*s\"; this broker takes 1.0 and 0.3", shown, text.ptr);
}

struct event_attribute *event_find(struct event *e, struct slice name)
{
    for (unsigned i = 0; i < e->count; i++)
        if (slice_equal(e->attributes[i].name, name))
            return &e->attributes[i];
    return NULL;
}

struct slice event_get(const struct event *e, const char *name)
{
    return event_value(e, slice_text(name));
}

struct slice event_value(const struct event *e, struct slice name)
{
    for (unsigned i = 0; i < e->count; i++)
        if (slice_equal(e->attributes[i].name, name))
            return e->attributes[i].value;
    if (slice_is(name, "specversion"))
        return slice_text(event_version_text(e->version));
    return slice_of(NULL, 0);
}

bool event_is_required(struct slice name)
{
    return slice_is(name, "id") || slice_is(name, "source") || slice_is(name, "type") ||
           slice_is(name, "specversion");
}

int event_append(struct event *e, struct event_attribute attribute)
{
    if (e->count == EVENT_ATTRIBUTES_MAX)
        return -ENOSPC;
    e->attributes[e->count++] = attribute;
    return 0;
}

static int set_value(struct event *e, struct slice name, struct slice value,
                     enum event_value_kind kind)
{
    struct event_attribute *a = event_find(e, name);
    if (a == NULL)
        return event_append(e, (struct event_attribute){name, value, kind});
    a->value = value;
    a->kind = kind;
    return 0;
}

int event_set(struct event *e, const char *name, struct slice value)
{
    return set_value(e, slice_text(name), value, EVENT_VALUE_STRING);
}

int event_set_integer(struct event *e, const char *name, struct slice digits)
{
    return set_value(e, slice_text(name), digits, EVENT_VALUE_INTEGER);
}

int event_fill(struct event *e, const struct event_defaults *defaults)
{
    const struct event_attribute rows[] = {
        {SLICE("id"), defaults->id, EVENT_VALUE_STRING},
        {SLICE("source"), defaults->source, EVENT_VALUE_STRING},
        {SLICE("time"), defaults->time, EVENT_VALUE_STRING},
    };
    int status = 0;
    for (size_t i = 0; status == 0 && i < COUNT_OF(rows); i++)
        if (event_find(e, rows[i].name) == NULL)
            status = event_append(e, rows[i]);
    return status;
}

void event_unset(struct event *e, const char *name)
{
    struct event_attribute *a = event_find(e, slice_text(name));
    if (a == NULL)
        return;
    size_t after = (size_t)(e->attributes + e->count - (a + 1));
    memmove(a, a + 1, after * sizeof(*a));
    e->count--;
}
