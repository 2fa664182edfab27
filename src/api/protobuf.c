/* SPDX-License-Identifier: Apache-2.0 */
/* Objects as Kubernetes' protobuf: newer kubectl sends what `create namespace`, `create secret` and
 * `create configmap` make so, and does not fall back to JSON. Only what these need: the envelope
 * (runtime.Unknown), ObjectMeta's name, generateName, namespace, labels and annotations, and the
 * kinds' own fields in the table below; other fields are skipped. */
#include "api/api_internal.h"
#include "base/encoding.h"
#include "base/memory.h"

#include <errno.h>

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

struct field { /* one field of a message */
    uint64_t number;
    struct slice bytes; /* of WIRE_BYTES; empty for the others */
    uint64_t value;     /* of WIRE_VARINT */
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
        return read_varint(in, &f->value) < 0 ? -EINVAL : 1;
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

/* map<string, string> or map<string, bytes>: each entry is a message {1: key, 2: value}. */
static int add_map_entry(json_t *object, const char *name, struct slice entry, bool bytes)
{
    struct slice key, value;
    autobuf encoded = BUF_INIT;
    if (find_bytes(entry, 1, &key) < 0 || find_bytes(entry, 2, &value) < 0)
        return -EINVAL;
    if (bytes) {
        encoding_base64_add(&encoded, value);
        value = slice_of(encoded.len > 0 ? encoded.ptr : "", encoded.len);
    }
    json_t *map = json_object_get(object, name);
    if (map == NULL) {
        map = json_object();
        if (json_object_set_new(object, name, map) < 0)
            return -ENOMEM;
    }
    if (!buf_ok(&encoded) || memchr(key.ptr, '\0', key.len) != NULL ||
        memchr(value.ptr, '\0', value.len) != NULL ||
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
        else if (f.number == 3)
            status = set_text(metadata, "namespace", f.bytes);
        else if (f.number == 11)
            status = add_map_entry(metadata, "labels", f.bytes, false);
        else if (f.number == 12)
            status = add_map_entry(metadata, "annotations", f.bytes, false);
        if (status < 0)
            return status;
    }
    return status;
}

/* ---- what a kind has besides its metadata (k8s.io/api/core/v1/generated.proto) ---- */

enum member_type { MEMBER_TEXT, MEMBER_BOOLEAN, MEMBER_TEXTS, MEMBER_BYTES };

static const struct {
    const struct resource_kind *kind;
    uint64_t number;
    enum member_type type;
    const char *name;
} members[] = {
    {&resource_kind_secret, 2, MEMBER_BYTES, "data"},
    {&resource_kind_secret, 3, MEMBER_TEXT, "type"},
    {&resource_kind_secret, 4, MEMBER_TEXTS, "stringData"},
    {&resource_kind_secret, 5, MEMBER_BOOLEAN, "immutable"},
    {&resource_kind_configmap, 2, MEMBER_TEXTS, "data"},
    {&resource_kind_configmap, 3, MEMBER_BYTES, "binaryData"},
    {&resource_kind_configmap, 4, MEMBER_BOOLEAN, "immutable"},
};

static int read_member(json_t *object, size_t index, const struct field *f)
{
    const char *name = members[index].name;
    switch (members[index].type) {
    case MEMBER_TEXT:
        return set_text(object, name, f->bytes);
    case MEMBER_BOOLEAN:
        return json_object_set_new(object, name, json_boolean(f->value != 0));
    case MEMBER_TEXTS:
    case MEMBER_BYTES:
        return add_map_entry(object, name, f->bytes, members[index].type == MEMBER_BYTES);
    }
    return -EINVAL;
}

static int read_members(const struct resource_kind *kind, struct slice in, json_t *object)
{
    struct field f;
    int status;
    while ((status = next_field(&in, &f)) == 1) {
        for (size_t i = 0; status >= 0 && i < COUNT_OF(members); i++)
            if (members[i].kind == kind && members[i].number == f.number)
                status = read_member(object, i, &f);
        if (status < 0)
            return status;
    }
    return status;
}

bool protobuf_reads(const struct resource_kind *kind)
{
    bool listed = kind == &resource_kind_namespace;
    for (size_t i = 0; i < COUNT_OF(members); i++)
        listed = listed || members[i].kind == kind;
    return listed;
}

static int read_envelope(const struct resource_kind *expected, struct slice bytes, json_t *object)
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
    int status = read_metadata(metadata, json_object_get(object, "metadata"));
    return status < 0 ? status : read_members(expected, raw, object);
}

int protobuf_read_object(const struct resource_kind *kind, struct slice bytes, json_t **ret,
                         struct error *err)
{
    json_t *object = json_pack("{s:{}}", "metadata");
    if (object == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    if (read_envelope(kind, bytes, object) < 0) {
        json_decref(object);
        return error_set(err, -EINVAL,
                         "the protobuf body cannot be read: send JSON instead (kubectl create "
                         "--dry-run=client -o json … | kubectl apply -f -)");
    }
    *ret = object;
    return 0;
}
