/* SPDX-License-Identifier: Apache-2.0 */
/* Texts and bytes as arguments: copied into memory that the module gives by itself, through the
 * first of these functions that it exports. What the module answers about addresses is believed no
 * more than anything else that it says. */
#include "worker/worker_internal.h"

#include "base/memory.h"

#define WASM_PAGE UINT64_C(65536)

enum allocator_kind {
    ALLOCATOR_SIZE,    /* f(size) */
    ALLOCATOR_REALLOC, /* f(old address, old size, alignment, size) */
    ALLOCATOR_OBJECT,  /* f(size, class): AssemblyScript's */
};

#define OBJECT_ARRAY_BUFFER 1 /* the class, in AssemblyScript's runtime */

static const char *const allocator_signatures[] = {"i:i", "iiii:i", "ii:i"};

/* In order of preference. release: with the address, or with address and length. */
static const struct allocator {
    const char *name;
    enum allocator_kind kind;
    const char *keep; /* called with the address: it is in use */
    const char *releases[2];
} allocators[] = {
    {"sluice_alloc", ALLOCATOR_SIZE, NULL, {"sluice_free", NULL}},
    {"malloc", ALLOCATOR_SIZE, NULL, {"free", NULL}},
    {"alloc", ALLOCATOR_SIZE, NULL, {"dealloc", "free"}},
    {"allocate", ALLOCATOR_SIZE, NULL, {"deallocate", "free"}},
    {"cabi_realloc", ALLOCATOR_REALLOC, NULL, {NULL, NULL}},
    {"__new", ALLOCATOR_OBJECT, "__pin", {"__unpin", NULL}},
};

static const struct allocator *find_allocator(const struct module *m)
{
    for (size_t i = 0; i < COUNT_OF(allocators); i++)
        if (module_has(m, allocators[i].name, allocator_signatures[allocators[i].kind]))
            return &allocators[i];
    return NULL;
}

const char *module_memory_find(const struct module *m)
{
    const struct allocator *a = find_allocator(m);
    return a != NULL ? a->name : NULL;
}

struct slice module_memory_at(const struct module *m, uint32_t address, uint32_t len)
{
    const wasm_rt_memory_t *memory = module_memory(m);
    if (memory == NULL || address > memory->pages * WASM_PAGE ||
        len > memory->pages * WASM_PAGE - address)
        return slice_of(NULL, 0);
    return slice_of(memory->data + address, len);
}

static int call_allocator(struct module *m, const struct allocator *a, uint32_t size,
                          uint32_t *ret_address)
{
    const union worker_module_value arguments[][4] = {
        [ALLOCATOR_SIZE] = {{.i32 = size}},
        [ALLOCATOR_REALLOC] = {{.i32 = 0}, {.i32 = 0}, {.i32 = 1}, {.i32 = size}},
        [ALLOCATOR_OBJECT] = {{.i32 = size}, {.i32 = OBJECT_ARRAY_BUFFER}},
    };
    union worker_module_value result;
    int ended = module_call(m, a->name, arguments[a->kind], &result);
    if (ended != 0)
        return ended;
    *ret_address = result.i32;
    if (a->keep != NULL && module_has(m, a->keep, "i:i"))
        ended = module_call(m, a->keep, &result, &result);
    return ended;
}

int module_memory_give(struct module *m, struct slice bytes, uint32_t *ret_address)
{
    const struct allocator *a = find_allocator(m);
    *ret_address = 0;
    if (bytes.len == 0)
        return 0;
    if (a == NULL || bytes.len > UINT32_MAX)
        return GUARD_STOPPED_MEMORY;
    uint32_t address = 0;
    int ended = call_allocator(m, a, (uint32_t)bytes.len, &address);
    if (ended != 0)
        return ended;
    struct slice to = module_memory_at(m, address, (uint32_t)bytes.len);
    if (address == 0 || to.ptr == NULL)
        return GUARD_STOPPED_MEMORY;
    memcpy(module_memory(m)->data + address, bytes.ptr, bytes.len);
    *ret_address = address;
    return 0;
}

static int release(struct module *m, const char *function, uint32_t address, uint32_t len)
{
    const union worker_module_value arguments[] = {{.i32 = address}, {.i32 = len}};
    if (module_has(m, function, "i:") || module_has(m, function, "ii:"))
        return module_call(m, function, arguments, NULL);
    return 0;
}

int module_memory_free(struct module *m, uint32_t address, uint32_t len)
{
    const struct allocator *a = find_allocator(m);
    if (a == NULL || len == 0)
        return 0;
    for (size_t i = 0; i < COUNT_OF(a->releases) && a->releases[i] != NULL; i++)
        if (module_signature(m, a->releases[i]) != NULL)
            return release(m, a->releases[i], address, len);
    return 0;
}

int module_memory_free_result(struct module *m, uint32_t address, uint32_t len)
{
    return len > 0 ? release(m, "sluice_free", address, len) : 0;
}
