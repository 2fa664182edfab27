/* SPDX-License-Identifier: Apache-2.0 */
/* Deliveries that wait until they are due, and the rows in RETRIES that stand for them. Of each
 * trigger and class the rows that are due first are in memory as well, up to a limit; the others
 * are read when there is room. */
#ifndef SLUICE_BROKER_RETRY_H
#define SLUICE_BROKER_RETRY_H

#include "broker/delivery.h"

/* Rows of one trigger and class in memory; fewer when many triggers have rows, so that all together
 * have about RETRY_MEMORY. */
#define RETRY_WINDOW_MAX   512
#define RETRY_WINDOW_MIN   16
#define RETRY_WINDOW_LANES 8192 /* of what was not tried, for triggers with lanes */
#define RETRY_MEMORY       32768

/* ---- retry.c: waiting ---- */
/* The time that a class' rows are due by. RETRY_NEW has the machine's: "not before" is told by the
 * calendar. The others have one that runs evenly, and setting the machine's clock changes nothing.
 */
uint64_t retry_now(const struct broker_core *b, enum retry_class c);
/* Until it is due. */
void retry_schedule(struct delivery *d);
/* It is not counted as one whose event cannot be read. */
void retry_readable(struct delivery *d);
/* d->event, from the row in PAYLOADS, else from the log, which may still have it. -ENOENT: neither
 * does. */
int retry_read_event(struct delivery *d);
/* Due ones that there was no room for are queued, as far as there is now: true when there were
 * any. */
bool retry_take_crowded(struct trigger *t);
/* Now and then: the machine's clock may have been set. */
void retry_tend(struct broker_core *b);

/* ---- retry_window.c: what is in memory ---- */
/* All that is due first, at start. */
int retry_load(struct broker_core *b);
/* A synced row of d->next_class stands for the delivery, d->due_ns and d->delay_ns are the row's.
 */
void retry_enter(struct delivery *d);
/* After that: it waits, or is freed and read again later. */
void retry_wait(struct delivery *d);
/* Somebody else has put a row into RETRIES, and that is synced. */
void retry_added(struct trigger *t, enum retry_class c, uint64_t due_ns, uint64_t position);
/* The delivery ends, or leaves memory with its trigger; its row is gone or is none of ours. */
void retry_leave(struct delivery *d);
/* From now on all that have failed before are in memory (lanes know what they wait for), or again
 * only those that are due first. */
void retry_keep_all(struct trigger *t, bool keep);
/* Runs when there is room for more. */
void retry_window_init(struct trigger *t);
void retry_window_done(struct trigger *t);

/* ---- retry_forget.c: rows that go without an attempt ---- */
/* Deletes the rows of deliveries: begin, each of them, end. A dead letter keeps its payload. */
void retry_forget_begin(struct store_group *g);
void retry_forget_delivery(const struct delivery *d, struct store_group *g);
void retry_forget_end(struct broker_core *b, struct store_group *g);
/* One with that key, and its payload. */
void retry_forget_row(struct broker_core *b, struct slice key, struct store_group *g);
/* All of the trigger's but those of outcomes that are on their way; the deliveries in memory are
 * freed before. Returns how many. */
uint64_t retry_forget_waiting(struct trigger *t, struct store_group *g);
/* Removes the rows that an outcome has written since its trigger was deleted. */
void retry_forget_outcome(const struct delivery *d);
/* Removes what the tables hold for a deleted trigger. */
void retry_forget(struct broker_core *b, uint32_t trigger);
/* The same for triggers whose deletion a crash cut short; at start. */
void retry_forget_orphans(struct broker_core *b);

#endif
