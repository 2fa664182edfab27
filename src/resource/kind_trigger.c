/* SPDX-License-Identifier: Apache-2.0 */
/* eventing.knative.dev/v1 Trigger. */
#include "base/memory.h"
#include "resource/annotation.h"
#include "resource/resource_internal.h"

#include <errno.h>

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

static int attributes_check(json_t *attributes, const char *field, bool value_needed,
                            struct error *err)
{
    const char *name;
    json_t *value;
    json_object_foreach(attributes, name, value)
    {
        if (!is_attribute_name(name))
            return error_field(err, -EINVAL, field,
                               "\"%.60s\" is no attribute name: a letter a-z, then a-z and 0-9",
                               name);
        if (!json_is_string(value))
            return error_field(err, -EINVAL, field, "the value of %s must be text: quote it", name);
        if (value_needed && json_string_length(value) == 0)
            return error_field(err, -EINVAL, field, "the value of %s must not be empty", name);
    }
    return 0;
}

#define FILTER_DEPTH_MAX 16
#define FILTER_LIST_MAX  1000

struct filter_place { /* where a filter stands, for messages */
    char path[160];
    unsigned depth;
};
typedef int dialect_check_fn(json_t *value, const struct filter_place *at, struct error *err);

static int filter_check(json_t *filter, const struct filter_place *at, struct error *err);

static int dialect_attributes(json_t *value, const struct filter_place *at, struct error *err)
{
    if (!json_is_object(value) || json_object_size(value) == 0)
        return error_field(err, -EINVAL, at->path, "must be an object of attribute: value");
    return attributes_check(value, at->path, true, err);
}

static int dialect_list(json_t *value, const struct filter_place *at, struct error *err)
{
    size_t index;
    json_t *item;
    if (!json_is_array(value) || json_array_size(value) == 0)
        return error_field(err, -EINVAL, at->path, "must be a list of filters");
    if (json_array_size(value) > FILTER_LIST_MAX)
        return error_field(err, -EINVAL, at->path, "must have at most %d filters", FILTER_LIST_MAX);
    json_array_foreach(value, index, item)
    {
        struct filter_place below = {.depth = at->depth};
        snprintf(below.path, sizeof(below.path), "%.130s[%zu]", at->path, index);
        int status = filter_check(item, &below, err);
        if (status < 0)
            return status;
    }
    return 0;
}

static int dialect_not(json_t *value, const struct filter_place *at, struct error *err)
{
    return filter_check(value, at, err);
}

static int dialect_text(json_t *value, const struct filter_place *at, struct error *err)
{
    if (json_is_string(value) && json_string_length(value) > 0)
        return 0;
    return error_field(err, -EINVAL, at->path, "must be a CESQL expression");
}

static const struct {
    const char *name;
    dialect_check_fn *check;
} dialects[] = {
    {"exact", dialect_attributes}, {"prefix", dialect_attributes}, {"suffix", dialect_attributes},
    {"all", dialect_list},         {"any", dialect_list},          {"not", dialect_not},
    {"cesql", dialect_text},       {"sql", dialect_text},
};

static int dialect_check(const char *name, json_t *value, const struct filter_place *at,
                         struct error *err)
{
    struct filter_place below = {.depth = at->depth + 1};
    snprintf(below.path, sizeof(below.path), "%.130s.%.24s", at->path, name);
    for (size_t i = 0; i < COUNT_OF(dialects); i++)
        if (strcmp(name, dialects[i].name) == 0)
            return dialects[i].check(value, &below, err);
    return error_field(err, -EINVAL, below.path,
                       "unknown dialect: use exact, prefix, suffix, all, any, not or cesql");
}

/* Exactly one dialect each, as Knative's admission has it. */
static int filter_check(json_t *filter, const struct filter_place *at, struct error *err)
{
    const char *name;
    json_t *value;
    if (at->depth >= FILTER_DEPTH_MAX)
        return error_field(err, -EINVAL, at->path, "filters are nested too deeply: at most %d",
                           FILTER_DEPTH_MAX);
    if (!json_is_object(filter) || json_object_size(filter) != 1)
        return error_field(err, -EINVAL, at->path,
                           "must be an object with exactly one dialect: exact, prefix, suffix, "
                           "all, any, not or cesql");
    json_object_foreach(filter, name, value) return dialect_check(name, value, at, err);
    return 0;
}

static int filters_check(const json_t *object, struct error *err)
{
    size_t index;
    json_t *filter;
    json_array_foreach(resource_at(object, "spec.filters"), index, filter)
    {
        struct filter_place at = {.depth = 0};
        snprintf(at.path, sizeof(at.path), "spec.filters[%zu]", index);
        int status = filter_check(filter, &at, err);
        if (status < 0)
            return status;
    }
    return 0;
}

static int trigger_check(const json_t *object, struct error *err)
{
    const char *broker = resource_text_at(object, "spec.broker");
    if (!name_is_subdomain(slice_text(broker)))
        return error_field(err, -EINVAL, "spec.broker", "\"%.80s\" is no valid name", broker);
    int status = attributes_check(resource_at(object, "spec.filter.attributes"),
                                  "spec.filter.attributes", false, err);
    if (status == 0)
        status = filters_check(object, err);
    if (status == 0)
        status = destination_check(object, "spec.subscriber", err);
    return status == 0 ? delivery_check(object, "spec.delivery", err) : status;
}

/* Where it started is history. */
static int trigger_check_change(const json_t *before, const json_t *after, struct error *err)
{
    const char *was = annotation_text(before, ANNOTATION_START);
    const char *is = annotation_text(after, ANNOTATION_START);
    if (was == is || (was != NULL && is != NULL && strcmp(was, is) == 0))
        return 0;
    return error_field(err, -EINVAL, "metadata.annotations[\"" ANNOTATION_START "\"]",
                       "cannot be changed, was %s%.80s%s: to deliver earlier events, use sluice "
                       "replay",
                       was != NULL ? "\"" : "", was != NULL ? was : "absent",
                       was != NULL ? "\"" : "");
}

static const struct resource_field fields[] = {
    {"spec", RESOURCE_OBJECT, .required = true, .help = "what the trigger should do"},
    {"spec.broker", RESOURCE_STRING, .fallback = "\"default\"", .min = 1, .max = 253,
     .help = "broker whose events are taken; cannot be changed later"},
    {"spec.filter", RESOURCE_OBJECT, .help = "attributes that an event must have"},
    {"spec.filter.attributes", RESOURCE_STRING_MAP, .max = 100,
     .help = "attribute: value, all of them; an empty value means any"},
    {"spec.filters", RESOURCE_LIST, .max = FILTER_LIST_MAX,
     .help = "filters that must all match; used instead of filter"},
    {"spec.filters[]", RESOURCE_ANY,
     .help = "one dialect: exact, prefix, suffix, all, any, not or cesql"},
    {"spec.subscriber", RESOURCE_OBJECT, .required = true, .help = "where matching events go"},
    DESTINATION_FIELDS("spec.subscriber", "subscriber"),
    DELIVERY_FIELDS,
};

static const struct resource_column columns[] = {
    {"NAME", "metadata.name", 0},
    {"READY", "condition:Ready.status", 0},
    {"REASON", "condition:Ready.reason", 0},
    {"BROKER", "spec.broker", 0},
    {"SUBSCRIBER_URI", "status.subscriberUri", 0},
    {"AGE", "metadata.creationTimestamp", 0},
};

static const char *const immutable[] = {"spec.broker", NULL};

const struct resource_kind resource_kind_trigger = {
    .group = "eventing.knative.dev",
    .version = "v1",
    .kind = "Trigger",
    .plural = "triggers",
    .singular = "trigger",
    .namespaced = true,
    .fields = fields,
    .field_count = COUNT_OF(fields),
    .columns = columns,
    .column_count = COUNT_OF(columns),
    .immutable = immutable,
    .check = trigger_check,
    .check_change = trigger_check_change,
    .help = "A filter, a subscriber and a delivery policy on one broker.",
};
