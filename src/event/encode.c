/* SPDX-License-Identifier: Apache-2.0 */
/* The log's encoding of an event: ENCODING.md beside this file. */
#include "base/must.h"
#include "event/event_internal.h"

#include <endian.h>
#include <errno.h>

#define ENCODE_VERSION 1

enum encode_flag {
    ENCODE_FLAG_V1 = 1 << 0, /* specversion 1.0; else 0.3 */
    ENCODE_FLAG_DATA = 1 << 1,
    ENCODE_FLAG_OPAQUE = 1 << 2, /* the data is a message in a format that is not read */
    ENCODE_FLAGS_KNOWN = ENCODE_FLAG_V1 | ENCODE_FLAG_DATA | ENCODE_FLAG_OPAQUE
};

struct encode_header {
    uint8_t version;
    uint8_t flags;
    uint8_t count;
    uint8_t reserved;
    uint32_t data_len;
};
_Static_assert(sizeof(struct encode_header) == 8, "on disk");

struct encode_entry {
    uint8_t name_len;
    uint8_t kind;
    uint16_t value_len;
};
_Static_assert(sizeof(struct encode_entry) == 4, "on disk");
_Static_assert(EVENT_NAME_MAX <= UINT8_MAX && EVENT_ATTRIBUTES_MAX <= UINT8_MAX, "field sizes");
_Static_assert(EVENT_ATTRIBUTES_BYTES_MAX - 1 <= UINT16_MAX, "field sizes");

void event_encode(const struct event *e, struct buf *out)
{
    must(e->count <= EVENT_ATTRIBUTES_MAX && e->data.len <= UINT32_MAX);
    size_t len = sizeof(struct encode_header) + e->count * sizeof(struct encode_entry);
    for (unsigned i = 0; i < e->count; i++)
        len += e->attributes[i].name.len + e->attributes[i].value.len;
    len += e->data.len;
    char *at = buf_reserve(out, len);
    if (at == NULL)
        return;
    struct encode_header header = {
        .version = ENCODE_VERSION,
        .flags =
            (uint8_t)((e->version == EVENT_V1 ? ENCODE_FLAG_V1 : 0) |
                      (e->has_data ? ENCODE_FLAG_DATA : 0) | (e->opaque ? ENCODE_FLAG_OPAQUE : 0)),
        .count = (uint8_t)e->count,
        .data_len = htole32((uint32_t)e->data.len),
    };
    memcpy(at, &header, sizeof(header));
    char *entries = at + sizeof(header);
    char *text = entries + e->count * sizeof(struct encode_entry);
    for (unsigned i = 0; i < e->count; i++) {
        const struct event_attribute *a = &e->attributes[i];
        must(a->name.len <= EVENT_NAME_MAX && a->value.len <= UINT16_MAX);
        struct encode_entry entry = {(uint8_t)a->name.len, (uint8_t)a->kind,
                                     htole16((uint16_t)a->value.len)};
        memcpy(entries + i * sizeof(entry), &entry, sizeof(entry));
        memcpy(text, a->name.ptr, a->name.len);
        text += a->name.len;
        if (a->value.len > 0)
            memcpy(text, a->value.ptr, a->value.len);
        text += a->value.len;
    }
    if (e->data.len > 0)
        memcpy(text, e->data.ptr, e->data.len);
    at[len] = '\0';
    out->len += len;
}

int event_decode(struct slice bytes, struct event *e)
{
    struct encode_header header;
    if (bytes.len < sizeof(header))
        return -EBADMSG;
    memcpy(&header, bytes.ptr, sizeof(header));
    if (header.version != ENCODE_VERSION || (header.flags & ~ENCODE_FLAGS_KNOWN) != 0 ||
        header.reserved != 0 || header.count > EVENT_ATTRIBUTES_MAX)
        return -EBADMSG;
    size_t left = bytes.len - sizeof(header);
    size_t table = header.count * sizeof(struct encode_entry);
    if (left < table)
        return -EBADMSG;
    left -= table;
    const char *entries = bytes.ptr + sizeof(header);
    const char *text = entries + table;
    for (unsigned i = 0; i < header.count; i++) {
        struct encode_entry entry;
        memcpy(&entry, entries + i * sizeof(entry), sizeof(entry));
        size_t value_len = le16toh(entry.value_len);
        if (entry.name_len == 0 || entry.name_len > EVENT_NAME_MAX ||
            entry.kind > EVENT_VALUE_JSON || left < entry.name_len + value_len)
            return -EBADMSG;
        e->attributes[i] = (struct event_attribute){slice_of(text, entry.name_len),
                                                    slice_of(text + entry.name_len, value_len),
                                                    (enum event_value_kind)entry.kind};
        text += entry.name_len + value_len;
        left -= entry.name_len + value_len;
    }
    if (left != le32toh(header.data_len))
        return -EBADMSG;
    e->version = (header.flags & ENCODE_FLAG_V1) != 0 ? EVENT_V1 : EVENT_V03;
    e->count = header.count;
    e->has_data = (header.flags & ENCODE_FLAG_DATA) != 0;
    e->opaque = (header.flags & ENCODE_FLAG_OPAQUE) != 0;
    if (!e->has_data && left != 0)
        return -EBADMSG;
    e->data = slice_of(e->has_data ? text : NULL, left);
    return 0;
}
