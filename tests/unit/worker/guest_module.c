/* SPDX-License-Identifier: Apache-2.0 */
/* The descriptor that function/ generates for real modules, written by hand for guest.wat. */
#include "guest.h"
#include "worker/module_abi.h"

#define INSTANCE ((Z_guest_instance_t *)instance)
#define CALL(name, result, expression)                                                             \
    static void call_##name(void *instance, const union worker_module_value *a,                    \
                            union worker_module_value *r)                                          \
    {                                                                                              \
        r[0].result = expression;                                                                  \
    }

CALL(add, i32, Z_guestZ_add(INSTANCE, a[0].i32, a[1].i32))
CALL(wide, f64, Z_guestZ_wide(INSTANCE, a[0].i64, a[1].f32, a[2].f64))
CALL(double, i64, Z_guestZ_double(INSTANCE, a[0].i64))
CALL(loop, i32, Z_guestZ_loop(INSTANCE))
CALL(trap, i32, Z_guestZ_trap(INSTANCE))
CALL(divide, i32, Z_guestZ_divide(INSTANCE, a[0].i32, a[1].i32))
CALL(outside, i32, Z_guestZ_outside(INSTANCE))
CALL(deep, i32, Z_guestZ_deep(INSTANCE, a[0].i32))
CALL(bomb, i32, Z_guestZ_bomb(INSTANCE))
CALL(leak, i32, Z_guestZ_leak(INSTANCE))
CALL(grown, i32, Z_guestZ_grown(INSTANCE))
CALL(unused, i32, Z_guestZ_unused(INSTANCE, a[0].i32))
CALL(far, i32, Z_guestZ_far(INSTANCE, a[0].i32))
CALL(far_store, i32, Z_guestZ_far_store(INSTANCE, a[0].i32))
CALL(store, i32, Z_guestZ_store(INSTANCE, a[0].i32, a[1].i32))
CALL(store8, i32, Z_guestZ_store8(INSTANCE, a[0].i32, a[1].i32))
CALL(first, i32, Z_guestZ_first(INSTANCE))
CALL(grow, i32, Z_guestZ_grow(INSTANCE, a[0].i32))
CALL(count, i32, Z_guestZ_count(INSTANCE, a[0].i32))

static const struct worker_module_export exports[] = {
    {"add", "ii:i", call_add},       {"wide", "IfF:F", call_wide},
    {"double", "I:I", call_double},  {"loop", ":i", call_loop},
    {"trap", ":i", call_trap},       {"divide", "ii:i", call_divide},
    {"outside", ":i", call_outside}, {"deep", "i:i", call_deep},
    {"bomb", ":i", call_bomb},       {"leak", ":i", call_leak},
    {"grown", ":i", call_grown},     {"unused", "i:i", call_unused},
    {"far", "i:i", call_far},        {"far_store", "i:i", call_far_store},
    {"store", "ii:i", call_store},   {"store8", "ii:i", call_store8},
    {"first", ":i", call_first},     {"grow", "i:i", call_grow},
    {"count", "i:i", call_count},
};

static void instantiate(void *instance)
{
    Z_guest_instantiate(instance);
}

static void release(void *instance)
{
    Z_guest_free(instance);
}

static wasm_rt_memory_t *memory(void *instance)
{
    return &INSTANCE->w2c_M0;
}

static wasm_rt_funcref_table_t *table(void *instance, uint32_t index)
{
    return &INSTANCE->w2c_T0;
}

__attribute__((visibility("default"))) extern const struct worker_module sluice_module;
const struct worker_module sluice_module = {
    .abi = WORKER_MODULE_ABI,
    .instance_size = sizeof(Z_guest_instance_t),
    .init = Z_guest_init_module,
    .instantiate = instantiate,
    .free = release,
    .memory = memory,
    .table_count = 1,
    .table = table,
    .memory_pages_max = 100,
    .export_count = sizeof(exports) / sizeof(exports[0]),
    .exports = exports,
};
