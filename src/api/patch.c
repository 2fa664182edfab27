/* SPDX-License-Identifier: Apache-2.0 */
/* JSON merge patch (RFC 7396), JSON patch (RFC 6902) and JSON pointers (RFC 6901). */
#include "api/api_internal.h"
#include "base/encoding.h"
#include "base/memory.h"

#include <errno.h>

#define PATCH_COPY_BYTES_MAX ((size_t)1 << 20)

json_t *patch_merge(json_t *target, const json_t *patch)
{
    const char *key;
    json_t *value;
    if (!json_is_object(patch)) {
        json_decref(target);
        return json_deep_copy(patch);
    }
    if (!json_is_object(target)) {
        json_decref(target);
        target = json_object();
    }
    json_object_foreach((json_t *)(uintptr_t)patch, key, value)
    {
        if (target == NULL)
            return NULL;
        if (json_is_null(value)) {
            json_object_del(target, key);
            continue;
        }
        json_t *merged = patch_merge(json_incref(json_object_get(target, key)), value);
        if (json_object_set_new(target, key, merged) < 0) {
            json_decref(target);
            return NULL;
        }
    }
    return target;
}

void patch_strip_directives(json_t *patch)
{
    const char *key;
    json_t *value;
    void *following;
    json_object_foreach_safe(patch, following, key, value)
    {
        if (key[0] == '$')
            json_object_del(patch, key);
        else
            patch_strip_directives(value);
    }
}

/* Looks no deeper than the limit itself. */
static bool patch_too_deep(json_t *value, unsigned limit)
{
    const char *key;
    json_t *child;
    size_t index;
    if (!json_is_object(value) && !json_is_array(value))
        return false;
    if (limit == 0)
        return true;
    json_object_foreach(value, key, child)
    {
        if (patch_too_deep(child, limit - 1))
            return true;
    }
    json_array_foreach(value, index, child)
    {
        if (patch_too_deep(child, limit - 1))
            return true;
    }
    return false;
}

/* ---- pointers ---- */

/* The next reference token, unescaped; the pointer moves on. -EINVAL when it is none. */
static int next_token(const char **pointer, struct buf *out)
{
    buf_reset(out);
    if (**pointer != '/')
        return -EINVAL;
    for (++*pointer; **pointer != '\0' && **pointer != '/'; ++*pointer) {
        char c = **pointer;
        if (c == '~') {
            char escaped = *++*pointer;
            if (escaped != '0' && escaped != '1')
                return -EINVAL;
            c = escaped == '0' ? '~' : '/';
        }
        buf_add_byte(out, c);
    }
    return buf_ok(out) ? 0 : -ENOMEM;
}

/* An index below count; count itself, or "-", when past_end is allowed. */
static int read_index(struct slice token, size_t count, bool past_end, size_t *ret)
{
    uint64_t index;
    if (past_end && slice_is(token, "-")) {
        *ret = count;
        return 0;
    }
    if (encoding_parse_u64(token, &index) < 0 || (token.len > 1 && token.ptr[0] == '0'))
        return -EINVAL;
    if (index > count || (index == count && !past_end))
        return -ENOENT;
    *ret = (size_t)index;
    return 0;
}

static json_t *child_of(json_t *parent, struct slice token)
{
    size_t index;
    if (json_is_object(parent))
        return json_object_getn(parent, token.ptr, token.len);
    if (json_is_array(parent) && read_index(token, json_array_size(parent), false, &index) == 0)
        return json_array_get(parent, index);
    return NULL;
}

/* The value that holds what the pointer names, and the last token. */
static int find_parent(json_t *root, const char *pointer, struct buf *token, json_t **ret)
{
    json_t *at = root;
    int status = next_token(&pointer, token);
    for (unsigned depth = 1; status == 0 && *pointer != '\0'; depth++) {
        if (depth >= RESOURCE_DEPTH_MAX)
            return -EINVAL;
        at = child_of(at, buf_slice(token));
        if (at == NULL)
            return -ENOENT;
        status = next_token(&pointer, token);
    }
    if (status == 0 && !json_is_object(at) && !json_is_array(at))
        return -ENOENT;
    if (status == 0)
        *ret = at;
    return status;
}

static int find(json_t *root, const char *pointer, json_t **ret)
{
    *ret = root;
    if (*pointer == '\0')
        return 0;
    autobuf token = BUF_INIT;
    json_t *parent = NULL;
    int status = find_parent(root, pointer, &token, &parent);
    if (status < 0)
        return status;
    *ret = child_of(parent, buf_slice(&token));
    return *ret != NULL ? 0 : -ENOENT;
}

/* ---- operations ---- */

static const char *token_text(const struct buf *token)
{
    return token->ptr != NULL ? token->ptr : "";
}

static int put_child(json_t *parent, const struct buf *token, json_t *value)
{
    size_t index;
    if (json_is_object(parent))
        return json_object_set(parent, token_text(token), value) == 0 ? 0 : -EINVAL;
    int status = read_index(buf_slice(token), json_array_size(parent), true, &index);
    return status < 0 ? status : json_array_insert(parent, index, value) == 0 ? 0 : -ENOMEM;
}

/* Takes value. */
static int put(json_t **root, const char *pointer, json_t *value)
{
    if (value == NULL)
        return -ENOMEM;
    if (*pointer == '\0') {
        json_decref(*root);
        *root = value;
        return 0;
    }
    autobuf token = BUF_INIT;
    json_t *parent;
    int status = find_parent(*root, pointer, &token, &parent);
    if (status == 0)
        status = put_child(parent, &token, value);
    json_decref(value);
    return status;
}

static int take(json_t *root, const char *pointer)
{
    autobuf token = BUF_INIT;
    json_t *parent;
    size_t index;
    int status = *pointer != '\0' ? find_parent(root, pointer, &token, &parent) : -EINVAL;
    if (status < 0)
        return status;
    if (json_is_object(parent))
        return json_object_del(parent, token_text(&token)) == 0 ? 0 : -ENOENT;
    status = read_index(buf_slice(&token), json_array_size(parent), false, &index);
    if (status == 0)
        json_array_remove(parent, index);
    return status;
}

struct operation {
    const char *path, *from; /* from may be NULL */
    const json_t *value;     /* may be NULL */
    size_t *copy_budget;     /* bytes */
};

static int operation_add(json_t **root, const struct operation *o)
{
    return o->value != NULL ? put(root, o->path, json_deep_copy(o->value)) : -EINVAL;
}

static int operation_remove(json_t **root, const struct operation *o)
{
    return take(*root, o->path);
}

static int operation_replace(json_t **root, const struct operation *o)
{
    if (o->value == NULL)
        return -EINVAL;
    int status = *o->path != '\0' ? take(*root, o->path) : 0;
    return status == 0 ? put(root, o->path, json_deep_copy(o->value)) : status;
}

/* What copies may add: without a bound each could double the document, or its depth. */
static int find_copied(json_t **root, const struct operation *o, json_t **ret)
{
    int status = o->from != NULL ? find(*root, o->from, ret) : -EINVAL;
    if (status == 0 && patch_too_deep(*ret, RESOURCE_DEPTH_MAX))
        status = -EINVAL;
    return status;
}

static int operation_copy(json_t **root, const struct operation *o)
{
    json_t *value;
    int status = find_copied(root, o, &value);
    if (status < 0)
        return status;
    size_t bytes = json_dumpb(value, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY);
    if (bytes > *o->copy_budget)
        return -EINVAL;
    *o->copy_budget -= bytes;
    return put(root, o->path, json_deep_copy(value));
}

static int operation_move(json_t **root, const struct operation *o)
{
    json_t *value;
    size_t len = o->from != NULL ? strlen(o->from) : 0;
    if (o->from == NULL || (strncmp(o->path, o->from, len) == 0 && o->path[len] == '/'))
        return -EINVAL; /* not into its own child (§4.4) */
    int status = find_copied(root, o, &value);
    if (status < 0)
        return status;
    json_incref(value);
    status = take(*root, o->from);
    if (status == 0)
        return put(root, o->path, value);
    json_decref(value);
    return status;
}

static int operation_test(json_t **root, const struct operation *o)
{
    json_t *value;
    if (o->value == NULL)
        return -EINVAL;
    int status = find(*root, o->path, &value);
    return status < 0 ? status : json_equal(value, o->value) ? 0 : -ENOENT;
}

static const struct {
    const char *name;
    int (*apply)(json_t **root, const struct operation *o);
} operation_names[] = {
    {"add", operation_add},   {"remove", operation_remove}, {"replace", operation_replace},
    {"copy", operation_copy}, {"move", operation_move},     {"test", operation_test},
};

static int apply_operation(json_t **document, const json_t *operation, size_t *copy_budget)
{
    const char *name = json_string_value(json_object_get(operation, "op"));
    struct operation o = {.path = json_string_value(json_object_get(operation, "path")),
                          .from = json_string_value(json_object_get(operation, "from")),
                          .value = json_object_get(operation, "value"),
                          .copy_budget = copy_budget};
    for (size_t i = 0; name != NULL && o.path != NULL && i < COUNT_OF(operation_names); i++)
        if (strcmp(name, operation_names[i].name) == 0)
            return operation_names[i].apply(document, &o);
    return -EINVAL;
}

int patch_json(json_t **document, const json_t *operations, struct error *err)
{
    size_t index, copy_budget = PATCH_COPY_BYTES_MAX;
    const json_t *operation;
    if (json_array_size(operations) > API_PATCH_OPS_MAX)
        return error_set(err, -EINVAL, "a JSON patch has at most %d operations", API_PATCH_OPS_MAX);
    json_array_foreach(operations, index, operation)
    {
        int status = apply_operation(document, operation, &copy_budget);
        if (status == -ENOENT)
            return error_field(err, status, "patch",
                               "operation %zu of the JSON patch does not apply: the path is not "
                               "there, or the test fails",
                               index);
        if (status < 0)
            return error_set(err, -EINVAL, "operation %zu of the JSON patch is not valid", index);
    }
    return patch_too_deep(*document, RESOURCE_DEPTH_MAX)
               ? error_set(err, -EINVAL, "the patched object is nested too deeply")
               : 0;
}
