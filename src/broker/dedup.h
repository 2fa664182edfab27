/* SPDX-License-Identifier: Apache-2.0 */
/* Duplicates in one broker's log: an event is one when an earlier one of the same source and id is
 * at most the window older (annotation sluice.dev/dedup of the broker). The log alone says so, so
 * it says the same after any restart, and to triggers that are behind. Nobody is given a duplicate.
 *
 * A judge goes through the log ahead of everybody: with the scan while it is live. Before that, and
 * for triggers that begin further back than it has looked, it reads by itself; the broker's
 * triggers wait for it. Loop thread. */
#ifndef SLUICE_BROKER_DEDUP_H
#define SLUICE_BROKER_DEDUP_H

#include "broker/broker_internal.h"
#include "store/store.h"

#define DEDUP_VERDICTS_MAX 1000000 /* duplicates that triggers which are behind will meet */

struct dedup;

enum dedup_verdict { DEDUP_ORIGINAL, DEDUP_DUPLICATE, DEDUP_UNKNOWN };

/* The annotation, which may have changed. */
void dedup_read(struct broker_core *b, struct broker *broker);
void dedup_free(struct dedup *d);
/* ns. */
uint64_t dedup_window(const struct dedup *d);
/* The scan is at that event. UNKNOWN: the judge is not there, the triggers are to read by
 * themselves. */
enum dedup_verdict dedup_scan(struct dedup *d, const struct store_entry *entry,
                              const struct event *event);
/* A trigger reads that by itself. UNKNOWN: it is to come again. */
enum dedup_verdict dedup_ask(struct dedup *d, uint64_t position);
/* Reads on for all judges that are not live, bounded work. True: there is more to read now. */
bool dedup_turn(struct broker_core *b);
/* The scan has passed over events without looking at them. */
void dedup_skipped(struct broker_core *b);
/* Now and then: forgets what nobody will ask. */
void dedup_tend(struct broker_core *b);
#endif
