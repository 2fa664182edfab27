/* SPDX-License-Identifier: Apache-2.0 */
/* A function from text to text: "Hello, World!" becomes "hello-world". The text comes as address
 * and length in memory that malloc() gave; the result goes back the same way, in one 64-bit number.
 */
#include <stdint.h>
#include <stdlib.h>

__attribute__((export_name("malloc"))) void *allocate(size_t size)
{
    return malloc(size);
}

static int is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

__attribute__((export_name("slug"))) uint64_t slug(const char *text, uint32_t len)
{
    char *out = malloc(len + 1);
    uint32_t used = 0;
    for (uint32_t i = 0; i < len && out != NULL; i++) {
        char c = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] | 0x20) : text[i];
        if (is_word(c))
            out[used++] = c;
        else if (used > 0 && out[used - 1] != '-')
            out[used++] = '-';
    }
    if (used > 0 && out[used - 1] == '-')
        used--;
    return (uint64_t)(uintptr_t)out << 32 | used;
}
