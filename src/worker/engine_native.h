/* SPDX-License-Identifier: Apache-2.0 */
/* QuickJS' own C interface (quickjs.h), which the engine's build exports beside the boxed one of
 * engine_value.c: values are words instead of boxes, so nothing is allocated to pass one. Seen by
 * engine*.c only. engine_prepare() makes sure that values look like this. */
#ifndef SLUICE_WORKER_ENGINE_NATIVE_H
#define SLUICE_WORKER_ENGINE_NATIVE_H

#include "worker/engine_guest.h"

/* JSValue with JS_NAN_BOXING: the kind is in the upper half. */
typedef uint64_t guest_value;

#define NATIVE_TAG(value) ((int32_t)((value) >> 32))
#define NATIVE_OF(tag, payload)                                                                    \
    ((guest_value)(uint32_t)(tag) << 32 | (guest_value)(uint32_t)(payload))
#define NATIVE_BIG_INT         (-9)
#define NATIVE_STRING          (-7)
#define NATIVE_STRING_ROPE     (-6)
#define NATIVE_OBJECT          (-1)
#define NATIVE_INT             0
#define NATIVE_BOOL            1
#define NATIVE_NULL            2
#define NATIVE_UNDEFINED       3
#define NATIVE_EXCEPTION       6
#define NATIVE_SHORT_BIG_INT   7
#define NATIVE_FLOAT           8 /* from here on, and below NATIVE_BIG_INT */
#define NATIVE_FLOAT_ADDEND    (0x7ff8000aULL << 32)
#define NATIVE_CWE             7u /* configurable, writable, enumerable */
#define NATIVE_GETSET          (1u << 4)
#define NATIVE_NAME_STRINGS    (1u << 0)
#define NATIVE_NAME_SYMBOLS    (1u << 1)
#define NATIVE_NAME_ENUMERABLE (1u << 4)
#define NATIVE_DESCRIPTOR_SIZE 32 /* JSPropertyDescriptor: flags, then value, getter, setter */
#define NATIVE_ENTRY_SIZE      8  /* JSPropertyEnum: is_enumerable, then the atom */

static inline uint64_t native_read(uint32_t address)
{
    uint64_t word = 0;
    const void *at = engine_at(address, sizeof(word));
    if (at != NULL)
        memcpy(&word, at, sizeof(word));
    return word;
}

/* What is in a box; it stays the box's. */
static inline guest_value native_unbox(engine_value box)
{
    return native_read(box);
}

static inline bool native_is_object(guest_value value)
{
    return NATIVE_TAG(value) == NATIVE_OBJECT;
}

static inline bool native_is_string(guest_value value)
{
    return NATIVE_TAG(value) == NATIVE_STRING || NATIVE_TAG(value) == NATIVE_STRING_ROPE;
}

static inline bool native_is_float(guest_value value)
{
    return NATIVE_TAG(value) >= NATIVE_FLOAT || NATIVE_TAG(value) < NATIVE_BIG_INT;
}

static inline double native_float(guest_value value)
{
    uint64_t bits = value + NATIVE_FLOAT_ADDEND;
    double number;
    memcpy(&number, &bits, sizeof(number));
    return number;
}

static inline void native_free(guest_value value)
{
    if (NATIVE_TAG(value) < 0 && NATIVE_TAG(value) >= NATIVE_BIG_INT)
        GUEST_DO(JS_FreeValue, engine.context, value);
}

/* ---- engine_native.c ---- */

/* Whether an object itself has the property. Runs no code of the user unless it is a proxy. */
bool native_has_own(guest_value object, uint32_t atom);
struct native_property {
    bool is_getset;
    guest_value value, getter, setter;
};
/* The same; then *ret is to be let go by native_property_done(). */
bool native_get_own(guest_value object, uint32_t atom, struct native_property *ret);
void native_property_done(const struct native_property *p);

/* The text of a string or number, in guest memory until it is given back; 0: none. */
uint32_t native_borrow_text(guest_value value, struct slice *ret);
void native_return_text(uint32_t text);

/* Surrogates without a partner are three bytes each in such a text, which is then no UTF-8. */
bool native_has_surrogates(struct slice text);
guest_value native_string(struct slice text);
uint32_t native_atom(struct slice name);
void native_free_atom(uint32_t atom);

/* The names of an object's own enumerable properties. */
struct native_names {
    uint32_t list, count;
};
int native_names(guest_value object, struct native_names *ret);
uint32_t native_name_atom(const struct native_names *names, uint32_t i);
void native_names_done(const struct native_names *names);
/* A member of an array, which holds it. */
guest_value native_element(engine_value list, uint32_t i);

/* As engine_json(). */
int native_json(guest_value value, size_t max, struct buf *out);

/* The parts of engine_prepare(). */
void engine_inspect_prepare(engine_value names);
void engine_json_prepare(void);
void engine_event_prepare(guest_value plain_object);

#endif
