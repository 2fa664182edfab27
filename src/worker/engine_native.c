/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/engine_native.h"

#include "base/memory.h"

#include <errno.h>

bool native_has_own(guest_value object, uint32_t atom)
{
    return GUEST(JS_GetOwnProperty, engine.context, 0, object, atom) != 0;
}

bool native_get_own(guest_value object, uint32_t atom, struct native_property *ret)
{
    uint32_t at = engine.scratch.descriptor;
    if ((int32_t)GUEST(JS_GetOwnProperty, engine.context, at, object, atom) <= 0)
        return false;
    ret->is_getset = (engine_word(at) & NATIVE_GETSET) != 0;
    ret->value = native_read(at + 8);
    ret->getter = native_read(at + 16);
    ret->setter = native_read(at + 24);
    return true;
}

void native_property_done(const struct native_property *p)
{
    native_free(p->value);
    native_free(p->getter);
    native_free(p->setter);
}

uint32_t native_borrow_text(guest_value value, struct slice *ret)
{
    uint32_t lengths = engine.scratch.lengths;
    uint32_t text = GUEST(JS_ToCStringLen2, engine.context, lengths, value, 0);
    uint32_t len = engine_word(lengths);
    const char *from = text != 0 ? engine_at(text, len) : NULL;
    *ret = slice_of(from, from != NULL ? len : 0);
    return from != NULL ? text : 0;
}

void native_return_text(uint32_t text)
{
    GUEST_DO(JS_FreeCString, engine.context, text);
}

bool native_has_surrogates(struct slice text)
{
    const char *at = text.ptr, *end = text.ptr + text.len;
    while ((at = memchr(at, '\xed', (size_t)(end - at))) != NULL) {
        if (end - at > 1 && (unsigned char)at[1] >= 0xa0)
            return true;
        at++;
    }
    return false;
}

guest_value native_string(struct slice text)
{
    uint32_t at = engine_put(text);
    guest_value value = GUEST(JS_NewStringLen, engine.context, at, (u32)text.len);
    engine_put_done(at);
    return value;
}

uint32_t native_atom(struct slice name)
{
    uint32_t at = engine_put(name);
    uint32_t atom = GUEST(JS_NewAtomLen, engine.context, at, (u32)name.len);
    engine_put_done(at);
    return atom;
}

void native_free_atom(uint32_t atom)
{
    GUEST_DO(JS_FreeAtom, engine.context, atom);
}

int native_names(guest_value object, struct native_names *ret)
{
    uint32_t words = engine.scratch.lengths;
    if ((int32_t)GUEST(JS_GetOwnPropertyNames, engine.context, words, words + 4, object,
                       NATIVE_NAME_STRINGS | NATIVE_NAME_SYMBOLS | NATIVE_NAME_ENUMERABLE) < 0)
        return -ENOMEM;
    ret->list = engine_word(words);
    ret->count = engine_word(words + 4);
    return 0;
}

uint32_t native_name_atom(const struct native_names *names, uint32_t i)
{
    return engine_word(names->list + i * NATIVE_ENTRY_SIZE + 4);
}

void native_names_done(const struct native_names *names)
{
    GUEST_DO(JS_FreePropertyEnum, engine.context, names->list, names->count);
}

static int set_property(engine_value object, struct slice name, guest_value value)
{
    if (NATIVE_TAG(value) == NATIVE_EXCEPTION)
        return -ENOMEM;
    guest_value to = native_unbox(object);
    uint32_t atom = native_atom(name);
    int32_t status =
        (int32_t)GUEST(JS_DefinePropertyValue, engine.context, to, atom, value, NATIVE_CWE);
    native_free_atom(atom);
    return status < 0 ? -ENOMEM : 0;
}

int engine_set_text(engine_value object, struct slice name, struct slice text)
{
    return set_property(object, name, native_string(text));
}

int engine_set_value(engine_value object, struct slice name, engine_value value)
{
    guest_value inside = native_unbox(value);
    guest_value copy = GUEST(JS_DupValue, engine.context, inside);
    return set_property(object, name, copy);
}

guest_value native_element(engine_value list, uint32_t i)
{
    guest_value array = native_unbox(list);
    guest_value value = GUEST(JS_GetPropertyUint32, engine.context, array, i);
    native_free(value);
    return value;
}

static bool samples_fit(engine_value samples)
{
    static const int32_t tags[] = {NATIVE_OBJECT, NATIVE_OBJECT, NATIVE_STRING,   NATIVE_INT,
                                   NATIVE_BOOL,   NATIVE_NULL,   NATIVE_UNDEFINED};
    if (!native_is_object(native_unbox(samples)))
        return false;
    for (uint32_t i = 0; i < COUNT_OF(tags); i++)
        if (NATIVE_TAG(native_element(samples, i)) != tags[i])
            return false;
    guest_value number = native_element(samples, COUNT_OF(tags));
    return native_is_float(number) && native_float(number) == 1.5;
}

int engine_prepare(engine_value names, engine_value samples)
{
    if (!samples_fit(samples))
        return -ENOTSUP;
    guest_value object = native_element(samples, 0), array = native_element(samples, 1);
    engine.object_class = GUEST(JS_GetClassID, object);
    engine.array_class = GUEST(JS_GetClassID, array);
    engine_inspect_prepare(names);
    engine_json_prepare();
    engine_event_prepare(object);
    return 0;
}
