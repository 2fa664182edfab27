/* SPDX-License-Identifier: Apache-2.0 */
/* Codec of segment headers, batches and records. Pure functions over bytes. */
#include "store/batch.h"

#include "base/crc32c.h"

#include <errno.h>
#include <string.h>

uint32_t segment_header_seal(struct segment_header *h, void *out)
{
    h->magic = SEGMENT_MAGIC;
    h->version = SEGMENT_VERSION;
    h->header_bytes = SEGMENT_HEADER_BYTES;
    h->crc = crc32c(0, h, offsetof(struct segment_header, crc));
    memcpy(out, h, sizeof(*h));
    return h->crc;
}

int segment_header_read(const void *bytes, struct segment_header *ret)
{
    struct segment_header h;
    memcpy(&h, bytes, sizeof(h));
    if (h.magic != SEGMENT_MAGIC || h.crc != crc32c(0, &h, offsetof(struct segment_header, crc)))
        return 0;
    if (h.version != SEGMENT_VERSION || (h.incompat & ~SEGMENT_INCOMPAT_KNOWN) != 0 ||
        h.header_bytes != SEGMENT_HEADER_BYTES)
        return -ENOTSUP;
    *ret = h;
    return 1;
}

static uint32_t header_crc(const struct batch_header *h, uint64_t salt)
{
    size_t from = offsetof(struct batch_header, length);
    return crc32c(crc32c(0, &salt, sizeof(salt)), (const char *)h + from, sizeof(*h) - from);
}

static uint32_t whole_crc(const struct batch_header *h, const char *payload)
{
    size_t from = offsetof(struct batch_header, header_crc);
    uint32_t crc = crc32c(h->chain, (const char *)h + from, sizeof(*h) - from);
    return crc32c(crc, payload, h->length);
}

uint32_t batch_seal(struct batch_header *h, uint64_t salt, void *bytes)
{
    h->magic = BATCH_MAGIC;
    h->header_crc = header_crc(h, salt);
    h->crc = whole_crc(h, (const char *)bytes + sizeof(*h));
    memcpy(bytes, h, sizeof(*h));
    return h->crc;
}

bool batch_header_read(const void *bytes, uint64_t segment, uint64_t salt, struct batch_header *ret)
{
    struct batch_header h;
    memcpy(&h, bytes, sizeof(h));
    if (h.magic != BATCH_MAGIC || h.segment != segment || h.length % 8 != 0 ||
        h.header_crc != header_crc(&h, salt) || h.synced >= h.first || h.records == 0)
        return false;
    *ret = h;
    return true;
}

bool batch_intact(const struct batch_header *h, const void *bytes)
{
    return h->crc == whole_crc(h, (const char *)bytes + sizeof(*h));
}

int record_next(const char *payload, size_t len, size_t *at, struct store_entry *ret)
{
    struct record_header h;
    if (*at == len)
        return 0;
    if (len - *at < sizeof(h))
        return -EBADMSG;
    memcpy(&h, payload + *at, sizeof(h));
    if (h.length < sizeof(h) + h.key_len || record_padded(h.length) > len - *at)
        return -EBADMSG;
    const char *key = payload + *at + sizeof(h);
    ret->type = h.type;
    ret->scope = h.scope;
    ret->key = slice_of(key, h.key_len);
    ret->value = slice_of(key + h.key_len, h.length - sizeof(h) - h.key_len);
    *at += record_padded(h.length);
    return 1;
}
