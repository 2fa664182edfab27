/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/index.h"

#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

#define FILTERS 400

static const char *const names[] = {"type", "source", "region", "team"};

static struct filter *random_filter(void)
{
    json_t *attributes = json_object();
    for (size_t i = 0; i < 4; i++) {
        char value[8];
        snprintf(value, sizeof(value), "%d", rand() % 3);
        if (rand() % 2 == 0)
            json_object_set_new(attributes, names[i], json_string(rand() % 4 == 0 ? "" : value));
    }
    json_t *spec = json_pack("{s:{s:o}}", "filter", "attributes", attributes);
    struct filter *f;
    assert_int_equal(filter_compile(spec, &f, NULL), 0);
    json_decref(spec);
    return f;
}

static char values[4][8];

static struct event random_event(void)
{
    struct event e = {.version = EVENT_V1};
    for (size_t i = 0; i < 4; i++) {
        snprintf(values[i], sizeof(values[i]), "%d", rand() % 3);
        if (rand() % 5 != 0)
            event_set(&e, names[i], slice_text(values[i]));
    }
    return e;
}

static bool matched[FILTERS];

static void mark(void *ctx, void *item)
{
    size_t i = (size_t)(uintptr_t)item - 1;
    assert_false(matched[i]); /* each once */
    matched[i] = true;
}

/* Filters come and go; the index finds exactly those that match one by one. */
static void agrees_with_asking_each_filter(void **state)
{
    struct index x = {0};
    struct filter *filters[FILTERS] = {0};
    srand(5);
    for (int step = 0; step < 4000; step++) {
        size_t i = (size_t)rand() % FILTERS;
        if (filters[i] != NULL) {
            index_remove(&x, filters[i], (void *)(uintptr_t)(i + 1));
            filter_free(filters[i]);
            filters[i] = NULL;
        } else {
            filters[i] = random_filter();
            assert_int_equal(index_add(&x, filters[i], (void *)(uintptr_t)(i + 1)), 0);
        }
        struct event e = random_event();
        memset(matched, 0, sizeof(matched));
        index_match(&x, &e, mark, NULL);
        for (size_t k = 0; k < FILTERS; k++)
            assert_int_equal(matched[k], filters[k] != NULL && filter_matches(filters[k], &e));
    }
    for (size_t i = 0; i < FILTERS; i++) {
        if (filters[i] != NULL)
            index_remove(&x, filters[i], (void *)(uintptr_t)(i + 1));
        filter_free(filters[i]);
    }
    assert_int_equal(x.count, 0); /* nothing left behind */
    index_done(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(agrees_with_asking_each_filter)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
