/* SPDX-License-Identifier: Apache-2.0 */
/* The kinds, in the order in which a start brings them up. A new kind is a file kind_NAME.c and a
 * row here. */
#include "base/memory.h"
#include "resource/resource.h"

const struct resource_kind *const resource_kinds[] = {
    &resource_kind_namespace, &resource_kind_configmap, &resource_kind_secret,
    &resource_kind_broker,    &resource_kind_function,  &resource_kind_trigger,
};
const size_t resource_kind_count = COUNT_OF(resource_kinds);

void resource_kind_api_version(const struct resource_kind *k, struct buf *out)
{
    if (*k->group != '\0')
        buf_printf(out, "%s/", k->group);
    buf_add_text(out, k->version);
}

const struct resource_kind *resource_kind_of(const char *api_version, const char *kind)
{
    for (size_t i = 0; i < resource_kind_count; i++) {
        const struct resource_kind *k = resource_kinds[i];
        size_t group = strlen(k->group);
        const char *version = api_version;
        if (group > 0) {
            if (strncmp(api_version, k->group, group) != 0 || api_version[group] != '/')
                continue;
            version += group + 1;
        }
        if (strcmp(version, k->version) == 0 && strcmp(kind, k->kind) == 0)
            return k;
    }
    return NULL;
}

static bool is_called(const struct resource_kind *k, struct slice name)
{
    return slice_is_nocase(name, k->plural) || slice_is_nocase(name, k->singular) ||
           (k->short_name != NULL && slice_is_nocase(name, k->short_name));
}

/* kubectl's long form, brokers.eventing.knative.dev, is understood too. */
const struct resource_kind *resource_kind_named(const char *name)
{
    struct slice word = slice_of(name, strcspn(name, "."));
    const char *group = name[word.len] == '.' ? name + word.len + 1 : NULL;
    for (size_t i = 0; i < resource_kind_count; i++)
        if (is_called(resource_kinds[i], word) &&
            (group == NULL || strcasecmp(group, resource_kinds[i]->group) == 0))
            return resource_kinds[i];
    return NULL;
}
