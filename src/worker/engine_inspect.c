/* SPDX-License-Identifier: Apache-2.0 */
/* Shows ordinary values for the log, many times as fast as JavaScript can: primitives, plain
 * objects, arrays, and instances of classes, of which only own data are looked at. Nothing here
 * runs the user's code. Whatever needs that, or is rare, is left to runtimes/js/inspect.js, which
 * knows all kinds of values and gives the same text for these. */
#include "worker/engine_native.h"
#include "worker/inspect_text.h"

#include "base/memory.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define INSPECT_DEPTH  2
#define INSPECT_LEVELS 3 /* groups that stand in one line at most */
#define KNOWN_MAX      4
#define CLASS_NAME_MAX 64

/* A prototype's verdict within one print: what its objects are called. */
struct known {
    guest_value prototype;
    bool has_name;
    char name[CLASS_NAME_MAX];
};

static struct {
    uint32_t constructor_atom, name_atom, prototype_atom, tag_atom, custom_atom;

    struct buf *out;
    size_t max;
    unsigned indent, deepest;
    guest_value ancestors[INSPECT_DEPTH + 2];
    struct known known[KNOWN_MAX];
    unsigned known_count;
    struct inspect_items items;
    struct buf spare;
} walk;

/* ---- primitives ---- */

static bool is_numeric(guest_value value)
{
    return NATIVE_TAG(value) == NATIVE_INT || NATIVE_TAG(value) == NATIVE_SHORT_BIG_INT ||
           NATIVE_TAG(value) == NATIVE_BIG_INT || native_is_float(value);
}

static int show_string(guest_value value, bool quoted)
{
    struct slice text;
    uint32_t borrowed = native_borrow_text(value, &text);
    if (borrowed == 0)
        return -EINVAL;
    int status = 0;
    if (!quoted && text.len > walk.max)
        status = -E2BIG;
    else if (!quoted)
        buf_add_slice(walk.out, text);
    else if (inspect_text_is_special(text, walk.indent))
        status = -ENOTSUP;
    else
        inspect_text_quote(walk.out, text);
    native_return_text(borrowed);
    return status;
}

static int show_number(guest_value value)
{
    if (NATIVE_TAG(value) == NATIVE_INT) {
        buf_add_decimal(walk.out, (int32_t)value);
        return 0;
    }
    if (native_is_float(value) && native_float(value) == 0 && signbit(native_float(value))) {
        buf_add_text(walk.out, "-0");
        return 0;
    }
    int status = show_string(value, false);
    if (!native_is_float(value))
        buf_add_byte(walk.out, 'n');
    return status;
}

static int show_primitive(guest_value value)
{
    switch (NATIVE_TAG(value)) {
    case NATIVE_BOOL:
        buf_add_text(walk.out, (uint32_t)value != 0 ? "true" : "false");
        return 0;
    case NATIVE_NULL:
        buf_add_text(walk.out, "null");
        return 0;
    case NATIVE_UNDEFINED:
        buf_add_text(walk.out, "undefined");
        return 0;
    default:
        if (native_is_string(value))
            return show_string(value, true);
        return is_numeric(value) ? show_number(value) : -ENOTSUP;
    }
}

/* ---- what an object is called ---- */

/* Copies a function's own name, when that is a short text. */
static int read_function_name(guest_value function, char *name)
{
    struct native_property p;
    struct slice text;
    if (!native_get_own(function, walk.name_atom, &p))
        return -ENOTSUP;
    uint32_t borrowed = native_is_string(p.value) ? native_borrow_text(p.value, &text) : 0;
    int status = borrowed != 0 && text.len > 0 && text.len < CLASS_NAME_MAX ? 0 : -ENOTSUP;
    if (status == 0)
        *(char *)mempcpy(name, text.ptr, text.len) = '\0';
    if (borrowed != 0)
        native_return_text(borrowed);
    native_property_done(&p);
    return status;
}

static bool is_prototype_of(guest_value prototype, guest_value function)
{
    struct native_property p;
    if (!native_get_own(function, walk.prototype_atom, &p))
        return false;
    native_property_done(&p);
    return !p.is_getset && p.value == prototype;
}

/* The name of the class that a prototype belongs to; 1 when it says nothing of one. A proxy would
 * run the user's code. */
static int read_class_name(guest_value prototype, char *name)
{
    struct native_property p;
    if (!native_get_own(prototype, walk.constructor_atom, &p))
        return 1;
    int status = -ENOTSUP;
    if (!p.is_getset && NATIVE_TAG(p.value) == NATIVE_OBJECT && GUEST(JS_IsProxy, p.value) == 0 &&
        is_prototype_of(prototype, p.value))
        status = read_function_name(p.value, name);
    native_property_done(&p);
    return status;
}

/* Goes up from a prototype; what changes how objects are shown is left to JavaScript. */
static int read_chain(guest_value prototype, struct known *ret)
{
    guest_value at = GUEST(JS_DupValue, engine.context, prototype);
    int status = 0;
    ret->has_name = false;
    for (unsigned levels = 0; status == 0 && NATIVE_TAG(at) == NATIVE_OBJECT; levels++) {
        uint32_t class = GUEST(JS_GetClassID, at);
        if (levels == 16 || (class != engine.object_class && class != engine.array_class) ||
            native_has_own(at, walk.tag_atom) || native_has_own(at, walk.custom_atom)) {
            status = -ENOTSUP;
        } else if (!ret->has_name) {
            int found = read_class_name(at, ret->name);
            ret->has_name = found == 0;
            status = found < 0 ? found : 0;
        }
        guest_value next = GUEST(JS_GetPrototype, engine.context, at);
        native_free(at);
        at = next;
    }
    native_free(at);
    return status;
}

static const struct known *find_known(guest_value prototype)
{
    for (unsigned i = 0; i < walk.known_count; i++)
        if (walk.known[i].prototype == prototype)
            return &walk.known[i];
    return NULL;
}

static int read_class(guest_value object, const struct known **ret)
{
    if (native_has_own(object, walk.constructor_atom) || native_has_own(object, walk.tag_atom) ||
        native_has_own(object, walk.custom_atom))
        return -ENOTSUP;
    guest_value prototype = GUEST(JS_GetPrototype, engine.context, object);
    native_free(prototype); /* the object holds it */
    const struct known *known = find_known(prototype);
    if (known == NULL) {
        struct known *fresh = &walk.known[walk.known_count % KNOWN_MAX];
        fresh->prototype = prototype;
        int status = read_chain(prototype, fresh);
        if (status < 0)
            return status;
        if (walk.known_count < KNOWN_MAX)
            walk.known_count++;
        known = fresh;
    }
    *ret = known;
    return 0;
}

/* "Point {", "[", "Stack(2) [" */
static void write_open(struct inspect_group *g, const struct known *class, uint32_t len)
{
    const char *usual = g->is_list ? "Array" : "Object";
    const char *bracket = g->is_list ? "[" : "{";
    char size[16] = "";
    if (class->has_name && strcmp(class->name, usual) == 0) {
        g->open[0] = bracket[0];
        g->open[1] = '\0';
        return;
    }
    if (g->is_list)
        snprintf(size, sizeof(size), "(%u)", len);
    if (class->has_name)
        snprintf(g->open, sizeof(g->open), "%s%s %s", class->name, size, bracket);
    else
        snprintf(g->open, sizeof(g->open), "[%s%s: null prototype] %s", usual, size, bracket);
}

static void show_empty(const struct inspect_group *g)
{
    buf_add_text(walk.out, g->open);
    buf_add_text(walk.out, g->close);
}

/* In place of an object that lies too deep. */
static void show_closed(const struct inspect_group *g, const struct known *class)
{
    if (class->has_name)
        buf_printf(walk.out, "[%s]", class->name);
    else
        buf_printf(walk.out, "[%s: null prototype]", g->is_list ? "Array" : "Object");
}

/* ---- objects ---- */

static int show(guest_value value, unsigned level);

static int show_name(uint32_t atom)
{
    guest_value name = GUEST(JS_AtomToValue, engine.context, atom);
    struct slice text;
    uint32_t borrowed = native_is_string(name) ? native_borrow_text(name, &text) : 0;
    if (borrowed != 0 && inspect_text_is_name(text))
        buf_add_slice(walk.out, text);
    else if (borrowed != 0)
        inspect_text_quote(walk.out, text);
    if (borrowed != 0)
        native_return_text(borrowed);
    native_free(name);
    buf_add_text(walk.out, ": ");
    return borrowed != 0 ? 0 : -ENOTSUP; /* symbols, rare as names of data */
}

static int show_property(guest_value object, uint32_t atom, unsigned level)
{
    struct native_property p;
    if (!native_get_own(object, atom, &p))
        return -ENOTSUP;
    int status = 0;
    if (p.is_getset) {
        bool get = NATIVE_TAG(p.getter) == NATIVE_OBJECT,
             set = NATIVE_TAG(p.setter) == NATIVE_OBJECT;
        buf_add_text(walk.out, get && set ? "[Getter/Setter]" : get ? "[Getter]" : "[Setter]");
    } else {
        walk.indent += 2;
        status = show(p.value, level);
        walk.indent -= 2;
    }
    native_property_done(&p);
    return status;
}

static int end_item(size_t begin)
{
    inspect_items_add(&walk.items, walk.out, begin);
    if (walk.items.failed || !buf_ok(walk.out))
        return -ENOMEM;
    return walk.out->len > walk.max ? -E2BIG : 0;
}

static int show_properties(guest_value object, const struct native_names *names, unsigned level)
{
    int status = 0;
    for (uint32_t i = 0; status == 0 && i < names->count; i++) {
        size_t begin = walk.out->len;
        status = show_name(native_name_atom(names, i));
        if (status == 0)
            status = show_property(object, native_name_atom(names, i), level);
        if (status == 0)
            status = end_item(begin);
    }
    return status;
}

/* One element beyond those that are shown decides, too, whether they are aligned to the right. */
static bool is_number_at(guest_value array, uint32_t atom)
{
    struct native_property p;
    if (!native_get_own(array, atom, &p))
        return false;
    bool numeric = !p.is_getset && is_numeric(p.value);
    native_property_done(&p);
    return numeric;
}

static int show_elements(guest_value array, const struct native_names *names,
                         struct inspect_group *g, unsigned level)
{
    int status = 0;
    uint32_t shown = names->count < INSPECT_ITEMS_MAX ? names->count : INSPECT_ITEMS_MAX;
    g->numbers_only = true;
    for (uint32_t i = 0; status == 0 && i < shown; i++) {
        size_t begin = walk.out->len;
        g->numbers_only = g->numbers_only && is_number_at(array, native_name_atom(names, i));
        status = show_property(array, native_name_atom(names, i), level);
        if (status == 0)
            status = end_item(begin);
    }
    if (status < 0 || names->count == shown)
        return status;
    size_t begin = walk.out->len;
    uint32_t rest = names->count - shown;
    g->has_rest = true;
    g->numbers_only = g->numbers_only && is_number_at(array, native_name_atom(names, shown));
    buf_printf(walk.out, "... %u more item%s", rest, rest > 1 ? "s" : "");
    return end_item(begin);
}

/* An array whose names are not just its indices has holes or further properties. */
static bool is_dense(guest_value array, const struct native_names *names)
{
    uint32_t words = engine.scratch.lengths;
    if ((int32_t)GUEST(JS_GetLength, engine.context, array, words) < 0)
        return false;
    if (native_read(words) != names->count)
        return false;
    if (names->count == 0)
        return true;
    uint32_t last = GUEST(JS_NewAtomUInt32, engine.context, names->count - 1);
    bool dense = native_name_atom(names, names->count - 1) == last;
    GUEST_DO(JS_FreeAtom, engine.context, last);
    return dense;
}

static int show_members(guest_value object, const struct native_names *names,
                        struct inspect_group *g, unsigned level)
{
    g->start = walk.out->len;
    g->first = walk.items.count;
    g->indent = walk.indent;
    walk.ancestors[level] = object;
    walk.deepest = level + 1;
    int status = g->is_list ? show_elements(object, names, g, level + 1)
                            : show_properties(object, names, level + 1);
    if (status < 0)
        return status;
    g->is_shallow = walk.deepest - (level + 1) < INSPECT_LEVELS;
    inspect_group_finish(g, &walk.items, walk.out, &walk.spare);
    return buf_ok(walk.out) ? 0 : -ENOMEM;
}

static int show_object(guest_value object, unsigned level)
{
    uint32_t class = GUEST(JS_GetClassID, object);
    if (class != engine.object_class && class != engine.array_class)
        return -ENOTSUP;
    for (unsigned i = 0; i < level; i++)
        if (walk.ancestors[i] == object)
            return -ENOTSUP;
    const struct known *known;
    struct native_names names;
    struct inspect_group g; /* most of it is not needed by empty ones */
    g.is_list = class == engine.array_class;
    g.numbers_only = g.has_rest = false;
    g.close = g.is_list ? "]" : "}";
    int status = read_class(object, &known);
    if (status == 0)
        status = native_names(object, &names);
    if (status != 0)
        return status;
    write_open(&g, known, names.count);
    if (g.is_list && !is_dense(object, &names))
        status = -ENOTSUP;
    else if (names.count == 0)
        show_empty(&g);
    else if (level > INSPECT_DEPTH)
        show_closed(&g, known);
    else
        status = show_members(object, &names, &g, level);
    native_names_done(&names);
    return status;
}

static int show(guest_value value, unsigned level)
{
    return NATIVE_TAG(value) == NATIVE_OBJECT ? show_object(value, level) : show_primitive(value);
}

/* ---- what console.log prints ---- */

/* Directives are for JavaScript; they count only when there is something to put in. */
static bool has_directive(const struct buf *text, uint32_t count)
{
    return count > 1 && text->len > 0 && memchr(text->ptr, '%', text->len) != NULL;
}

static int show_argument(guest_value value)
{
    walk.indent = walk.deepest = 0;
    walk.items.count = 0;
    return native_is_string(value) ? show_string(value, false) : show(value, 0);
}

static int show_arguments(guest_value list)
{
    uint32_t words = engine.scratch.lengths;
    if ((int32_t)GUEST(JS_GetLength, engine.context, list, words) < 0)
        return -ENOMEM;
    uint32_t count = (uint32_t)native_read(words);
    for (uint32_t i = 0; i < count; i++) {
        guest_value value = GUEST(JS_GetPropertyUint32, engine.context, list, i);
        if (i > 0)
            buf_add_byte(walk.out, ' ');
        int status = show_argument(value);
        if (status == 0 && i == 0 && native_is_string(value) && has_directive(walk.out, count))
            status = -ENOTSUP;
        native_free(value);
        if (status == 0 && walk.out->len > walk.max)
            status = -E2BIG;
        if (status < 0)
            return status;
    }
    return buf_ok(walk.out) ? 0 : -ENOMEM;
}

int engine_inspect(engine_value list, size_t max, struct buf *out)
{
    walk.out = out;
    walk.max = max;
    walk.known_count = 0;
    walk.items.failed = false;
    int status = show_arguments(native_unbox(list));
    if (status < 0 && status != -E2BIG)
        engine_drop(GUEST(qjs_get_exception)); /* out of memory: JavaScript will see it again */
    return status;
}

void engine_inspect_prepare(engine_value names)
{
    uint32_t *const atoms[] = {&walk.constructor_atom, &walk.name_atom, &walk.prototype_atom,
                               &walk.tag_atom, &walk.custom_atom};
    for (uint32_t i = 0; i < COUNT_OF(atoms); i++) {
        guest_value name = native_element(names, i);
        *atoms[i] = GUEST(JS_ValueToAtom, engine.context, name);
    }
}
