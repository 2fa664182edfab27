/* SPDX-License-Identifier: Apache-2.0 */
/* What was written to a store and what became of it, over any number of lives. Each group carries
 * its number, so that the log can be checked against what was acknowledged. */
#ifndef SLUICE_TESTS_HISTORY_H
#define SLUICE_TESTS_HISTORY_H

#include "store/store.h"

#include <semaphore.h>

#define HISTORY_KEYS 16

enum history_fate {
    HISTORY_PENDING,      /* no answer yet, or one that leaves it open */
    HISTORY_ACKNOWLEDGED, /* must be there for ever */
    HISTORY_LOST,         /* was not there after a recovery: must never come back */
};

struct history_group {
    enum history_fate fate;
    uint32_t records;
    uint64_t position;
};

struct history {
    struct history_group *groups;
    uint32_t len, cap;
    sem_t answered;
    uint32_t outstanding;
    _Atomic int last_error;
    uint64_t seen_upto;          /* positions checked so far */
    uint32_t rows[HISTORY_KEYS]; /* number of the group that wrote it, 0: none */
    uint64_t epoch;
};

void history_init(struct history *h);
void history_done(struct history *h);
/* Appends a group of 1 to 4 records, one of them a PUT; does not wait. size: of the event. */
void history_append(struct history *h, struct store *s, size_t size, bool internal);
/* Waits for all answers; the error of the last one. */
int history_wait(struct history *h);
/* After a recovery: every acknowledged group is there, whole, at its position; none that was lost
 * is back; the tables are what the log says; the epoch has advanced. */
void history_check(struct history *h, struct store *s);

#endif
