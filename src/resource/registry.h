/* SPDX-License-Identifier: Apache-2.0 */
/* The stored resources of a running broker: read from the store at start, kept in memory, written
 * through the log. Loop thread only. A write is validated against the state that the writes asked
 * for before it leave, appended, and shown and answered when it is synced. Writes of different
 * objects are on their way together and share a sync; one of a namespace or a broker, or one that
 * changes several objects, goes alone. */
#ifndef SLUICE_RESOURCE_REGISTRY_H
#define SLUICE_RESOURCE_REGISTRY_H

#include "base/list.h"
#include "base/loop.h"
#include "resource/resource.h"
#include "store/store.h"

struct registry;

struct resource {
    const struct resource_kind *kind;
    const char *namespace_name; /* "" for cluster-wide kinds */
    const char *name;
    uint32_t number;  /* given at creation, never used again: what log records call it by (scope) */
    uint64_t version; /* position of its last write: metadata.resourceVersion */
    json_t *object;   /* whole, as served, status included */
    void *controller; /* state of whoever implements this kind; set by its observer */
};

struct registry *registry_new(struct store *s, struct loop *l);
/* Answers what is still queued with 503 and takes nothing more: before the HTTP server is stopped,
 * whose requests may be waiting for that. */
void registry_stop(struct registry *r);
/* After store_close() (a write may be under way until then), before loop_free(); the loop is not
 * run any more. */
void registry_free(struct registry *r);
/* Reads the table; observers get ADDED for each, namespaces first, then brokers, functions,
 * triggers. */
int registry_load(struct registry *r, struct error *err);

enum registry_change {
    REGISTRY_ADDED,
    REGISTRY_MODIFIED /* spec or metadata */,
    REGISTRY_STATUS,
    REGISTRY_DELETED
};
/* Called on the loop thread after the change is synced. before is the old object (NULL on ADDED).
 */
typedef void registry_observer_fn(void *ctx, enum registry_change change, struct resource *resource,
                                  const json_t *before);
/* kind NULL: every kind. Before registry_load(). */
int registry_observe(struct registry *r, const struct resource_kind *kind,
                     registry_observer_fn *observer, void *ctx);

/* Rows that must come and go with a resource: adds records to the group that creates (ADDED) or
 * deletes (DELETED) it; object is as it will be, or was. Nothing else is in the log between the
 * group's records. Negative errno and err: the write is refused with 422. */
typedef int registry_extend_fn(void *ctx, enum registry_change change, uint32_t number,
                               const json_t *object, struct store_group *g, struct error *err);
/* One for a kind. Before the first write. */
void registry_extend(struct registry *r, const struct resource_kind *kind,
                     registry_extend_fn *extend, void *ctx);

struct resource *registry_find(const struct registry *r, const struct resource_kind *kind,
                               const char *namespace_name, const char *name);
/* Each resource of the kind in order of namespace and name; namespace NULL: all. Stops when each
 * returns non-zero. */
int registry_each(const struct registry *r, const struct resource_kind *kind,
                  const char *namespace_name, int (*each)(void *ctx, struct resource *resource),
                  void *ctx);
/* The position of the last shown change, for list metadata. */
uint64_t registry_version(const struct registry *r);

/* status: HTTP status of the outcome: 200, 201, 400, 403, 404, 409, 413, 422, 503; resource is NULL
 * unless it exists afterwards (for a delete: the last state). err->message when >= 400. */
typedef void registry_done_fn(void *ctx, unsigned status, struct resource *resource,
                              const struct error *err);
/* Takes a reference of its own to object (checked already by resource_check). Create fails with 409
 * when the name is taken; replace with 404 when absent, with 409 when metadata.resourceVersion is
 * given and stale. A write that changes nothing keeps the version. status in object is ignored;
 * generation goes up when spec changes. */
void registry_create(struct registry *r, const struct resource_kind *kind, json_t *object,
                     registry_done_fn *done, void *ctx);
void registry_replace(struct registry *r, const struct resource_kind *kind, json_t *object,
                      registry_done_fn *done, void *ctx);
/* Deleting a namespace deletes what is in it; the namespace default stays (403). */
void registry_delete(struct registry *r, const struct resource_kind *kind,
                     const char *namespace_name, const char *name, registry_done_fn *done,
                     void *ctx);

enum registry_operation {
    REGISTRY_CREATE,
    REGISTRY_REPLACE,
    REGISTRY_DELETE,
    REGISTRY_OPERATION_COUNT
};
struct registry_request { /* copied; a reference of its own is taken to object */
    enum registry_operation operation;
    const struct resource_kind *kind;
    json_t *object;                    /* create, replace */
    const char *namespace_name, *name; /* delete */
    const char *uid, *version;         /* delete: fails with 409 when they are others; or NULL */
    bool dry_run; /* all but the write: resource is then a draft that lives during done only */
};
/* What the three above are short for. done may be NULL; it is called from within only for want of
 * memory or after registry_stop() (503). */
void registry_submit(struct registry *r, const struct registry_request *request,
                     registry_done_fn *done, void *ctx);
/* brokers.eventing.knative.dev "default": how messages call an object. */
void registry_describe(const struct resource_kind *kind, const char *name, struct buf *out);

/* Replaces .status (stolen reference) when it differs; asynchronous. Controllers call it as often
 * as they like; observedGeneration and lastTransitionTime are kept by it. */
void registry_set_status(struct registry *r, struct resource *resource, json_t *status);
/* {type, status: "True"|"False"|"Unknown", reason, message}: one entry for status.conditions. */
json_t *registry_condition(const char *type, const char *status, const char *reason,
                           const char *message);

#endif
