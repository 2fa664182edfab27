/* SPDX-License-Identifier: Apache-2.0 */
/* A way through the dead letters that a request means, a page at a time. A page is made in turns of
 * bounded work, so that others get theirs; where it ends, `continue` says where the next begins, as
 * in Kubernetes' lists. Loop thread. */
#ifndef SLUICE_BROKER_DEAD_WALK_H
#define SLUICE_BROKER_DEAD_WALK_H

#include "base/loop.h"
#include "broker/dead_select.h"

struct dead_place {
    uint32_t trigger;
    uint64_t position;
};

struct dead_walk;

struct dead_walk_ops {
    uint64_t limit_max; /* letters of a page, and of one that says no limit= */
    void (*begin_turn)(struct dead_walk *w);
    /* The page takes no more; the turn does not. */
    bool (*page_full)(struct dead_walk *w);
    bool (*turn_full)(struct dead_walk *w);
    void (*take)(struct dead_walk *w, struct trigger *t, const struct dead_row *row);
    /* The page is made. */
    void (*end)(struct dead_walk *w);
};

/* The first member of a request's own struct, in the request's memory. */
struct dead_walk {
    struct loop_message message;
    struct broker_core *core;
    struct http_request *request;
    const struct dead_walk_ops *ops;
    struct dead_select select;
    uint64_t limit;
    struct dead_place next; /* where the next turn goes on */
    bool over;              /* the table is */
    bool full;              /* the page is, and `next` is wanted */
    bool failed;            /* out of memory */
};

/* HTTP thread: reads the query and walks; false: the request is answered. */
bool dead_walk_read(struct dead_walk *w, struct broker_core *b, struct http_request *request,
                    const struct dead_walk_ops *ops);
void dead_walk_start(struct dead_walk *w);
/* ,"continue":"…" where there is more; it ends here. */
void dead_walk_write_continue(const struct dead_walk *w, struct buf *out);
/* Answers with what is in the buffer, which loses it; 503 when it failed. Before it, what the walk
 * has is freed. */
void dead_walk_answer(struct dead_walk *w, struct buf *out);

#endif
