/* SPDX-License-Identifier: Apache-2.0 */
/* The kinds that the API serves: the stored ones, and views that are made from them. */
#include "api/api_internal.h"

size_t kinds_count(void)
{
    return resource_kind_count + 1;
}

const struct resource_kind *kinds_at(size_t index)
{
    return index < resource_kind_count ? resource_kinds[index] : &pod_kind;
}

const struct resource_kind *kinds_find(struct slice group, struct slice version,
                                       struct slice plural)
{
    for (size_t i = 0; i < kinds_count(); i++) {
        const struct resource_kind *k = kinds_at(i);
        if (slice_is(group, k->group) && slice_is(version, k->version) &&
            slice_is(plural, k->plural))
            return k;
    }
    return NULL;
}

bool kinds_is_view(const struct resource_kind *kind)
{
    return kind == &pod_kind;
}

const struct resource_kind *kinds_stored(const struct resource_kind *kind)
{
    return kinds_is_view(kind) ? &resource_kind_function : kind;
}

json_t *kinds_show(const struct resource_kind *kind, const json_t *stored)
{
    return kinds_is_view(kind) ? pod_of(stored) : json_incref((json_t *)(uintptr_t)stored);
}
