/* SPDX-License-Identifier: Apache-2.0 */
/* v1 Namespace. */
#include "base/memory.h"
#include "resource/resource_internal.h"

#include <errno.h>

/* First segments of the route table, and some kept for later: POST /{namespace}/{broker} would meet
 * them. */
static const char *const reserved[] = {
    "-",       "console",   "docs",    ".well-known", "api",     "apis", "openapi",
    "version", "functions", "webhook", "task",        "admin",   "mon",  "build",
    "health",  "livez",     "readyz",  "healthz",     "metrics",
};

static int namespace_check(const json_t *object, struct error *err)
{
    const char *name = resource_text_at(object, "metadata.name");
    if (name == NULL)
        return 0;
    for (size_t i = 0; i < COUNT_OF(reserved); i++)
        if (strcmp(name, reserved[i]) == 0)
            return error_field(err, -EINVAL, "metadata.name",
                               "\"%s\" is reserved (it is the beginning of a URL of this server): "
                               "choose another name",
                               name);
    return 0;
}

static const struct resource_field fields[] = {
    {"spec", RESOURCE_OBJECT, .help = "taken for compatibility"},
    {"spec.finalizers", RESOURCE_LIST, .max = 100, .help = "kept, and not waited for"},
    {"spec.finalizers[]", RESOURCE_STRING, .max = 317, .help = "name of a finalizer"},
};

static const struct resource_column columns[] = {
    {"NAME", "metadata.name", 0},
    {"STATUS", "status.phase", 0},
    {"AGE", "metadata.creationTimestamp", 0},
};

const struct resource_kind resource_kind_namespace = {
    .group = "",
    .version = "v1",
    .kind = "Namespace",
    .plural = "namespaces",
    .singular = "namespace",
    .short_name = "ns",
    .label_name = true,
    .fields = fields,
    .field_count = COUNT_OF(fields),
    .columns = columns,
    .column_count = COUNT_OF(columns),
    .check = namespace_check,
    .help = "A scope for names. The label knative-eventing-injection: enabled gives it a broker "
            "named default.",
};
