/* SPDX-License-Identifier: Apache-2.0 */
/* Values that cross the border between host and QuickJS. What the guest says about addresses and
 * lengths is checked against its memory each time. */
#include "worker/engine_guest.h"

#include "base/must.h"

#include <errno.h>
#include <string.h>

#define ENGINE_STRIP_SOURCE 16u /* quickjs.h: JS_WRITE_OBJ_STRIP_SOURCE */

uint32_t engine_put(struct slice bytes)
{
    uint32_t address = engine.scratch.text;
    if (bytes.len >= ENGINE_SCRATCH_TEXT) {
        if (bytes.len > INT32_MAX)
            guard_trap(GUARD_STOPPED_MEMORY);
        address = GUEST(wasm_malloc, (u32)bytes.len + 1);
    }
    char *to = engine_at(address, bytes.len + 1);
    if (address == 0 || to == NULL)
        guard_trap(GUARD_STOPPED_MEMORY);
    if (bytes.len > 0)
        memcpy(to, bytes.ptr, bytes.len);
    to[bytes.len] = '\0';
    return address;
}

void engine_put_done(uint32_t address)
{
    if (address != engine.scratch.text)
        GUEST_DO(wasm_free, address);
}

uint32_t engine_word(uint32_t address)
{
    uint32_t word = 0;
    const void *at = engine_at(address, sizeof(word));
    if (at != NULL)
        memcpy(&word, at, sizeof(word));
    return word;
}

/* A copy with a NUL in guest memory, to be freed. */
static uint32_t put_source(struct slice source)
{
    uint32_t code = GUEST(wasm_malloc, (u32)source.len + 1);
    char *to = engine_at(code, source.len + 1);
    if (code == 0 || to == NULL)
        guard_trap(GUARD_STOPPED_MEMORY);
    memcpy(to, source.ptr, source.len);
    to[source.len] = '\0';
    return code;
}

engine_value engine_eval(struct slice source, const char *name, int flags)
{
    uint32_t code = put_source(source);
    uint32_t file = engine_put(slice_text(name));
    engine_value result = GUEST(qjs_eval, code, (u32)source.len, file, (u32)flags);
    engine_put_done(file);
    GUEST_DO(wasm_free, code);
    return result;
}

engine_value engine_eval_without_source(struct slice source, const char *name)
{
    uint32_t code = put_source(source);
    uint32_t file = engine_put(slice_text(name));
    uint32_t ret_len = engine.scratch.lengths;
    uint32_t compiled =
        GUEST(qjs_compile, code, (u32)source.len, file, 0, ENGINE_STRIP_SOURCE, ret_len);
    engine_put_done(file);
    GUEST_DO(wasm_free, code);
    if (compiled == 0)
        return 0;
    engine_value result = GUEST(qjs_eval_bytecode, compiled, engine_word(ret_len));
    GUEST_DO(wasm_free, compiled);
    return result;
}

engine_value engine_call(engine_value function, uint32_t argc, const engine_value *argv)
{
    must(argc <= ENGINE_ARGUMENTS_MAX);
    void *to = engine_at(engine.scratch.arguments, argc * sizeof(*argv));
    must(to != NULL);
    if (argc > 0)
        memcpy(to, argv, argc * sizeof(*argv));
    return GUEST(qjs_call, function, engine.undefined, argc, engine.scratch.arguments);
}

engine_value engine_string(struct slice text)
{
    uint32_t at = engine_put(text);
    engine_value value = GUEST(qjs_new_string, at, (u32)text.len);
    engine_put_done(at);
    return value;
}

engine_value engine_bytes(struct slice bytes)
{
    uint32_t at = engine_put(bytes);
    engine_value value = GUEST(qjs_new_uint8_array, at, (u32)bytes.len);
    engine_put_done(at);
    return value;
}

engine_value engine_undefined(void)
{
    return GUEST(qjs_get_undefined);
}

engine_value engine_boolean(bool value)
{
    return value ? GUEST(qjs_get_true) : GUEST(qjs_get_false);
}

engine_value engine_new_number(double number)
{
    return GUEST(qjs_new_number, number);
}

engine_value engine_promise(engine_value *ret_resolve, engine_value *ret_reject)
{
    uint32_t words = engine.scratch.lengths;
    engine_value promise = GUEST(qjs_new_promise, words, words + 4);
    *ret_resolve = engine_word(words);
    *ret_reject = engine_word(words + 4);
    return promise;
}

engine_value engine_object(void)
{
    return GUEST(qjs_new_object);
}

engine_value engine_pass(engine_value value)
{
    if (!engine_is_exception(value))
        return value;
    engine_drop(value);
    return 0;
}

engine_value engine_property(engine_value object, const char *name)
{
    uint32_t at = engine_put(slice_text(name));
    engine_value value = GUEST(qjs_get_prop_string, object, at);
    engine_put_done(at);
    return value;
}

engine_value engine_keep(engine_value value)
{
    return GUEST(qjs_dup_value, value);
}

void engine_drop(engine_value value)
{
    if (value != 0)
        GUEST_DO(qjs_free_value, value);
}

bool engine_is_exception(engine_value value)
{
    return value == 0 || GUEST(qjs_is_exception, value) != 0;
}

bool engine_is_function(engine_value value)
{
    return GUEST(qjs_is_function, value) != 0;
}

bool engine_is_string(engine_value value)
{
    return GUEST(qjs_is_string, value) != 0;
}

bool engine_is_undefined(engine_value value)
{
    return GUEST(qjs_is_undefined, value) != 0;
}

bool engine_is_true(engine_value value)
{
    return GUEST(qjs_get_bool, value) != 0;
}

double engine_number(engine_value value)
{
    return GUEST(qjs_is_number, value) ? GUEST(qjs_get_float64, value) : 0;
}

static void drop_exception(void)
{
    engine_drop(GUEST(qjs_get_exception));
}

int engine_get_text(engine_value value, size_t max, struct buf *out)
{
    uint32_t text = GUEST(qjs_get_string_len, value, engine.scratch.lengths);
    if (text == 0) {
        drop_exception();
        return -EINVAL;
    }
    uint32_t len = engine_word(engine.scratch.lengths);
    const char *from = engine_at(text, len);
    int status = from == NULL ? -EINVAL : len > max ? -E2BIG : 0;
    if (status == 0)
        buf_add(out, from, len);
    GUEST_DO(qjs_free_cstring, text);
    return status;
}

int engine_get_bytes(engine_value value, size_t max, struct buf *out)
{
    uint32_t words = engine.scratch.lengths;
    uint32_t offset = 0, len = 0;
    engine_value buffer = 0;
    bool is_view = GUEST(qjs_is_array_buffer, value) == 0;
    if (is_view) {
        buffer = GUEST(qjs_get_typed_array_buffer, value, words, words + 4, words + 8);
        if (engine_is_exception(buffer)) {
            engine_drop(buffer);
            drop_exception();
            return -EINVAL;
        }
        offset = engine_word(words);
        len = engine_word(words + 4);
    }
    uint32_t data = GUEST(qjs_get_array_buffer, is_view ? buffer : value, words + 12);
    uint32_t whole = engine_word(words + 12);
    if (!is_view)
        len = whole;
    const uint8_t *from = engine_at(data, whole);
    int status = len > max ? -E2BIG : 0;
    if (len > 0 && (data == 0 || from == NULL || offset > whole || len > whole - offset))
        status = -EINVAL;
    if (status == 0 && len > 0)
        buf_add(out, from + offset, len);
    engine_drop(buffer);
    return status;
}

engine_value engine_throw(const char *message)
{
    engine_value error = GUEST(qjs_new_error);
    engine_value text = engine_string(slice_text(message));
    uint32_t name = engine_put(SLICE("message"));
    GUEST(qjs_set_prop_string, error, name, text);
    engine_put_done(name);
    GUEST(qjs_throw, error);
    engine_drop(text);
    engine_drop(error);
    return 0;
}

engine_value engine_take_exception(void)
{
    return GUEST(qjs_get_exception);
}

int engine_run_jobs(struct engine_failure *f)
{
    while (GUEST(qjs_is_job_pending) != 0) {
        if ((s32)GUEST(qjs_execute_pending_job) >= 0)
            continue;
        engine_take_failure(f);
        if (engine.interrupted)
            return -EINTR;
    }
    return 0;
}

bool engine_interrupted(void)
{
    return engine.interrupted;
}
