/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a program that goes into an image: refused, or cut to what is loaded, once and for
 * all. */
#include "base/must.h"
#include "image/image.h"

#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char loader[256];
    autobuf file = BUF_INIT;
    buf_add(&file, data, size);
    if (!buf_ok(&file))
        return 0;
    if (elf_interpreter(slice_of(data, size), loader) == 0)
        must(strlen(loader) < sizeof(loader));
    if (elf_strip(&file) == 0) {
        size_t len = file.len;
        must(len <= size);
        must(elf_strip(&file) == 0 && file.len == len);
    }
    return 0;
}
