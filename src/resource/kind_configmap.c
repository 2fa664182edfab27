/* SPDX-License-Identifier: Apache-2.0 */
/* v1 ConfigMap: entries that a function's environment takes in. */
#include "base/memory.h"
#include "resource/resource_internal.h"

#include <errno.h>

static int config_check(const json_t *object, struct error *err)
{
    size_t bytes = 0;
    int status = entries_check(object, "data", false, &bytes, err);
    if (status == 0)
        status = entries_check(object, "binaryData", true, &bytes, err);
    const char *key;
    json_t *value, *data = json_object_get(object, "data");
    json_object_foreach(json_object_get(object, "binaryData"), key, value)
    {
        if (status == 0 && json_object_get(data, key) != NULL)
            status = error_field(err, -EINVAL, "binaryData",
                                 "the key \"%.80s\" is in data as well: each key once", key);
    }
    return status;
}

static int config_check_change(const json_t *before, const json_t *after, struct error *err)
{
    static const char *const kept[] = {"data", "binaryData", NULL};
    return entries_check_change(before, after, kept, err);
}

static const struct resource_field fields[] = {
    {"data", RESOURCE_STRING_MAP, .max = ENTRIES_MAX, .help = "key: text"},
    {"binaryData", RESOURCE_STRING_MAP, .max = ENTRIES_MAX, .help = "key: bytes in base64"},
    {"immutable", RESOURCE_BOOLEAN, .help = "true: the entries cannot be changed any more"},
};

static const struct resource_column columns[] = {
    {"NAME", "metadata.name", 0},
    {"DATA", "count:data+binaryData", 0},
    {"AGE", "metadata.creationTimestamp", 0},
};

const struct resource_kind resource_kind_configmap = {
    .group = "",
    .version = "v1",
    .kind = "ConfigMap",
    .plural = "configmaps",
    .singular = "configmap",
    .short_name = "cm",
    .namespaced = true,
    .fields = fields,
    .field_count = COUNT_OF(fields),
    .columns = columns,
    .column_count = COUNT_OF(columns),
    .check = config_check,
    .check_change = config_check_change,
    .help = "Settings of functions.",
};
