/* SPDX-License-Identifier: Apache-2.0 */
/* The protobuf form of OpenAPI documents, read back by field numbers. */
#include "api/api_internal.h"
#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static uint64_t take_varint(struct slice *in)
{
    uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
        assert_true(in->len > 0 && shift < 64);
        unsigned char byte = (unsigned char)in->ptr[0];
        *in = slice_of(in->ptr + 1, in->len - 1);
        value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0)
            return value;
    }
}

/* The bytes of the first field of that number; ptr NULL when there is none. */
static struct slice field(struct slice message, unsigned number)
{
    while (message.len > 0) {
        uint64_t tag = take_varint(&message), len = take_varint(&message);
        assert_int_equal(tag & 7, 2);
        assert_true(len <= message.len);
        if (tag >> 3 == number)
            return slice_of(message.ptr, (size_t)len);
        message = slice_of(message.ptr + len, message.len - (size_t)len);
    }
    return slice_of(NULL, 0);
}

/* A field of a field of …; the numbers end with 0. */
static struct slice at(struct slice message, const unsigned *numbers)
{
    for (; *numbers != 0; numbers++)
        message = field(message, *numbers);
    return message;
}
#define AT(message, ...) at(message, (const unsigned[]){__VA_ARGS__, 0})

/* The value of the entry of that name in a repeated field of named values. */
static struct slice named(struct slice message, unsigned number, const char *name)
{
    while (message.len > 0) {
        uint64_t tag = take_varint(&message), len = take_varint(&message);
        struct slice entry = slice_of(message.ptr, (size_t)len);
        assert_true(len <= message.len);
        message = slice_of(message.ptr + len, message.len - (size_t)len);
        if (tag >> 3 == number && slice_is(field(entry, 1), name))
            return field(entry, 2);
    }
    fail_msg("there is no %s in field %u", name, number);
    return slice_of(NULL, 0);
}

static void encode(const char *text, struct buf *out)
{
    json_t *document = json_loads(text, 0, NULL);
    assert_non_null(document);
    openapi_v2_encode(out, document);
    json_decref(document);
    assert_true(buf_ok(out));
}

static void test_schemas(void **state)
{
    autobuf out = BUF_INIT;
    encode("{\"info\":{\"title\":\"t\",\"version\":\"1\"},\"components\":{\"schemas\":{\"v1.K\":"
           "{\"type\":\"object\",\"description\":\"d\",\"required\":[\"a\"],"
           "\"x-kubernetes-group-version-kind\":[{\"kind\":\"K\"}],\"properties\":{"
           "\"a\":{\"type\":\"integer\",\"format\":\"int64\"},"
           "\"l\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}},"
           "\"m\":{\"type\":\"object\",\"additionalProperties\":{\"type\":\"boolean\"}}}}}}}",
           &out);
    struct slice document = buf_slice(&out);
    assert_true(slice_is(field(document, 1), "2.0"));
    assert_true(slice_is(AT(document, 2, 1), "t"));
    assert_true(slice_is(AT(document, 2, 2), "1"));
    struct slice schema = named(field(document, 9), 1, "v1.K");
    assert_true(slice_is(AT(schema, 22, 1), "object"));
    assert_true(slice_is(field(schema, 4), "d"));
    assert_true(slice_is(field(schema, 19), "a"));
    assert_true(slice_is(field(named(schema, 31, "x-kubernetes-group-version-kind"), 2),
                         "[{\"kind\":\"K\"}]"));
    struct slice properties = field(schema, 25);
    assert_true(slice_is(field(named(properties, 1, "a"), 2), "int64"));
    assert_true(slice_is(AT(named(properties, 1, "l"), 23, 1, 22, 1), "string"));
    assert_true(slice_is(AT(named(properties, 1, "m"), 21, 1, 22, 1), "boolean"));
}

static void test_paths(void **state)
{
    autobuf out = BUF_INIT;
    encode("{\"paths\":{\"/x\":{\"get\":{},\"patch\":{\"x-a\":{\"k\":\"v\"},\"parameters\":["
           "{\"name\":\"dryRun\",\"in\":\"query\",\"schema\":{\"type\":\"string\"}}]}}}}",
           &out);
    struct slice item = named(field(buf_slice(&out), 8), 2, "/x");
    assert_non_null(field(item, 2).ptr);
    assert_int_equal(field(item, 2).len, 0);
    assert_null(field(item, 4).ptr);
    struct slice patch = field(item, 8);
    assert_true(slice_is(field(named(patch, 13, "x-a"), 2), "{\"k\":\"v\"}"));
    struct slice query = AT(patch, 8, 1, 2, 3);
    assert_true(slice_is(field(query, 2), "query"));
    assert_true(slice_is(field(query, 4), "dryRun"));
    assert_true(slice_is(field(query, 6), "string"));
}

/* Lengths of more than one byte. */
static void test_long_text(void **state)
{
    autobuf text = BUF_INIT, out = BUF_INIT;
    buf_add_text(&text, "{\"info\":{\"title\":\"");
    for (size_t i = 0; i < 20000; i++)
        buf_add_byte(&text, 'a');
    buf_add_text(&text, "\",\"version\":\"1\"}}");
    assert_true(buf_ok(&text));
    encode(text.ptr, &out);
    assert_int_equal(AT(buf_slice(&out), 2, 1).len, 20000);
    assert_true(slice_is(AT(buf_slice(&out), 2, 2), "1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schemas),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_long_text),
    };
    return cmocka_run_group_tests_name("api/openapi_v2", tests, NULL, NULL);
}
