/* SPDX-License-Identifier: Apache-2.0 */
/* What AssemblyScript's runtime imports from env when it is not told otherwise. */
#include "worker/wasi.h"

#include "base/memory.h"

#include <stdio.h>

#define SCRIPT_TEXT_MAX  2000 /* bytes of a message */
#define SCRIPT_TRACE_MAX 5    /* numbers */

struct Z_h_instance_t;

static void add_code_point(struct buf *out, uint32_t c)
{
    if (c < 0x80) {
        buf_add_byte(out, (char)c);
        return;
    }
    unsigned more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const uint8_t heads[] = {0, 0xc0, 0xe0, 0xf0};
    buf_add_byte(out, (char)(heads[more] | c >> (6 * more)));
    while (more-- > 0)
        buf_add_byte(out, (char)(0x80 | (c >> (6 * more) & 0x3f)));
}

static uint32_t unit_at(const char *from, uint32_t i)
{
    uint16_t unit;
    memcpy(&unit, from + i, sizeof(unit));
    return unit;
}

/* Its strings are UTF-16; their length in bytes stands in front. */
static void add_string(struct buf *out, uint32_t address)
{
    const void *size = address >= 4 ? wasi_at(address - 4, 4) : NULL;
    uint32_t bytes = size != NULL ? wasi_get_u32(size) & ~1u : 0;
    const char *from = wasi_at(address, bytes);
    size_t end = out->len + SCRIPT_TEXT_MAX;
    for (uint32_t i = 0; from != NULL && i < bytes && out->len < end; i += 2) {
        uint32_t c = unit_at(from, i);
        uint32_t low = i + 4 <= bytes ? unit_at(from, i + 2) : 0;
        if (c >= 0xd800 && c < 0xdc00 && low >= 0xdc00 && low < 0xe000) {
            c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
            i += 2;
        } else if (c >= 0xd800 && c < 0xe000) {
            c = 0xfffd;
        }
        add_code_point(out, c);
    }
}

static void write_line(struct buf *text)
{
    buf_add_byte(text, '\n');
    if (buf_ok(text))
        wasi_write_error(buf_slice(text));
}

void wasi_script_abort(uint32_t message, uint32_t file, uint32_t line, uint32_t column)
{
    autobuf text = BUF_INIT;
    buf_add_text(&text, "abort: ");
    add_string(&text, message);
    buf_add_text(&text, " (");
    add_string(&text, file);
    buf_printf(&text, ":%u:%u)", line, column);
    write_line(&text);
}

void wasi_script_trace(uint32_t message, uint32_t count, const double *numbers)
{
    autobuf text = BUF_INIT;
    add_string(&text, message);
    for (uint32_t i = 0; i < count && i < SCRIPT_TRACE_MAX; i++)
        buf_printf(&text, "%s%.17g", i == 0 ? " " : ", ", numbers[i]);
    write_line(&text);
}

/* ---- as translated code calls them ---- */

#define H struct Z_h_instance_t *nothing

_Noreturn void Z_hZ_env_abort(H, uint32_t message, uint32_t file, uint32_t line, uint32_t column);
_Noreturn void Z_hZ_env_abort(H, uint32_t message, uint32_t file, uint32_t line, uint32_t column)
{
    guard_enter_import();
    wasi_script_abort(message, file, line, column);
    guard_trap(WASM_RT_TRAP_UNREACHABLE);
}

void Z_hZ_env_trace(H, uint32_t message, uint32_t count, double a, double b, double c, double d,
                    double e);
void Z_hZ_env_trace(H, uint32_t message, uint32_t count, double a, double b, double c, double d,
                    double e)
{
    const double numbers[SCRIPT_TRACE_MAX] = {a, b, c, d, e};
    guard_enter_import();
    wasi_script_trace(message, count, numbers);
    guard_leave_import();
}

/* Any bits that are no signalling NaN would do; a number below 2^53 is none. */
double Z_hZ_env_seed(H);
double Z_hZ_env_seed(H)
{
    guard_enter_import();
    double seed = (double)(entropy_u64() >> 11);
    guard_leave_import();
    return seed;
}
