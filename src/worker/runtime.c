/* SPDX-License-Identifier: Apache-2.0 */
/* Those parts of wasm2c's runtime that the worker does itself; the rest is wabt's (see
 * wasm_rt_config.h). */
#include "worker/segment.h"
#include "worker/worker_internal.h"

#include <stdlib.h>
#include <sys/mman.h>

#define RUNTIME_RESERVED  0x200000000UL /* what wasm_rt_allocate_memory() maps */
#define RUNTIME_TABLE_MAX 65536u        /* entries that a guest can make a table grow to */

uint32_t wasm_rt_plain_grow_funcref_table(wasm_rt_funcref_table_t *table, uint32_t delta,
                                          wasm_rt_funcref_t init);

/* It reallocates, so the time limit must not unwind it. */
uint32_t wasm_rt_grow_funcref_table(wasm_rt_funcref_table_t *table, uint32_t delta,
                                    wasm_rt_funcref_t init)
{
    if ((uint64_t)table->size + delta > RUNTIME_TABLE_MAX)
        return UINT32_MAX;
    guard_enter_import();
    uint32_t old = wasm_rt_plain_grow_funcref_table(table, delta, init);
    guard_leave_import();
    return old;
}

/* Such tables are not part of a snapshot, so they stay as large as they are. */
uint32_t wasm_rt_grow_externref_table(wasm_rt_externref_table_t *table, uint32_t delta,
                                      wasm_rt_externref_t init)
{
    return delta == 0 ? table->size : UINT32_MAX;
}

void wasm_rt_plain_allocate_memory(wasm_rt_memory_t *memory, uint32_t pages, uint32_t max_pages);

/* Called while a guest is instantiated, whose start function runs next. */
void wasm_rt_allocate_memory(wasm_rt_memory_t *memory, uint32_t pages, uint32_t max_pages)
{
    guard_enter_import();
    wasm_rt_plain_allocate_memory(memory, pages, max_pages);
    segment_set(memory->data);
    guard_leave_import();
}

/* wabt's unmaps the used part only. */
void wasm_rt_free_memory(wasm_rt_memory_t *memory)
{
    munmap(memory->data, RUNTIME_RESERVED);
}
