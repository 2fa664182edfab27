/* SPDX-License-Identifier: Apache-2.0 */
/* What a compiled WebAssembly module exports: one symbol, WORKER_MODULE_SYMBOL, of this type. It is
 * generated beside wasm2c's output by function/build, and loaded by the worker. Exports are named
 * e0, e1… in the translated module; only the strings here hold the original names. Imports are
 * called Z_hZ_… (function/module_imports.c), and the worker defines them (worker/wasi*.c). */
#ifndef SLUICE_WORKER_MODULE_ABI_H
#define SLUICE_WORKER_MODULE_ABI_H

#include "wasm-rt.h"

#include <stddef.h>
#include <stdint.h>

#define WORKER_MODULE_ABI    3
#define WORKER_MODULE_SYMBOL "sluice_module"

union worker_module_value {
    uint32_t i32;
    uint64_t i64;
    float f32;
    double f64;
};

struct worker_module_export {
    const char *name;
    const char *signature; /* "ii:i": parameters, colon, results; i i32, I i64, f f32, F f64 */
    void (*call)(void *instance, const union worker_module_value *arguments,
                 union worker_module_value *results);
};

struct worker_module {
    uint32_t abi;
    size_t instance_size;                /* zeroed memory of this size is what instantiate gets */
    void (*init)(void);                  /* once per process, before the first instantiate */
    void (*instantiate)(void *instance); /* runs the start function: guard it as a call */
    void (*free)(void *instance);
    wasm_rt_memory_t *(*memory)(void *instance); /* NULL pointer: the module has none */
    /* Own tables, for snapshot and restore. */
    uint32_t table_count;
    wasm_rt_funcref_table_t *(*table)(void *instance, uint32_t index);
    uint32_t memory_pages_max; /* as the module declares */
    uint32_t export_count;
    const struct worker_module_export *exports;
};

#endif
