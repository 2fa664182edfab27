/* SPDX-License-Identifier: Apache-2.0 */
/* Which triggers want an event. Equal filters are one entry, and each is filed under something that
 * an event must have to match it: exact values of attributes, a prefix or a suffix of one,
 * the value of what an expression computes (index_path.h). So an event costs a few look-ups for
 * each of its attributes that filters name, however many triggers there are; only what cannot be
 * looked up is asked one by one. Loop thread.
 */
#ifndef SLUICE_BROKER_INDEX_H
#define SLUICE_BROKER_INDEX_H

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "event/event.h"
#include "resource/filter.h"

struct index_slot;

struct index {
    struct map groups; /* filter's text → struct index_group */
    struct map slots;  /* attribute's name → struct index_slot */
    struct list terms; /* slots of what is computed */
    struct index_slot *free_slot;
    struct buf key, value; /* scratch */
    uint64_t turn;         /* events so far: a group is looked at once for each */
};

void index_done(struct index *x);
/* item comes back from index_match. The index keeps a reference to the filter. 0 or -ENOMEM. */
int index_add(struct index *x, struct filter *f, void *item);
void index_remove(struct index *x, const struct filter *f, void *item);
/* Calls each once for every item whose filter matches the event; allocates nothing. Nothing may be
 * added or removed meanwhile. */
void index_match(struct index *x, const struct event *e, void (*each)(void *ctx, void *item),
                 void *ctx);
/* Filters that an event with these attributes makes one ask, for tests and measurements. */
size_t index_candidates(struct index *x, const struct event *e);

#endif
