/* SPDX-License-Identifier: Apache-2.0 */
/* Between the mappings of runtimes/js/wasm.js and an export: numbers travel as text, texts and
 * bytes by the module's memory. The worker has one thread and calls the export as soon as the
 * guest has said with what, so there is one call at a time. */
#include "worker/native.h"
#include "worker/program.h"
#include "worker/wasi.h"

#include "base/must.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#define NUMBERS_MAX 4096  /* bytes of text */
#define SPARE_MAX   65536 /* kept for the next call */

struct piece { /* of the bytes */
    size_t at, len;
    uint32_t address; /* in the module's memory */
};

static struct {
    union worker_module_value values[MODULE_VALUES_MAX];
    struct buf bytes; /* all texts and bytes, one behind the other */
    struct piece pieces[MODULE_VALUES_MAX];
    unsigned piece_count;
    unsigned first[MODULE_VALUES_MAX]; /* the value that gets a piece's address */
    struct buf result;                 /* the bytes that came back */
} calling;

static void reset(struct buf *b)
{
    if (b->cap > SPARE_MAX || b->failed) {
        buf_done(b);
        *b = (struct buf)BUF_INIT;
    }
    buf_reset(b);
}

static bool returns_bytes(void)
{
    const char *result = program.bundle->wasm_result;
    return result != NULL && strcmp(result, "number") != 0;
}

/* ---- host functions ---- */

/* moduleBytes(number, value): a text or bytes, for the next @ of callModule()'s text. What an
 * earlier call left goes with the number 0. */
static engine_value host_module_bytes(uint32_t argc, const engine_value *argv)
{
    if (argc < 2 || engine_number(argv[0]) == 0) {
        calling.piece_count = 0;
        reset(&calling.bytes);
    }
    size_t at = calling.bytes.len;
    size_t room = program.bundle->limits.memory_bytes;
    if (argc < 2 || calling.piece_count == MODULE_VALUES_MAX / 2)
        return engine_throw("too many texts and bytes");
    int status = engine_is_string(argv[1]) ? engine_get_text(argv[1], room, &calling.bytes)
                                           : engine_get_bytes(argv[1], room, &calling.bytes);
    if (status < 0 || !buf_ok(&calling.bytes))
        return engine_throw("the arguments are too long");
    calling.pieces[calling.piece_count++] = (struct piece){at, calling.bytes.len - at, 0};
    return engine_undefined();
}

static union worker_module_value read_number(char type, const char *at, char **end)
{
    union worker_module_value value = {.i64 = 0};
    switch (type) {
    case 'i':
        value.i32 = (uint32_t)strtoll(at, end, 10);
        break;
    case 'I':
        value.i64 = (uint64_t)strtoll(at, end, 10);
        break;
    case 'f':
        value.f32 = strtof(at, end);
        break;
    default:
        value.f64 = strtod(at, end);
        break;
    }
    return value;
}

/* callModule("4,@"): what the export is to be called with, in the order of its parameters; @ stands
 * for two of them, the address and the length of bytes. */
static engine_value host_call_module(uint32_t argc, const engine_value *argv)
{
    static struct buf text;
    buf_reset(&text);
    if (argc < 1 || program.module == NULL || engine_get_text(argv[0], NUMBERS_MAX, &text) < 0 ||
        !buf_ok(&text))
        return engine_throw("the arguments are too long");
    const char *types = module_signature(program.module, program.bundle->wasm_function);
    const char *at = text.len > 0 ? text.ptr : "";
    unsigned piece = 0;
    for (unsigned i = 0; types[i] != ':'; i++) {
        char *end = NULL;
        if (*at == '@' && piece < calling.piece_count && types[i + 1] != ':') {
            calling.values[i + 1] =
                (union worker_module_value){.i32 = (uint32_t)calling.pieces[piece].len};
            calling.first[piece++] = i++;
            at += 1;
        } else {
            calling.values[i] = read_number(types[i], at, &end);
            at = end;
        }
        at += *at == ',' ? 1 : 0;
    }
    calling.piece_count = piece;
    call->wants_module = true;
    return engine_undefined();
}

/* moduleResult(as text): the bytes that the export returned. */
static engine_value host_module_result(uint32_t argc, const engine_value *argv)
{
    struct slice bytes = buf_slice(&calling.result);
    return argc > 0 && engine_is_true(argv[0]) ? engine_string(bytes) : engine_bytes(bytes);
}

const struct engine_function module_call_functions[] = {
    {"moduleBytes", host_module_bytes},
    {"callModule", host_call_module},
    {"moduleResult", host_module_result},
};
const size_t module_call_function_count = COUNT_OF(module_call_functions);

/* ---- the call ---- */

static int give_pieces(void)
{
    int ended = 0;
    for (unsigned i = 0; ended == 0 && i < calling.piece_count; i++) {
        struct piece *p = &calling.pieces[i];
        struct slice bytes = slice_of(calling.bytes.ptr + p->at, p->len);
        ended = module_memory_give(program.module, bytes, &p->address);
        calling.values[calling.first[i]] = (union worker_module_value){.i32 = p->address};
    }
    return ended;
}

static int free_pieces(void)
{
    int ended = 0;
    for (unsigned i = 0; ended == 0 && i < calling.piece_count; i++)
        ended = module_memory_free(program.module, calling.pieces[i].address,
                                   (uint32_t)calling.pieces[i].len);
    return ended;
}

static int take_bytes(const char *signature, const union worker_module_value *results)
{
    uint32_t address, len;
    native_unpack(signature, results, &address, &len);
    struct slice bytes = module_memory_at(program.module, address, len);
    reset(&calling.result);
    if (bytes.ptr == NULL && len > 0)
        return WASM_RT_TRAP_OOB;
    buf_add_slice(&calling.result, bytes);
    if (!buf_ok(&calling.result))
        return GUARD_STOPPED_MEMORY;
    return module_memory_free_result(program.module, address, len);
}

static void add_float(struct buf *out, double value)
{
    if (isinf(value))
        buf_add_text(out, value < 0 ? "-Infinity" : "Infinity");
    else if (isnan(value))
        buf_add_text(out, "NaN");
    else
        buf_printf(out, "%.17g", value);
}

/* "7,1.5" */
static void write_results(const char *types, const union worker_module_value *results,
                          struct buf *out)
{
    for (size_t i = 0; types[i] != '\0'; i++) {
        if (i > 0)
            buf_add_byte(out, ',');
        if (types[i] == 'i')
            buf_printf(out, "%d", (int32_t)results[i].i32);
        else if (types[i] == 'I')
            buf_printf(out, "%lld", (long long)results[i].i64);
        else
            add_float(out, types[i] == 'f' ? (double)results[i].f32 : results[i].f64);
    }
}

int module_call_run(struct buf *results_text)
{
    union worker_module_value results[MODULE_VALUES_MAX];
    const char *function = program.bundle->wasm_function;
    const char *signature = module_signature(program.module, function);
    native_begin(call->event_id);
    buf_reset(results_text);
    int ended = give_pieces();
    if (ended == 0)
        ended = module_call(program.module, function, calling.values, results);
    if (ended == 0 && returns_bytes())
        ended = take_bytes(signature, results);
    else if (ended == 0)
        write_results(strchr(signature, ':') + 1, results, results_text);
    if (ended == 0 && !program.bundle->isolate_events)
        ended = free_pieces();
    calling.piece_count = 0;
    wasi_end();
    return ended;
}
