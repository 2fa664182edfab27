/* SPDX-License-Identifier: Apache-2.0 */
/* A Namespace as Kubernetes' protobuf: newer kubectl sends `create namespace` so, and does not fall
 * back to JSON. Only what a Namespace needs: the envelope (runtime.Unknown) and ObjectMeta's name,
 * generateName, labels and annotations; other fields are skipped. */
#include "api/api_internal.h"
#include "base/encoding.h"
#include "base/memory.h"

#include <errno.h>

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

struct field { /* one field of a message */
    uint64_t number;
    struct slice bytes; /* of WIRE_BYTES; empty for the others */
};

static int read_varint(struct slice *in, uint64_t *ret)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (in->len == 0)
            return -EINVAL;
        unsigned char byte = (unsigned char)in->ptr[0];
        *in = slice_of(in->ptr + 1, in->len - 1);
        value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            *ret = value;
            return 0;
        }
    }
    return -EINVAL;
}

static int skip(struct slice *in, uint64_t n)
{
    if (n > in->len)
        return -EINVAL;
    *in = slice_of(in->ptr + n, in->len - n);
    return 0;
}

/* 1: a field; 0: the end; -EINVAL. */
static int next_field(struct slice *in, struct field *f)
{
    uint64_t tag, value;
    if (in->len == 0)
        return 0;
    if (read_varint(in, &tag) < 0)
        return -EINVAL;
    *f = (struct field){.number = tag >> 3, .bytes = {"", 0}};
    switch (tag & 7) {
    case WIRE_VARINT:
        return read_varint(in, &value) < 0 ? -EINVAL : 1;
    case WIRE_FIXED64:
        return skip(in, 8) < 0 ? -EINVAL : 1;
    case WIRE_FIXED32:
        return skip(in, 4) < 0 ? -EINVAL : 1;
    case WIRE_BYTES:
        if (read_varint(in, &value) < 0 || value > in->len)
            return -EINVAL;
        f->bytes = slice_of(in->ptr, (size_t)value);
        return skip(in, value) < 0 ? -EINVAL : 1;
    default:
        return -EINVAL;
    }
}

static int find_bytes(struct slice in, uint64_t number, struct slice *ret)
{
    struct field f;
    int status;
    *ret = slice_of("", 0);
    while ((status = next_field(&in, &f)) == 1)
        if (f.number == number)
            *ret = f.bytes;
    return status;
}

static int set_text(json_t *object, const char *key, struct slice text)
{
    if (text.len == 0)
        return 0;
    if (memchr(text.ptr, '\0', text.len) != NULL ||
        json_object_set_new(object, key, json_stringn(text.ptr, text.len)) < 0)
        return -EINVAL;
    return 0;
}

/* map<string, string>: each entry is a message {1: key, 2: value}. */
static int add_map_entry(json_t *metadata, const char *name, struct slice entry)
{
    struct slice key, value;
    if (find_bytes(entry, 1, &key) < 0 || find_bytes(entry, 2, &value) < 0)
        return -EINVAL;
    json_t *map = json_object_get(metadata, name);
    if (map == NULL) {
        map = json_object();
        if (json_object_set_new(metadata, name, map) < 0)
            return -ENOMEM;
    }
    if (memchr(key.ptr, '\0', key.len) != NULL || memchr(value.ptr, '\0', value.len) != NULL ||
        json_object_setn_new(map, key.ptr, key.len, json_stringn(value.ptr, value.len)) < 0)
        return -EINVAL;
    return 0;
}

static int read_metadata(struct slice in, json_t *metadata)
{
    struct field f;
    int status;
    while ((status = next_field(&in, &f)) == 1) {
        if (f.number == 1)
            status = set_text(metadata, "name", f.bytes);
        else if (f.number == 2)
            status = set_text(metadata, "generateName", f.bytes);
        else if (f.number == 11)
            status = add_map_entry(metadata, "labels", f.bytes);
        else if (f.number == 12)
            status = add_map_entry(metadata, "annotations", f.bytes);
        if (status < 0)
            return status;
    }
    return status;
}

static int read_envelope(struct slice bytes, json_t *object)
{
    struct slice type, api_version, kind, raw, metadata;
    if (bytes.len < 4 || memcmp(bytes.ptr, "k8s\0", 4) != 0)
        return -EINVAL;
    bytes = slice_of(bytes.ptr + 4, bytes.len - 4);
    if (find_bytes(bytes, 1, &type) < 0 || find_bytes(type, 1, &api_version) < 0 ||
        find_bytes(type, 2, &kind) < 0 || find_bytes(bytes, 2, &raw) < 0 ||
        find_bytes(raw, 1, &metadata) < 0)
        return -EINVAL;
    if (set_text(object, "apiVersion", api_version) < 0 || set_text(object, "kind", kind) < 0)
        return -EINVAL;
    return read_metadata(metadata, json_object_get(object, "metadata"));
}

int protobuf_read_namespace(struct slice bytes, json_t **ret, struct error *err)
{
    json_t *object = json_pack("{s:{}}", "metadata");
    if (object == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    if (read_envelope(bytes, object) < 0) {
        json_decref(object);
        return error_set(err, -EINVAL,
                         "the protobuf body cannot be read: send JSON instead (kubectl create "
                         "--dry-run=client -o json … | kubectl apply -f -)");
    }
    *ret = object;
    return 0;
}
