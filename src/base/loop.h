/* SPDX-License-Identifier: Apache-2.0 */
/* An event loop over epoll: descriptors, timers, and messages from other threads. One thread runs
 * it; loop_post() is the only function that others may call. Time is read once a turn and handed
 * out by loop_now(). */
#ifndef SLUICE_BASE_LOOP_H
#define SLUICE_BASE_LOOP_H

#include "base/clock.h"
#include "base/heap.h"

#include <stdbool.h>
#include <stdint.h>

struct loop;

struct loop *loop_new(void); /* NULL when descriptors or memory run out */
void loop_free(struct loop *l);
/* Runs until loop_stop(). */
void loop_run(struct loop *l);
/* One turn: waits at most max_wait_ns (UINT64_MAX: for ever). For tests. */
void loop_turn(struct loop *l, uint64_t max_wait_ns);
void loop_stop(struct loop *l);
/* Monotonic nanoseconds at the start of this turn. */
uint64_t loop_now(const struct loop *l);
/* Both clocks as they are now. Any thread. */
uint64_t loop_realtime(const struct loop *l);
uint64_t loop_monotonic(const struct loop *l);
/* Both come from there instead of from clock_machine: before anything else is done with the loop,
 * which keeps the pointer. For tests. */
void loop_set_clock(struct loop *l, const struct clock_source *clock);
/* When the first timer is due; UINT64_MAX: there is none. */
uint64_t loop_first_due(const struct loop *l);

/* A descriptor to watch. events are EPOLLIN, EPOLLOUT…; the owner keeps the struct until
 * loop_unwatch(). Callbacks may unwatch and free any watch, their own included. */
struct loop_watch {
    void (*ready)(struct loop_watch *w, uint32_t events);
    void *ctx;
    int fd;
    uint32_t events;
    bool active;
};
int loop_watch(struct loop *l, struct loop_watch *w, int fd, uint32_t events);
int loop_rewatch(struct loop *l, struct loop_watch *w, uint32_t events);
void loop_unwatch(struct loop *l, struct loop_watch *w);

/* A timer; the owner keeps the struct. Setting an armed timer moves it. */
struct loop_timer {
    void (*due)(struct loop_timer *t);
    void *ctx;
    struct heap_node node;
};
void loop_timer_set(struct loop *l, struct loop_timer *t, uint64_t due_ns);
void loop_timer_cancel(struct loop *l, struct loop_timer *t);

/* A message from any thread; it is called once on the loop's thread, in order of posting from one
 * thread. The message is intrusive: embed it in what is sent. Messages still queued at loop_free()
 * are not called. */
struct loop_message {
    struct loop_message *next;
    void (*receive)(struct loop_message *m);
};
void loop_post(struct loop *l, struct loop_message *m);

/* Called at the end of each turn before the loop sleeps: for work that gathers over a turn. */
void loop_set_end_of_turn(struct loop *l, void (*end)(void *ctx), void *ctx);

#endif
