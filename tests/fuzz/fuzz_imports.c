/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a JavaScript file: what it imports lies within it, in order, with the right line. */
#include "base/must.h"
#include "cli/imports.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct place {
    struct slice text;
    const char *last;
    int line;
};

static void check(void *ctx, struct slice specifier, int line)
{
    struct place *p = ctx;
    must(specifier.len > 0 && specifier.ptr > p->text.ptr);
    must(specifier.ptr + specifier.len < p->text.ptr + p->text.len);
    must(specifier.ptr > p->last);
    int newlines = 0;
    for (const char *at = p->text.ptr; at < specifier.ptr; at++)
        newlines += *at == '\n';
    must(line == newlines + 1);
    p->last = specifier.ptr;
    (void)imports_is_builtin(specifier);
    (void)imports_is_given(specifier);
    (void)imports_is_file(specifier);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* Exactly as large, so that one byte too far is seen. */
    char *copy = malloc(size);
    if (copy == NULL)
        return 0;
    memcpy(copy, data, size);
    struct place p = {.text = slice_of(copy, size)};
    imports_each(p.text, check, &p);
    free(copy);
    return 0;
}
