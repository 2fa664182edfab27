/* SPDX-License-Identifier: Apache-2.0 */
/* A circuit breaker: after so many failures in a row that say that the subscriber is dead it is
 * left alone, and probed by one delivery after 1 s, 2 s, 4 s … 60 s. Pure; the time is passed in.
 */
#ifndef SLUICE_BROKER_BREAKER_H
#define SLUICE_BROKER_BREAKER_H

#include "base/clock.h"

#include <stdbool.h>

#define BREAKER_PAUSE_MIN (1 * CLOCK_SECOND)
#define BREAKER_PAUSE_MAX (60 * CLOCK_SECOND)

struct breaker {
    unsigned threshold; /* 0: none */
    unsigned failures;  /* in a row */
    bool open, probing;
    uint64_t pause_ns, probe_ns; /* the pause, and when it ends */
};

/* What is open stays so, unless there is to be none. */
void breaker_set(struct breaker *b, unsigned threshold);
/* 0: a delivery may start; else when; UINT64_MAX: when the probe has ended. */
uint64_t breaker_wait(const struct breaker *b, uint64_t now_ns);
/* It starts: true when it is the probe. */
bool breaker_start(struct breaker *b);
/* It has ended, and was the probe or not; alive: the subscriber answered. True when that opened or
 * closed the breaker, or moved the next probe. */
bool breaker_end(struct breaker *b, bool probe, bool alive, uint64_t now_ns);
/* The probe ended without saying anything. */
void breaker_forget_probe(struct breaker *b);

#endif
