/* SPDX-License-Identifier: Apache-2.0 */
/* An OpenAPI 3 document of this folder as openapi.v2.Document in protobuf (gnostic's
 * OpenAPIv2.proto), the only form that kubectl before 1.27 reads: what it may do to a kind (dry
 * runs), what it checks and explains. Only the fields that clients look at. */
#include "api/api_internal.h"

#define WIRE_BYTES 2

/* Writes the fields of one message. */
typedef void encode_fn(struct buf *out, json_t *value);

static void add_varint(struct buf *out, uint64_t n)
{
    for (; n >= 0x80; n >>= 7)
        buf_add_byte(out, (char)(n | 0x80));
    buf_add_byte(out, (char)n);
}

static void add_bytes(struct buf *out, unsigned field, struct slice bytes)
{
    add_varint(out, field << 3 | WIRE_BYTES);
    add_varint(out, bytes.len);
    buf_add_slice(out, bytes);
}

static void add_nested(struct buf *out, unsigned field, const struct buf *message)
{
    if (buf_ok(message))
        add_bytes(out, field, buf_slice(message));
    else
        out->failed = true;
}

static void add_message(struct buf *out, unsigned field, encode_fn *encode, json_t *value)
{
    if (value == NULL)
        return;
    autobuf message = BUF_INIT;
    encode(&message, value);
    add_nested(out, field, &message);
}

static void add_messages(struct buf *out, unsigned field, encode_fn *encode, json_t *list)
{
    size_t index;
    json_t *item;
    json_array_foreach(list, index, item)
    {
        add_message(out, field, encode, item);
    }
}

static void add_text(struct buf *out, unsigned field, json_t *text)
{
    if (json_is_string(text))
        add_bytes(out, field, slice_of(json_string_value(text), json_string_length(text)));
}

/* Maps are lists of named values: NamedSchema, NamedPathItem, NamedAny. */
static void add_named(struct buf *out, unsigned field, const char *name, encode_fn *encode,
                      json_t *value)
{
    autobuf named = BUF_INIT;
    add_bytes(&named, 1, slice_text(name));
    add_message(&named, 2, encode, value);
    add_nested(out, field, &named);
}

static void add_map(struct buf *out, unsigned field, encode_fn *encode, json_t *map)
{
    const char *name;
    json_t *value;
    json_object_foreach(map, name, value)
    {
        add_named(out, field, name, encode, value);
    }
}

/* Any: the value as YAML, of which JSON is a part. */
static void encode_any(struct buf *out, json_t *value)
{
    autobuf text = BUF_INIT;
    resource_dump(&text, value);
    add_nested(out, 2, &text);
}

static void add_extensions(struct buf *out, unsigned field, json_t *object)
{
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        if (strncmp(name, "x-", 2) == 0)
            add_named(out, field, name, encode_any, value);
    }
}

/* ---- schemas ---- */

static void encode_schema(struct buf *out, json_t *schema);

/* TypeItem */
static void encode_type(struct buf *out, json_t *type)
{
    add_text(out, 1, type);
}

/* AdditionalPropertiesItem, ItemsItem */
static void encode_one_schema(struct buf *out, json_t *schema)
{
    add_message(out, 1, encode_schema, schema);
}

static void encode_schemas(struct buf *out, json_t *schemas)
{
    add_map(out, 1, encode_schema, schemas);
}

static void encode_schema(struct buf *out, json_t *schema)
{
    size_t index;
    json_t *name;
    add_text(out, 2, json_object_get(schema, "format"));
    add_text(out, 4, json_object_get(schema, "description"));
    json_array_foreach(json_object_get(schema, "required"), index, name)
    {
        add_text(out, 19, name);
    }
    add_message(out, 21, encode_one_schema, json_object_get(schema, "additionalProperties"));
    add_message(out, 22, encode_type, json_object_get(schema, "type"));
    add_message(out, 23, encode_one_schema, json_object_get(schema, "items"));
    add_message(out, 25, encode_schemas, json_object_get(schema, "properties"));
    add_extensions(out, 31, schema);
}

/* ---- paths ---- */

/* QueryParameterSubSchema */
static void encode_query(struct buf *out, json_t *parameter)
{
    add_text(out, 2, json_object_get(parameter, "in"));
    add_text(out, 4, json_object_get(parameter, "name"));
    add_text(out, 6, resource_at(parameter, "schema.type"));
}

static void encode_non_body_parameter(struct buf *out, json_t *parameter)
{
    add_message(out, 3, encode_query, parameter);
}

static void encode_parameter(struct buf *out, json_t *parameter)
{
    add_message(out, 2, encode_non_body_parameter, parameter);
}

static void encode_parameters_item(struct buf *out, json_t *parameter)
{
    add_message(out, 1, encode_parameter, parameter);
}

static void encode_operation(struct buf *out, json_t *operation)
{
    add_messages(out, 8, encode_parameters_item, json_object_get(operation, "parameters"));
    add_extensions(out, 13, operation);
}

static void encode_path_item(struct buf *out, json_t *item)
{
    static const struct {
        const char *method;
        unsigned field;
    } operations[] = {{"get", 2}, {"put", 3}, {"post", 4}, {"delete", 5}, {"patch", 8}};
    for (size_t i = 0; i < COUNT_OF(operations); i++)
        add_message(out, operations[i].field, encode_operation,
                    json_object_get(item, operations[i].method));
}

static void encode_paths(struct buf *out, json_t *paths)
{
    add_map(out, 2, encode_path_item, paths);
}

static void encode_info(struct buf *out, json_t *info)
{
    add_text(out, 1, json_object_get(info, "title"));
    add_text(out, 2, json_object_get(info, "version"));
}

void openapi_v2_encode(struct buf *out, json_t *document)
{
    add_bytes(out, 1, SLICE("2.0"));
    add_message(out, 2, encode_info, json_object_get(document, "info"));
    add_message(out, 8, encode_paths, json_object_get(document, "paths"));
    add_message(out, 9, encode_schemas, resource_at(document, "components.schemas"));
}
