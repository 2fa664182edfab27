/* SPDX-License-Identifier: Apache-2.0 */
/* Deliveries that are to be made anew (of dead letters, or of events of the log), and dead letters
 * that are deleted: many of them in one group, which happens or does not. While the group is on its
 * way its dead letters are claimed, so that nobody else moves them. Loop thread. */
#ifndef SLUICE_BROKER_REQUEUE_H
#define SLUICE_BROKER_REQUEUE_H

#include "broker/row.h"
#include "broker/trigger.h"

#define REQUEUE_MAX       256          /* deliveries of one group */
#define REQUEUE_BYTES_MAX (512u << 10) /* of its events, and one more */

struct requeue;

/* error: 0 when it is on disk; count: of deliveries. */
typedef void requeue_done_fn(void *ctx, int error, unsigned count);

/* NULL: out of memory. */
struct requeue *requeue_new(struct broker_core *b, enum retry_origin origin);
/* Nothing was done. */
void requeue_free(struct requeue *q);
/* What was known of deliveries under way is known no more: after each turn of the loop. */
void requeue_look_again(struct requeue *q);
bool requeue_is_full(const struct requeue *q);
unsigned requeue_count(const struct requeue *q);
/* The dead letter goes back to the deliveries, with no attempt made; its trigger has a broker.
 * False: it is claimed, or on its way to the dead-letter sink. */
bool requeue_dead(struct requeue *q, struct trigger *t, const struct dead_row *row);
/* The dead letter is deleted. False as above. */
bool requeue_delete(struct requeue *q, struct trigger *t, uint64_t position);
/* Another event takes the place of the dead letter's. False as above. */
bool requeue_edit(struct requeue *q, struct trigger *t, uint64_t position, struct slice event);
/* The event of the log is delivered anew, by the payload that is given; what is dead of it is no
 * more. False: a delivery of it has not ended, or it is claimed. */
bool requeue_event(struct requeue *q, struct trigger *t, uint64_t position, uint64_t time_ns,
                   struct slice event);
/* Further records of the group. */
struct store_group *requeue_group(struct requeue *q);
/* Appends it; done is called on the loop thread, never from within, and not at all when the core
 * ends before. Takes q. */
void requeue_append(struct requeue *q, requeue_done_fn *done, void *ctx);
/* After store_close(). */
void requeue_free_all(struct broker_core *b);

/* ---- claims, of those who change dead letters by themselves ---- */
/* key: as in DEAD. False: somebody has it, or out of memory. */
bool requeue_claim(struct broker_core *b, struct slice key);
void requeue_release(struct broker_core *b, struct slice key);

#endif
