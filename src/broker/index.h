/* SPDX-License-Identifier: Apache-2.0 */
/* Which triggers want an event: triggers are grouped by the names of the attributes that they
 * require (a shape), and within a shape hashed by the values. An event costs one look-up a shape,
 * however many triggers there are. */
#ifndef SLUICE_BROKER_INDEX_H
#define SLUICE_BROKER_INDEX_H

#include "base/buf.h"
#include "broker/filter.h"

struct index_shape;

struct index {
    struct index_shape **shapes;
    size_t count;
    struct buf key; /* scratch */
};

void index_done(struct index *x);
/* item comes back from index_match. The filter must live as long as the item is in the index. 0 or
 * -ENOMEM. */
int index_add(struct index *x, const struct filter *f, void *item);
void index_remove(struct index *x, const struct filter *f, void *item);
/* Calls each for every item whose filter's requirements the event meets; filter_rest_matches() is
 * left to the caller. */
void index_match(struct index *x, const struct event *e, void (*each)(void *ctx, void *item),
                 void *ctx);

#endif
