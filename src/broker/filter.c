/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/filter.h"

#include "base/memory.h"

#include <errno.h>
#include <stdio.h>

#define FILTER_DEPTH_MAX 16
#define FILTER_NODES_MAX 256

enum filter_kind {
    FILTER_EXACT,
    FILTER_PREFIX,
    FILTER_SUFFIX,
    FILTER_ALL,
    FILTER_ANY,
    FILTER_NOT,
    FILTER_KIND_COUNT
};

struct filter_node {
    enum filter_kind kind;
    struct filter_node *next;     /* sibling */
    struct filter_node *children; /* ALL, ANY, NOT */
    char *name, *value;           /* EXACT, PREFIX, SUFFIX */
};

struct compiler {
    struct filter *filter;
    struct error *err;
    unsigned nodes;
};

static void node_free(struct filter_node *n)
{
    while (n != NULL) {
        struct filter_node *next = n->next;
        node_free(n->children);
        free(n->name);
        free(n->value);
        free(n);
        n = next;
    }
}

void filter_free(struct filter *f)
{
    if (f == NULL)
        return;
    for (size_t i = 0; i < f->count; i++) {
        free(f->requirements[i].name);
        free(f->requirements[i].value);
    }
    free(f->requirements);
    node_free(f->rest);
    free(f);
}

/* Keeps the requirements sorted by name; one name twice with different values can never match. */
static int require(struct filter *f, const char *name, const char *value)
{
    size_t at = 0;
    while (at < f->count && strcmp(f->requirements[at].name, name) < 0)
        at++;
    if (at < f->count && strcmp(f->requirements[at].name, name) == 0) {
        struct filter_requirement *r = &f->requirements[at];
        if (r->value != NULL && value != NULL)
            f->never = f->never || strcmp(r->value, value) != 0;
        else if (value != NULL && (r->value = strdup(value)) == NULL)
            return -ENOMEM;
        return 0;
    }
    struct filter_requirement *grown =
        realloc(f->requirements, (f->count + 1) * sizeof(*f->requirements));
    if (grown == NULL)
        return -ENOMEM;
    f->requirements = grown;
    memmove(&grown[at + 1], &grown[at], (f->count - at) * sizeof(*grown));
    grown[at].name = strdup(name);
    grown[at].value = value != NULL ? strdup(value) : NULL;
    f->count++;
    return grown[at].name == NULL || (value != NULL && grown[at].value == NULL) ? -ENOMEM : 0;
}

static int add_node(struct compiler *c, struct filter_node **list, enum filter_kind kind,
                    const char *name, const char *value, struct filter_node **ret)
{
    if (++c->nodes > FILTER_NODES_MAX)
        return error_field(c->err, -EINVAL, "spec.filters", "more than %d conditions",
                           FILTER_NODES_MAX);
    struct filter_node *n = calloc(1, sizeof(*n));
    if (n == NULL)
        return -ENOMEM;
    n->kind = kind;
    n->next = *list;
    *list = n;
    if (name != NULL && ((n->name = strdup(name)) == NULL || (n->value = strdup(value)) == NULL))
        return -ENOMEM;
    if (ret != NULL)
        *ret = n;
    return 0;
}

static int compile_item(struct compiler *c, const json_t *item, const char *path, unsigned depth,
                        struct filter_node **list);

static int compile_list(struct compiler *c, const json_t *items, const char *path, unsigned depth,
                        struct filter_node **list)
{
    if (!json_is_array(items) || json_array_size(items) == 0)
        return error_field(c->err, -EINVAL, path, "must be a list with at least one filter");
    size_t i;
    json_t *item;
    json_array_foreach(items, i, item)
    {
        char below[160];
        snprintf(below, sizeof(below), "%s[%zu]", path, i);
        int r = compile_item(c, item, below, depth + 1, list);
        if (r < 0)
            return r;
    }
    return 0;
}

/* exact, prefix, suffix: an object of attribute names and non-empty strings. At the top, exact goes
 * to the index. */
static int compile_attributes(struct compiler *c, enum filter_kind kind, const json_t *attributes,
                              const char *path, bool indexable, struct filter_node **list)
{
    if (!json_is_object(attributes) || json_object_size(attributes) == 0)
        return error_field(c->err, -EINVAL, path, "must name at least one attribute");
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)attributes, name, value)
    {
        const char *text = json_string_value(value);
        if (text == NULL || text[0] == '\0')
            return error_field(c->err, -EINVAL, path, "%s must be a non-empty string", name);
        int r = indexable && kind == FILTER_EXACT ? require(c->filter, name, text)
                                                  : add_node(c, list, kind, name, text, NULL);
        if (r < 0)
            return r;
    }
    return 0;
}

static int compile_nested(struct compiler *c, enum filter_kind kind, const json_t *value,
                          const char *path, unsigned depth, struct filter_node **list)
{
    if (kind ==
        FILTER_ALL) /* a conjunction adds nothing to the list that it is in, if that is one */
        return compile_list(c, value, path, depth, list);
    struct filter_node *n = NULL;
    int r = add_node(c, list, kind, NULL, NULL, &n);
    if (r < 0)
        return r;
    if (kind == FILTER_NOT)
        return compile_item(c, value, path, depth + 1, &n->children);
    return compile_list(c, value, path, depth, &n->children);
}

/* list is a conjunction when it is the filter's rest; below `any` and `not`, several attributes
 * need an ALL of their own. */
static int compile_item(struct compiler *c, const json_t *item, const char *path, unsigned depth,
                        struct filter_node **list)
{
    static const char *const names[FILTER_KIND_COUNT] = {"exact", "prefix", "suffix",
                                                         "all",   "any",    "not"};
    if (depth > FILTER_DEPTH_MAX)
        return error_field(c->err, -EINVAL, path, "nested deeper than %d", FILTER_DEPTH_MAX);
    if (!json_is_object(item) || json_object_size(item) != 1)
        return error_field(c->err, -EINVAL, path,
                           "must have exactly one of exact, prefix, suffix, all, any, not, cesql");
    void *at = json_object_iter((json_t *)(uintptr_t)item);
    const char *name = json_object_iter_key(at);
    const json_t *value = json_object_iter_value(at);
    if (strcmp(name, "cesql") == 0 || strcmp(name, "sql") == 0)
        return error_field(c->err, -ENOTSUP, path, "the dialect %s is not available yet", name);
    int kind = 0;
    while (kind < FILTER_KIND_COUNT && strcmp(names[kind], name) != 0)
        kind++;
    if (kind == FILTER_KIND_COUNT)
        return error_field(c->err, -EINVAL, path, "%s is no filter dialect", name);
    char below[192];
    snprintf(below, sizeof(below), "%s.%s", path, name);
    bool conjunction = list == &c->filter->rest;
    struct filter_node *all = NULL;
    if (!conjunction && kind <= FILTER_ALL) {
        int r = add_node(c, list, FILTER_ALL, NULL, NULL, &all);
        if (r < 0)
            return r;
        list = &all->children;
    }
    if (kind <= FILTER_SUFFIX)
        return compile_attributes(c, (enum filter_kind)kind, value, below, conjunction, list);
    return compile_nested(c, (enum filter_kind)kind, value, below, depth, list);
}

/* spec.filter.attributes: exact, and "" stands for any value (Knative's older form). */
static int compile_legacy(struct compiler *c, const json_t *attributes)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)attributes, name, value)
    {
        const char *text = json_string_value(value);
        if (text == NULL)
            return error_field(c->err, -EINVAL, "spec.filter.attributes", "%s must be a string",
                               name);
        int r = require(c->filter, name, text[0] != '\0' ? text : NULL);
        if (r < 0)
            return r;
    }
    return 0;
}

int filter_compile(const json_t *spec, struct filter **ret, struct error *err)
{
    struct filter *f = calloc(1, sizeof(*f));
    if (f == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    struct compiler c = {f, err, 0};
    const json_t *filters = json_object_get(spec, "filters");
    int r;
    if (json_array_size(filters) > 0)
        r = compile_list(&c, filters, "spec.filters", 0, &f->rest);
    else
        r = compile_legacy(&c, json_object_get(json_object_get(spec, "filter"), "attributes"));
    if (r < 0) {
        filter_free(f);
        return r == -ENOMEM ? error_set(err, r, "out of memory") : r;
    }
    *ret = f;
    return 0;
}

static bool node_matches(const struct filter_node *n, const struct event *e);

static bool all_match(const struct filter_node *n, const struct event *e)
{
    for (; n != NULL; n = n->next)
        if (!node_matches(n, e))
            return false;
    return true;
}

static bool any_matches(const struct filter_node *n, const struct event *e)
{
    for (; n != NULL; n = n->next)
        if (node_matches(n, e))
            return true;
    return false;
}

static bool attribute_matches(const struct filter_node *n, const struct event *e)
{
    struct slice value = event_get(e, n->name);
    if (value.ptr == NULL)
        return false;
    if (n->kind == FILTER_PREFIX)
        return slice_starts(value, n->value);
    return n->kind == FILTER_SUFFIX ? slice_ends(value, n->value) : slice_is(value, n->value);
}

static bool node_matches(const struct filter_node *n, const struct event *e)
{
    switch (n->kind) {
    case FILTER_ALL:
        return all_match(n->children, e);
    case FILTER_ANY:
        return any_matches(n->children, e);
    case FILTER_NOT:
        return !all_match(n->children, e);
    case FILTER_EXACT:
    case FILTER_PREFIX:
    case FILTER_SUFFIX:
    case FILTER_KIND_COUNT:
        break;
    }
    return attribute_matches(n, e);
}

bool filter_rest_matches(const struct filter *f, const struct event *e)
{
    return !f->never && all_match(f->rest, e);
}

bool filter_matches(const struct filter *f, const struct event *e)
{
    for (size_t i = 0; i < f->count; i++) {
        struct slice value = event_get(e, f->requirements[i].name);
        if (value.ptr == NULL ||
            (f->requirements[i].value != NULL && !slice_is(value, f->requirements[i].value)))
            return false;
    }
    return filter_rest_matches(f, e);
}
