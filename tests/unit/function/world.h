/* SPDX-License-Identifier: Apache-2.0 */
/* A function host over the memory store, with a worker program and builder of choice. */
#ifndef SLUICE_TESTS_FUNCTION_WORLD_H
#define SLUICE_TESTS_FUNCTION_WORLD_H

#include "base/buf.h"
#include "base/clock.h"
#include "function/function_internal.h"

struct world {
    char folder[64];
    struct loop *loop;
    struct store *store;
    struct registry *registry;
    struct http_client *client;
    struct function_host *host;
    unsigned changes; /* calls of options.changed */
};

/* FUNCTION_WORKER and FUNCTION_BUILDER of the environment name the programs. */
int world_setup(void **state);
int world_teardown(void **state);
/* Creates or replaces functions demo/NAME; spec is JSON. */
void world_apply(struct world *w, const char *name, const char *spec);
void world_delete(struct world *w, const char *name);
/* Turns the loop until done(w, ctx), at most for so long. */
bool world_until(struct world *w, bool (*done)(struct world *w, void *ctx), void *ctx,
                 unsigned milliseconds);
void world_turn(struct world *w, unsigned milliseconds);
bool world_ready(struct world *w, const char *name, unsigned milliseconds);
/* "status/reason: message" of a condition, "" when there is none. Static memory. */
const char *world_condition(struct world *w, const char *name, const char *type);
bool world_wait_condition(struct world *w, const char *name, const char *type, const char *start,
                          unsigned milliseconds);

struct answer {
    bool done;
    int error;
    unsigned status;
    struct buf body;
    char pid[16];
};
/* Calls and waits; answer.body is freed by answer_done. -EAGAIN and the like when it is refused. */
int world_call(struct world *w, const char *name, const char *path, const char *body,
               struct answer *ret);
/* Only begins it. */
int world_begin(struct world *w, const char *name, const char *path, const char *body,
                struct answer *ret, struct http_call **ret_call);
bool world_answered(struct world *w, struct answer *a, unsigned milliseconds);
/* For calls with other options: sets done and ctx. */
void world_options(struct answer *a, struct http_call_options *options);
void answer_done(struct answer *a);

#endif
