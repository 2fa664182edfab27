/* SPDX-License-Identifier: Apache-2.0 */
/* A rate limit: a bucket that tokens drip into evenly. Pure; the time is passed in. */
#ifndef SLUICE_BROKER_RATE_H
#define SLUICE_BROKER_RATE_H

#include <stdint.h>

/* As many as drip in a tenth of a second may be saved up, at least one: below ten a second what is
 * allowed comes one by one. */
#define RATE_SAVED_NS UINT64_C(100000000)

struct rate {
    uint64_t count, period_ns; /* count 0: no limit */
    uint64_t next_ns;          /* when the bucket has a token again, with none saved up */
    uint64_t rest;             /* of the division that made it, in 1/count ns */
};

/* Keeps what is used up when the limit stays the same. */
void rate_set(struct rate *r, uint64_t count, uint64_t period_ns);
/* 0: one may be taken now; else when. */
uint64_t rate_wait(const struct rate *r, uint64_t now_ns);
void rate_take(struct rate *r, uint64_t now_ns);

#endif
