/* SPDX-License-Identifier: Apache-2.0 */
#include "base/heap.h"

#include "unit.h"

#include <stdlib.h>

#define NODES 500

/* Random inserts and removals; the first is always the least of a plain array. */
static void agrees_with_a_model(void **state)
{
    struct heap h = {0};
    static struct heap_node nodes[NODES];
    srand(7);
    for (int step = 0; step < 20000; step++) {
        struct heap_node *n = &nodes[rand() % NODES];
        if (heap_contains(n))
            heap_remove(&h, n);
        else
            assert_int_equal(heap_insert(&h, n, (uint64_t)(rand() % 1000)), 0);
        uint64_t least = UINT64_MAX;
        size_t count = 0;
        for (int i = 0; i < NODES; i++) {
            if (!heap_contains(&nodes[i]))
                continue;
            count++;
            least = nodes[i].key < least ? nodes[i].key : least;
        }
        assert_int_equal(h.len, count);
        if (count > 0)
            assert_int_equal(heap_first(&h)->key, least);
        else
            assert_null(heap_first(&h));
    }
    heap_done(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(agrees_with_a_model)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
