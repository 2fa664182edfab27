/* SPDX-License-Identifier: Apache-2.0 */
/* Instances that take turns in one memory, without an engine: made by hand, compared byte by byte.
 */
#include "fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#define RESERVED 0x200000000UL
#define PAGES    3u /* of the snapshot */
#define TAIL     5u

static struct instance {
    uint64_t global;
    wasm_rt_memory_t memory;
    wasm_rt_funcref_table_t table;
} instance;
static struct snapshot snapshot;

static void make(void)
{
    uint8_t *place =
        mmap(NULL, RESERVED, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    expect(place != MAP_FAILED);
    expect(mprotect(place, PAGES * SNAPSHOT_WASM_PAGE, PROT_READ | PROT_WRITE) == 0);
    instance.memory = (wasm_rt_memory_t){
        .data = place, .pages = PAGES, .max_pages = 100, .size = PAGES * SNAPSHOT_WASM_PAGE};
    for (size_t i = 0; i < PAGES * SNAPSHOT_WASM_PAGE; i++)
        place[i] = (uint8_t)(i * 7 >> 3);
    instance.global = 1;
    instance.table.data = calloc(4, sizeof(*instance.table.data));
    instance.table.size = instance.table.max_size = 4;
    snapshot = (struct snapshot){.instance = &instance,
                                 .instance_size = sizeof(instance),
                                 .memory = &instance.memory,
                                 .tables = {&instance.table},
                                 .table_count = 1};
    struct error err = ERROR_INIT;
    expect(snapshot_take(&snapshot, &err) == 0);
}

/* As a guest's memory.grow; each page on its own, so that the kernel sees several mappings when
 * their protection differed in between. */
static void grow(unsigned pages, uint8_t value)
{
    for (unsigned i = 0; i < pages; i++) {
        uint8_t *at = instance.memory.data + instance.memory.size;
        expect(mprotect(at, SNAPSHOT_WASM_PAGE, PROT_READ | PROT_WRITE) == 0);
        for (size_t k = 0; k < SNAPSHOT_WASM_PAGE; k++)
            expect(at[k] == 0);
        memset(at, value + (int)i, SNAPSHOT_WASM_PAGE);
        instance.memory.pages++;
        instance.memory.size += SNAPSHOT_WASM_PAGE;
    }
}

static void grow_table(unsigned size, uintptr_t value)
{
    instance.table.data = realloc(instance.table.data, size * sizeof(*instance.table.data));
    for (unsigned i = 0; i < size; i++)
        instance.table.data[i] = (wasm_rt_funcref_t){.module_instance = (void *)(value + i)};
    instance.table.size = size;
}

static uint8_t *copy_all(size_t *ret_len)
{
    *ret_len = instance.memory.size;
    uint8_t *copy = malloc(*ret_len);
    expect(copy != NULL);
    memcpy(copy, instance.memory.data, *ret_len);
    return copy;
}

static void check_turns(void)
{
    make();
    size_t first_len, mine_len, others_len;
    uint8_t *first = copy_all(&first_len);

    instance.global = 2;
    instance.memory.data[5] = 1;
    instance.memory.data[2 * SNAPSHOT_PAGE - 1] ^= 0xff;
    memset(instance.memory.data + 9 * SNAPSHOT_PAGE, 0xee, 3 * SNAPSHOT_PAGE);
    instance.memory.data[20 * SNAPSHOT_PAGE] ^= 0; /* written, and as before */
    grow(TAIL, 10);
    grow_table(50, 1000);
    uint8_t *mine = copy_all(&mine_len);
    struct snapshot_parked *parked = NULL, *other = NULL;
    expect(snapshot_park(&snapshot, &parked) == 0);
    snapshot_restore(&snapshot, false);
    expect(instance.memory.size == first_len && instance.global == 1 && instance.table.size == 4);
    expect(memcmp(instance.memory.data, first, first_len) == 0);

    instance.global = 3;
    instance.memory.data[5] = 2;
    instance.memory.data[30 * SNAPSHOT_PAGE + 77] ^= 0xff;
    grow(2, 99);
    grow_table(6, 5);
    uint8_t *others = copy_all(&others_len);
    expect(snapshot_park(&snapshot, &other) == 0);
    snapshot_restore(&snapshot, false);
    expect(memcmp(instance.memory.data, first, first_len) == 0);
    size_t both = snapshot_parked_bytes();
    expect(both > (TAIL + 2) * SNAPSHOT_WASM_PAGE &&
           both < (TAIL + 2) * SNAPSHOT_WASM_PAGE + 20000);

    snapshot_unpark(&snapshot, parked);
    expect(instance.global == 2 && instance.memory.size == mine_len && instance.table.size == 50);
    expect(memcmp(instance.memory.data, mine, mine_len) == 0);
    expect((uintptr_t)instance.table.data[49].module_instance == 1049);
    snapshot_restore(&snapshot, true);
    snapshot_unpark(&snapshot, other);
    expect(instance.global == 3 && instance.memory.size == others_len && instance.table.size == 6);
    expect(memcmp(instance.memory.data, others, others_len) == 0);
    expect(snapshot_parked_bytes() == 0);
    snapshot_restore(&snapshot, false);
    expect(memcmp(instance.memory.data, first, first_len) == 0);
    grow(TAIL, 1); /* which finds zeros */
}

/* Memory that the kernel keeps as several mappings moves all the same. */
static void check_several_mappings(void)
{
    make();
    grow(TAIL, 40);
    uint8_t *middle = instance.memory.data + (PAGES + 2) * SNAPSHOT_WASM_PAGE;
    expect(mprotect(middle, SNAPSHOT_WASM_PAGE, PROT_READ) == 0);
    size_t len;
    uint8_t *all = copy_all(&len);
    struct snapshot_parked *parked = NULL;
    expect(snapshot_park(&snapshot, &parked) == 0);
    snapshot_restore(&snapshot, false);
    grow(TAIL + 3, 70);
    snapshot_restore(&snapshot, false);
    snapshot_unpark(&snapshot, parked);
    expect(instance.memory.size == len && memcmp(instance.memory.data, all, len) == 0);
    instance.memory.data[len - 1] = 0;
}

static void check_limit(void)
{
    make();
    struct snapshot_parked *parked = NULL;
    grow(2, 1);
    snapshot_limit_parked(2 * SNAPSHOT_WASM_PAGE);
    expect(snapshot_park(&snapshot, &parked) == -ENOMEM && parked == NULL);
    expect(instance.memory.data[(PAGES + 1) * SNAPSHOT_WASM_PAGE] == 2);
    snapshot_limit_parked(3 * SNAPSHOT_WASM_PAGE);
    expect(snapshot_park(&snapshot, &parked) == 0);
    snapshot_restore(&snapshot, false);
    snapshot_discard(parked);
    expect(snapshot_parked_bytes() == 0);
}

#define TEST_CASE(name)                                                                            \
    static void test_##name(void **state)                                                          \
    {                                                                                              \
        assert_true(fixture_run(check_##name, NULL));                                              \
    }
TEST_CASE(turns)
TEST_CASE(several_mappings)
TEST_CASE(limit)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turns),
        cmocka_unit_test(test_several_mappings),
        cmocka_unit_test(test_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
