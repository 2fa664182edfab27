/* SPDX-License-Identifier: Apache-2.0 */
/* The programs that the function host runs: in general, the zygote, and the builder of modules.
 * Loop thread only. */
#ifndef SLUICE_FUNCTION_PROGRAMS_H
#define SLUICE_FUNCTION_PROGRAMS_H

#include "base/buf.h"
#include "base/error.h"
#include "base/list.h"
#include "base/loop.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* ---- process.c: a program of ours, watched through a pidfd ---- */

struct process {
    struct loop *loop;
    struct loop_watch watch;
    pid_t pid; /* 0: none */
    void (*exited)(struct process *p, int status);
    void *ctx;
};
struct process_descriptor {
    int from, to;
};
/* argv[0] is the path. Runs in a session of its own, so that a terminal's signals do not reach it.
 * p->exited and p->ctx are set by the caller. 0 or negative errno. */
int process_spawn(struct process *p, struct loop *loop, const char *const *argv,
                  const struct process_descriptor *descriptors, size_t count);
void process_kill(struct process *p, int signal_number);
/* Asks it to end (SIGTERM), waits, and forgets it without a call of exited. For programs of ours
 * that end at once when asked. */
void process_stop(struct process *p);
/* Kills it, waits for it, and forgets it without a call of exited. */
void process_end(struct process *p);

/* ---- zygote.c: the client of worker/protocol.h ---- */

struct zygote;
struct zygote_events {
    void (*ready)(void *ctx);
    /* value: the pid, or a negative errno. */
    void (*started)(void *ctx, uint64_t worker, int value);
    void (*exited)(void *ctx, uint64_t worker, int status);
    /* It died, and all workers with it; it is started again by itself. */
    void (*lost)(void *ctx);
};
int zygote_new(struct loop *loop, const char *worker_path, const struct zygote_events *events,
               void *ctx, struct zygote **ret, struct error *err);
void zygote_free(struct zygote *z);
struct zygote_start {
    uint64_t worker;
    int bundle, listener, report, module; /* borrowed; module -1: none */
};
/* 0 or negative errno: -EAGAIN when it is not ready. */
int zygote_start(struct zygote *z, const struct zygote_start *s);
int zygote_kill(struct zygote *z, uint64_t worker, int signal_number);
pid_t zygote_pid(const struct zygote *z);

/* ---- build.c: runs sluice-builder, one at a time ---- */

struct build_queue {
    struct loop *loop;
    char *builder_path, *cache;
    struct list waiting;
    struct build *running;
    struct loop_timer kick;
    uint64_t builds, cached, failures; /* builds: without those that were in the cache */
};
/* The first of the places, paths as seen from the program's folder, that can be run; the caller
 * frees it. NULL: none. */
char *find_beside(const char *program, const char *const *places);
struct build_result {
    int status;         /* 0 or negative */
    int module;         /* the shared object; the receiver owns it */
    const char *reason; /* of a failure */
    bool cached, landlock;
    unsigned milliseconds;
};
typedef void build_done_fn(void *ctx, const struct build_result *result, const struct error *err);
struct build;
int build_queue_init(struct build_queue *q, struct loop *loop, const char *builder_path,
                     const char *worker_path, const char *cache, struct error *err);
void build_queue_done(struct build_queue *q);
/* Borrows bytes and export_name until done or cancelled. NULL when memory runs out. */
struct build *build_start(struct build_queue *q, struct slice bytes, const char *export_name,
                          uint64_t memory_bytes, build_done_fn *done, void *ctx);
void build_cancel(struct build *b); /* done is not called */

#endif
