/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api_internal.h"
#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void add_field(struct buf *out, unsigned number, struct slice bytes)
{
    assert_true(bytes.len < 128);
    buf_add_byte(out, (char)(number << 3 | 2));
    buf_add_byte(out, (char)bytes.len);
    buf_add_slice(out, bytes);
}

/* As `kubectl create namespace made` with a label. */
static void build(struct buf *out)
{
    autobuf type = BUF_INIT, label = BUF_INIT, metadata = BUF_INIT, object = BUF_INIT;
    add_field(&type, 1, SLICE("v1"));
    add_field(&type, 2, SLICE("Namespace"));
    add_field(&label, 1, SLICE("a"));
    add_field(&label, 2, SLICE("b"));
    add_field(&metadata, 1, SLICE("made"));
    add_field(&metadata, 3, SLICE(""));
    add_field(&metadata, 8, SLICE(""));
    add_field(&metadata, 11, buf_slice(&label));
    add_field(&object, 1, buf_slice(&metadata));
    add_field(&object, 2, SLICE(""));
    buf_add(out, "k8s\0", 4);
    add_field(out, 1, buf_slice(&type));
    add_field(out, 2, buf_slice(&object));
    add_field(out, 3, SLICE(""));
}

static void test_namespace(void **state)
{
    autobuf bytes = BUF_INIT;
    build(&bytes);
    json_t *object = NULL;
    struct error err = ERROR_INIT;
    assert_int_equal(
        protobuf_read_object(&resource_kind_namespace, buf_slice(&bytes), &object, &err), 0);
    assert_string_equal(resource_text_at(object, "metadata.name"), "made");
    assert_string_equal(resource_text_at(object, "metadata.labels.a"), "b");
    assert_string_equal(resource_text_at(object, "kind"), "Namespace");
    json_decref(object);
}

static void add_entry(struct buf *out, unsigned number, struct slice key, struct slice value)
{
    autobuf entry = BUF_INIT;
    add_field(&entry, 1, key);
    add_field(&entry, 2, value);
    add_field(out, number, buf_slice(&entry));
}

/* As `kubectl create secret generic s --from-literal=k=…` sends it, with a namespace. */
static void test_secret(void **state)
{
    autobuf type = BUF_INIT, metadata = BUF_INIT, object = BUF_INIT, bytes = BUF_INIT;
    add_field(&type, 1, SLICE("v1"));
    add_field(&type, 2, SLICE("Secret"));
    add_field(&metadata, 1, SLICE("s"));
    add_field(&metadata, 3, SLICE("place"));
    add_field(&object, 1, buf_slice(&metadata));
    add_entry(&object, 2, SLICE("k"), SLICE("\0\1\2"));
    add_entry(&object, 2, SLICE("empty"), SLICE(""));
    add_field(&object, 3, SLICE("Opaque"));
    buf_add(&object, "\x28\1", 2); /* immutable */
    buf_add(&bytes, "k8s\0", 4);
    add_field(&bytes, 1, buf_slice(&type));
    add_field(&bytes, 2, buf_slice(&object));
    json_t *read = NULL;
    struct error err = ERROR_INIT;
    assert_int_equal(protobuf_read_object(&resource_kind_secret, buf_slice(&bytes), &read, &err),
                     0);
    assert_string_equal(resource_text_at(read, "metadata.namespace"), "place");
    assert_string_equal(resource_text_at(read, "data.k"), "AAEC");
    assert_string_equal(resource_text_at(read, "data.empty"), "");
    assert_string_equal(resource_text_at(read, "type"), "Opaque");
    assert_true(json_is_true(json_object_get(read, "immutable")));
    json_decref(read);
}

/* Cut anywhere, or with any byte changed, it is read or refused, and no byte beyond is touched. */
static void test_damaged(void **state)
{
    autobuf bytes = BUF_INIT;
    build(&bytes);
    struct error err = ERROR_INIT;
    for (size_t len = 0; len < bytes.len; len++) {
        json_t *object = NULL;
        char *cut = slice_dup(slice_of(bytes.ptr, len));
        if (protobuf_read_object(&resource_kind_namespace, slice_of(cut, len), &object, &err) == 0)
            json_decref(object);
        free(cut);
    }
    for (size_t i = 0; i < bytes.len * 256; i++) {
        json_t *object = NULL;
        char kept = bytes.ptr[i / 256];
        bytes.ptr[i / 256] = (char)i;
        if (protobuf_read_object(&resource_kind_namespace, buf_slice(&bytes), &object, &err) == 0)
            json_decref(object);
        bytes.ptr[i / 256] = kept;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_namespace),
        cmocka_unit_test(test_secret),
        cmocka_unit_test(test_damaged),
    };
    return cmocka_run_group_tests_name("api/protobuf", tests, NULL, NULL);
}
