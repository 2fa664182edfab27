/* SPDX-License-Identifier: Apache-2.0 */
/* Events on their way into the guest and replies on their way out, property by property: the
 * objects are made and read here, without a text in between that one side writes and the other
 * parses. */
#include "worker/engine_native.h"

#include "base/encoding.h"
#include "base/memory.h"
#include "base/must.h"

#include <errno.h>

/* In the order in which people expect to see them; extensions follow as they came. */
static const struct slice attribute_names[] = {{"id", 2},          {"type", 4},
                                               {"source", 6},      {"subject", 7},
                                               {"time", 4},        {"datacontenttype", 15},
                                               {"dataschema", 10}, {"schemaurl", 9}};

#define ATTRIBUTE_COUNT COUNT_OF(attribute_names)

/* Made before the first snapshot, and kept. */
static struct {
    guest_value prototype;       /* of the events that handlers get */
    guest_value reply_prototype; /* of those that the builder of replies makes */
    guest_value plain_prototype;
    uint32_t file_name; /* for errors of the JSON parser */
    uint32_t version_atom, data_atom, base64_atom, type_atom;
    uint32_t attribute_atoms[ATTRIBUTE_COUNT];
} known;

/* Of requests; a name that exists is found faster than a new one is made. */
static const char *const header_names[] = {"host",
                                           "content-length",
                                           "content-type",
                                           "user-agent",
                                           "accept",
                                           "prefer",
                                           "kn-namespace",
                                           "ce-id",
                                           "ce-specversion",
                                           "ce-type",
                                           "ce-source",
                                           "ce-time",
                                           "ce-subject",
                                           "ce-dataschema",
                                           "knativearrivaltime",
                                           "traceparent",
                                           "ce-knativearrivaltime",
                                           "ce-traceparent"};

void engine_event_prepare(guest_value plain_object)
{
    for (size_t i = 0; i < COUNT_OF(header_names); i++)
        native_atom(slice_text(header_names[i]));
    static const char file_name[] = "sluice:data";
    known.version_atom = native_atom(SLICE("specversion"));
    known.data_atom = native_atom(SLICE("data"));
    known.base64_atom = native_atom(SLICE("data_base64"));
    known.type_atom = native_atom(SLICE("datacontenttype"));
    known.plain_prototype = GUEST(JS_GetPrototype, engine.context, plain_object);
    for (size_t i = 0; i < ATTRIBUTE_COUNT; i++)
        known.attribute_atoms[i] = native_atom(attribute_names[i]);
    known.file_name = GUEST(wasm_malloc, sizeof(file_name));
    void *to = engine_at(known.file_name, sizeof(file_name));
    must(known.file_name != 0 && to != NULL);
    memcpy(to, file_name, sizeof(file_name));
}

static guest_value keep(engine_value value)
{
    guest_value inside = native_unbox(value);
    return GUEST(JS_DupValue, engine.context, inside);
}

void engine_event_use(engine_value prototype, engine_value reply_prototype)
{
    known.prototype = keep(prototype);
    known.reply_prototype = keep(reply_prototype);
}

/* ---- in ---- */

/* 0, or -EINVAL: an exception is pending. */
static int set(guest_value object, uint32_t atom, guest_value value)
{
    if (NATIVE_TAG(value) == NATIVE_EXCEPTION)
        return -EINVAL;
    int32_t status =
        (int32_t)GUEST(JS_DefinePropertyValue, engine.context, object, atom, value, NATIVE_CWE);
    return status < 0 ? -EINVAL : 0;
}

static guest_value parse(struct slice json)
{
    uint32_t at = engine_put(json);
    guest_value value = GUEST(JS_ParseJSON, engine.context, at, (u32)json.len, known.file_name);
    engine_put_done(at);
    return value;
}

static int set_attribute(guest_value event, uint32_t atom, const struct event_attribute *a)
{
    bool is_text = a->kind == EVENT_VALUE_STRING;
    guest_value value = is_text ? native_string(a->value) : parse(a->value);
    return set(event, atom, value);
}

static int set_attributes(guest_value event, const struct event *e)
{
    bool written[EVENT_ATTRIBUTES_MAX] = {false};
    struct slice version = slice_text(event_version_text(e->version));
    int status = set(event, known.version_atom, native_string(version));
    for (size_t i = 0; i < ATTRIBUTE_COUNT && status == 0; i++)
        for (unsigned k = 0; k < e->count; k++)
            if (!written[k] && slice_equal(e->attributes[k].name, attribute_names[i])) {
                status = set_attribute(event, known.attribute_atoms[i], &e->attributes[k]);
                written[k] = true;
                break;
            }
    for (unsigned k = 0; k < e->count && status == 0; k++)
        if (!written[k]) {
            uint32_t atom = native_atom(e->attributes[k].name);
            status = set_attribute(event, atom, &e->attributes[k]);
            native_free_atom(atom);
        }
    return status;
}

static guest_value bytes_value(struct slice bytes)
{
    engine_value box = engine_bytes(bytes);
    guest_value value = keep(box);
    engine_drop(box);
    return value;
}

/* Whether the pending exception says that there is no memory; else it is dropped. */
static bool is_out_of_memory(void)
{
    static struct engine_failure failure;
    engine_value thrown = GUEST(qjs_get_exception);
    engine_describe(thrown, &failure);
    if (failure.out_of_memory)
        GUEST(qjs_throw, thrown);
    engine_drop(thrown);
    return failure.out_of_memory;
}

static guest_value data_value(struct slice data, enum engine_data form, unsigned *oddities)
{
    if (form == ENGINE_DATA_JSON || form == ENGINE_DATA_GUESS) {
        guest_value value = parse(data);
        if (NATIVE_TAG(value) != NATIVE_EXCEPTION || is_out_of_memory())
            return value;
        if (form == ENGINE_DATA_JSON) {
            *oddities |= ENGINE_EVENT_BAD_JSON;
            return NATIVE_OF(NATIVE_UNDEFINED, 0);
        }
    }
    if (form != ENGINE_DATA_BYTES && encoding_utf8_valid(data))
        return native_string(data);
    *oddities |= ENGINE_EVENT_BYTES;
    return bytes_value(data);
}

static int build(const struct event *e, enum engine_data form, guest_value *ret, unsigned *oddities)
{
    guest_value event = GUEST(JS_NewObjectProto, engine.context, known.prototype);
    if (NATIVE_TAG(event) == NATIVE_EXCEPTION)
        return -EINVAL;
    *ret = event;
    int status = set_attributes(event, e);
    if (status < 0 || form == ENGINE_DATA_NONE)
        return status;
    return set(event, known.data_atom, data_value(e->data, form, oddities));
}

int engine_call_event(engine_value function, const struct event *e, enum engine_data form,
                      unsigned oddities, bool abandon)
{
    guest_value arguments[2] = {NATIVE_OF(NATIVE_UNDEFINED, 0)};
    int status = build(e, form, &arguments[0], &oddities);
    if (status == 0) {
        arguments[1] = NATIVE_OF(NATIVE_INT, oddities);
        void *to = engine_at(engine.scratch.values, sizeof(arguments));
        must(to != NULL);
        memcpy(to, arguments, sizeof(arguments));
        guest_value call = native_unbox(function);
        guest_value result = GUEST(JS_Call, engine.context, call, NATIVE_OF(NATIVE_UNDEFINED, 0),
                                   oddities != 0 ? 2 : 1, engine.scratch.values);
        status = NATIVE_TAG(result) == NATIVE_EXCEPTION ? -EINVAL : 0;
        if (!abandon)
            native_free(result);
    }
    if (!abandon)
        native_free(arguments[0]);
    return status;
}

/* ---- out ---- */

static bool is_nothing(guest_value value)
{
    return NATIVE_TAG(value) == NATIVE_NULL || NATIVE_TAG(value) == NATIVE_UNDEFINED;
}

static bool is_simple(guest_value value)
{
    return native_is_string(value) || NATIVE_TAG(value) == NATIVE_INT ||
           NATIVE_TAG(value) == NATIVE_BOOL || native_is_float(value);
}

static int add_text(guest_value value, size_t max, struct buf *out)
{
    struct slice text;
    uint32_t borrowed = native_borrow_text(value, &text);
    if (borrowed == 0)
        return -ENOTSUP;
    int status = text.len > max ? -E2BIG : native_has_surrogates(text) ? -ENOTSUP : 0;
    if (status == 0)
        buf_add_slice(out, text);
    native_return_text(borrowed);
    return status;
}

static int add_name(uint32_t atom, struct buf *out)
{
    guest_value name = GUEST(JS_AtomToValue, engine.context, atom);
    int status = native_is_string(name) ? add_text(name, EVENT_NAME_MAX, out) : -ENOTSUP;
    native_free(name);
    return status;
}

static int add_attribute(guest_value event, uint32_t atom, struct engine_reply *r)
{
    struct native_property p;
    if (atom == known.base64_atom || !native_get_own(event, atom, &p))
        return -ENOTSUP;
    int status = 0;
    if (p.is_getset || !(is_nothing(p.value) || is_simple(p.value))) {
        status = -ENOTSUP;
    } else if (!is_nothing(p.value)) {
        status = add_name(atom, r->head);
        buf_add_byte(r->head, '\0');
        size_t begin = r->head->len;
        if (status == 0)
            status = add_text(p.value, EVENT_ATTRIBUTES_BYTES_MAX, r->head);
        if (atom == known.type_atom) {
            r->has_type = true;
            r->is_json = buf_ok(r->head) &&
                         r->is_json_type(slice_of(r->head->ptr + begin, r->head->len - begin));
        }
        buf_add_byte(r->head, '\0');
    }
    native_property_done(&p);
    return status;
}

static int add_attributes(guest_value event, struct engine_reply *r)
{
    struct native_names names;
    if (native_names(event, &names) < 0)
        return -ENOTSUP;
    int status = names.count <= EVENT_ATTRIBUTES_MAX ? 0 : -ENOTSUP;
    for (uint32_t i = 0; status == 0 && i < names.count; i++) {
        uint32_t atom = native_name_atom(&names, i);
        if (atom != known.data_atom)
            status = add_attribute(event, atom, r);
    }
    native_names_done(&names);
    return status == -E2BIG ? -EMSGSIZE : status;
}

static int add_data(guest_value event, struct engine_reply *r)
{
    struct native_property p;
    if (!native_get_own(event, known.data_atom, &p))
        return 0;
    int status = p.is_getset ? -ENOTSUP : 0;
    if (status == 0 && NATIVE_TAG(p.value) != NATIVE_UNDEFINED) {
        bool is_text = native_is_string(p.value);
        if (!r->has_type)
            buf_add_slice(r->head, SLICE("datacontenttype\0application/json; charset=utf-8\0"));
        if (is_text && r->has_type && !r->is_json)
            status = add_text(p.value, r->body_max, r->body);
        else
            status = is_text ? -ENOTSUP : native_json(p.value, r->body_max, r->body);
    }
    native_property_done(&p);
    return status;
}

static bool is_known_kind(guest_value event)
{
    if (!native_is_object(event) || GUEST(JS_GetClassID, event) != engine.object_class)
        return false;
    guest_value prototype = GUEST(JS_GetPrototype, engine.context, event);
    native_free(prototype); /* the event holds it */
    return prototype == known.reply_prototype || prototype == known.plain_prototype;
}

int engine_read_event(engine_value value, struct engine_reply *r)
{
    guest_value event = native_unbox(value);
    r->has_type = r->is_json = false;
    int status = is_known_kind(event) ? add_attributes(event, r) : -ENOTSUP;
    if (status == 0)
        status = add_data(event, r);
    if (status == -ENOTSUP)
        engine_drop(GUEST(qjs_get_exception)); /* out of memory: JavaScript will see it again */
    return status;
}
