/* SPDX-License-Identifier: Apache-2.0 */
/* Filters and the index when memory runs out: the n-th allocation fails, for each n. What fails
 * leaves nothing behind. */
#include "broker/index.h"

#include "base/memory.h"
#include "unit.h"

#include <errno.h>

void *__real_malloc(size_t len);
void *__real_calloc(size_t count, size_t len);
void *__real_realloc(void *p, size_t len);
void *__wrap_malloc(size_t len);
void *__wrap_calloc(size_t count, size_t len);
void *__wrap_realloc(void *p, size_t len);

static long left = -1; /* allocations that succeed; below 0: all do */

static bool allowed(void)
{
    if (left < 0)
        return true;
    return left > 0 && left-- > 0;
}

void *__wrap_malloc(size_t len)
{
    return allowed() ? __real_malloc(len) : NULL;
}

void *__wrap_calloc(size_t count, size_t len)
{
    return allowed() ? __real_calloc(count, len) : NULL;
}

void *__wrap_realloc(void *p, size_t len)
{
    return allowed() ? __real_realloc(p, len) : NULL;
}

static void count_items(void *ctx, void *item)
{
    ++*(size_t *)ctx;
}

static void assert_empty(const struct index *x)
{
    assert_int_equal(x->groups.len, 0);
    assert_int_equal(x->slots.len, 0);
    assert_null(x->free_slot);
    assert_true(x->terms.next == NULL || list_empty(&x->terms));
}

/* 0, or -ENOMEM with nothing changed. */
static int add(struct index *x, const json_t *spec)
{
    struct filter *f = NULL;
    struct error err = ERROR_INIT;
    int r = filter_compile(spec, &f, &err);
    assert_true(r == 0 || r == -ENOMEM);
    if (r == 0)
        r = index_add(x, f, x);
    assert_true(r == 0 || r == -ENOMEM);
    filter_free(f);
    return r;
}

/* The filter matches the event; found by an index that was made with whatever memory there was. */
static void survives(const char *text)
{
    struct event e = {.version = EVENT_V1};
    event_set(&e, "type", SLICE("com.example.made"));
    event_set(&e, "source", SLICE("/shop/orders"));
    event_set(&e, "hop", SLICE("5"));
    json_t *spec = json_loads(text, 0, NULL);
    assert_non_null(spec);
    long n = 0;
    for (int r = -ENOMEM; r != 0; n++) {
        struct index x = {0};
        size_t found = 0;
        left = n;
        r = add(&x, spec);
        left = -1;
        if (r < 0)
            assert_empty(&x);
        assert_int_equal(add(&x, spec), 0); /* after a failure as well as after a success */
        left = 0;
        index_match(&x, &e, count_items, &found); /* needs none */
        left = -1;
        assert_int_equal(found, r < 0 ? 1 : 2);
        index_done(&x);
    }
    assert_true(n > 5);
    json_decref(spec);
}

static void nothing_is_left_behind(void **state)
{
    survives("{\"filter\":{\"attributes\":{\"type\":\"com.example.made\",\"hop\":\"\"}}}");
    survives(
        "{\"filters\":[{\"prefix\":{\"source\":\"/shop\"}},{\"suffix\":{\"type\":\"made\"}}]}");
    survives("{\"filters\":[{\"any\":[{\"exact\":{\"hop\":\"5\"}},{\"prefix\":{\"type\":\"com\"}},"
             "{\"exact\":{\"hop\":\"6\",\"type\":\"x\"}}]}]}");
    survives("{\"filters\":[{\"not\":{\"exact\":{\"hop\":\"6\"}}}]}");
    survives("{\"filters\":[{\"cesql\":\"INT(hop) = 5 AND UPPER(type) LIKE 'COM%'\"}]}");
    survives(
        "{\"filters\":[{\"all\":[{\"sql\":\"hop IN (5, 'x') OR type = CONCAT('a', 'b')\"}]}]}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(nothing_is_left_behind)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
