/* SPDX-License-Identifier: Apache-2.0 */
/* A trigger's filter, compiled: attributes that it requires exactly (the index is made of these)
 * and the rest as a tree. Knative Eventing, Trigger spec.filter and spec.filters. Immutable once
 * compiled. */
#ifndef SLUICE_BROKER_FILTER_H
#define SLUICE_BROKER_FILTER_H

#include "base/error.h"
#include "event/event.h"

#include <jansson.h>

struct filter_requirement {
    char *name;
    char *value; /* NULL: any value, the attribute must be there */
};

struct filter_node;

struct filter {
    struct filter_requirement *requirements; /* sorted by name */
    size_t count;
    bool never; /* two requirements contradict each other */
    struct filter_node *rest;
};

/* From a Trigger's spec. -EINVAL with the field in err; -ENOTSUP for a dialect that is not
 * available. */
int filter_compile(const json_t *spec, struct filter **ret, struct error *err);
void filter_free(struct filter *f);
/* What the requirements do not say. */
bool filter_rest_matches(const struct filter *f, const struct event *e);
/* The whole filter. */
bool filter_matches(const struct filter *f, const struct event *e);

#endif
