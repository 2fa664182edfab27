/* SPDX-License-Identifier: Apache-2.0 */
/* Random bytes for guests: identifiers, and the seed that every fresh instance gets. The kernel is
 * asked for a block at a time, and used bytes are wiped. */
#include "base/random.h"
#include "worker/worker_internal.h"

#include <string.h>

static unsigned char block[1024];
static size_t used = sizeof(block);

void entropy_reset(void)
{
    memset(block, 0, sizeof(block));
    used = sizeof(block);
}

void entropy_bytes(void *out, size_t len)
{
    if (len > sizeof(block)) {
        random_bytes(out, len);
        return;
    }
    if (sizeof(block) - used < len) {
        random_bytes(block, sizeof(block));
        used = 0;
    }
    memcpy(out, block + used, len);
    memset(block + used, 0, len);
    used += len;
}

uint64_t entropy_u64(void)
{
    uint64_t value = 0;
    while (value == 0)
        entropy_bytes(&value, sizeof(value));
    return value;
}

void entropy_uuid(char out[RANDOM_UUID_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char bytes[16];
    size_t at = 0;
    entropy_bytes(bytes, sizeof(bytes));
    bytes[6] = (unsigned char)((bytes[6] & 0x0f) | 0x40); /* RFC 9562 §5.4 */
    bytes[8] = (unsigned char)((bytes[8] & 0x3f) | 0x80);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            out[at++] = '-';
        out[at++] = digits[bytes[i] >> 4];
        out[at++] = digits[bytes[i] & 15];
    }
    out[at] = '\0';
}
