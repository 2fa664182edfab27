/* SPDX-License-Identifier: Apache-2.0 */
/* The ways to meet a need: an event that does goes at least one of them. Each is a list of
 * conditions on attributes, all of which hold. */
#ifndef SLUICE_BROKER_INDEX_PATH_H
#define SLUICE_BROKER_INDEX_PATH_H

#include "event/event.h"
#include "event/need.h"

#define INDEX_PATHS_MAX      1024
#define INDEX_CONDITIONS_MAX 12 /* further ones are left to the filter itself */

/* May it be one of several in a key? What is computed has keys of its own. */
static inline bool index_is_value(const struct need *n)
{
    return (n->kind == NEED_EXACT && n->term.x == NULL) || n->kind == NEED_PRESENT;
}

struct index_path {
    unsigned count;
    const struct need *conditions[INDEX_CONDITIONS_MAX]; /* PRESENT, EXACT, PREFIX, SUFFIX */
};

struct index_paths {
    struct index_path *items;
    size_t count; /* 0: no event meets it */
};

/* In the arena; borrows from the need. A path without conditions: any event may. 0 or -ENOMEM. */
int index_paths_of(const struct need *need, struct event_arena *arena, struct index_paths *ret);

#endif
