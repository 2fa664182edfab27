/* SPDX-License-Identifier: Apache-2.0 */
/* The file beside a full segment that says what it is about. FORMAT.md describes it. */
#ifndef SLUICE_STORE_DIGEST_H
#define SLUICE_STORE_DIGEST_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIGEST_MAGIC      UINT64_C(0x4744454349554c53) /* "SLUICEDG" */
#define DIGEST_VERSION    1u
#define DIGEST_KEY_MASK   (~UINT64_C(0xffffffff)) /* below it: the record's place in the segment */
#define DIGEST_RANGES_MAX 4096u
#define DIGEST_GAP        64u /* ranges that are no further apart are one, to begin with */
#define DIGEST_BLOCK_KEYS 511u

struct digest_header {
    uint64_t magic;
    uint32_t version;
    uint32_t ranges;
    uint64_t number, salt, first, following; /* of the segment; following: of the next one */
    uint32_t blocks;
    uint32_t ranges_crc;
    uint32_t crc; /* of all the above */
    uint32_t zero;
};
static_assert(sizeof(struct digest_header) == 64, "format");
static_assert(offsetof(struct digest_header, number) == 16, "format");
static_assert(offsetof(struct digest_header, crc) == 56, "format");

struct digest_range {
    uint64_t first, last;
};

struct digest_block {
    uint32_t crc; /* of what follows */
    uint32_t count;
    uint64_t keys[DIGEST_BLOCK_KEYS]; /* ascending, over all blocks */
};
static_assert(sizeof(struct digest_block) == 4096, "format");

/* Positions, coarser the more there are of them: what was put in is in, and more may be. */
struct digest_ranges {
    uint64_t gap;
    size_t len;
    struct digest_range list[DIGEST_RANGES_MAX + 1];
};
void digest_ranges_add(struct digest_ranges *r, uint64_t position);
bool digest_ranges_have(const struct digest_ranges *r, uint64_t position);

#endif
