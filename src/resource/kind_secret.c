/* SPDX-License-Identifier: Apache-2.0 */
/* v1 Secret: entries that a function's environment takes in, kept as base64. No message names a
 * value. */
#include "base/encoding.h"
#include "base/memory.h"
#include "resource/resource_internal.h"

#include <errno.h>

#define TYPE_OPAQUE "Opaque"

/* What a type wants: all of the keys, or one of them. */
static const struct {
    const char *type;
    bool any, json;
    const char *keys[2];
} types[] = {
    {"kubernetes.io/dockerconfigjson", false, true, {".dockerconfigjson"}},
    {"kubernetes.io/dockercfg", false, true, {".dockercfg"}},
    {"kubernetes.io/basic-auth", true, false, {"username", "password"}},
    {"kubernetes.io/ssh-auth", false, false, {"ssh-privatekey"}},
    {"kubernetes.io/tls", false, false, {"tls.crt", "tls.key"}},
};

/* stringData is for writing only: it becomes entries of data, over those of the same key. */
static int merge_texts(json_t *object)
{
    json_t *texts = json_object_get(object, "stringData"), *data, *text;
    if (texts == NULL)
        return 0;
    data = json_object_get(object, "data");
    if (data == NULL) {
        data = json_object();
        if (json_object_set_new(object, "data", data) < 0)
            return -ENOMEM;
    }
    const char *key;
    json_object_foreach(texts, key, text)
    {
        autobuf encoded = BUF_INIT;
        encoding_base64_add(&encoded, slice_of(json_string_value(text), json_string_length(text)));
        json_t *value =
            buf_ok(&encoded) ? json_stringn(encoded.len > 0 ? encoded.ptr : "", encoded.len) : NULL;
        if (json_object_set_new(data, key, value) < 0)
            return -ENOMEM;
    }
    return json_object_del(object, "stringData");
}

static int secret_complete(json_t *object, struct error *err)
{
    return merge_texts(object) < 0 ? error_set(err, -ENOMEM, "out of memory") : 0;
}

static int check_json(const json_t *text, const char *key, struct error *err)
{
    autobuf bytes = BUF_INIT;
    json_t *value = NULL;
    struct error ignored = ERROR_INIT;
    int status =
        encoding_base64_decode(slice_of(json_string_value(text), json_string_length(text)), &bytes);
    if (status == 0)
        status = resource_parse_value(buf_slice(&bytes), &value, &ignored);
    json_decref(value);
    return status == 0 ? 0 : error_field(err, -EINVAL, "data", "the entry %s is no JSON", key);
}

static int check_type(const json_t *object, struct error *err)
{
    const char *type = resource_text_at(object, "type");
    const json_t *data = json_object_get(object, "data");
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        if (strcmp(type, types[i].type) != 0)
            continue;
        size_t wanted = 0, found = 0;
        for (size_t j = 0; j < COUNT_OF(types[i].keys) && types[i].keys[j] != NULL; j++) {
            const json_t *entry = json_object_get(data, types[i].keys[j]);
            wanted++;
            found += entry != NULL;
            int status =
                entry != NULL && types[i].json ? check_json(entry, types[i].keys[j], err) : 0;
            if (status < 0)
                return status;
        }
        if (found == wanted || (types[i].any && found > 0))
            return 0;
        return error_field(err, -EINVAL, "data", "a secret of type %s must have %s%s%s", type,
                           types[i].keys[0],
                           wanted == 1    ? ""
                           : types[i].any ? " or "
                                          : " and ",
                           wanted == 1 ? "" : types[i].keys[1]);
    }
    return 0;
}

static int secret_check(const json_t *object, struct error *err)
{
    size_t bytes = 0;
    int status = entries_check(object, "data", true, &bytes, err);
    return status < 0 ? status : check_type(object, err);
}

static int secret_check_change(const json_t *before, const json_t *after, struct error *err)
{
    static const char *const kept[] = {"data", NULL};
    return entries_check_change(before, after, kept, err);
}

static const struct resource_field fields[] = {
    {"type", RESOURCE_STRING, .fallback = "\"" TYPE_OPAQUE "\"", .min = 1, .max = 253,
     .help = "what it is for, such as kubernetes.io/dockerconfigjson"},
    {"data", RESOURCE_STRING_MAP, .max = ENTRIES_MAX, .help = "key: value in base64"},
    {"stringData", RESOURCE_STRING_MAP, .max = ENTRIES_MAX,
     .help = "key: value as text; written only, it becomes data"},
    {"immutable", RESOURCE_BOOLEAN, .help = "true: data cannot be changed any more"},
};

static const struct resource_column columns[] = {
    {"NAME", "metadata.name", 0},
    {"TYPE", "type", 0},
    {"DATA", "count:data", 0},
    {"AGE", "metadata.creationTimestamp", 0},
};

static const char *const immutable[] = {"type", NULL};

const struct resource_kind resource_kind_secret = {
    .group = "",
    .version = "v1",
    .kind = "Secret",
    .plural = "secrets",
    .singular = "secret",
    .namespaced = true,
    .fields = fields,
    .field_count = COUNT_OF(fields),
    .columns = columns,
    .column_count = COUNT_OF(columns),
    .immutable = immutable,
    .complete = secret_complete,
    .check = secret_check,
    .check_change = secret_check_change,
    .help = "Values for functions that are not for everybody's eyes.",
};
