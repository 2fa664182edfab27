/* SPDX-License-Identifier: Apache-2.0 */
/* Filters from JSON, with what Knative's admission says of them; and against events. */
#include "resource/filter.h"

#include "base/memory.h"
#include "base/must.h"

#include <errno.h>
#include <stdio.h>

struct compiler {
    struct error *err;
    unsigned nodes;
};

struct place { /* where a filter stands, for messages */
    char path[160];
    unsigned depth;
};

static void nodes_free(struct filter_node *n)
{
    while (n != NULL) {
        struct filter_node *next = n->next;
        nodes_free(n->children);
        cesql_free(n->cesql);
        free(n);
        n = next;
    }
}

void filter_free(struct filter *f)
{
    if (f == NULL || --f->references > 0)
        return;
    nodes_free(f->root);
    free(f->text);
    free(f);
}

struct filter *filter_ref(struct filter *f)
{
    f->references++;
    return f;
}

/* Appended to *end, which then is the new node's next; name and value are copied behind the node.
 */
static int node_add(struct compiler *c, struct filter_node ***end, enum filter_kind kind,
                    const char *dialect, struct slice name, struct slice value)
{
    if (++c->nodes > FILTER_NODES_MAX) {
        error_field(c->err, -EINVAL, "spec.filters", "more than %d conditions", FILTER_NODES_MAX);
        return -EINVAL;
    }
    struct filter_node *n = calloc(1, sizeof(*n) + name.len + value.len);
    if (n == NULL) {
        error_set(c->err, -ENOMEM, "out of memory");
        return -ENOMEM;
    }
    char *text = (char *)(n + 1);
    if (name.len > 0)
        memcpy(text, name.ptr, name.len);
    if (value.len > 0)
        memcpy(text + name.len, value.ptr, value.len);
    n->kind = kind;
    n->dialect = dialect;
    n->name = slice_of(text, name.len);
    n->value = slice_of(text + name.len, value.len);
    **end = n;
    *end = &n->next;
    return 0;
}

/* A node that others go below; *ret is where. */
static int parent_add(struct compiler *c, struct filter_node ***end, enum filter_kind kind,
                      const char *dialect, struct filter_node ***ret)
{
    struct filter_node **at = *end;
    int r = node_add(c, end, kind, dialect, SLICE(""), SLICE(""));
    if (r < 0)
        return r;
    *ret = &(*at)->children;
    return 0;
}

/* CloudEvents attribute names, as Knative's filters want them. */
static bool is_attribute_name(const char *name)
{
    if (*name < 'a' || *name > 'z')
        return false;
    for (; *name != '\0'; name++)
        if (!((*name >= 'a' && *name <= 'z') || (*name >= '0' && *name <= '9')))
            return false;
    return true;
}

static int attribute_check(const char *name, const json_t *value, const char *field,
                           struct error *err)
{
    if (!is_attribute_name(name))
        return error_field(err, -EINVAL, field,
                           "\"%.60s\" is no attribute name: a letter a-z, then a-z and 0-9", name);
    if (!json_is_string(value))
        return error_field(err, -EINVAL, field, "the value of %s must be text: quote it", name);
    return 0;
}

static struct slice text_of(const json_t *value)
{
    return slice_of(json_string_value(value), json_string_length(value));
}

static int compile_item(struct compiler *c, const json_t *item, const struct place *at,
                        struct filter_node ***end);

struct dialect {
    const char *name;
    enum filter_kind kind;
    int (*compile)(struct compiler *c, const struct dialect *d, const json_t *value,
                   const struct place *at, struct filter_node ***end);
};

/* exact, prefix, suffix: attributes and non-empty values, all of which must match. */
static int compile_attributes(struct compiler *c, const struct dialect *d, const json_t *attributes,
                              const struct place *at, struct filter_node ***end)
{
    const char *name;
    json_t *value;
    struct filter_node **below = NULL;
    int r = 0;
    if (!json_is_object(attributes) || json_object_size(attributes) == 0)
        return error_field(c->err, -EINVAL, at->path, "must be an object of attribute: value");
    if (json_object_size(attributes) > 1) {
        r = parent_add(c, end, FILTER_ALL, d->name, &below);
        if (r < 0)
            return r;
        end = &below;
    }
    json_object_foreach((json_t *)(uintptr_t)attributes, name, value)
    {
        r = attribute_check(name, value, at->path, c->err);
        if (r == 0 && json_string_length(value) == 0)
            r = error_field(c->err, -EINVAL, at->path, "the value of %s must not be empty", name);
        if (r == 0)
            r = node_add(c, end, d->kind, d->name, slice_text(name), text_of(value));
        if (r < 0)
            break;
    }
    return r;
}

static int compile_items(struct compiler *c, const json_t *items, const struct place *at,
                         struct filter_node **list)
{
    size_t index;
    json_t *item;
    struct filter_node **end = list;
    json_array_foreach(items, index, item)
    {
        struct place below = {.depth = at->depth};
        snprintf(below.path, sizeof(below.path), "%.130s[%zu]", at->path, index);
        int r = compile_item(c, item, &below, &end);
        if (r < 0)
            return r;
    }
    return 0;
}

static int compile_list(struct compiler *c, const struct dialect *d, const json_t *items,
                        const struct place *at, struct filter_node ***end)
{
    struct filter_node **list = NULL;
    if (!json_is_array(items) || json_array_size(items) == 0)
        return error_field(c->err, -EINVAL, at->path, "must be a list of filters");
    if (json_array_size(items) > FILTER_LIST_MAX)
        return error_field(c->err, -EINVAL, at->path, "must have at most %d filters",
                           FILTER_LIST_MAX);
    int r = parent_add(c, end, d->kind, d->name, &list);
    return r < 0 ? r : compile_items(c, items, at, list);
}

static int compile_not(struct compiler *c, const struct dialect *d, const json_t *item,
                       const struct place *at, struct filter_node ***end)
{
    struct filter_node **list = NULL;
    int r = parent_add(c, end, d->kind, d->name, &list);
    return r < 0 ? r : compile_item(c, item, at, &list);
}

static int compile_cesql(struct compiler *c, const struct dialect *d, const json_t *value,
                         const struct place *at, struct filter_node ***end)
{
    if (!json_is_string(value) || json_string_length(value) == 0)
        return error_field(c->err, -EINVAL, at->path, "must be a CESQL expression");
    struct cesql *x = NULL;
    struct cesql_place place;
    struct error err = ERROR_INIT;
    struct filter_node **node = *end;
    int r = cesql_parse(text_of(value), &x, &place, &err);
    if (r < 0)
        return error_field(c->err, r, at->path, "column %zu: %s",
                           cesql_column(text_of(value), place), err.message);
    r = node_add(c, end, d->kind, d->name, SLICE(""), SLICE(""));
    if (r < 0)
        cesql_free(x);
    else
        (*node)->cesql = x;
    return r;
}

static const struct dialect dialects[] = {
    {"exact", FILTER_EXACT, compile_attributes},
    {"prefix", FILTER_PREFIX, compile_attributes},
    {"suffix", FILTER_SUFFIX, compile_attributes},
    {"all", FILTER_ALL, compile_list},
    {"any", FILTER_ANY, compile_list},
    {"not", FILTER_NOT, compile_not},
    {"cesql", FILTER_CESQL, compile_cesql},
    {"sql", FILTER_CESQL, compile_cesql}, /* its name in the Subscriptions API */
};
#define DIALECTS "exact, prefix, suffix, all, any, not or cesql"

/* Exactly one dialect each, as Knative's admission has it. */
static int compile_item(struct compiler *c, const json_t *item, const struct place *at,
                        struct filter_node ***end)
{
    if (at->depth >= FILTER_DEPTH_MAX)
        return error_field(c->err, -EINVAL, at->path, "filters are nested too deeply: at most %d",
                           FILTER_DEPTH_MAX);
    if (!json_is_object(item) || json_object_size(item) != 1)
        return error_field(c->err, -EINVAL, at->path,
                           "must be an object with exactly one dialect: " DIALECTS);
    void *member = json_object_iter((json_t *)(uintptr_t)item);
    const char *name = json_object_iter_key(member);
    struct place below = {.depth = at->depth + 1};
    snprintf(below.path, sizeof(below.path), "%.130s.%.24s", at->path, name);
    for (size_t i = 0; i < COUNT_OF(dialects); i++)
        if (strcmp(name, dialects[i].name) == 0)
            return dialects[i].compile(c, &dialects[i], json_object_iter_value(member), &below,
                                       end);
    return error_field(c->err, -EINVAL, below.path, "unknown dialect: use " DIALECTS);
}

/* Also where filters are used instead. */
static int legacy_check(struct compiler *c, const json_t *attributes)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)attributes, name, value)
    {
        int r = attribute_check(name, value, "spec.filter.attributes", c->err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* spec.filter.attributes: exact, and "" stands for any value (Knative's older form). */
static int compile_legacy(struct compiler *c, const json_t *attributes, struct filter_node **list)
{
    const char *name;
    json_t *value;
    struct filter_node **end = list;
    json_object_foreach((json_t *)(uintptr_t)attributes, name, value)
    {
        int r = node_add(c, &end, json_string_length(value) > 0 ? FILTER_EXACT : FILTER_PRESENT,
                         "filter", slice_text(name), text_of(value));
        if (r < 0)
            return r;
    }
    return 0;
}

/* filters replaces filter, unless it is empty. */
static int compile(struct compiler *c, const json_t *spec, struct filter *f)
{
    const json_t *filters = json_object_get(spec, "filters");
    const json_t *attributes = json_object_get(json_object_get(spec, "filter"), "attributes");
    bool many = json_array_size(filters) > 0;
    struct filter_node **end = &f->root, **list = NULL;
    int r = parent_add(c, &end, FILTER_ALL, many ? "filters" : "filter", &list);
    if (r < 0)
        return r;
    f->text = json_dumps(many                 ? filters
                         : attributes != NULL ? attributes
                                              : json_null(),
                         JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
    if (f->text == NULL)
        return error_set(c->err, -ENOMEM, "out of memory");
    struct place at = {.path = "spec.filters"};
    r = legacy_check(c, attributes);
    if (r < 0)
        return r;
    return many ? compile_items(c, filters, &at, list) : compile_legacy(c, attributes, list);
}

int filter_compile(const json_t *spec, struct filter **ret, struct error *err)
{
    struct filter *f = calloc(1, sizeof(*f));
    if (f == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    f->references = 1;
    struct compiler c = {err, 0};
    int r = compile(&c, spec, f);
    if (r < 0)
        filter_free(f);
    else
        *ret = f;
    return r;
}

/* ---- matching ---- */

static bool attribute_matches(const struct filter_node *n, const struct event *e)
{
    struct slice is = event_value(e, n->name), want = n->value;
    if (is.ptr == NULL || is.len < want.len)
        return false;
    size_t from = n->kind == FILTER_SUFFIX ? is.len - want.len : 0;
    return (n->kind != FILTER_EXACT || is.len == want.len) &&
           memcmp(is.ptr + from, want.ptr, want.len) == 0;
}

bool filter_node_matches(const struct filter_node *n, const struct event *e,
                         struct cesql_scratch *scratch)
{
    const struct filter_node *child = n->children;
    switch (n->kind) {
    case FILTER_PRESENT:
    case FILTER_EXACT:
    case FILTER_PREFIX:
    case FILTER_SUFFIX:
        return attribute_matches(n, e);
    case FILTER_ALL:
        while (child != NULL && filter_node_matches(child, e, scratch))
            child = child->next;
        return child == NULL;
    case FILTER_ANY:
        while (child != NULL && !filter_node_matches(child, e, scratch))
            child = child->next;
        return child != NULL;
    case FILTER_NOT:
        return !filter_node_matches(child, e, scratch);
    case FILTER_CESQL:
        return cesql_matches(n->cesql, e, scratch);
    case FILTER_KIND_COUNT:
        break;
    }
    must(false);
    return false;
}

bool filter_matches(const struct filter *f, const struct event *e)
{
    struct cesql_scratch scratch;
    return filter_node_matches(f->root, e, &scratch);
}
