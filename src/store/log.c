/* SPDX-License-Identifier: Apache-2.0 */
/* The queue of groups (many producers, one consumer: a stack that is taken whole and turned round)
 * and the log thread. While the thread syncs, the queue fills; the next turn takes all of it. */
#include "store/log.h"

#include "base/clock.h"
#include "base/must.h"
#include "store/overlay.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define QUICK_NS   CLOCK_MILLISECOND /* after such a commit, who flushes may make the next one */
#define SLOW_NS    (50 * CLOCK_MILLISECOND) /* longer than any wait for a processor: the disk */
#define SHY_TIMES  8                        /* after it, for so many times as long as it took … */
#define SHY_NS_MAX (10 * CLOCK_SECOND)      /* … up to this, only the log thread commits */

static void futex_wait(_Atomic uint32_t *word, uint32_t value)
{
    syscall(SYS_futex, (uint32_t *)(uintptr_t)word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word)
{
    syscall(SYS_futex, (uint32_t *)(uintptr_t)word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static void wake(struct log *l)
{
    if (atomic_load(&l->sleeping) != 0 && atomic_exchange(&l->sleeping, 0) != 0)
        futex_wake(&l->sleeping);
}

static void answer(struct log_group *first, const struct log_group *end)
{
    while (first != end) {
        struct log_group *g = first;
        first = g->next;
        must(g->rows == NULL);
        if (g->done != NULL)
            g->done(g->ctx, g->error, g->error == 0 ? g->position : 0);
        free(g);
    }
}

static void notify(struct log *l)
{
    uint64_t synced = atomic_load_explicit(&l->synced, memory_order_relaxed);
    if (l->notify == NULL || synced == l->notified)
        return;
    l->notified = synced;
    l->notify(l->notify_ctx, synced);
}

static void note_commit(struct log *l, uint64_t began)
{
    uint64_t ended = clock_monotonic(), took = ended - began;
    if (took > SLOW_NS) {
        uint64_t shy = took < SHY_NS_MAX / SHY_TIMES ? took * SHY_TIMES : SHY_NS_MAX;
        atomic_store_explicit(&l->shy_until, ended + shy, memory_order_relaxed);
    }
    atomic_store_explicit(&l->commit_ns, took, memory_order_relaxed);
    atomic_store_explicit(&l->began, 0, memory_order_relaxed);
}

static void commit_all(struct log *l, struct log_group *first)
{
    uint64_t began = clock_monotonic();
    atomic_store_explicit(&l->began, began, memory_order_relaxed);
    while (first != NULL) {
        struct log_group *rest = l->commit(l->commit_ctx, first);
        answer(first, rest); /* whoever waits for the sync comes before whoever reads the log */
        notify(l);
        first = rest;
    }
    note_commit(l, began);
}

static void push(struct log *l, struct log_group *node)
{
    struct log_group *head = atomic_load_explicit(&l->head, memory_order_relaxed);
    do
        node->next = head;
    while (!atomic_compare_exchange_weak(&l->head, &head, node));
}

void log_push(struct log *l, struct store_group *g, store_append_done_fn *done, void *ctx)
{
    struct log_group *node = (struct log_group *)(void *)g->bytes.ptr;
    node->done = done;
    node->ctx = ctx;
    node->rows = NULL;
    node->length = (uint32_t)(g->bytes.len - LOG_GROUP_ROOM);
    node->records = g->records;
    node->internal = g->internal;
    node->error = 0;
    bool held = g->held;
    g->bytes = (struct buf)BUF_INIT;
    store_group_init(g);
    push(l, node);
    if (!held)
        wake(l);
}

void log_push_node(struct log *l, struct log_group *node)
{
    push(l, node);
    wake(l);
}

/* All that is queued, oldest first; NULL: nothing. */
static struct log_group *take_queued(struct log *l)
{
    struct log_group *newest = atomic_exchange(&l->head, NULL), *oldest = NULL;
    while (newest != NULL) {
        struct log_group *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

/* True when a commit may take longer than a thread with other work can ever wait: one not long ago
 * did, or the one under way does. */
static bool is_slow(const struct log *l)
{
    uint64_t began = atomic_load_explicit(&l->began, memory_order_relaxed);
    uint64_t until = atomic_load_explicit(&l->shy_until, memory_order_relaxed);
    if (began == 0 && until == 0)
        return false;
    uint64_t now = clock_monotonic();
    return now < until || (began != 0 && now > began + SLOW_NS);
}

/* False: whoever has the turn takes too long, or did. (By the clock of the day, since the thread
 * sanitizer knows no other lock with a limit: if it is set back meanwhile, this waits for the end
 * of the commit.) */
static bool take_turn(struct log *l)
{
    if (pthread_mutex_trylock(&l->turn) != 0) {
        uint64_t at = clock_realtime() + SLOW_NS;
        struct timespec until = {.tv_sec = (time_t)(at / CLOCK_SECOND),
                                 .tv_nsec = (long)(at % CLOCK_SECOND)};
        if (pthread_mutex_timedlock(&l->turn, &until) != 0)
            return false;
    }
    if (!is_slow(l))
        return true;
    pthread_mutex_unlock(&l->turn);
    return false;
}

/* Two changes of threads cost as much as a third of a quick sync: who flushes does without. While
 * another commits, it waits for its turn, and then may find that its groups were taken along. */
void log_flush(struct log *l)
{
    if (atomic_load(&l->head) == NULL)
        return;
    if (atomic_load_explicit(&l->commit_ns, memory_order_relaxed) > QUICK_NS || is_slow(l) ||
        !take_turn(l)) {
        wake(l);
        return;
    }
    struct log_group *first = take_queued(l);
    if (first != NULL)
        commit_all(l, first);
    pthread_mutex_unlock(&l->turn);
}

/* Waits for some. False: stopping, and nothing is left. */
static bool wait_for_groups(struct log *l)
{
    while (atomic_load(&l->head) == NULL) {
        if (atomic_load(&l->stopping))
            return false;
        atomic_store(&l->sleeping, 1);
        if (atomic_load(&l->head) == NULL && !atomic_load(&l->stopping))
            futex_wait(&l->sleeping, 1);
        atomic_store(&l->sleeping, 0);
    }
    return true;
}

/* Groups are taken in the turn only: what is taken before it could be overtaken by what its
 * appender appended next. */
static void *run(void *arg)
{
    struct log *l = arg;
    pthread_setname_np(pthread_self(), "store-log");
    while (wait_for_groups(l)) {
        pthread_mutex_lock(&l->turn);
        struct log_group *first = take_queued(l);
        if (first != NULL)
            commit_all(l, first);
        pthread_mutex_unlock(&l->turn);
    }
    return NULL;
}

int log_start(struct log *l, log_commit_fn *commit, void *ctx)
{
    l->commit = commit;
    l->commit_ctx = ctx;
    pthread_mutex_init(&l->turn, NULL);
    int r = pthread_create(&l->thread, NULL, run, l);
    if (r == 0)
        l->running = true;
    return -r;
}

void log_stop(struct log *l)
{
    if (!l->running)
        return;
    atomic_store(&l->stopping, true);
    atomic_store(&l->sleeping, 0);
    futex_wake(&l->sleeping);
    pthread_join(l->thread, NULL);
    l->running = false;
}

void log_publish(struct log *l, uint64_t synced)
{
    atomic_store_explicit(&l->synced, synced, memory_order_release);
}
