/* SPDX-License-Identifier: Apache-2.0 */
/* One pipe that the program prints to: whole lines are handed on, within a rate. */
#ifndef SLUICE_RUNNER_OUTPUT_H
#define SLUICE_RUNNER_OUTPUT_H

#include "base/buf.h"
#include "base/loop.h"

#define OUTPUT_LINE_MAX 16384 /* longer ones are split */
#define OUTPUT_TAIL_MAX 2048

struct output {
    struct loop *loop;
    struct loop_watch watch;
    int fd; /* -1: ended */
    struct buf line;
    struct buf tail;                      /* the last lines, at most about OUTPUT_TAIL_MAX bytes */
    uint64_t allowance, allowed_at, rate; /* bytes; when it was last filled; bytes a second */
    unsigned long lost;                   /* lines over the rate */
    void (*print)(void *ctx, struct slice line);
    void *ctx;
};

/* Takes the descriptor over. rate: bytes a second that are let through, 0: all. */
int output_begin(struct output *o, struct loop *loop, int fd, uint64_t rate);
/* Reads what is there, up to a bound, and hands on a last line without an end: no more will come.
 */
void output_drain(struct output *o);
/* Drains, and frees all. */
void output_end(struct output *o);

#endif
