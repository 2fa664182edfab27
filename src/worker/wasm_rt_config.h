/* SPDX-License-Identifier: Apache-2.0 */
/* Put in front of wabt's wasm-rt-impl.c, to build it for the worker: traps go to the guard, signals
 * are the guard's business, and what runtime.c does is renamed. */
#ifndef SLUICE_WORKER_WASM_RT_CONFIG_H
#define SLUICE_WORKER_WASM_RT_CONFIG_H

#include <signal.h>

_Noreturn void guard_trap(int code);

#define WASM_RT_SKIP_SIGNAL_RECOVERY 1
#define WASM_RT_TRAP_HANDLER(code)   guard_trap((int)(code))
#define wasm_rt_grow_funcref_table   wasm_rt_plain_grow_funcref_table
#define wasm_rt_grow_externref_table wasm_rt_plain_grow_externref_table
#define wasm_rt_allocate_memory      wasm_rt_plain_allocate_memory
#define wasm_rt_free_memory          wasm_rt_plain_free_memory

#endif
