/* SPDX-License-Identifier: Apache-2.0 */
/* What senders can do to a broker's metrics: count, exactly, from several threads; and not more
 * than the bounds allow. */
#include "broker/ingress_measure.h"

#include "unit.h"

#include <pthread.h>
#include <stdio.h>

#define THREADS 6
#define ROUNDS  20000

static int setup(void **state)
{
    *state = ingress_measures_new();
    return *state != NULL ? 0 : -1;
}

static int teardown(void **state)
{
    ingress_measures_free(*state);
    return 0;
}

static struct slice numbered(char *text, size_t size, const char *prefix, unsigned n)
{
    return slice_of(text, (size_t)snprintf(text, size, "%s%u", prefix, n));
}

static void take_one(struct ingress_measure *m, struct slice type, uint64_t took_ns)
{
    struct ingress_tally t = {0};
    ingress_tally_add(&t, m, type);
    ingress_tally_accepted(&t, took_ns);
}

/* Accepted events of that type; *ret_types: types that are shown. */
static uint64_t events_of(const struct ingress_measure *m, const char *type, unsigned *ret_types)
{
    struct ingress_view v;
    uint64_t n = 0;
    *ret_types = 0;
    for (unsigned at = 0; ingress_measure_next(m, &at, &v); (*ret_types)++)
        n += type == NULL || slice_is(v.type, type) ? v.answers[INGRESS_202] : 0;
    return n;
}

static void test_names_are_bounded(void **state)
{
    struct type_names *names = ingress_measures_names(*state);
    char text[TYPE_NAME_MAX + 2];
    const struct type_name *first = type_names_find(names, SLICE("a"));
    assert_ptr_equal(first, type_names_find(names, SLICE("a")));
    assert_ptr_not_equal(first, type_names_find(names, SLICE("b")));
    memset(text, 'x', sizeof(text));
    assert_non_null(type_names_find(names, slice_of(text, TYPE_NAME_MAX)));
    assert_null(type_names_find(names, slice_of(text, TYPE_NAME_MAX + 1)));
    assert_null(type_names_find(names, SLICE("other")));
    assert_null(type_names_find(names, SLICE("")));
    unsigned found = 0;
    for (unsigned i = 0; i < 3 * TYPE_NAMES_MAX; i++)
        found += type_names_find(names, numbered(text, sizeof(text), "n", i)) != NULL;
    assert_in_range(found, TYPE_NAMES_MAX / 2, TYPE_NAMES_MAX);
    assert_ptr_equal(first, type_names_find(names, SLICE("a")));
    assert_true(slice_is(type_name_text(first), "a"));
    assert_true(slice_is(type_name_text(NULL), "other"));
}

static void test_types_beyond_the_limit_are_others(void **state)
{
    struct ingress_measure *m = ingress_measure_new(*state, 7);
    char text[32];
    unsigned types;
    assert_int_equal(ingress_measure_broker(m), 7);
    for (unsigned round = 0; round < 2; round++)
        for (unsigned i = 0; i < INGRESS_TYPES_MAX + 10; i++)
            take_one(m, numbered(text, sizeof(text), "t", i), 1000);
    assert_int_equal(events_of(m, "t0", &types), 2);
    assert_int_equal(types, INGRESS_TYPES_MAX + 1);
    assert_int_equal(events_of(m, "other", &types), 20);
    assert_int_equal(events_of(m, NULL, &types), 2 * (INGRESS_TYPES_MAX + 10));
}

static void test_a_batch_of_many_types(void **state)
{
    struct ingress_measure *m = ingress_measure_new(*state, 1);
    struct ingress_tally t = {0};
    char text[32];
    unsigned types;
    for (unsigned round = 0; round < 3; round++)
        for (unsigned i = 0; i < 2 * INGRESS_TALLY_MAX; i++)
            ingress_tally_add(&t, m, numbered(text, sizeof(text), "t", i));
    ingress_tally_accepted(&t, 5);
    assert_int_equal(events_of(m, NULL, &types), 3 * 2 * INGRESS_TALLY_MAX);
    assert_int_equal(events_of(m, "t0", &types), 3);
    assert_int_equal(events_of(m, "other", &types), 3 * (INGRESS_TALLY_MAX + 1));
    ingress_tally_refused(&t, 503);
    struct ingress_view v;
    uint64_t refused = 0;
    for (unsigned at = 0; ingress_measure_next(m, &at, &v);)
        refused += v.answers[INGRESS_503];
    assert_int_equal(refused, 3 * 2 * INGRESS_TALLY_MAX);
    ingress_request_refused(m, 400);
    ingress_request_refused(m, 599); /* not foreseen: as the last */
    assert_int_equal(ingress_measure_refused(m, INGRESS_400), 1);
    assert_int_equal(ingress_measure_refused(m, INGRESS_503), 1);
}

static void test_another_broker_begins_at_nothing(void **state)
{
    struct ingress_measure *m = ingress_measure_new(*state, 1);
    char text[32];
    unsigned types;
    for (unsigned i = 0; i < INGRESS_TYPES_MAX; i++)
        take_one(m, numbered(text, sizeof(text), "t", i), 1);
    ingress_replied(m, type_names_find(ingress_measures_names(*state), SLICE("t1")), 1);
    ingress_request_refused(m, 400);
    ingress_measure_release(*state, m);
    struct ingress_measure *again = ingress_measure_new(*state, 2);
    assert_ptr_equal(again, m);
    assert_int_equal(ingress_measure_broker(again), 2);
    assert_int_equal(events_of(again, NULL, &types), 0);
    assert_int_equal(types, 0);
    assert_int_equal(ingress_measure_replies(again), 0);
    assert_int_equal(ingress_measure_refused(again, INGRESS_400), 0);
    for (unsigned i = 0; i < INGRESS_TYPES_MAX; i++) /* it has all its types to itself */
        take_one(again, numbered(text, sizeof(text), "u", i), 1);
    assert_int_equal(events_of(again, "other", &types), 0);
    assert_int_equal(types, INGRESS_TYPES_MAX);
}

static void *count_in_thread(void *ctx)
{
    char text[32];
    for (unsigned i = 0; i < ROUNDS; i++)
        take_one(ctx, numbered(text, sizeof(text), "t", i % (INGRESS_TYPES_MAX + 5)), 10);
    return NULL;
}

static void test_threads_lose_nothing(void **state)
{
    struct ingress_measure *m = ingress_measure_new(*state, 1);
    pthread_t threads[THREADS];
    unsigned types;
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_in_thread, m), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(events_of(m, NULL, &types), THREADS * ROUNDS);
    assert_int_equal(types, INGRESS_TYPES_MAX + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_names_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_types_beyond_the_limit_are_others, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_batch_of_many_types, setup, teardown),
        cmocka_unit_test_setup_teardown(test_another_broker_begins_at_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_threads_lose_nothing, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
