/* SPDX-License-Identifier: Apache-2.0 */
/* What the programs of the row `deliver` share: each drives one message broker through the same
 * work as sluice has: COUNT messages in, WINDOW of them outstanding and each answered when it is
 * stored; every one given to a consumer that does nothing, and finished; at most WINDOW of those
 * outstanding, too. Prints {"events":…,"seconds":…}: from the first message sent to the last one
 * finished. */
#ifndef SLUICE_BENCH_QUEUE_H
#define SLUICE_BENCH_QUEUE_H

#include <stdint.h>

struct queue_options {
    const char *host;
    int port;
    uint64_t count;
    unsigned window;
    const char *body;
};

/* The figures of one run. Exits with a message when something fails: a run counts whole or not. */
typedef void queue_run_fn(const struct queue_options *o);
/* main() of each program: HOST PORT COUNT WINDOW BODY; run is timed. */
int queue_main(int argc, char **argv, queue_run_fn *run);
void queue_fail(const char *what, const char *why) __attribute__((noreturn));

#endif
