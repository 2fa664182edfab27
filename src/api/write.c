/* SPDX-License-Identifier: Apache-2.0 */
/* Create, replace, patch, delete. Loop thread. */
#include "api/api_internal.h"
#include "base/memory.h"
#include "base/must.h"

#include <errno.h>

static void write_done(void *ctx, unsigned status, struct resource *resource,
                       const struct error *err)
{
    struct query *q = must_be((struct query *)ctx, QUERY_MAGIC);
    if (status >= 400)
        answer_status(q, status, err);
    else if (q->verb == QUERY_DELETE)
        answer_deleted(q, resource->object);
    else
        answer_object(q, status, resource->object);
}

static void submit(struct query *q, enum registry_operation operation, json_t *object,
                   registry_done_fn *done)
{
    struct registry_request request = {
        .operation = operation,
        .kind = q->kind,
        .object = object,
        .namespace_name = q->namespace_name,
        .name = q->name,
        .uid = q->uid,
        .version = q->version,
        .dry_run = q->dry_run,
    };
    registry_submit(q->api->registry, &request, done, q);
}

void write_create(struct query *q)
{
    submit(q, REGISTRY_CREATE, q->object, write_done);
}

void write_replace(struct query *q)
{
    submit(q, REGISTRY_REPLACE, q->object, write_done);
}

/* What went with its namespace counts as deleted for a while: `kubectl delete -f` of a folder names
 * the namespace first and what is in it after, and Kubernetes takes its time over that. */
static const json_t *gone_with_namespace(const struct query *q)
{
    if (!q->kind->namespaced ||
        registry_find(q->api->registry, &resource_kind_namespace, "", q->namespace_name) != NULL)
        return NULL;
    return watch_gone(q->api->watches, q);
}

static void delete_done(void *ctx, unsigned status, struct resource *resource,
                        const struct error *err)
{
    struct query *q = must_be((struct query *)ctx, QUERY_MAGIC);
    const json_t *last = status == 404 ? gone_with_namespace(q) : NULL;
    if (last != NULL)
        answer_deleted(q, last);
    else
        write_done(ctx, status, resource, err);
}

void write_delete(struct query *q)
{
    submit(q, REGISTRY_DELETE, NULL, delete_done);
}

/* ---- patch: read, change, replace what was read; again when another was faster ---- */

static const char *patched_version(const struct query *q)
{
    return q->patch == QUERY_PATCH_JSON ? NULL
                                        : resource_text_at(q->object, "metadata.resourceVersion");
}

static unsigned apply_patch(struct query *q, const json_t *current, json_t **ret, struct error *err)
{
    json_t *object = json_deep_copy(current);
    if (object != NULL && q->patch == QUERY_PATCH_JSON) {
        int status = patch_json(&object, q->object, err);
        if (status < 0) {
            json_decref(object);
            return status == -ENOENT ? 422 : 400;
        }
    } else if (object != NULL) {
        if (q->patch == QUERY_PATCH_STRATEGIC)
            patch_strip_directives(q->object);
        object = patch_merge(object, q->object);
    }
    if (object == NULL) {
        error_set(err, -ENOMEM, "out of memory");
        return 503;
    }
    unsigned status = json_is_object(object) ? body_check(q, object, NULL, err) : 400;
    if (status == 0)
        *ret = object;
    else
        json_decref(object);
    return status;
}

static void patch_done(void *ctx, unsigned status, struct resource *resource,
                       const struct error *err)
{
    struct query *q = must_be((struct query *)ctx, QUERY_MAGIC);
    if (status == 409 && patched_version(q) == NULL && ++q->tries < API_PATCH_TRIES)
        write_patch(q);
    else
        write_done(ctx, status, resource, err);
}

void write_patch(struct query *q)
{
    struct error err = ERROR_INIT;
    json_t *object = NULL;
    const struct resource *resource =
        registry_find(q->api->registry, q->kind, q->namespace_name, q->name);
    if (resource == NULL) {
        read_get(q); /* says that it is not found */
        return;
    }
    unsigned status = apply_patch(q, resource->object, &object, &err);
    if (status != 0) {
        answer_status(q, status, &err);
        return;
    }
    submit(q, REGISTRY_REPLACE, object, patch_done);
    json_decref(object);
}
