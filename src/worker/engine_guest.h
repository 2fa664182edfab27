/* SPDX-License-Identifier: Apache-2.0 */
/* QuickJS as wasm2c translated it; seen by engine*.c only. */
#ifndef SLUICE_WORKER_ENGINE_GUEST_H
#define SLUICE_WORKER_ENGINE_GUEST_H

#include "quickjs.h"
#include "worker/worker_internal.h"

#define ENGINE_ARGUMENTS_MAX 8
#define ENGINE_SCRATCH_TEXT  16384

/* Guest memory that the host writes arguments to, allocated once before the first snapshot. */
struct engine_scratch {
    uint32_t arguments;  /* ENGINE_ARGUMENTS_MAX addresses */
    uint32_t lengths;    /* four words for results */
    uint32_t text;       /* ENGINE_SCRATCH_TEXT bytes */
    uint32_t values;     /* ENGINE_ARGUMENTS_MAX values of engine_native.h */
    uint32_t descriptor; /* one of a property, by engine_native.c */
};

struct engine {
    Z_quickjs_instance_t instance;
    struct snapshot snapshot;
    struct engine_scratch scratch;
    uint32_t context;                   /* QuickJS' JSContext */
    uint32_t object_class, array_class; /* its numbers for plain objects and arrays */
    uint32_t random_state;              /* address of Math.random's 64-bit state */
    engine_value undefined;
    uint64_t heap_limit; /* bytes */
    uint64_t soft_deadline;
    bool interrupted; /* the hook has thrown */
};

extern struct engine engine;

/* GUEST(qjs_call, f, this, argc, argv): calls the guest, giving its result. GUEST_DO: without one.
 */
#define GUEST(function, ...)                                                                       \
    ({                                                                                             \
        guard_enter_guest(engine.instance.w2c_memory.data);                                        \
        __auto_type result_ = Z_quickjsZ_##function(&engine.instance, ##__VA_ARGS__);              \
        guard_leave_guest();                                                                       \
        result_;                                                                                   \
    })
#define GUEST_DO(function, ...)                                                                    \
    do {                                                                                           \
        guard_enter_guest(engine.instance.w2c_memory.data);                                        \
        Z_quickjsZ_##function(&engine.instance, ##__VA_ARGS__);                                    \
        guard_leave_guest();                                                                       \
    } while (0)

/* The host's view of guest memory, NULL when it is not all there. Valid until the guest runs. */
static inline void *engine_at(uint32_t address, size_t len)
{
    const wasm_rt_memory_t *memory = &engine.instance.w2c_memory;
    if (address > memory->size || len > memory->size - address)
        return NULL;
    return memory->data + address;
}

/* Copies bytes and a NUL into the scratch area, or into fresh memory when they are too long for it.
 * Ends guard_run() when there is none. */
uint32_t engine_put(struct slice bytes);
void engine_put_done(uint32_t address);
uint32_t engine_word(uint32_t address);
/* Whether the instance has grown nearly as far as it may. */
bool engine_memory_is_used_up(void);

#endif
