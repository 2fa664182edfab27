/* SPDX-License-Identifier: Apache-2.0 */
/* The instructions of one function (core specification §5.4): each is decoded, so that whatever
 * is no part of what sluice runs (1.0 with sign extension, saturating conversions, bulk memory,
 * multi-value and reference types) is found and named, and so that every index is in range. */
#include "function/module_reader.h"

#include <errno.h>

enum operand {
    OPERAND_UNKNOWN,
    OPERAND_NONE,
    OPERAND_BLOCK,
    OPERAND_IF,
    OPERAND_ELSE,
    OPERAND_END,
    OPERAND_LABEL,
    OPERAND_LABELS,
    OPERAND_FUNCTION,
    OPERAND_INDIRECT,
    OPERAND_LOCAL,
    OPERAND_GLOBAL,
    OPERAND_TABLE,
    OPERAND_ADDRESS,
    OPERAND_MEMORY,
    OPERAND_I32,
    OPERAND_I64,
    OPERAND_F32,
    OPERAND_F64,
    OPERAND_REFERENCE,
    OPERAND_TYPES,
    OPERAND_BULK,
    OPERAND_EXCEPTIONS,
    OPERAND_TAIL_CALL,
    OPERAND_TYPED_REFERENCE,
    OPERAND_GC,
    OPERAND_SIMD,
    OPERAND_THREADS,
    OPERAND_COUNT
};

static const uint8_t operands[256] = {
    [0x00 ... 0x01] = OPERAND_NONE, /* unreachable, nop */
    [0x02 ... 0x03] = OPERAND_BLOCK,
    [0x04] = OPERAND_IF,
    [0x05] = OPERAND_ELSE,
    [0x06 ... 0x0a] = OPERAND_EXCEPTIONS,
    [0x0b] = OPERAND_END,
    [0x0c ... 0x0d] = OPERAND_LABEL,
    [0x0e] = OPERAND_LABELS,
    [0x0f] = OPERAND_NONE, /* return */
    [0x10] = OPERAND_FUNCTION,
    [0x11] = OPERAND_INDIRECT,
    [0x12 ... 0x13] = OPERAND_TAIL_CALL,
    [0x14] = OPERAND_TYPED_REFERENCE,
    [0x15] = OPERAND_TAIL_CALL,
    [0x18 ... 0x19] = OPERAND_EXCEPTIONS,
    [0x1a ... 0x1b] = OPERAND_NONE, /* drop, select */
    [0x1c] = OPERAND_TYPES,
    [0x1f] = OPERAND_EXCEPTIONS,
    [0x20 ... 0x22] = OPERAND_LOCAL,
    [0x23 ... 0x24] = OPERAND_GLOBAL,
    [0x25 ... 0x26] = OPERAND_TABLE,
    [0x28 ... 0x3e] = OPERAND_ADDRESS,
    [0x3f ... 0x40] = OPERAND_MEMORY,
    [0x41] = OPERAND_I32,
    [0x42] = OPERAND_I64,
    [0x43] = OPERAND_F32,
    [0x44] = OPERAND_F64,
    [0x45 ... 0xc4] = OPERAND_NONE, /* arithmetic; 0xc0 to 0xc4 are sign extensions */
    [0xd0] = OPERAND_REFERENCE,
    [0xd1] = OPERAND_NONE,
    [0xd2] = OPERAND_FUNCTION,
    [0xd3] = OPERAND_GC, /* ref.eq */
    [0xd4 ... 0xd6] = OPERAND_TYPED_REFERENCE,
    [0xfb] = OPERAND_GC,
    [0xfc] = OPERAND_BULK,
    [0xfd] = OPERAND_SIMD,
    [0xfe] = OPERAND_THREADS,
};

static const char *const features[OPERAND_COUNT] = {
    [OPERAND_EXCEPTIONS] = "exceptions",
    [OPERAND_TAIL_CALL] = "tail calls",
    [OPERAND_TYPED_REFERENCE] = "typed function references",
    [OPERAND_GC] = "garbage collection (GC instructions)",
    [OPERAND_THREADS] = "threads (atomic instructions)",
};

struct code_walk {
    struct module_reader *r;
    const struct module *m;
    const struct module_limits *limits;
    uint32_t locals;
    uint32_t depth; /* open blocks, the function's own included */
};

static void want(struct code_walk *w, bool good, const char *what)
{
    if (!good)
        module_reader_malformed(w->r, what);
}

static void read_index(struct code_walk *w, uint32_t count, const char *what)
{
    want(w, module_reader_u32(w->r) < count, what);
}

static void read_locals(struct code_walk *w, uint32_t function)
{
    w->locals = w->m->types[w->m->functions[function]].param_count;
    uint32_t groups =
        module_reader_count(w->r, 2, w->limits->locals_max, "groups of locals in one function");
    for (uint32_t i = 0; i < groups && module_reader_ok(w->r); i++) {
        uint32_t count = module_reader_u32(w->r);
        (void)module_reader_value_type(w->r);
        if (count > w->limits->locals_max || w->locals + count > w->limits->locals_max)
            module_reader_fail(w->r, -E2BIG,
                               "function %u of the module has more than %u local variables",
                               function, w->limits->locals_max);
        else
            w->locals += count;
    }
}

/* A block's type: nothing, one value, or an index into the types (multi-value). */
static void open_block(struct code_walk *w)
{
    if (w->r->at < w->r->end && (*w->r->at & 0xc0) == 0x40) {
        if (*w->r->at == 0x40)
            w->r->at++;
        else
            (void)module_reader_value_type(w->r);
    } else {
        int64_t type = module_reader_s33(w->r);
        want(w, type >= 0 && type < w->m->type_count, "a block's type is not there");
    }
    if (++w->depth > w->limits->nesting_max)
        module_reader_fail(w->r, -E2BIG, "the module nests blocks deeper than the limit of %u",
                           w->limits->nesting_max);
}

static void read_labels(struct code_walk *w)
{
    uint32_t count = module_reader_u32(w->r);
    want(w, count < (size_t)(w->r->end - w->r->at), "a br_table is longer than its function");
    for (uint32_t i = 0; i <= count && module_reader_ok(w->r); i++)
        read_index(w, w->depth, "a branch leaves its function");
}

static void read_address(struct code_walk *w)
{
    uint32_t alignment = module_reader_u32(w->r);
    if ((alignment & 0x40) != 0)
        module_reader_refuse(w->r, "several memories");
    want(w, alignment <= 3, "an alignment is larger than the value");
    (void)module_reader_u32(w->r);
    want(w, w->m->has_memory, "an instruction needs a memory and there is none");
}

static void read_memory(struct code_walk *w)
{
    if (module_reader_byte(w->r) != 0)
        module_reader_refuse(w->r, "several memories");
    want(w, w->m->has_memory, "an instruction needs a memory and there is none");
}

static void read_table(struct code_walk *w)
{
    read_index(w, w->m->table_count, "an instruction names a table that is not there");
}

static void read_data(struct code_walk *w)
{
    want(w, w->m->has_data_count, "data segments are used, and the data count section is missing");
    read_index(w, w->m->data_count, "an instruction names a data segment that is not there");
}

static void read_element(struct code_walk *w)
{
    read_index(w, w->m->element_count, "an instruction names an element segment that is not there");
}

/* Prefix 0xfc: saturating conversions, bulk memory, tables. */
static void read_bulk(struct code_walk *w)
{
    uint32_t opcode = module_reader_u32(w->r);
    switch (opcode) {
    case 0 ... 7:
        return;
    case 8: /* memory.init */
        read_data(w);
        read_memory(w);
        return;
    case 9: /* data.drop */
        read_data(w);
        return;
    case 10: /* memory.copy */
        read_memory(w);
        read_memory(w);
        return;
    case 11: /* memory.fill */
        read_memory(w);
        return;
    case 12: /* table.init */
        read_element(w);
        read_table(w);
        return;
    case 13: /* elem.drop */
        read_element(w);
        return;
    case 14: /* table.copy */
        read_table(w);
        read_table(w);
        return;
    case 15 ... 17: /* table.grow, size, fill */
        read_table(w);
        return;
    case 19 ... 22:
        module_reader_refuse(w->r, "wide arithmetic");
        return;
    default:
        module_reader_malformed(w->r, "an instruction is unknown");
    }
}

static void read_simd(struct code_walk *w)
{
    module_reader_refuse(w->r, module_reader_u32(w->r) >= 0x100 ? "relaxed SIMD" : "SIMD");
}

static void read_types(struct code_walk *w)
{
    want(w, module_reader_u32(w->r) == 1, "a select has more than one type");
    (void)module_reader_value_type(w->r);
}

static void read_indirect(struct code_walk *w)
{
    read_index(w, w->m->type_count, "a call names a type that is not there");
    read_table(w);
}

static void read_operand(struct code_walk *w, enum operand kind)
{
    switch (kind) {
    case OPERAND_NONE:
        return;
    case OPERAND_BLOCK:
    case OPERAND_IF:
        open_block(w);
        return;
    case OPERAND_ELSE:
        want(w, w->depth > 1, "an else stands outside of an if");
        return;
    case OPERAND_END:
        w->depth--;
        return;
    case OPERAND_LABEL:
        read_index(w, w->depth, "a branch leaves its function");
        return;
    case OPERAND_LABELS:
        read_labels(w);
        return;
    case OPERAND_FUNCTION:
        read_index(w, w->m->function_count, "a function that is not there is called");
        return;
    case OPERAND_INDIRECT:
        read_indirect(w);
        return;
    case OPERAND_LOCAL:
        read_index(w, w->locals, "a local variable is not there");
        return;
    case OPERAND_GLOBAL:
        read_index(w, w->m->global_count, "a global is not there");
        return;
    case OPERAND_TABLE:
        read_table(w);
        return;
    case OPERAND_ADDRESS:
        read_address(w);
        return;
    case OPERAND_MEMORY:
        read_memory(w);
        return;
    case OPERAND_I32:
        module_reader_skip_signed(w->r, 32);
        return;
    case OPERAND_I64:
        module_reader_skip_signed(w->r, 64);
        return;
    case OPERAND_F32:
        module_reader_skip(w->r, 4);
        return;
    case OPERAND_F64:
        module_reader_skip(w->r, 8);
        return;
    case OPERAND_REFERENCE:
        (void)module_reader_reference_type(w->r);
        return;
    case OPERAND_TYPES:
        read_types(w);
        return;
    case OPERAND_BULK:
        read_bulk(w);
        return;
    case OPERAND_SIMD:
        read_simd(w);
        return;
    case OPERAND_EXCEPTIONS:
    case OPERAND_TAIL_CALL:
    case OPERAND_TYPED_REFERENCE:
    case OPERAND_GC:
    case OPERAND_THREADS:
        module_reader_refuse(w->r, features[kind]);
        return;
    case OPERAND_UNKNOWN:
    case OPERAND_COUNT:
        break;
    }
    module_reader_malformed(w->r, "an instruction is unknown");
}

void module_code_check(struct module_reader *r, const struct module *m,
                       const struct module_limits *limits, uint32_t function)
{
    struct code_walk w = {.r = r, .m = m, .limits = limits, .depth = 1};
    read_locals(&w, function);
    while (module_reader_ok(r) && w.depth > 0)
        read_operand(&w, (enum operand)operands[module_reader_byte(r)]);
    if (module_reader_ok(r) && r->at != r->end)
        module_reader_malformed(r, "a function goes on behind its end");
}
