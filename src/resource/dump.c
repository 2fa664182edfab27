/* SPDX-License-Identifier: Apache-2.0 */
/* JSON values as compact text. jansson's own writer looks at each character through a decoder;
 * lists of thousands of objects are written on the loop thread, so this one copies runs. */
#include "base/must.h"
#include "resource/resource.h"

/* What needs an escape: RFC 8259 §7. jansson's strings are valid UTF-8. */
static bool is_special(unsigned char c)
{
    return c < 0x20 || c == '"' || c == '\\';
}

static void dump_special(struct buf *out, unsigned char c)
{
    if (c == '"' || c == '\\')
        buf_printf(out, "\\%c", c);
    else if (c == '\n')
        buf_add_text(out, "\\n");
    else if (c == '\t')
        buf_add_text(out, "\\t");
    else
        buf_printf(out, "\\u%04x", c);
}

static void dump_string(struct buf *out, const char *text, size_t len)
{
    buf_add_byte(out, '"');
    for (size_t i = 0, run = 0; i <= len; i++) {
        if (i < len && !is_special((unsigned char)text[i]))
            continue;
        buf_add(out, text + run, i - run);
        if (i < len)
            dump_special(out, (unsigned char)text[i]);
        run = i + 1;
    }
    buf_add_byte(out, '"');
}

static void dump_object(struct buf *out, json_t *object)
{
    char before = '{';
    if (json_object_size(object) == 0)
        buf_add_byte(out, before);
    for (void *at = json_object_iter(object); at != NULL; at = json_object_iter_next(object, at)) {
        buf_add_byte(out, before);
        before = ',';
        const char *key = json_object_iter_key(at);
        dump_string(out, key, json_object_iter_key_len(at));
        buf_add_byte(out, ':');
        resource_dump(out, json_object_iter_value(at));
    }
    buf_add_byte(out, '}');
}

static void dump_array(struct buf *out, const json_t *array)
{
    size_t count = json_array_size(array);
    buf_add_byte(out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_add_byte(out, ',');
        resource_dump(out, json_array_get(array, i));
    }
    buf_add_byte(out, ']');
}

static int add_chunk(const char *bytes, size_t len, void *ctx)
{
    buf_add(ctx, bytes, len);
    return 0;
}

void resource_dump(struct buf *out, const json_t *value)
{
    if (value == NULL) {
        out->failed = true;
        return;
    }
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        dump_object(out, (json_t *)(uintptr_t)value);
        return;
    case JSON_ARRAY:
        dump_array(out, value);
        return;
    case JSON_STRING:
        dump_string(out, json_string_value(value), json_string_length(value));
        return;
    case JSON_INTEGER:
        buf_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return;
    case JSON_REAL: /* rare, and the shortest form that reads back is not simple */
        if (json_dump_callback(value, add_chunk, out, JSON_ENCODE_ANY) < 0)
            out->failed = true;
        return;
    case JSON_TRUE:
        buf_add_text(out, "true");
        return;
    case JSON_FALSE:
        buf_add_text(out, "false");
        return;
    case JSON_NULL:
        buf_add_text(out, "null");
        return;
    }
    unreachable_code();
}
