/* SPDX-License-Identifier: Apache-2.0 */
#include "function/module_reader.h"

#include "base/encoding.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

void module_reader_fail(struct module_reader *r, int code, const char *format, ...)
{
    if (r->status != 0)
        return;
    char text[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    r->status = error_set(r->err, code, "%s", text);
    r->at = r->end;
}

void module_reader_malformed(struct module_reader *r, const char *what)
{
    module_reader_fail(r, -ENOEXEC, "the module is malformed in %s at byte %zu: %s", r->where,
                       (size_t)(r->at - r->base), what);
}

void module_reader_refuse(struct module_reader *r, const char *feature)
{
    module_reader_fail(r, -ENOTSUP,
                       "the module uses %s (%s, byte %zu), which functions cannot use: compile it "
                       "without",
                       feature, r->where, (size_t)(r->at - r->base));
}

uint8_t module_reader_byte(struct module_reader *r)
{
    if (r->at >= r->end) {
        module_reader_malformed(r, "it ends too early");
        return 0;
    }
    return *r->at++;
}

uint32_t module_reader_u32(struct module_reader *r)
{
    uint32_t value = 0;
    for (unsigned shift = 0; shift < 35; shift += 7) {
        uint8_t byte = module_reader_byte(r);
        if (shift == 28 && (byte & 0xf0) != 0)
            break;
        value |= (uint32_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0)
            return r->status == 0 ? value : 0;
    }
    module_reader_malformed(r, "a number is too large");
    return 0;
}

/* The bits of the last byte beyond the value must repeat its sign (§5.2.2). */
static int64_t read_signed(struct module_reader *r, unsigned bits)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < bits; shift += 7) {
        uint8_t byte = module_reader_byte(r);
        unsigned left = bits - shift;
        if (left < 7) {
            uint8_t beyond = (uint8_t)(0x7f & ~((1u << (left - 1)) - 1));
            if ((byte & 0x80) != 0 || ((byte & beyond) != 0 && (byte & beyond) != beyond))
                break;
        }
        value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            if ((byte & 0x40) != 0 && shift + 7 < 64)
                value |= ~UINT64_C(0) << (shift + 7);
            return (int64_t)value;
        }
    }
    module_reader_malformed(r, "a number is too large");
    return 0;
}

void module_reader_skip_signed(struct module_reader *r, unsigned bits)
{
    (void)read_signed(r, bits);
}

int64_t module_reader_s33(struct module_reader *r)
{
    return read_signed(r, 33);
}

void module_reader_skip(struct module_reader *r, size_t n)
{
    if (n > (size_t)(r->end - r->at))
        module_reader_malformed(r, "it ends too early");
    else
        r->at += n;
}

struct slice module_reader_name(struct module_reader *r)
{
    uint32_t len = module_reader_u32(r);
    const uint8_t *start = r->at;
    module_reader_skip(r, len);
    if (!module_reader_ok(r))
        return slice_of("", 0);
    struct slice name = slice_of(start, len);
    if (!encoding_utf8_valid(name))
        module_reader_malformed(r, "a name is not UTF-8");
    return name;
}

uint32_t module_reader_count(struct module_reader *r, size_t item_bytes, uint32_t max,
                             const char *what)
{
    uint32_t count = module_reader_u32(r);
    if (!module_reader_ok(r))
        return 0;
    if (count > max) {
        module_reader_fail(r, -E2BIG, "the module has %u %s, more than the limit of %u", count,
                           what, max);
        return 0;
    }
    if (count > (size_t)(r->end - r->at) / item_bytes) {
        module_reader_malformed(r, "a count is larger than what follows");
        return 0;
    }
    return count;
}

static const char *type_feature(uint8_t byte)
{
    if (byte == 0x7b)
        return "SIMD (the type v128)";
    if (byte == 0x69 || byte == 0x74)
        return "exceptions (the type exnref)";
    if (byte == 0x63 || byte == 0x64)
        return "typed function references";
    if (byte >= 0x6a && byte <= 0x73)
        return "garbage collection (GC reference types)";
    return NULL;
}

static void refuse_type(struct module_reader *r, uint8_t byte)
{
    const char *feature = type_feature(byte);
    r->at -= r->at > r->base ? 1 : 0;
    if (feature != NULL)
        module_reader_refuse(r, feature);
    else
        module_reader_malformed(r, "this is no value type");
}

uint8_t module_reader_value_type(struct module_reader *r)
{
    uint8_t byte = module_reader_byte(r);
    bool known = (byte >= 0x7c && byte <= 0x7f) || byte == 0x70 || byte == 0x6f;
    if (module_reader_ok(r) && !known)
        refuse_type(r, byte);
    return byte;
}

uint8_t module_reader_reference_type(struct module_reader *r)
{
    uint8_t byte = module_reader_byte(r);
    if (module_reader_ok(r) && byte != 0x70 && byte != 0x6f)
        refuse_type(r, byte);
    return byte;
}

static void constant_index(struct module_reader *r, uint32_t count, const char *what)
{
    if (module_reader_u32(r) >= count)
        module_reader_malformed(r, what);
}

static const char *constant_feature(uint8_t opcode)
{
    if ((opcode >= 0x6a && opcode <= 0x6c) || (opcode >= 0x7c && opcode <= 0x7e))
        return "extended constant expressions";
    if (opcode == 0xfd)
        return "SIMD (v128.const)";
    if (opcode == 0xfb)
        return "garbage collection (GC instructions)";
    return NULL;
}

static bool constant_instruction(struct module_reader *r, const struct module *m, uint8_t opcode)
{
    switch (opcode) {
    case 0x41:
        module_reader_skip_signed(r, 32);
        return true;
    case 0x42:
        module_reader_skip_signed(r, 64);
        return true;
    case 0x43:
        module_reader_skip(r, 4);
        return true;
    case 0x44:
        module_reader_skip(r, 8);
        return true;
    case 0x23:
        constant_index(r, m->global_count, "an initial value names a global that is not there");
        return true;
    case 0xd0:
        (void)module_reader_reference_type(r);
        return true;
    case 0xd2:
        constant_index(r, m->function_count, "an initial value names a function that is not there");
        return true;
    default:
        return false;
    }
}

void module_reader_constant(struct module_reader *r, const struct module *m)
{
    while (module_reader_ok(r)) {
        uint8_t opcode = module_reader_byte(r);
        if (!module_reader_ok(r) || opcode == 0x0b)
            return;
        if (constant_instruction(r, m, opcode))
            continue;
        const char *feature = constant_feature(opcode);
        if (feature != NULL)
            module_reader_refuse(r, feature);
        else
            module_reader_malformed(r, "this instruction is not allowed in an initial value");
    }
}
