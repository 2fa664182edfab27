/* SPDX-License-Identifier: Apache-2.0 */
/* Who commits: threads that flush do while syncs are quick, and never wait for a slow one. */
#include "rig.h"

#include "unit.h"

#include "base/clock.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GROUPS_MAX 16
#define THREADS    3
#define MANY       1000
#define SLOW       (500 * CLOCK_MILLISECOND)

/* A disk whose syncs do nothing, but those of the log wait for a gate. */
struct gated {
    struct rig rig;
    struct store_io io;
    pthread_mutex_t lock;
    pthread_cond_t opened;
    bool closed;
    sem_t waiting;       /* posted by each sync that finds the gate closed */
    pthread_t synced_by; /* the thread of the last sync */

    unsigned answered; /* by the store, in order */
    uint64_t positions[GROUPS_MAX];
    uint64_t last;
    unsigned pause_every; /* so many syncs are quick before a slow one; 0: all are */
    atomic_uint syncs;
    sem_t answers;
};

static int gated_sync(void *ctx, int fd)
{
    struct gated *g = ctx;
    char thread[16];
    if (pthread_getname_np(pthread_self(), thread, sizeof(thread)) == 0 &&
        strcmp(thread, "store-spare") == 0)
        return 0;
    pthread_mutex_lock(&g->lock);
    g->synced_by = pthread_self();
    if (g->closed)
        sem_post(&g->waiting);
    while (g->closed)
        pthread_cond_wait(&g->opened, &g->lock);
    pthread_mutex_unlock(&g->lock);
    if (g->pause_every != 0 && (atomic_fetch_add(&g->syncs, 1) + 1) % g->pause_every == 0)
        usleep(60000);
    return 0;
}

static void set_gate(struct gated *g, bool closed)
{
    pthread_mutex_lock(&g->lock);
    g->closed = closed;
    pthread_cond_broadcast(&g->opened);
    pthread_mutex_unlock(&g->lock);
}

static void wait_on(sem_t *s)
{
    while (sem_wait(s) != 0)
        ;
}

static void answered(void *ctx, int error, uint64_t position)
{
    struct gated *g = ctx;
    assert_int_equal(error, 0);
    assert_true(g->answered < GROUPS_MAX);
    g->positions[g->answered++] = position;
    sem_post(&g->answers);
}

static void append_held(struct gated *g)
{
    struct store_group group;
    store_group_init(&group);
    group.held = true;
    store_group_add(&group, STORE_RECORD_EVENT, 1, SLICE(""), SLICE("x"));
    store_append(g->rig.store, &group, answered, g);
}

static void *append_and_flush(void *ctx)
{
    struct gated *g = ctx;
    append_held(g);
    store_flush(g->rig.store);
    return NULL;
}

static pthread_t another_thread(struct gated *g)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, append_and_flush, g), 0);
    return thread;
}

/* Goes on until a flush commits on the thread that calls it: the last commit may have been slow
 * because the machine is busy. */
static void flush_until_quick(struct gated *g)
{
    for (int i = 0; i < 10000; i++) {
        g->answered = 0;
        append_and_flush(g);
        wait_on(&g->answers);
        if (pthread_equal(g->synced_by, pthread_self()))
            break;
        usleep(1000);
    }
    assert_true(pthread_equal(g->synced_by, pthread_self()));
    g->answered = 0;
}

static int setup(void **state)
{
    struct gated *g = calloc(1, sizeof(*g));
    rig_init(&g->rig, false, 0);
    g->io = store_io_posix;
    g->io.ctx = g;
    g->io.sync_data = gated_sync;
    g->rig.options.io = &g->io;
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->opened, NULL);
    sem_init(&g->waiting, 0, 0);
    sem_init(&g->answers, 0, 0);
    assert_int_equal(rig_open(&g->rig), 0);
    alarm(60); /* a flush that waits for the gate would never come back */
    *state = g;
    return 0;
}

static int teardown(void **state)
{
    struct gated *g = *state;
    set_gate(g, false);
    rig_done(&g->rig);
    sem_destroy(&g->answers);
    sem_destroy(&g->waiting);
    pthread_cond_destroy(&g->opened);
    pthread_mutex_destroy(&g->lock);
    free(g);
    return 0;
}

static void wait_until_slow(uint64_t since)
{
    while (clock_monotonic() < since + SLOW)
        usleep(1000);
}

static void nobody_waits_for_the_slow_commit_of_another(void **state)
{
    struct gated *g = *state;
    flush_until_quick(g);
    set_gate(g, true);
    uint64_t began = clock_monotonic();
    pthread_t stuck = another_thread(g);
    wait_on(&g->waiting); /* it syncs */
    for (int i = 0; i < 3; i++)
        append_and_flush(g);
    assert_int_equal(g->answered, 0); /* nothing is taken for durable */
    wait_until_slow(began);
    set_gate(g, false);
    pthread_join(stuck, NULL);
    for (int i = 0; i < 4; i++)
        wait_on(&g->answers);
    assert_int_equal(g->answered, 4);
    for (unsigned i = 1; i < 4; i++)
        assert_int_equal(g->positions[i], g->positions[0] + i);
}

static void after_a_slow_commit_the_log_thread_commits(void **state)
{
    struct gated *g = *state;
    flush_until_quick(g);
    set_gate(g, true);
    uint64_t began = clock_monotonic();
    pthread_t stuck = another_thread(g);
    wait_on(&g->waiting);
    wait_until_slow(began);
    set_gate(g, false);
    pthread_join(stuck, NULL);
    wait_on(&g->answers);
    for (int i = 0; i < 3; i++) { /* though these are quick */
        append_and_flush(g);
        wait_on(&g->answers);
        assert_false(pthread_equal(g->synced_by, pthread_self()));
    }
    set_gate(g, true);
    append_and_flush(g); /* so this one comes back */
    wait_on(&g->waiting);
    assert_int_equal(g->answered, 4);
    set_gate(g, false);
    wait_on(&g->answers);
}

struct appender {
    struct gated *gated;
    unsigned number, answered;
};

static void answered_in_turn(void *ctx, int error, uint64_t position)
{
    struct gated *g = ((struct appender *)ctx)->gated;
    assert_int_equal(error, 0);
    assert_int_equal(position, g->last + 1);
    g->last = position;
    ((struct appender *)ctx)->answered++;
    sem_post(&g->answers);
}

static void *append_many(void *ctx)
{
    struct appender *a = ctx;
    for (unsigned i = 0; i < MANY; i++) {
        char text[32];
        struct store_group group;
        snprintf(text, sizeof(text), "%u %u", a->number, i);
        store_group_init(&group);
        group.held = true;
        store_group_add(&group, STORE_RECORD_EVENT, a->number, SLICE(""), slice_text(text));
        store_append(a->gated->rig.store, &group, answered_in_turn, a);
        if (i % 3 == 2 || i + 1 == MANY)
            store_flush(a->gated->rig.store);
    }
    return NULL;
}

/* Each thread's records are in the log, in the order in which it appended them. */
static void check_order(struct gated *g)
{
    unsigned next[THREADS] = {0};
    struct store_reader *reader = store_reader_new(g->rig.store, 1);
    struct store_entry e;
    while (store_reader_next(reader, &e) == 1) {
        char text[32];
        assert_true(e.scope < THREADS);
        snprintf(text, sizeof(text), "%u %u", e.scope, next[e.scope]++);
        assert_true(slice_is(e.value, text));
    }
    store_reader_free(reader);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(next[i], MANY);
}

static void order_holds_whoever_commits(void **state)
{
    struct gated *g = *state;
    pthread_t threads[THREADS];
    struct appender appenders[THREADS];
    g->pause_every = 40;
    for (unsigned i = 0; i < THREADS; i++) {
        appenders[i] = (struct appender){g, i, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, append_many, &appenders[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < THREADS * MANY; i++)
        wait_on(&g->answers);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(appenders[i].answered, MANY);
    check_order(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nobody_waits_for_the_slow_commit_of_another, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(order_holds_whoever_commits, setup, teardown),
        cmocka_unit_test_setup_teardown(after_a_slow_commit_the_log_thread_commits, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
