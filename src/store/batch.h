/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of the log: segment headers, batches, records. FORMAT.md describes them. Everything is
 * little-endian, and so is every machine that this is built for. */
#ifndef SLUICE_STORE_BATCH_H
#define SLUICE_STORE_BATCH_H

#include "base/slice.h"
#include "store/store.h"

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the format is little-endian");

#define SEGMENT_MAGIC   UINT64_C(0x4753454349554c53) /* "SLUICESG" */
#define SEGMENT_VERSION 1u
#define SEGMENT_HEADER_BYTES                                                                       \
    4096u /* the first batch begins here: no torn batch touches the header */
#define SEGMENT_INCOMPAT_KNOWN 0u
#define SEGMENT_COMPAT_KNOWN   0u

struct segment_header {
    uint64_t magic;
    uint32_t version;
    uint32_t header_bytes;
    uint32_t compat;   /* unknown bits: go on */
    uint32_t incompat; /* unknown bits: refuse */
    uint64_t number;   /* as in the file's name, else the file is a spare */
    uint64_t bytes;    /* of the file */
    uint64_t epoch;
    uint64_t first;   /* position of the first record */
    uint64_t synced;  /* last position known to be on disk when this was written */
    uint64_t time_ns; /* of the first batch */
    uint64_t salt;    /* random; seeds header_crc of the batches */
    uint32_t chain;   /* crc of the last batch of the segment before */
    uint32_t crc;     /* of all the above */
};
static_assert(sizeof(struct segment_header) == 88, "format");
static_assert(offsetof(struct segment_header, number) == 24, "format");
static_assert(offsetof(struct segment_header, first) == 48, "format");
static_assert(offsetof(struct segment_header, salt) == 72, "format");
static_assert(offsetof(struct segment_header, crc) == 84, "format");

#define BATCH_MAGIC 0x48435442u /* "BTCH" */

struct batch_header {
    uint32_t magic;
    uint32_t crc;        /* chained: of chain, then of all that follows, payload included */
    uint32_t header_crc; /* of what follows in the header, seeded by the segment's salt */
    uint32_t length;     /* of the payload; a multiple of 8 */
    uint64_t epoch;
    uint64_t segment;
    uint64_t first;  /* position of the first record */
    uint64_t synced; /* last position known to be on disk when this was written */
    uint64_t time_ns;
    uint32_t records;
    uint32_t chain; /* crc of the batch before, or of the segment's header */
};
static_assert(sizeof(struct batch_header) == 64, "format");
static_assert(offsetof(struct batch_header, length) == 12, "format");
static_assert(offsetof(struct batch_header, first) == 32, "format");
static_assert(offsetof(struct batch_header, records) == 56, "format");
static_assert(offsetof(struct batch_header, chain) == 60, "format");

/* A record: this, the key, the value, zeros up to a multiple of 8. Its position is the batch's
 * first plus its place in the batch. */
struct record_header {
    uint32_t length; /* header, key and value, without the padding */
    uint16_t type;
    uint16_t key_len;
    uint32_t scope;
    uint32_t flags; /* zero */
};
static_assert(sizeof(struct record_header) == 16, "format");
static_assert(offsetof(struct record_header, key_len) == 6, "format");
static_assert(offsetof(struct record_header, scope) == 8, "format");

static inline size_t record_padded(size_t len)
{
    return (len + 7) & ~(size_t)7;
}

/* Fills in magic and crc, and writes the header to out. Returns the crc, which is the chain of the
 * segment's first batch. */
uint32_t segment_header_seal(struct segment_header *h, void *out);
/* 1: a header of a known format. 0: none (zeros, torn). -ENOTSUP: of a newer format. */
int segment_header_read(const void *bytes, struct segment_header *ret);

/* Completes the header of a batch whose payload of h->length bytes follows at bytes + 64, and
 * writes it to bytes. Returns the crc that the next batch is chained to. */
uint32_t batch_seal(struct batch_header *h, uint64_t salt, void *bytes);
/* True when the 64 bytes are a header that was written to that segment. Says nothing about the
 * payload. */
bool batch_header_read(const void *bytes, uint64_t segment, uint64_t salt,
                       struct batch_header *ret);
/* True when the payload (that follows the header at bytes) is what was sealed. */
bool batch_intact(const struct batch_header *h, const void *bytes);

/* The record at *at; moves on. 1: there is one. 0: the end. -EBADMSG: nonsense. Sets type, scope,
 * key and value only. */
int record_next(const char *payload, size_t len, size_t *at, struct store_entry *ret);

#endif
