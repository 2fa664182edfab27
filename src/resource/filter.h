/* SPDX-License-Identifier: Apache-2.0 */
/* A trigger's filter, compiled: Knative Eventing's Trigger spec.filter and spec.filters with the
 * dialects of CloudEvents' Subscriptions API. Immutable but for its references, which belong to one
 * thread. */
#ifndef SLUICE_RESOURCE_FILTER_H
#define SLUICE_RESOURCE_FILTER_H

#include "base/error.h"
#include "event/cesql/cesql.h"
#include "event/event.h"
#include "event/need.h"

#include <jansson.h>

#define FILTER_DEPTH_MAX 16
#define FILTER_LIST_MAX  1000 /* filters in one list */
#define FILTER_NODES_MAX 4096 /* conditions of one trigger */

enum filter_kind {
    FILTER_PRESENT, /* the attribute is there, whatever its value: "" in spec.filter.attributes */
    FILTER_EXACT,
    FILTER_PREFIX,
    FILTER_SUFFIX,
    FILTER_ALL,
    FILTER_ANY,
    FILTER_NOT,
    FILTER_CESQL,
    FILTER_KIND_COUNT
};

struct filter_node {
    enum filter_kind kind;
    const char *dialect;                 /* as it was written: cesql or sql, exact of many, … */
    struct filter_node *children, *next; /* ALL, ANY, NOT: the first child; siblings */
    struct slice name, value;            /* PRESENT, EXACT, PREFIX, SUFFIX */
    struct cesql *cesql;
};

struct filter {
    struct filter_node *root; /* ALL */
    char *text;               /* what it was compiled from: the same text is the same filter */
    unsigned references;
};

/* From a Trigger's spec. -EINVAL with the field in err and what is allowed; -ENOMEM. */
int filter_compile(const json_t *spec, struct filter **ret, struct error *err);
struct filter *filter_ref(struct filter *f);
/* Gives a reference back; NULL is fine. */
void filter_free(struct filter *f);

bool filter_matches(const struct filter *f, const struct event *e);
/* scratch: for expressions. */
bool filter_node_matches(const struct filter_node *n, const struct event *e,
                         struct cesql_scratch *scratch);
/* What an event must have to match; borrows from the filter and the arena. NULL: out of memory. */
struct need *filter_need(const struct filter *f, struct event_arena *arena);

#endif
