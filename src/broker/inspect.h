/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that read much of the log: a thread of their own reads it, one request after the other,
 * each within a budget. The loop thread says beforehand what names mean and afterwards what has not
 * reached the log yet. */
#ifndef SLUICE_BROKER_INSPECT_H
#define SLUICE_BROKER_INSPECT_H

#include "base/list.h"
#include "base/loop.h"
#include "broker/broker_internal.h"
#include "http/server.h"

#define INSPECT_WAITING_MAX 64                  /* requests that wait for the thread */
#define INSPECT_BYTES_MAX   (UINT64_C(4) << 30) /* of the log, read for one request */
#define INSPECT_TIME_MAX    (5 * CLOCK_SECOND)  /* for one request */

struct inspector;
struct inspect_job;

struct inspect_ops {
    /* Loop thread; false: the request is answered. May be NULL. */
    bool (*prepare)(struct inspect_job *job);
    void (*read)(struct inspect_job *job);   /* the inspector's thread; store functions only */
    void (*answer)(struct inspect_job *job); /* loop thread; answers the request */
    void (*free)(struct inspect_job *job);
};

/* The first member of a request's own struct, which is malloc'ed. */
struct inspect_job {
    struct list link; /* of all jobs; loop thread */
    struct loop_message message;
    struct inspect_job *next; /* that waits */
    struct broker_core *core;
    struct http_request *request; /* NULL: answered */
    const struct inspect_ops *ops;
    uint64_t begun_ns, bytes;
    bool exhausted; /* the budget was used up, or the server stops */
    int error;      /* why the log could not be read; 0: it could */
};

/* HTTP thread. */
void inspect_request(struct inspect_job *job, struct broker_core *core,
                     struct http_request *request, const struct inspect_ops *ops);
/* The inspector's thread: so many bytes more were read. False: no more may be. */
bool inspect_spend(struct inspect_job *job, uint64_t bytes);
/* What was begun is too much for the budget: another one, for a small piece of it. */
void inspect_grant(struct inspect_job *job);

int inspector_new(struct broker_core *core, struct inspector **ret);
/* Each second: while little happens, what later questions would wait for is done. */
void inspector_tend(struct inspector *i);
/* Requests under way end soon, as exhausted. */
void inspector_quiesce(struct inspector *i);
/* Before the log goes: the thread ends, and what is left is answered with 503. */
void inspector_stop(struct inspector *i);
void inspector_free(struct inspector *i);

#endif
