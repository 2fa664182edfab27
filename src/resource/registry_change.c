/* SPDX-License-Identifier: Apache-2.0 */
/* What a write would change, validated against the present state. Objects that are shown are never
 * modified: each change makes a new one. */
#include "base/clock.h"
#include "base/memory.h"
#include "base/must.h"
#include "base/random.h"
#include "resource/registry_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

void registry_refuse(struct registry_write *w, unsigned status, const char *format, ...)
{
    char message[sizeof(w->err.message)];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    w->status = status;
    error_set(&w->err, -EINVAL, "%s", message);
}

static void refuse_memory(struct registry_write *w)
{
    registry_refuse(w, 503, "out of memory");
}

/* status with the object named, as Kubernetes words it: `brokers.… "x" TEXT`. */
static void refuse_object(struct registry_write *w, unsigned status, const char *name,
                          const char *text)
{
    autobuf what = BUF_INIT;
    registry_describe(w->kind, name, &what);
    registry_refuse(w, status, "%s %s", buf_ok(&what) ? what.ptr : name, text);
}

static void refuse_stale(struct registry_write *w, const char *name)
{
    autobuf what = BUF_INIT;
    registry_describe(w->kind, name, &what);
    registry_refuse(w, 409,
                    "Operation cannot be fulfilled on %s: the object has been modified; please "
                    "apply your changes to the latest version and try again",
                    buf_ok(&what) ? what.ptr : name);
}

/* Takes object. */
static bool add_step(struct registry_write *w, struct registry_step step)
{
    if (w->step_count == w->step_cap) {
        size_t cap = w->step_cap == 0 ? 2 : w->step_cap * 2;
        struct registry_step *steps = reallocarray(w->steps, cap, sizeof(*steps));
        if (steps == NULL) {
            json_decref(step.object);
            refuse_memory(w);
            return false;
        }
        w->steps = steps;
        w->step_cap = cap;
    }
    w->steps[w->step_count++] = step;
    return true;
}

static json_t *text_now(void)
{
    char text[CLOCK_RFC3339_SIZE];
    size_t len = clock_format_rfc3339(clock_realtime(), 0, text);
    return json_stringn(text, len);
}

int registry_set_version(json_t *object, uint64_t version)
{
    char text[24];
    snprintf(text, sizeof(text), "%" PRIu64, version);
    json_t *metadata = json_object_get(object, "metadata");
    return json_object_set_new(metadata, "resourceVersion", json_string(text)) < 0 ? -ENOMEM : 0;
}

/* ---- create ---- */

/* The letters that Kubernetes draws from: no vowels, so no words. */
static void random_suffix(char out[6])
{
    static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";
    unsigned char bytes[5];
    random_bytes(bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++)
        out[i] = letters[bytes[i] % (sizeof(letters) - 1)];
    out[5] = '\0';
}

static void complete_name(json_t *metadata)
{
    const char *name = json_string_value(json_object_get(metadata, "name"));
    const char *prefix = json_string_value(json_object_get(metadata, "generateName"));
    if ((name != NULL && *name != '\0') || prefix == NULL)
        return;
    char suffix[6], full[300];
    random_suffix(suffix);
    snprintf(full, sizeof(full), "%.253s%s", prefix, suffix);
    json_object_set_new(metadata, "name", json_string(full));
}

static void drop_server_fields(json_t *metadata)
{
    static const char *const names[] = {"resourceVersion",
                                        "managedFields",
                                        "selfLink",
                                        "deletionTimestamp",
                                        "creationTimestamp",
                                        "deletionGracePeriodSeconds",
                                        "uid",
                                        "generation"};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        json_object_del(metadata, names[i]);
}

static json_t *initial_object(const struct resource_kind *kind, const json_t *given)
{
    json_t *object = json_deep_copy(given);
    json_t *metadata = json_object_get(object, "metadata");
    char uid[RANDOM_UUID_SIZE];
    random_uuid(uid);
    complete_name(metadata);
    drop_server_fields(metadata);
    json_object_del(object, "status");
    if (json_object_set_new(metadata, "uid", json_string(uid)) < 0 ||
        json_object_set_new(metadata, "creationTimestamp", text_now()) < 0 ||
        json_object_set_new(metadata, "generation", json_integer(1)) < 0 ||
        (kind == &resource_kind_namespace &&
         json_object_set_new(object, "status", json_pack("{s:s}", "phase", "Active")) < 0)) {
        json_decref(object);
        return NULL;
    }
    return object;
}

/* Takes object. */
static bool add_created(struct registry *r, struct registry_write *w,
                        const struct resource_kind *kind, json_t *object)
{
    if (r->next_number > UINT32_MAX - 16) {
        json_decref(object);
        registry_refuse(w, 503, "all resource numbers are used up");
        return false;
    }
    return add_step(w, (struct registry_step){.change = REGISTRY_ADDED,
                                              .kind = kind,
                                              .object = object,
                                              .number = r->next_number + w->numbers++});
}

static void add_default_broker(struct registry *r, struct registry_write *w,
                               const char *namespace_name)
{
    if (registry_find(r, &resource_kind_broker, namespace_name, REGISTRY_DEFAULT) != NULL)
        return;
    json_t *given = json_pack("{s:s, s:s, s:{s:s, s:s}, s:{}}", "apiVersion",
                              "eventing.knative.dev/v1", "kind", "Broker", "metadata", "name",
                              REGISTRY_DEFAULT, "namespace", namespace_name, "spec");
    json_t *object = given != NULL ? initial_object(&resource_kind_broker, given) : NULL;
    json_decref(given);
    if (object != NULL)
        add_created(r, w, &resource_kind_broker, object);
    else
        refuse_memory(w);
}

static bool wants_injection(const json_t *namespace_object)
{
    const char *value = json_string_value(json_object_get(
        resource_at(namespace_object, "metadata.labels"), "knative-eventing-injection"));
    return value != NULL && strcmp(value, "enabled") == 0;
}

/* DESIGN §5: the label makes the broker, and so does a trigger that names it. */
static void add_injected(struct registry *r, struct registry_write *w, const json_t *object)
{
    if (w->kind == &resource_kind_namespace && wants_injection(object))
        add_default_broker(r, w, resource_text_at(object, "metadata.name"));
    if (w->kind != &resource_kind_trigger)
        return;
    const char *broker = resource_text_at(object, "spec.broker");
    if (broker != NULL && strcmp(broker, REGISTRY_DEFAULT) == 0)
        add_default_broker(r, w, resource_text_at(object, "metadata.namespace"));
}

static bool has_room(struct registry *r, struct registry_write *w)
{
    if (r->count + r->in_flight_count < REGISTRY_RESOURCES_MAX && r->bytes < REGISTRY_BYTES_MAX)
        return true;
    registry_refuse(w, 403,
                    "quota exceeded: this server keeps at most %d resources and 1 GiB of them",
                    REGISTRY_RESOURCES_MAX);
    return false;
}

static const char *object_namespace(const struct resource_kind *kind, const json_t *object)
{
    const char *name = kind->namespaced ? resource_text_at(object, "metadata.namespace") : NULL;
    return name != NULL ? name : "";
}

static void prepare_create(struct registry *r, struct registry_write *w)
{
    json_t *object = initial_object(w->kind, w->object);
    if (object == NULL) {
        refuse_memory(w);
        return;
    }
    const char *space = object_namespace(w->kind, object);
    const char *name = resource_text_at(object, "metadata.name");
    if (w->kind->namespaced && registry_find(r, &resource_kind_namespace, "", space) == NULL)
        registry_refuse(w, 404,
                        "namespaces \"%s\" not found: create it first, with a Namespace object or "
                        "kubectl create namespace %s",
                        space, space);
    else if (registry_find(r, w->kind, space, name) != NULL)
        refuse_object(w, 409, name, "already exists");
    else if (has_room(r, w) && add_created(r, w, w->kind, json_incref(object)))
        add_injected(r, w, object);
    if (w->status < 400)
        w->status = 201;
    json_decref(object);
}

/* ---- replace ---- */

static bool keeps_immutable(struct registry_write *w, const json_t *before, const json_t *after)
{
    for (const char *const *path = w->kind->immutable; path != NULL && *path != NULL; path++) {
        json_t *a = resource_at(before, *path), *b = resource_at(after, *path);
        if (a == b || (a != NULL && b != NULL && json_equal(a, b)))
            continue;
        w->status = 422;
        error_field(&w->err, -EINVAL, *path, "cannot be changed: delete the %s and create it again",
                    w->kind->kind);
        return false;
    }
    if (w->kind->check_change == NULL || w->kind->check_change(before, after, &w->err) == 0)
        return true;
    w->status = 422;
    return false;
}

static bool same_at(const json_t *a, const json_t *b, const char *key)
{
    const json_t *x = json_object_get(a, key), *y = json_object_get(b, key);
    return x == y || (x != NULL && y != NULL && json_equal(x, y));
}

/* The given object with what belongs to the server taken from the old one. */
static json_t *next_object(const json_t *given, const json_t *old)
{
    json_t *object = json_deep_copy(given);
    json_t *metadata = json_object_get(object, "metadata");
    const json_t *before = json_object_get(old, "metadata");
    static const char *const kept[] = {"uid", "creationTimestamp", "generation", "resourceVersion"};
    drop_server_fields(metadata);
    for (size_t i = 0; i < COUNT_OF(kept); i++)
        json_object_set(metadata, kept[i], json_object_get(before, kept[i]));
    if (!same_at(old, object, "spec"))
        json_object_set_new(metadata, "generation",
                            json_integer(resource_integer_at(old, "metadata.generation", 0) + 1));
    json_object_del(object, "status");
    if (json_object_get(old, "status") != NULL)
        json_object_set(object, "status", json_object_get(old, "status"));
    return object;
}

static bool is_current(struct registry_write *w, const struct registry_entry *e, const char *uid,
                       const char *version)
{
    char text[24];
    const char *own = resource_text_at(e->resource.object, "metadata.uid");
    if (uid != NULL && *uid != '\0' && own != NULL && strcmp(uid, own) != 0) {
        refuse_object(w, 409, e->name, "is another object by now: its uid has changed");
        return false;
    }
    snprintf(text, sizeof(text), "%" PRIu64, e->resource.version);
    if (version == NULL || *version == '\0' || strcmp(version, text) == 0)
        return true;
    refuse_stale(w, e->name);
    return false;
}

static void prepare_replace(struct registry *r, struct registry_write *w)
{
    const char *name = resource_text_at(w->object, "metadata.name");
    struct registry_entry *e =
        name != NULL ? registry_entry_find(r, w->kind, object_namespace(w->kind, w->object), name)
                     : NULL;
    if (e == NULL) {
        refuse_object(w, 404, name != NULL ? name : "", "not found");
        return;
    }
    if (!is_current(w, e, resource_text_at(w->object, "metadata.uid"),
                    resource_text_at(w->object, "metadata.resourceVersion")) ||
        !keeps_immutable(w, e->resource.object, w->object))
        return;
    json_t *object = next_object(w->object, e->resource.object);
    if (object == NULL) {
        refuse_memory(w);
        return;
    }
    w->status = 200;
    bool changed = !json_equal(object, e->resource.object);
    if (changed && add_step(w, (struct registry_step){.change = REGISTRY_MODIFIED,
                                                      .kind = w->kind,
                                                      .entry = e,
                                                      .object = json_incref(object),
                                                      .number = e->resource.number}))
        add_injected(r, w, w->kind == &resource_kind_namespace ? object : NULL);
    json_decref(object);
}

/* ---- delete ---- */

struct contents {
    struct registry_write *write;
};

static int add_content(void *ctx, struct resource *resource)
{
    struct contents *c = ctx;
    return add_step(c->write,
                    (struct registry_step){
                        .change = REGISTRY_DELETED,
                        .kind = resource->kind,
                        .entry = container_of(resource, struct registry_entry, resource)})
               ? 0
               : -ENOMEM;
}

/* What depends on others goes first: the order of a start, backwards. */
static void add_contents(struct registry *r, struct registry_write *w, const char *namespace_name)
{
    struct contents c = {w};
    for (size_t i = resource_kind_count; i-- > 0 && w->status < 400;)
        if (resource_kinds[i]->namespaced)
            registry_each(r, resource_kinds[i], namespace_name, add_content, &c);
}

static void prepare_delete(struct registry *r, struct registry_write *w)
{
    struct registry_entry *e = registry_entry_find(r, w->kind, w->namespace_name, w->name);
    bool is_namespace = w->kind == &resource_kind_namespace;
    if (e == NULL) {
        refuse_object(w, 404, w->name, "not found");
        return;
    }
    if (is_namespace && strcmp(w->name, REGISTRY_DEFAULT) == 0) {
        refuse_object(w, 403, w->name, "is forbidden: this namespace may not be deleted");
        return;
    }
    if (!is_current(w, e, w->uid, w->version))
        return;
    w->status = 200;
    if (is_namespace)
        add_contents(r, w, w->name);
    w->subject = w->step_count;
    if (w->status < 400)
        add_step(w,
                 (struct registry_step){.change = REGISTRY_DELETED, .kind = w->kind, .entry = e});
}

/* ---- status ---- */

static const json_t *condition_of(const json_t *status, const char *type)
{
    size_t index;
    const json_t *condition;
    json_array_foreach(json_object_get(status, "conditions"), index, condition)
    {
        const char *own = json_string_value(json_object_get(condition, "type"));
        if (own != NULL && strcmp(own, type) == 0)
            return condition;
    }
    return NULL;
}

/* A condition's time is when its status last became another. */
static void keep_transition_times(json_t *status, const json_t *before)
{
    size_t index;
    json_t *condition;
    json_array_foreach(json_object_get(status, "conditions"), index, condition)
    {
        const char *type = json_string_value(json_object_get(condition, "type"));
        const json_t *old = type != NULL ? condition_of(before, type) : NULL;
        json_t *since = json_object_get(old, "lastTransitionTime");
        if (old != NULL && since != NULL && same_at(old, condition, "status"))
            json_object_set(condition, "lastTransitionTime", since);
        else
            json_object_set_new(condition, "lastTransitionTime", text_now());
    }
}

static void prepare_status(struct registry *r, struct registry_write *w)
{
    struct registry_entry *e = registry_entry_find(r, w->kind, w->namespace_name, w->name);
    w->status = 200;
    if (e == NULL || e->resource.number != w->number)
        return;
    const json_t *before = json_object_get(e->resource.object, "status");
    keep_transition_times(w->object, before);
    if (before != NULL && json_equal(before, w->object))
        return;
    json_t *object = json_copy(e->resource.object);
    json_t *metadata = json_copy(json_object_get(e->resource.object, "metadata"));
    if (json_object_set_new(object, "metadata", metadata) < 0 ||
        json_object_set(object, "status", w->object) < 0) {
        json_decref(object);
        refuse_memory(w);
        return;
    }
    add_step(w, (struct registry_step){.change = REGISTRY_STATUS,
                                       .kind = w->kind,
                                       .entry = e,
                                       .object = object,
                                       .number = w->number});
}

void registry_prepare(struct registry *r, struct registry_write *w)
{
    static void (*const prepare[])(struct registry * r, struct registry_write * w) = {
        [WRITE_CREATE] = prepare_create,
        [WRITE_REPLACE] = prepare_replace,
        [WRITE_DELETE] = prepare_delete,
        [WRITE_STATUS] = prepare_status,
    };
    prepare[w->what](r, w);
}
