/* SPDX-License-Identifier: Apache-2.0 */
/* Checking an object against its kind's table: defaults, types, ranges, names. */
#include "base/clock.h"
#include "base/encoding.h"
#include "base/memory.h"
#include "resource/annotation.h"
#include "resource/resource_internal.h"

#include <errno.h>
#include <inttypes.h>

struct check {
    const struct resource_kind *kind;
    struct field_walk at;
    struct error *err;
};

static int check_value(struct check *c, const struct resource_field *f, json_t *value);
typedef int check_type_fn(struct check *c, const struct resource_field *f, json_t *value);

static const char *type_of(const json_t *value)
{
    static const char *const names[] = {
        [JSON_OBJECT] = "an object", [JSON_ARRAY] = "a list",  [JSON_STRING] = "text",
        [JSON_INTEGER] = "a number", [JSON_REAL] = "a number", [JSON_TRUE] = "true",
        [JSON_FALSE] = "false",      [JSON_NULL] = "null",
    };
    return names[json_typeof(value)];
}

static int wrong_type(struct check *c, const json_t *value, const char *wanted)
{
    bool quote = strcmp(wanted, "text") == 0 && !json_is_object(value) && !json_is_array(value);
    return error_field(c->err, -EINVAL, c->at.full.ptr, "must be %s, is %s%s", wanted,
                       type_of(value), quote ? ": quote it" : "");
}

static bool has_range(const struct resource_field *f)
{
    return f->min != 0 || f->max != 0;
}

static int check_choice(struct check *c, const struct resource_field *f, const char *text)
{
    struct nearest n;
    nearest_begin(&n, slice_text(text));
    autobuf all = BUF_INIT;
    for (const char *const *choice = f->choices; *choice != NULL; choice++) {
        if (strcmp(text, *choice) == 0)
            return 0;
        buf_printf(&all, "%s%s", all.len > 0 ? ", " : "", *choice);
        nearest_offer(&n, slice_text(*choice));
    }
    if (n.best.len > 0)
        return error_field(c->err, -EINVAL, c->at.full.ptr,
                           "must be one of %s, is \"%.60s\": did you mean " SLICE_FMT "?",
                           buf_ok(&all) ? all.ptr : "its choices", text, SLICE_ARG(n.best));
    return error_field(c->err, -EINVAL, c->at.full.ptr, "must be one of %s, is \"%.60s\"",
                       buf_ok(&all) ? all.ptr : "its choices", text);
}

static int check_string(struct check *c, const struct resource_field *f, json_t *value)
{
    if (!json_is_string(value))
        return wrong_type(c, value, "text");
    int64_t len = (int64_t)json_string_length(value);
    if (len < f->min)
        return f->min == 1 ? error_field(c->err, -EINVAL, c->at.full.ptr, "must not be empty")
                           : error_field(c->err, -EINVAL, c->at.full.ptr,
                                         "must have at least %" PRId64 " bytes", f->min);
    if (f->max != 0 && len > f->max)
        return error_field(c->err, -EINVAL, c->at.full.ptr,
                           "must have at most %" PRId64 " bytes, has %" PRId64, f->max, len);
    return f->choices != NULL ? check_choice(c, f, json_string_value(value)) : 0;
}

static int check_integer(struct check *c, const struct resource_field *f, json_t *value)
{
    if (!json_is_integer(value))
        return wrong_type(c, value, "a whole number");
    int64_t n = json_integer_value(value);
    if (has_range(f) && (n < f->min || n > f->max))
        return error_field(c->err, -EINVAL, c->at.full.ptr,
                           "must be from %" PRId64 " to %" PRId64 ", is %" PRId64, f->min, f->max,
                           n);
    return 0;
}

static int check_boolean(struct check *c, const struct resource_field *f, json_t *value)
{
    return json_is_boolean(value) ? 0 : wrong_type(c, value, "true or false");
}

static int check_duration(struct check *c, const struct resource_field *f, json_t *value)
{
    uint64_t ns;
    if (!json_is_string(value))
        return wrong_type(c, value, "an ISO 8601 duration such as PT0.5S");
    const char *text = json_string_value(value);
    if (clock_parse_duration(slice_text(text), &ns) < 0)
        return error_field(c->err, -EINVAL, c->at.full.ptr,
                           "must be an ISO 8601 duration such as PT0.5S or PT2M, is \"%.60s\"",
                           text);
    if (has_range(f) && (ns < (uint64_t)f->min || ns > (uint64_t)f->max))
        return error_field(c->err, -EINVAL, c->at.full.ptr, "must be from %g to %g seconds, is %s",
                           (double)f->min / 1e9, (double)f->max / 1e9, text);
    return 0;
}

static void add_bytes(struct buf *b, int64_t bytes)
{
    static const char *const units[] = {"", "Ki", "Mi", "Gi"};
    size_t unit = 0;
    for (; bytes != 0 && bytes % 1024 == 0 && unit + 1 < COUNT_OF(units); unit++)
        bytes /= 1024;
    buf_printf(b, "%" PRId64 "%s", bytes, units[unit]);
}

static int check_quantity(struct check *c, const struct resource_field *f, json_t *value)
{
    uint64_t bytes;
    if (json_is_integer(value) && json_integer_value(value) >= 0)
        bytes = (uint64_t)json_integer_value(value);
    else if (!json_is_string(value) ||
             encoding_parse_bytes(slice_text(json_string_value(value)), &bytes) < 0)
        return error_field(c->err, -EINVAL, c->at.full.ptr,
                           "must be a number of bytes such as 64Mi or 512Ki");
    if (!has_range(f) || (bytes >= (uint64_t)f->min && bytes <= (uint64_t)f->max))
        return 0;
    autobuf range = BUF_INIT;
    add_bytes(&range, f->min);
    buf_add_text(&range, " to ");
    add_bytes(&range, f->max);
    return error_field(c->err, -EINVAL, c->at.full.ptr, "must be from %s, is %" PRIu64 " bytes",
                       buf_ok(&range) ? range.ptr : "its range", bytes);
}

static int check_count(struct check *c, const struct resource_field *f, size_t n)
{
    if (f->max != 0 && n > (size_t)f->max)
        return error_field(c->err, -EINVAL, c->at.full.ptr,
                           "must have at most %" PRId64 " entries, has %zu", f->max, n);
    if (f->min > 0 && n < (size_t)f->min)
        return error_field(c->err, -EINVAL, c->at.full.ptr,
                           "must have at least %" PRId64 " entries", f->min);
    return 0;
}

static int check_string_map(struct check *c, const struct resource_field *f, json_t *value)
{
    if (!json_is_object(value))
        return wrong_type(c, value, "an object of texts");
    int status = check_count(c, f, json_object_size(value));
    const char *key;
    json_t *entry;
    json_object_foreach(value, key, entry)
    {
        if (status < 0)
            return status;
        struct field_mark mark = field_walk_enter(&c->at, key);
        if (!json_is_string(entry))
            status = wrong_type(c, entry, "text");
        field_walk_leave(&c->at, mark);
    }
    return status;
}

static int check_list(struct check *c, const struct resource_field *f, json_t *value)
{
    if (!json_is_array(value))
        return wrong_type(c, value, "a list");
    int status = check_count(c, f, json_array_size(value));
    size_t index;
    json_t *item;
    json_array_foreach(value, index, item)
    {
        if (status < 0)
            return status;
        struct field_mark mark = field_walk_enter_item(&c->at, index);
        const struct resource_field *items = resource_field_find(c->kind, buf_slice(&c->at.table));
        if (items != NULL)
            status = check_value(c, items, item);
        field_walk_leave(&c->at, mark);
    }
    return status;
}

static int put_default(struct check *c, const struct resource_field *f, json_t *object,
                       const char *key)
{
    if (f->fallback != NULL) {
        json_t *value = json_loads(f->fallback, JSON_DECODE_ANY, NULL);
        return json_object_set_new(object, key, value) < 0
                   ? error_set(c->err, -ENOMEM, "out of memory")
                   : 0;
    }
    return f->required ? error_field(c->err, -EINVAL, c->at.full.ptr, "is required: %s",
                                     f->help != NULL ? f->help : "it has no default")
                       : 0;
}

/* One declared field of the object. null is as absent as nothing (what clients mean by it). */
static int check_field(struct check *c, const struct resource_field *f, json_t *object,
                       struct slice name)
{
    char key[64];
    if (name.len >= sizeof(key))
        return error_set(c->err, -ENAMETOOLONG, "a declared field's name is too long");
    memcpy(key, name.ptr, name.len);
    key[name.len] = '\0';
    struct field_mark mark = field_walk_enter(&c->at, key);
    if (!buf_ok(&c->at.full) || !buf_ok(&c->at.table))
        return error_set(c->err, -ENOMEM, "out of memory");
    json_t *value = json_object_get(object, key);
    if (json_is_null(value)) {
        json_object_del(object, key);
        value = NULL;
    }
    int status = value == NULL ? put_default(c, f, object, key) : 0;
    value = json_object_get(object, key);
    if (status == 0 && value != NULL)
        status = check_value(c, f, value);
    field_walk_leave(&c->at, mark);
    return status;
}

static int check_object(struct check *c, const struct resource_field *f, json_t *value)
{
    if (!json_is_object(value))
        return wrong_type(c, value, "an object");
    struct slice name;
    const struct resource_field *child;
    size_t table = c->at.table.len;
    for (size_t i = 0; (child = resource_field_at(c->kind, i)) != NULL; i++) {
        if (!field_is_child(child, slice_of(c->at.table.ptr, table), &name))
            continue;
        int status = check_field(c, child, value, name);
        if (status < 0)
            return status;
    }
    return 0;
}

static int check_any(struct check *c, const struct resource_field *f, json_t *value)
{
    return 0;
}

static check_type_fn *const check_types[] = {
    [RESOURCE_STRING] = check_string,     [RESOURCE_INTEGER] = check_integer,
    [RESOURCE_BOOLEAN] = check_boolean,   [RESOURCE_DURATION] = check_duration,
    [RESOURCE_QUANTITY] = check_quantity, [RESOURCE_STRING_MAP] = check_string_map,
    [RESOURCE_OBJECT] = check_object,     [RESOURCE_LIST] = check_list,
    [RESOURCE_ANY] = check_any,
};
_Static_assert(COUNT_OF(check_types) == RESOURCE_TYPE_COUNT, "each type has its check");

static int check_value(struct check *c, const struct resource_field *f, json_t *value)
{
    return check_types[f->type](c, f, value);
}

static int refuse_unknown(void *ctx, const char *path, const char *nearest)
{
    struct error *err = ctx;
    if (*nearest != '\0')
        return error_field(err, -EINVAL, path, "unknown field: did you mean %s?", nearest);
    return error_field(err, -EINVAL, path, "unknown field");
}

static int check_identity(const struct resource_kind *kind, const json_t *object, struct error *err)
{
    autobuf api_version = BUF_INIT;
    resource_kind_api_version(kind, &api_version);
    if (!buf_ok(&api_version))
        return error_set(err, -ENOMEM, "out of memory");
    if (strcmp(resource_text_at(object, "apiVersion"), api_version.ptr) != 0)
        return error_field(err, -EINVAL, "apiVersion", "must be %s for a %s", api_version.ptr,
                           kind->kind);
    if (strcmp(resource_text_at(object, "kind"), kind->kind) != 0)
        return error_field(err, -EINVAL, "kind", "must be %s", kind->kind);
    return 0;
}

static bool name_fits(const struct resource_kind *kind, struct slice name)
{
    return kind->label_name ? name_is_label(name) : name_is_subdomain(name);
}

static int check_name(const struct resource_kind *kind, const json_t *object, struct error *err)
{
    const char *name = resource_text_at(object, "metadata.name");
    const char *prefix = resource_text_at(object, "metadata.generateName");
    bool given = name != NULL && *name != '\0';
    if (!given && (prefix == NULL || *prefix == '\0'))
        return error_field(err, -EINVAL, "metadata.name", "is required: name the %s", kind->kind);
    char probe[260];
    snprintf(probe, sizeof(probe), "%s%s", given ? name : prefix, given ? "" : "00000");
    if (name_fits(kind, slice_text(probe)))
        return 0;
    return error_field(err, -EINVAL, given ? "metadata.name" : "metadata.generateName",
                       "\"%.80s\" is no valid name: use a-z, 0-9 and -%s, with a letter or digit "
                       "at both ends, at most %d characters",
                       given ? name : prefix, kind->label_name ? "" : " and .",
                       kind->label_name ? 63 : 253);
}

static int check_namespace(const struct resource_kind *kind, json_t *object, const char *fallback,
                           struct error *err)
{
    const char *given = resource_text_at(object, "metadata.namespace");
    json_t *metadata = json_object_get(object, "metadata");
    if (given != NULL && *given == '\0') {
        json_object_del(metadata, "namespace");
        given = NULL;
    }
    if (!kind->namespaced)
        return given == NULL ? 0
                             : error_field(err, -EINVAL, "metadata.namespace",
                                           "a %s is in no namespace: leave it out", kind->kind);
    if (given == NULL && fallback == NULL)
        return error_field(err, -EINVAL, "metadata.namespace", "is required");
    if (given == NULL && json_object_set_new(metadata, "namespace", json_string(fallback)) < 0)
        return error_field(err, -EINVAL, "metadata.namespace", "cannot be set to \"%.80s\"",
                           fallback);
    given = resource_text_at(object, "metadata.namespace");
    return name_is_label(slice_text(given))
               ? 0
               : error_field(
                     err, -EINVAL, "metadata.namespace",
                     "\"%.80s\" is no valid name: use a-z, 0-9 and -, at most 63 characters",
                     given);
}

static int check_all(struct check *c, json_t *object, const char *fallback_namespace)
{
    int status = resource_each_unknown(c->kind, object, false, refuse_unknown, c->err);
    if (status == 0)
        status = check_object(c, NULL, object);
    if (status == 0)
        status = check_identity(c->kind, object, c->err);
    if (status == 0)
        status = check_name(c->kind, object, c->err);
    if (status == 0)
        status = check_namespace(c->kind, object, fallback_namespace, c->err);
    if (status == 0)
        status =
            name_check_labels(resource_at(object, "metadata.labels"), "metadata.labels", c->err);
    if (status == 0)
        status = name_check_labels(resource_at(object, "metadata.annotations"),
                                   "metadata.annotations", c->err);
    if (status == 0)
        status = annotation_check(c->kind, object, c->err);
    if (status == 0 && c->kind->complete != NULL)
        status = c->kind->complete(object, c->err);
    if (status == 0 && c->kind->check != NULL)
        status = c->kind->check(object, c->err);
    return status;
}

int resource_check(const struct resource_kind *kind, json_t *object, const char *fallback_namespace,
                   struct error *err)
{
    struct error unused = ERROR_INIT;
    if (!json_is_object(object))
        return error_set(err, -EINVAL, "a %s must be an object", kind->kind);
    struct check c = {.kind = kind, .at = {BUF_INIT, BUF_INIT}, .err = err != NULL ? err : &unused};
    int status = check_all(&c, object, fallback_namespace);
    field_walk_done(&c.at);
    return status;
}
