/* SPDX-License-Identifier: Apache-2.0 */
#include "base/loop.h"

#include "base/clock.h"
#include "base/memory.h"
#include "unit.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <unistd.h>

#define POSTERS  4
#define MESSAGES 20000

struct numbered {
    struct loop_message message;
    int poster, number;
};

static struct numbered messages[POSTERS][MESSAGES];
static int last[POSTERS], received;
static struct loop *loop;

static void receive(struct loop_message *m)
{
    struct numbered *n = container_of(m, struct numbered, message);
    assert_int_equal(n->number, last[n->poster] + 1); /* in order from one thread */
    last[n->poster] = n->number;
    if (++received == POSTERS * MESSAGES)
        loop_stop(loop);
}

static void *post_all(void *arg)
{
    int poster = (int)(intptr_t)arg;
    for (int i = 0; i < MESSAGES; i++) {
        messages[poster][i] = (struct numbered){{NULL, receive}, poster, i + 1};
        loop_post(loop, &messages[poster][i].message);
    }
    return NULL;
}

static void every_message_arrives_in_order(void **state)
{
    loop = loop_new();
    pthread_t threads[POSTERS];
    for (int i = 0; i < POSTERS; i++)
        pthread_create(&threads[i], NULL, post_all, (void *)(intptr_t)i);
    loop_run(loop);
    for (int i = 0; i < POSTERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(received, POSTERS * MESSAGES);
    loop_free(loop);
}

static int fired[3], fire_count;

static void fire(struct loop_timer *t)
{
    fired[fire_count++] = (int)(intptr_t)t->ctx;
}

static void timers_fire_in_order_of_time(void **state)
{
    loop = loop_new();
    struct loop_timer t[3] = {{fire, (void *)0}, {fire, (void *)1}, {fire, (void *)2}};
    uint64_t now = loop_now(loop);
    loop_timer_set(loop, &t[0], now + 30 * CLOCK_MILLISECOND);
    loop_timer_set(loop, &t[1], now + 10 * CLOCK_MILLISECOND);
    loop_timer_set(loop, &t[2], now + 20 * CLOCK_MILLISECOND);
    loop_timer_set(loop, &t[0], now + 5 * CLOCK_MILLISECOND); /* moved */
    loop_timer_cancel(loop, &t[2]);
    while (fire_count < 2)
        loop_turn(loop, UINT64_MAX);
    loop_turn(loop, 20 * CLOCK_MILLISECOND);
    assert_int_equal(fire_count, 2);
    assert_int_equal(fired[0], 0);
    assert_int_equal(fired[1], 1);
    loop_free(loop);
}

struct pair {
    struct loop_watch watch;
    struct pair *other;
    int calls;
};

/* Whoever comes first unwatches the other, whose event is already waiting. */
static void unwatch_other(struct loop_watch *w, uint32_t events)
{
    struct pair *p = w->ctx;
    p->calls++;
    loop_unwatch(loop, &p->other->watch);
}

static void an_unwatched_descriptor_is_silent(void **state)
{
    loop = loop_new();
    int a[2], b[2];
    assert_int_equal(pipe(a) | pipe(b), 0);
    struct pair p = {{unwatch_other}, NULL, 0}, q = {{unwatch_other}, &p, 0};
    p.other = &q;
    p.watch.ctx = &p;
    q.watch.ctx = &q;
    assert_int_equal(loop_watch(loop, &p.watch, a[0], EPOLLIN), 0);
    assert_int_equal(loop_watch(loop, &q.watch, b[0], EPOLLIN), 0);
    assert_int_equal(write(a[1], "x", 1) + write(b[1], "x", 1), 2);
    loop_turn(loop, CLOCK_SECOND);
    assert_int_equal(p.calls + q.calls, 1);
    loop_free(loop);
    for (int i = 0; i < 2; i++) {
        close(a[i]);
        close(b[i]);
    }
}

static uint64_t told;

static uint64_t tell(void *ctx)
{
    return told + (ctx != NULL ? 5 : 0);
}

static void time_comes_from_the_clock_that_it_was_given(void **state)
{
    static const struct clock_source clock = {tell, tell, &told};
    struct loop_timer timer = {.due = fire};
    told = 100;
    fire_count = 0;
    loop = loop_new();
    loop_set_clock(loop, &clock);
    assert_int_equal(loop_now(loop), 105);
    assert_int_equal(loop_first_due(loop), UINT64_MAX);
    loop_timer_set(loop, &timer, 105 + 3600 * CLOCK_SECOND);
    assert_int_equal(loop_first_due(loop), 105 + 3600 * CLOCK_SECOND);
    loop_turn(loop, 0);
    assert_int_equal(fire_count, 0);
    told += 3600 * CLOCK_SECOND;
    assert_int_equal(loop_realtime(loop), 105 + 3600 * CLOCK_SECOND);
    loop_turn(loop, 0);
    assert_int_equal(fire_count, 1);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_arrives_in_order),
        cmocka_unit_test(timers_fire_in_order_of_time),
        cmocka_unit_test(an_unwatched_descriptor_is_silent),
        cmocka_unit_test(time_comes_from_the_clock_that_it_was_given)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
