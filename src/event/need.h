/* SPDX-License-Identifier: Apache-2.0 */
/* What an event must have to meet a condition, as far as that can be looked up: necessary, not
 * always enough. An index of conditions is made of these. */
#ifndef SLUICE_EVENT_NEED_H
#define SLUICE_EVENT_NEED_H

#include "base/slice.h"

enum need_kind {
    NEED_NOTHING, /* nothing that can be said */
    NEED_NEVER,   /* no event meets it */
    NEED_PRESENT, /* name is there */
    NEED_EXACT,   /* name's value, or the term's, as text is value */
    NEED_PREFIX,
    NEED_SUFFIX,
    NEED_ALL, /* of the children; none: nothing */
    NEED_ANY  /* none: never */
};

struct cesql;

/* Something that is computed from an event, as LENGTH(subject). */
struct need_term {
    const struct cesql *x; /* NULL: none */
    unsigned node;
    int type; /* enum cesql_type that its value is cast to */
};

struct need {
    enum need_kind kind;
    struct slice name; /* of an attribute, or what stands for the term: equal terms, equal names */
    struct need_term term; /* EXACT, PREFIX, SUFFIX */
    struct slice value;
    struct need *children, *next; /* children: the first */
};

#endif
