/* SPDX-License-Identifier: Apache-2.0 */
/* Exports that take and give texts, as docs/functions-wasm.md says. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT(name) __attribute__((export_name(name)))

static int held; /* allocations that were not freed */

EXPORT("sluice_alloc") void *give(uint32_t size)
{
    held++;
    return malloc(size);
}

EXPORT("sluice_free") void take_back(void *memory)
{
    held--;
    free(memory);
}

EXPORT("held") int count_held(void)
{
    return held;
}

static uint64_t pack(const char *text, size_t len)
{
    char *copy = give((uint32_t)len);
    memcpy(copy, text, len);
    return (uint64_t)(uintptr_t)copy << 32 | len;
}

EXPORT("handle") uint64_t handle(const char *text, uint32_t len)
{
    printf("handled %u bytes\n", len);
    fflush(stdout);
    return pack(text, len);
}

EXPORT("join")
uint64_t join(const char *a, uint32_t a_len, int32_t times, const char *b, uint32_t b_len)
{
    char text[256];
    int len = snprintf(text, sizeof(text), "%.*s|%d|%.*s", (int)a_len, a, times, (int)b_len, b);
    return pack(text, (size_t)len);
}

EXPORT("sum") int32_t sum(const uint8_t *bytes, uint32_t len)
{
    int32_t total = 0;
    for (uint32_t i = 0; i < len; i++)
        total += bytes[i];
    return total;
}

EXPORT("wild") uint64_t wild(const char *text, uint32_t len)
{
    static const uint64_t results[] = {UINT64_MAX, 0xffff0000ull << 32 | 0x10000,
                                       1ull << 33 | 0x7ffffffe,
                                       0x100000000ull * 0x7fffffff + 0x7fffffff};
    return results[text[0] - '0'];
}

EXPORT("big") uint64_t big(const char *text, uint32_t len)
{
    return 1024ull << 32 | 60000;
}
