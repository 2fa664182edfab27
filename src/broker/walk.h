/* SPDX-License-Identifier: Apache-2.0 */
/* A way through the log that passes over the parts that cannot hold what is looked for, within the
 * budget of the request that it is for. The inspector's thread. */
#ifndef SLUICE_BROKER_WALK_H
#define SLUICE_BROKER_WALK_H

#include "broker/inspect.h"
#include "store/store.h"

struct walk {
    struct inspect_job *job;
    const struct store_search *search; /* may change while it goes on; NULL: everything is wanted */
    struct store_reader *reader;
    uint64_t position; /* wanted next: all before it was seen, or passed over */
    uint64_t end;      /* where it must be asked anew what can be passed over */
    uint64_t last;     /* the walk ends after this position */
};

void walk_begin(struct walk *w, struct inspect_job *job, uint64_t from, uint64_t last);
void walk_done(struct walk *w);
/* 1: a record, valid until the next call. 0: the end, or the budget is used up (job->exhausted).
 * Negative errno, also in job->error. */
int walk_next(struct walk *w, struct store_entry *ret);

/* What a record is about, for the store's digests of segments: store_topic_fn. */
void walk_topic(const struct store_entry *entry, struct store_topic *ret);
/* How ids of events are looked for. */
uint64_t walk_id_key(struct slice id);

#endif
