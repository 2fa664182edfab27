/* SPDX-License-Identifier: Apache-2.0 */
/* Entries of Secrets and ConfigMaps: keys, sizes, and the promise not to change. Messages name
 * keys, never values. */
#include "base/encoding.h"
#include "base/memory.h"
#include "resource/resource_internal.h"

#include <errno.h>

#define ENTRIES_BYTES_MAX (1u << 20) /* of all values together, as in Kubernetes */
#define KEY_MAX           253

static bool is_key(const char *key)
{
    size_t len = strlen(key);
    return len > 0 && len <= KEY_MAX && strcmp(key, ".") != 0 && strncmp(key, "..", 2) != 0 &&
           strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == len;
}

static int entry_size(const json_t *value, bool base64, size_t *ret)
{
    struct slice text = slice_of(json_string_value(value), json_string_length(value));
    autobuf bytes = BUF_INIT;
    if (!base64) {
        *ret = text.len;
        return 0;
    }
    int status = encoding_base64_decode(text, &bytes);
    *ret = bytes.len;
    return status;
}

int entries_check(const json_t *object, const char *field, bool base64, size_t *bytes,
                  struct error *err)
{
    const char *key;
    json_t *value;
    json_object_foreach(json_object_get(object, field), key, value)
    {
        size_t size;
        if (!is_key(key))
            return error_field(err, -EINVAL, field,
                               "\"%.80s\" is no valid key: use letters, digits, - _ and ., at most "
                               "%d characters",
                               key, KEY_MAX);
        if (entry_size(value, base64, &size) < 0)
            return error_field(
                err, -EINVAL, field, "the value of %.80s is no base64 (RFC 4648 §4)%s", key,
                strcmp(field, "data") == 0 ? ": stringData takes text as it is" : "");
        *bytes += size;
        if (*bytes > ENTRIES_BYTES_MAX)
            return error_field(err, -EINVAL, field, "the values are larger than 1 MiB together");
    }
    return 0;
}

static bool is_same(const json_t *a, const json_t *b)
{
    return a == b || (a != NULL && b != NULL && json_equal(a, b));
}

int entries_check_change(const json_t *before, const json_t *after, const char *const *kept,
                         struct error *err)
{
    if (!json_is_true(json_object_get(before, "immutable")))
        return 0;
    if (!json_is_true(json_object_get(after, "immutable")))
        return error_field(err, -EINVAL, "immutable",
                           "cannot be taken back: delete the object and create it again");
    for (; *kept != NULL; kept++)
        if (!is_same(json_object_get(before, *kept), json_object_get(after, *kept)))
            return error_field(err, -EINVAL, *kept,
                               "cannot be changed, since immutable is set: delete the object and "
                               "create it again");
    return 0;
}
