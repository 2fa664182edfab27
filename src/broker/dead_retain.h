/* SPDX-License-Identifier: Apache-2.0 */
/* How long dead letters are kept: at most so many of a trigger, and none for longer than an age.
 * The oldest go first, each is counted, and one that is on its way to the dead-letter sink stays
 * until that has ended. Loop thread. */
#ifndef SLUICE_BROKER_DEAD_RETAIN_H
#define SLUICE_BROKER_DEAD_RETAIN_H

#include "broker/trigger.h"

struct dead_retain;

/* max: rows of one trigger; age_ns: since the event was given up; 0: no limit. NULL: out of memory.
 */
struct dead_retain *dead_retain_new(struct broker_core *b, uint64_t max, uint64_t age_ns);
/* After store_close(). */
void dead_retain_free(struct dead_retain *r);
/* Counts what is there, at start. 0 or -ENOMEM. */
int dead_retain_load(struct broker_core *b);
/* So many rows more, or fewer. */
void dead_retain_count(struct trigger *t, int64_t rows);
/* Now and then; bounded work. */
void dead_retain_tend(struct dead_retain *r);

#endif
