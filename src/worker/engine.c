/* SPDX-License-Identifier: Apache-2.0 */
/* QuickJS in this process: its one instance, its limits, and its randomness. */
#include "worker/engine_native.h"

#include "base/must.h"

#include <errno.h>
#include <string.h>

#define ENGINE_STACK_BYTES    262144u /* so that recursion ends in a RangeError, never in a trap */
#define ENGINE_CONTEXT_BYTES  1024u   /* where Math.random's state is looked for */
#define ENGINE_ROOM_BYTES     (512u * 1024)
#define ENGINE_GC_SLACK_BYTES (4u * 1024 * 1024)
#define ENGINE_OWN_BYTES      (2u * 1024 * 1024) /* of the memory limit: stack, tables, runtime */
#define ENGINE_USAGE_BYTES    512u               /* more than a JSMemoryUsage */
#define ENGINE_HOLE_MAX       1024u
#define ENGINE_HOLE_MIN       16u
#define ENGINE_HOLES_BYTES    (256u * 1024) /* of each size at most */
#define WASM_PAGE             65536u

struct engine engine;

struct snapshot *engine_snapshot(void)
{
    return &engine.snapshot;
}

void engine_set_soft_deadline(uint64_t deadline_ns)
{
    engine.soft_deadline = deadline_ns;
    engine.interrupted = false;
}

/* The table is left out: QuickJS never writes it. */
static void describe_snapshot(void)
{
    engine.snapshot.instance = &engine.instance;
    engine.snapshot.instance_size = sizeof(engine.instance);
    engine.snapshot.memory = &engine.instance.w2c_memory;
    snapshot_register(&engine.snapshot);
}

static void start_guest(void *ctx)
{
    int *status = ctx;
    guard_enter_guest(NULL);
    Z_quickjs_init_module();
    Z_quickjs_instantiate(&engine.instance, NULL, NULL);
    Z_quickjsZ__initialize(&engine.instance);
    if (Z_quickjsZ_qjs_init(&engine.instance) != 0)
        *status = -ENOMEM;
    Z_quickjsZ_qjs_set_max_stack_size(&engine.instance, ENGINE_STACK_BYTES);
    Z_quickjsZ_qjs_set_interrupt_handler(&engine.instance, 1);
    Z_quickjsZ_qjs_set_module_loader(&engine.instance, 1);
    Z_quickjsZ_qjs_set_promise_rejection_handler(&engine.instance, 1);
    engine.scratch.arguments = Z_quickjsZ_wasm_malloc(&engine.instance, ENGINE_ARGUMENTS_MAX * 4);
    engine.scratch.lengths = Z_quickjsZ_wasm_malloc(&engine.instance, 16);
    engine.scratch.text = Z_quickjsZ_wasm_malloc(&engine.instance, ENGINE_SCRATCH_TEXT);
    engine.scratch.values = Z_quickjsZ_wasm_malloc(&engine.instance, ENGINE_ARGUMENTS_MAX * 8);
    engine.scratch.descriptor = Z_quickjsZ_wasm_malloc(&engine.instance, NATIVE_DESCRIPTOR_SIZE);
    engine.context = Z_quickjsZ_qjs_get_context_ptr(&engine.instance);
    engine.undefined = Z_quickjsZ_qjs_get_undefined(&engine.instance);
    guard_leave_guest();
}

/* The step of Math.random's generator, xorshift64*. */
static uint64_t random_step(uint64_t x)
{
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    return x;
}

/* The state is not exported: it is the one word of the context that one call of Math.random()
 * changes by exactly this step. */
static void find_random_state(void *ctx)
{
    int *status = ctx;
    uint32_t context = engine.context;
    uint64_t before[ENGINE_CONTEXT_BYTES / 8], after[ENGINE_CONTEXT_BYTES / 8];
    const void *at = engine_at(context, ENGINE_CONTEXT_BYTES);
    must(at != NULL);
    engine_value random = engine_eval(SLICE("Math.random"), "sluice:start", 0);
    memcpy(before, at, sizeof(before));
    engine_drop(engine_call(random, 0, NULL));
    memcpy(after, at, sizeof(after));
    engine_drop(random);
    unsigned found = 0;
    for (uint32_t i = 0; i < ENGINE_CONTEXT_BYTES / 8; i++)
        if (before[i] != 0 && after[i] == random_step(before[i])) {
            engine.random_state = context + i * 8;
            found++;
        }
    *status = found == 1 ? 0 : -ENOTSUP;
}

void engine_reseed(void)
{
    uint64_t seed = entropy_u64();
    memcpy(engine.instance.w2c_memory.data + engine.random_state, &seed, sizeof(seed));
}

int engine_init(struct error *err)
{
    int status = 0;
    wasm_rt_init();
    describe_snapshot();
    int ended = guard_run(start_guest, &status);
    if (ended != 0 || status < 0)
        return error_set(err, -ENOMEM, "the JavaScript engine did not start: %s",
                         ended != 0 ? guard_describe(ended) : "out of memory");
    ended = guard_run(find_random_state, &status);
    if (ended != 0 || status < 0)
        return error_set(err, -ENOTSUP,
                         "this build of the JavaScript engine keeps its random state elsewhere");
    engine_reseed();
    return 0;
}

static void limit_heap(void *ctx)
{
    uint64_t bytes = *(uint64_t *)ctx;
    uint64_t heap = bytes > 2 * ENGINE_OWN_BYTES ? bytes - ENGINE_OWN_BYTES : bytes / 2;
    engine.heap_limit = heap;
    GUEST_DO(qjs_set_memory_limit, heap < UINT32_MAX ? (u32)heap : UINT32_MAX);
}

void engine_set_memory_limit(uint64_t bytes)
{
    wasm_rt_memory_t *memory = &engine.instance.w2c_memory;
    uint64_t pages = bytes / WASM_PAGE;
    if (pages > UINT16_MAX)
        pages = UINT16_MAX; /* 65536 would overflow the runtime's size */
    if (pages < memory->pages)
        pages = memory->pages;
    memory->max_pages = (uint32_t)pages;
    guard_run(limit_heap, &bytes);
}

bool engine_memory_is_used_up(void)
{
    const wasm_rt_memory_t *memory = &engine.instance.w2c_memory;
    return memory->pages + ENGINE_OWN_BYTES / WASM_PAGE >= memory->max_pages;
}

/* JSMemoryUsage of quickjs.h: the bytes in use come first. */
static void measure_heap(void *ctx)
{
    uint64_t *used = ctx;
    uint32_t at = GUEST(wasm_malloc, ENGINE_USAGE_BYTES);
    if (at == 0)
        return;
    GUEST_DO(qjs_compute_memory_usage, at);
    memcpy(used, engine_at(at, sizeof(*used)), sizeof(*used));
    GUEST_DO(wasm_free, at);
}

/* Memory that was grown once stays, so its size says only whether the heap may be short: counting
 * what is in use walks through all of it. */
bool engine_heap_is_short(void)
{
    const wasm_rt_memory_t *memory = &engine.instance.w2c_memory;
    uint64_t used = UINT64_MAX; /* there is not even room for the answer */
    if ((uint64_t)memory->pages * WASM_PAGE < engine.heap_limit / 4 * 3)
        return false;
    guard_run(measure_heap, &used);
    return used > engine.heap_limit / 4 * 3;
}

/* Takes the holes in the heap out of use, so that what an event allocates lies side by side: each
 * page less that it writes is one less to put back. top is the first address of the free end. */
static void fill_holes(uint32_t top)
{
    for (uint32_t size = ENGINE_HOLE_MAX; size >= ENGINE_HOLE_MIN; size -= ENGINE_HOLE_MIN) {
        uint32_t filled = 0;
        while (filled < ENGINE_HOLES_BYTES) {
            uint32_t block = GUEST(wasm_malloc, size - 8);
            if (block == 0)
                return;
            if (block >= top) {
                GUEST_DO(wasm_free, block);
                break;
            }
            filled += size;
        }
    }
}

void engine_close_holes(void)
{
    GUEST_DO(qjs_run_gc);
    uint32_t room = GUEST(wasm_malloc, ENGINE_ROOM_BYTES);
    if (room == 0)
        return;
    GUEST_DO(wasm_free, room);
    fill_holes(room);
}

static void settle_heap(void *ctx)
{
    bool final = *(bool *)ctx;
    GUEST_DO(qjs_run_gc);
    uint32_t room = GUEST(wasm_malloc, ENGINE_ROOM_BYTES);
    if (room != 0) {
        GUEST_DO(wasm_free, room);
        if (final)
            fill_holes(room);
    }
    uint32_t threshold = GUEST(qjs_get_gc_threshold);
    GUEST_DO(qjs_set_gc_threshold, threshold + ENGINE_GC_SLACK_BYTES);
}

void engine_settle(bool final)
{
    guard_run(settle_heap, &final);
}
