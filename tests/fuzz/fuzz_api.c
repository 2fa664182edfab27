/* SPDX-License-Identifier: Apache-2.0 */
/* The API's small parsers. The first byte says which: selectors, the protobuf form of a Namespace,
 * or (before and after a NUL) an object and a patch to it. */
#include "api/api_internal.h"
#include "base/memory.h"
#include "base/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void selectors(struct slice text)
{
    struct selector s = {.count = 0};
    struct error err = ERROR_INIT;
    json_t *object = json_pack("{s:{s:s, s:{s:s}}}", "metadata", "name", "x", "labels", "a", "b");
    if (selector_parse(text, &s, &err) == 0)
        selector_matches_labels(&s, object);
    selector_done(&s);
    if (selector_parse_fields(text, &s, &err) == 0)
        selector_matches_fields(&s, object);
    selector_done(&s);
    json_decref(object);
}

static void protobuf(struct slice bytes)
{
    struct error err = ERROR_INIT;
    json_t *object;
    if (protobuf_read_object(&resource_kind_secret, bytes, &object, &err) < 0)
        return;
    autobuf text = BUF_INIT;
    resource_dump(&text, object);
    must(buf_ok(&text));
    json_decref(object);
}

static void patches(struct slice bytes)
{
    const char *nul = bytes.len > 0 ? memchr(bytes.ptr, '\0', bytes.len) : NULL;
    size_t len = nul != NULL ? (size_t)(nul - bytes.ptr) : bytes.len;
    json_t *object = NULL, *patch = NULL;
    struct error err = ERROR_INIT;
    if (nul != NULL && resource_parse_value(slice_of(bytes.ptr, len), &object, &err) == 0 &&
        resource_parse_value(slice_of(nul + 1, bytes.len - len - 1), &patch, &err) == 0) {
        autobuf text = BUF_INIT;
        if (json_is_array(patch))
            (void)patch_json(&object, patch, &err);
        else
            object = patch_merge(object, patch);
        resource_dump(&text, object);
        patch_strip_directives(patch);
    }
    json_decref(object);
    json_decref(patch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const parsers[])(struct slice bytes) = {selectors, protobuf, patches};
    if (size > 0)
        parsers[data[0] % COUNT_OF(parsers)](slice_of(data + 1, size - 1));
    return 0;
}
