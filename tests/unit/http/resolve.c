/* SPDX-License-Identifier: Apache-2.0 */
/* The resolver with a look-up of the test's own, which waits until it is let go. */
#include "http/resolve.h"

#include "base/clock.h"
#include "base/memory.h"
#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool held;
static int asked, at_once, at_once_max;

/* "fails" fails, all others are 10.0.0.1. */
static void lookup(const char *host, struct resolve_answer *ret)
{
    pthread_mutex_lock(&mutex);
    asked++;
    if (++at_once > at_once_max)
        at_once_max = at_once;
    pthread_cond_broadcast(&changed);
    while (held)
        pthread_cond_wait(&changed, &mutex);
    at_once--;
    pthread_mutex_unlock(&mutex);
    ret->count = 0;
    ret->error = EAI_NONAME;
    if (strcmp(host, "fails") == 0)
        return;
    ret->error = 0;
    ret->count = 1;
    ret->addresses[0].v4 = (struct sockaddr_in){.sin_family = AF_INET};
    inet_pton(AF_INET, "10.0.0.1", &ret->addresses[0].v4.sin_addr);
}

static void hold(bool on)
{
    pthread_mutex_lock(&mutex);
    held = on;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

static struct loop *loop;
static struct resolver *resolver;

static int setup(void **state)
{
    asked = at_once_max = 0;
    loop = loop_new();
    resolver = resolver_new(loop, lookup);
    return loop != NULL && resolver != NULL ? 0 : -1;
}

static int teardown(void **state)
{
    resolver_free(resolver);
    loop_free(loop);
    return 0;
}

struct waiter {
    struct resolve_wait wait;
    int told;
};

static void tell(struct resolve_wait *w)
{
    container_of(w, struct waiter, wait)->told++;
}

static int find(struct waiter *w, const char *host)
{
    struct resolve_answer answer;
    return resolver_find(resolver, host, &w->wait, &answer);
}

static void until_told(struct waiter *w)
{
    uint64_t deadline = clock_monotonic() + 20 * CLOCK_SECOND;
    while (w->told == 0 && clock_monotonic() < deadline)
        loop_turn(loop, CLOCK_SECOND);
    assert_int_equal(w->told, 1);
}

static void asks_once_for_all_who_wait(void **state)
{
    struct waiter waiters[3] = {0};
    for (int i = 0; i < 3; i++) {
        resolve_wait_init(&waiters[i].wait, tell);
        assert_int_equal(find(&waiters[i], "host"), -EINPROGRESS);
    }
    assert_int_equal(find(&waiters[0], "host"), -EINPROGRESS); /* waits already */
    for (int i = 0; i < 3; i++)
        until_told(&waiters[i]);
    assert_int_equal(find(&waiters[0], "host"), 0);
    assert_int_equal(asked, 1);
    resolver_forget(resolver, "host");
    waiters[0].told = 0;
    assert_int_equal(find(&waiters[0], "host"), -EINPROGRESS);
    until_told(&waiters[0]);
    assert_int_equal(asked, 2);
}

static void says_what_failed(void **state)
{
    struct waiter w = {0};
    resolve_wait_init(&w.wait, tell);
    assert_null(resolver_problem(resolver, "fails"));
    assert_int_equal(find(&w, "fails"), -EINPROGRESS);
    until_told(&w);
    assert_int_equal(find(&w, "fails"), -EHOSTUNREACH);
    assert_string_equal(resolver_problem(resolver, "fails"), gai_strerror(EAI_NONAME));
    assert_int_equal(find(&w, ""), -EINVAL);
}

static void few_ask_at_a_time(void **state)
{
    struct waiter waiters[RESOLVE_THREADS_MAX + 3] = {0};
    char host[16];
    hold(true);
    for (size_t i = 0; i < COUNT_OF(waiters); i++) {
        snprintf(host, sizeof(host), "host%zu", i);
        resolve_wait_init(&waiters[i].wait, tell);
        assert_int_equal(find(&waiters[i], host), -EINPROGRESS);
    }
    hold(false);
    for (size_t i = 0; i < COUNT_OF(waiters); i++)
        until_told(&waiters[i]);
    assert_true(at_once_max <= RESOLVE_THREADS_MAX);
}

static void the_cancelled_are_not_told(void **state)
{
    struct waiter first = {0}, second = {0};
    resolve_wait_init(&first.wait, tell);
    resolve_wait_init(&second.wait, tell);
    hold(true);
    assert_int_equal(find(&first, "host"), -EINPROGRESS);
    assert_int_equal(find(&second, "host"), -EINPROGRESS);
    resolver_cancel(&first.wait);
    hold(false);
    until_told(&second);
    assert_int_equal(first.told, 0);
}

/* Its addresses led nowhere: who asks waits for new ones. */
static void what_was_forgotten_is_asked_anew(void **state)
{
    struct waiter w = {0};
    resolve_wait_init(&w.wait, tell);
    assert_int_equal(find(&w, "host"), -EINPROGRESS);
    until_told(&w);
    resolver_forget(resolver, "host");
    resolver_forget(resolver, "nobody");
    w.told = 0;
    assert_int_equal(find(&w, "host"), -EINPROGRESS);
    until_told(&w);
    assert_int_equal(find(&w, "host"), 0);
    assert_int_equal(asked, 2);
}

/* The thread comes back to a resolver that is gone. */
static void a_look_up_may_outlive_the_resolver(void **state)
{
    struct waiter w = {0};
    resolve_wait_init(&w.wait, tell);
    hold(true);
    assert_int_equal(find(&w, "host"), -EINPROGRESS);
    pthread_mutex_lock(&mutex);
    while (at_once == 0)
        pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
    resolver_free(resolver);
    hold(false);
    resolver = resolver_new(loop, lookup);
    for (bool over = false; !over;) {
        pthread_mutex_lock(&mutex);
        over = at_once == 0;
        pthread_mutex_unlock(&mutex);
    }
    loop_turn(loop, 0);
    assert_int_equal(w.told, 0);
}

static void many_names_are_forgotten(void **state)
{
    char host[32];
    for (int i = 0; i < RESOLVE_NAMES_MAX + 10; i++) {
        struct waiter w = {0};
        snprintf(host, sizeof(host), "name%d", i);
        resolve_wait_init(&w.wait, tell);
        assert_int_equal(find(&w, host), -EINPROGRESS);
        until_told(&w);
    }
    int known = 0;
    for (int i = RESOLVE_NAMES_MAX + 9; i >= 0; i--) {
        snprintf(host, sizeof(host), "name%d", i);
        struct waiter w = {0};
        resolve_wait_init(&w.wait, tell);
        int status = find(&w, host);
        known += status == 0;
        if (status == -EINPROGRESS)
            until_told(&w); /* which forgets another */
    }
    assert_true(known > 0 && known <= RESOLVE_NAMES_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(asks_once_for_all_who_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(says_what_failed, setup, teardown),
        cmocka_unit_test_setup_teardown(few_ask_at_a_time, setup, teardown),
        cmocka_unit_test_setup_teardown(the_cancelled_are_not_told, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_forgotten_is_asked_anew, setup, teardown),
        cmocka_unit_test_setup_teardown(a_look_up_may_outlive_the_resolver, setup, teardown),
        cmocka_unit_test_setup_teardown(many_names_are_forgotten, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
