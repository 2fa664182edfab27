/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/inspect.h"

#include "base/clock.h"
#include "base/must.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

struct inspector {
    struct broker_core *core;
    struct list jobs; /* all, until they are answered; loop thread */
    unsigned count;
    bool running;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wanted;
    struct inspect_job *first, *last; /* that wait; under the lock */
    bool ending;
    atomic_bool hurry; /* no request may read on */
};

bool inspect_spend(struct inspect_job *job, uint64_t bytes)
{
    job->bytes += bytes;
    if (job->bytes > INSPECT_BYTES_MAX ||
        atomic_load_explicit(&job->core->inspector->hurry, memory_order_relaxed))
        job->exhausted = true;
    /* Not for each record: the clock costs more than most of them. */
    if (job->bytes / 65536 != (job->bytes - bytes) / 65536 &&
        clock_monotonic() - job->begun_ns > INSPECT_TIME_MAX)
        job->exhausted = true;
    return !job->exhausted;
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

static struct inspect_job *take(struct inspector *i)
{
    pthread_mutex_lock(&i->lock);
    while (i->first == NULL && !i->ending)
        pthread_cond_wait(&i->wanted, &i->lock);
    struct inspect_job *job = i->ending ? NULL : i->first;
    if (job != NULL && (i->first = job->next) == NULL)
        i->last = NULL;
    pthread_mutex_unlock(&i->lock);
    return job;
}

static void *inspect(void *ctx)
{
    struct inspector *i = ctx;
    struct inspect_job *job;
    while ((job = take(i)) != NULL) {
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
    pthread_cond_signal(&i->wanted);
    pthread_mutex_unlock(&i->lock);
}

/* The thread begins with the first request: most servers are never asked. */
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
    pthread_cond_init(&i->wanted, NULL);
    *ret = i;
    return 0;
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
        pthread_cond_signal(&i->wanted);
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
    pthread_cond_destroy(&i->wanted);
    pthread_mutex_destroy(&i->lock);
    free(i);
}
