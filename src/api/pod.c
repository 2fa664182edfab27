/* SPDX-License-Identifier: Apache-2.0 */
/* Pods: a read-only view, so that `kubectl get pods` and `kubectl logs` work. One stands for the
 * workers of each function and has its name and labels. */
#include "api/api_internal.h"
#include "base/memory.h"

static const struct resource_column columns[] = {
    {"NAME", "metadata.name", 0},
    {"READY", "status.ready", 0},
    {"STATUS", "status.phase", 0},
    {"RESTARTS", "status.restarts", 0},
    {"AGE", "metadata.creationTimestamp", 0},
};

const struct resource_kind pod_kind = {
    .group = "",
    .version = "v1",
    .kind = "Pod",
    .plural = "pods",
    .singular = "pod",
    .short_name = "po",
    .namespaced = true,
    .columns = columns,
    .column_count = COUNT_OF(columns),
    .help = "A read-only view of a function's workers.",
};

static const json_t *ready_condition(const json_t *function)
{
    size_t index;
    const json_t *condition;
    json_array_foreach(resource_at(function, "status.conditions"), index, condition)
    {
        const char *type = json_string_value(json_object_get(condition, "type"));
        if (type != NULL && strcmp(type, "Ready") == 0)
            return condition;
    }
    return NULL;
}

static json_t *pod_metadata(const json_t *function)
{
    static const char *const kept[] = {"name", "namespace",       "labels",
                                       "uid",  "resourceVersion", "creationTimestamp"};
    const json_t *from = json_object_get(function, "metadata");
    json_t *metadata = json_object();
    for (size_t i = 0; i < COUNT_OF(kept); i++)
        if (json_object_get(from, kept[i]) != NULL)
            json_object_set(metadata, kept[i], json_object_get(from, kept[i]));
    return metadata;
}

static json_t *container_status(const char *name, const char *image, bool ready, json_t *since)
{
    json_t *state = json_object();
    if (ready)
        json_object_set_new(state, "running", json_pack("{s:O?}", "startedAt", since));
    else
        json_object_set_new(state, "waiting", json_object());
    return json_pack("{s:s, s:b, s:i, s:s, s:s, s:o}", "name", name, "ready", ready, "restartCount",
                     0, "image", image, "imageID", "", "state", state);
}

/* kubectl wants a container with a name. ready and restarts, beside what a PodStatus has, are for
 * the columns. */
static json_t *pod_status(const json_t *function, const char *name, const char *image)
{
    const json_t *condition = ready_condition(function);
    const char *status = json_string_value(json_object_get(condition, "status"));
    bool ready = status != NULL && strcmp(status, "True") == 0;
    json_t *since = json_object_get(condition, "lastTransitionTime");
    return json_pack("{s:s, s:s, s:i, s:[{s:s, s:s}], s:[o]}", "phase",
                     ready ? "Running" : "Pending", "ready", ready ? "1/1" : "0/1", "restarts", 0,
                     "conditions", "type", "Ready", "status", ready ? "True" : "False",
                     "containerStatuses", container_status(name, image, ready, since));
}

json_t *pod_of(const json_t *function)
{
    const char *name = resource_text_at(function, "metadata.name");
    const char *runtime = resource_text_at(function, "spec.runtime");
    char image[64];
    snprintf(image, sizeof(image), "sluice.dev/%.40s", runtime != NULL ? runtime : "");
    return json_pack("{s:s, s:s, s:o, s:{s:[{s:s, s:s}]}, s:o}", "apiVersion", "v1", "kind", "Pod",
                     "metadata", pod_metadata(function), "spec", "containers", "name", name,
                     "image", image, "status", pod_status(function, name, image));
}
