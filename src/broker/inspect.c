/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/inspect.h"

#include "base/clock.h"
#include "base/must.h"
#include "broker/walk.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define QUIET_RECORDS 2000u /* in a second: fewer, and there is time for other things */

/* Which segments there are. */
struct extent {
    uint64_t first, segments;
};

struct inspector {
    struct broker_core *core;
    struct list jobs; /* all, until they are answered; loop thread */
    unsigned count;
    bool running;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct inspect_job *first, *last; /* that wait; under the lock */
    bool ending;
    atomic_bool hurry; /* no request may read on */
    /* Digests of segments, made ahead of time: */
    uint64_t synced;      /* a second ago; loop thread */
    struct extent wanted; /* of the log, when one was asked for; under the lock */
    struct extent done;   /* all that there were then have one; under the lock */
};

bool inspect_spend(struct inspect_job *job, uint64_t bytes)
{
    job->bytes += bytes;
    if (job->bytes > job->core->inspect_bytes_max ||
        atomic_load_explicit(&job->core->inspector->hurry, memory_order_relaxed))
        job->exhausted = true;
    /* Not for each record: the clock costs more than most of them. */
    if (job->bytes / 65536 != (job->bytes - bytes) / 65536 &&
        clock_monotonic() - job->begun_ns > INSPECT_TIME_MAX)
        job->exhausted = true;
    return !job->exhausted;
}

void inspect_grant(struct inspect_job *job)
{
    job->bytes = 0;
    job->begun_ns = clock_monotonic();
    job->exhausted = false;
}

/* ---- the loop thread ---- */

static void job_free(struct inspect_job *job)
{
    if (!list_empty(&job->link))
        job->core->inspector->count--;
    list_remove(&job->link);
    job->ops->free(job);
}

static void read_on_loop(struct loop_message *m)
{
    struct inspect_job *job = container_of(m, struct inspect_job, message);
    job->ops->answer(job);
    job_free(job);
}

/* ---- the inspector's thread ---- */

/* What is to be done next: a request, or (NULL) a digest. False: the thread ends. */
static bool take(struct inspector *i, struct inspect_job **ret, struct extent *ret_extent)
{
    pthread_mutex_lock(&i->lock);
    while (i->first == NULL && i->wanted.segments == 0 && !i->ending)
        pthread_cond_wait(&i->changed, &i->lock);
    bool goes_on = !i->ending;
    *ret = i->first;
    *ret_extent = i->wanted;
    if (*ret == NULL)
        i->wanted.segments = 0;
    else if ((i->first = (*ret)->next) == NULL)
        i->last = NULL;
    pthread_mutex_unlock(&i->lock);
    return goes_on;
}

static void make_digest(struct inspector *i, const struct extent *extent)
{
    if (store_digest(i->core->store, walk_topic))
        return;
    pthread_mutex_lock(&i->lock);
    i->done = *extent;
    pthread_mutex_unlock(&i->lock);
}

static void *inspect(void *ctx)
{
    struct inspector *i = ctx;
    struct inspect_job *job;
    struct extent extent;
    while (take(i, &job, &extent)) {
        if (job == NULL) {
            make_digest(i, &extent);
            continue;
        }
        job->begun_ns = clock_monotonic();
        job->ops->read(job);
        job->message.receive = read_on_loop;
        loop_post(i->core->loop, &job->message);
    }
    return NULL;
}

/* ---- from the request to the thread ---- */

static void queue(struct inspector *i, struct inspect_job *job)
{
    pthread_mutex_lock(&i->lock);
    job->next = NULL;
    if (i->last != NULL)
        i->last->next = job;
    else
        i->first = job;
    i->last = job;
    pthread_cond_signal(&i->changed);
    pthread_mutex_unlock(&i->lock);
}

/* The thread begins with the first request, or the first segment that is full. */
static int run(struct inspector *i)
{
    if (i->running)
        return 0;
    int r = -pthread_create(&i->thread, NULL, inspect, i);
    i->running = r == 0;
    return r;
}

static bool refused(struct inspector *i, struct inspect_job *job)
{
    if (i->core->quiet || !i->core->running)
        http_respond_errorf(job->request, 503, "the server is stopping");
    else if (i->count >= INSPECT_WAITING_MAX)
        http_respond_errorf(job->request, 429, "too many requests that read the log: at most %u",
                            INSPECT_WAITING_MAX);
    else if (run(i) < 0)
        http_respond_errorf(job->request, 503, "no thread could be started to read the log");
    else
        return job->ops->prepare != NULL && !job->ops->prepare(job);
    return true;
}

static void asked_on_loop(struct loop_message *m)
{
    struct inspect_job *job = container_of(m, struct inspect_job, message);
    struct inspector *i = job->core->inspector;
    if (refused(i, job)) {
        job_free(job);
        return;
    }
    list_append(&i->jobs, &job->link);
    i->count++;
    queue(i, job);
}

void inspect_request(struct inspect_job *job, struct broker_core *core,
                     struct http_request *request, const struct inspect_ops *ops)
{
    list_init(&job->link);
    job->core = core;
    job->request = request;
    job->ops = ops;
    job->message.receive = asked_on_loop;
    loop_post(core->loop, &job->message);
}

/* ---- life ---- */

int inspector_new(struct broker_core *core, struct inspector **ret)
{
    struct inspector *i = calloc(1, sizeof(*i));
    if (i == NULL)
        return -ENOMEM;
    i->core = core;
    list_init(&i->jobs);
    pthread_mutex_init(&i->lock, NULL);
    pthread_cond_init(&i->changed, NULL);
    *ret = i;
    return 0;
}

/* One at a time: a server that begins with many segments has other things to do, too. */
void inspector_tend(struct inspector *i)
{
    struct store_stats stats;
    store_stats(i->core->store, &stats);
    bool quiet = stats.synced - i->synced < QUIET_RECORDS;
    i->synced = stats.synced;
    if (!quiet || stats.segments < 2 || i->core->quiet)
        return;
    pthread_mutex_lock(&i->lock);
    bool done = i->done.first == stats.first && i->done.segments == stats.segments;
    if (!done)
        i->wanted = (struct extent){stats.first, stats.segments};
    pthread_mutex_unlock(&i->lock);
    if (!done && run(i) == 0)
        pthread_cond_signal(&i->changed);
}

void inspector_quiesce(struct inspector *i)
{
    atomic_store(&i->hurry, true);
}

void inspector_stop(struct inspector *i)
{
    if (i == NULL)
        return;
    inspector_quiesce(i);
    if (i->running) {
        pthread_mutex_lock(&i->lock);
        i->ending = true;
        pthread_cond_signal(&i->changed);
        pthread_mutex_unlock(&i->lock);
        pthread_join(i->thread, NULL);
        i->running = false;
    }
    while (!list_empty(&i->jobs)) {
        struct inspect_job *job = list_entry(i->jobs.next, struct inspect_job, link);
        http_respond_errorf(job->request, 503, "the server is stopping");
        job_free(job);
    }
}

void inspector_free(struct inspector *i)
{
    if (i == NULL)
        return;
    must(list_empty(&i->jobs));
    pthread_cond_destroy(&i->changed);
    pthread_mutex_destroy(&i->lock);
    free(i);
}
