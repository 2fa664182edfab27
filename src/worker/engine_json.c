/* SPDX-License-Identifier: Apache-2.0 */
/* JSON.stringify() of ordinary values, without running code of the user: objects and arrays that
 * own plain data and have no toJSON(). Everything else is left to JavaScript. */
#include "worker/engine_native.h"

#include "base/memory.h"

#include <errno.h>
#include <math.h>

#define JSON_LEVELS_MAX 32
#define JSON_CHAIN_MAX  8

static struct {
    uint32_t to_json_atom;
    struct buf *out;
    size_t max;
} json;

static int add(guest_value value, unsigned level);

static int add_text(guest_value value, bool quoted)
{
    struct slice text;
    uint32_t borrowed = native_borrow_text(value, &text);
    if (borrowed == 0)
        return -ENOTSUP;
    int status = text.len > json.max                     ? -E2BIG
                 : quoted && native_has_surrogates(text) ? -ENOTSUP
                                                         : 0;
    if (status == 0 && quoted)
        buf_add_json_string(json.out, text);
    else if (status == 0)
        buf_add_slice(json.out, text);
    native_return_text(borrowed);
    return status;
}

static int add_float(guest_value value)
{
    if (isfinite(native_float(value)))
        return add_text(value, false);
    buf_add_text(json.out, "null");
    return 0;
}

/* Neither it nor what it inherits from decides on its JSON, or could run code when asked. */
static bool is_ordinary(guest_value object)
{
    guest_value at = GUEST(JS_DupValue, engine.context, object);
    bool ordinary = true;
    for (unsigned i = 0; ordinary && native_is_object(at); i++) {
        uint32_t class = GUEST(JS_GetClassID, at);
        ordinary = i < JSON_CHAIN_MAX &&
                   (class == engine.object_class || class == engine.array_class) &&
                   !native_has_own(at, json.to_json_atom);
        guest_value next = GUEST(JS_GetPrototype, engine.context, at);
        native_free(at);
        at = next;
    }
    native_free(at);
    return ordinary;
}

static int add_name(uint32_t atom)
{
    guest_value name = GUEST(JS_AtomToValue, engine.context, atom);
    int status = native_is_string(name) ? add_text(name, true) : -ENOTSUP;
    native_free(name);
    buf_add_byte(json.out, ':');
    return status;
}

static int add_property(guest_value object, uint32_t atom, unsigned level)
{
    struct native_property p;
    if (!native_get_own(object, atom, &p))
        return -ENOTSUP;
    int status = p.is_getset ? -ENOTSUP : 0;
    if (status == 0 && NATIVE_TAG(p.value) != NATIVE_UNDEFINED) {
        if (json.out->ptr[json.out->len - 1] != '{')
            buf_add_byte(json.out, ',');
        status = add_name(atom);
        if (status == 0)
            status = add(p.value, level);
    }
    native_property_done(&p);
    return status;
}

static int add_members(guest_value object, unsigned level)
{
    struct native_names names;
    if (native_names(object, &names) < 0)
        return -ENOTSUP;
    int status = 0;
    buf_add_byte(json.out, '{');
    for (uint32_t i = 0; status == 0 && i < names.count; i++)
        status = add_property(object, native_name_atom(&names, i), level);
    buf_add_byte(json.out, '}');
    native_names_done(&names);
    return status;
}

static int add_element(guest_value array, uint32_t i, unsigned level)
{
    uint32_t atom = GUEST(JS_NewAtomUInt32, engine.context, i);
    struct native_property p;
    bool found = native_get_own(array, atom, &p);
    native_free_atom(atom);
    if (!found)
        return -ENOTSUP;
    int status = p.is_getset ? -ENOTSUP : 0;
    if (i > 0)
        buf_add_byte(json.out, ',');
    if (status == 0 && NATIVE_TAG(p.value) == NATIVE_UNDEFINED)
        buf_add_text(json.out, "null");
    else if (status == 0)
        status = add(p.value, level);
    native_property_done(&p);
    return status;
}

static int add_elements(guest_value array, unsigned level)
{
    uint32_t words = engine.scratch.lengths;
    if ((int32_t)GUEST(JS_GetLength, engine.context, array, words) < 0)
        return -ENOTSUP;
    uint64_t count = native_read(words);
    int status = 0;
    buf_add_byte(json.out, '[');
    for (uint32_t i = 0; status == 0 && i < count; i++)
        status = add_element(array, i, level);
    buf_add_byte(json.out, ']');
    return status;
}

static int add_object(guest_value object, unsigned level)
{
    if (level == JSON_LEVELS_MAX || !is_ordinary(object))
        return -ENOTSUP;
    return GUEST(JS_GetClassID, object) == engine.array_class ? add_elements(object, level + 1)
                                                              : add_members(object, level + 1);
}

static int add(guest_value value, unsigned level)
{
    if (!buf_ok(json.out) || json.out->len > json.max)
        return -E2BIG;
    switch (NATIVE_TAG(value)) {
    case NATIVE_OBJECT:
        return add_object(value, level);
    case NATIVE_STRING:
    case NATIVE_STRING_ROPE:
        return add_text(value, true);
    case NATIVE_INT:
        buf_add_decimal(json.out, (int32_t)value);
        return 0;
    case NATIVE_BOOL:
        buf_add_text(json.out, (uint32_t)value != 0 ? "true" : "false");
        return 0;
    case NATIVE_NULL:
        buf_add_text(json.out, "null");
        return 0;
    default:
        return native_is_float(value) ? add_float(value) : -ENOTSUP;
    }
}

int native_json(guest_value value, size_t max, struct buf *out)
{
    size_t begin = out->len;
    json.out = out;
    json.max = begin + max;
    int status = add(value, 0);
    if (status == 0 && (!buf_ok(out) || out->len > json.max))
        status = -E2BIG;
    if (status == -ENOTSUP) {
        engine_drop(GUEST(qjs_get_exception)); /* out of memory: JavaScript will see it again */
        out->len = begin;
    }
    return status;
}

int engine_json(engine_value value, size_t max, struct buf *out)
{
    return native_json(native_unbox(value), max, out);
}

void engine_json_prepare(void)
{
    json.to_json_atom = native_atom(SLICE("toJSON"));
}
