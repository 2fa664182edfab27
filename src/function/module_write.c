/* SPDX-License-Identifier: Apache-2.0 */
/* The module written again for the translator, and the descriptor in C beside it. The translator
 * copies names into the C text that it writes, so no byte of a name reaches it. */
#include "function/module.h"

#include <stdio.h>

enum { SECTION_IMPORT = 2, SECTION_TABLE = 4, SECTION_EXPORT = 7, SECTION_DATA_COUNT = 12 };

static void add_uleb(struct buf *out, uint32_t value)
{
    while (value >= 0x80) {
        buf_add_byte(out, (char)(value | 0x80));
        value >>= 7;
    }
    buf_add_byte(out, (char)value);
}

static void add_text(struct buf *out, const char *text)
{
    add_uleb(out, (uint32_t)strlen(text));
    buf_add_text(out, text);
}

static void add_name(struct buf *out, char letter, uint32_t number)
{
    char name[16];
    snprintf(name, sizeof(name), "%c%u", letter, number);
    add_text(out, name);
}

static void add_section(struct buf *out, uint8_t id, const void *bytes, size_t len)
{
    buf_add_byte(out, (char)id);
    add_uleb(out, (uint32_t)len);
    buf_add(out, bytes, len);
}

static void write_imports(const struct module *m, struct buf *out)
{
    if (m->imported_functions == 0)
        return;
    autobuf body = BUF_INIT;
    add_uleb(&body, m->imported_functions);
    for (uint32_t i = 0; i < m->imported_functions; i++) {
        add_text(&body, "h");
        add_text(&body, m->imports[i]->symbol);
        buf_add_byte(&body, MODULE_FUNCTION);
        add_uleb(&body, m->functions[i]);
    }
    out->failed = out->failed || body.failed;
    add_section(out, SECTION_IMPORT, body.ptr, body.len);
}

static void write_tables(const struct module *m, struct buf *out)
{
    if (m->table_count == 0)
        return;
    autobuf body = BUF_INIT;
    add_uleb(&body, m->table_count);
    for (uint32_t i = 0; i < m->table_count; i++) {
        buf_add(&body, "\x70\x01", 2);
        add_uleb(&body, m->tables[i].min);
        add_uleb(&body, m->tables[i].min);
    }
    out->failed = out->failed || body.failed;
    add_section(out, SECTION_TABLE, body.ptr, body.len);
}

static void write_export(struct buf *out, char letter, uint32_t number, enum module_kind kind,
                         uint32_t index)
{
    add_name(out, letter, number);
    buf_add_byte(out, (char)kind);
    add_uleb(out, index);
}

static void write_exports(const struct module *m, struct buf *out)
{
    autobuf rows = BUF_INIT;
    uint32_t count = 0, functions = 0;
    for (uint32_t i = 0; i < m->export_count; i++)
        if (module_callable(m, &m->exports[i])) {
            write_export(&rows, 'e', functions++, MODULE_FUNCTION, m->exports[i].index);
            count++;
        }
    if (m->has_memory) {
        write_export(&rows, 'm', 0, MODULE_MEMORY, 0);
        count++;
    }
    for (uint32_t i = 0; i < m->table_count; i++, count++)
        write_export(&rows, 't', i, MODULE_TABLE, i);
    autobuf body = BUF_INIT;
    add_uleb(&body, count);
    buf_add_slice(&body, buf_slice(&rows));
    out->failed = out->failed || rows.failed || body.failed;
    add_section(out, SECTION_EXPORT, body.ptr, body.len);
}

void module_rewrite(const struct module *m, struct buf *out)
{
    /* The data count comes before the code; the rest is in order of the numbers. */
    static const uint8_t order[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, SECTION_DATA_COUNT, 10, 11};
    buf_add(out, "\0asm\1\0\0\0", 8);
    for (size_t i = 0; i < sizeof(order); i++) {
        const struct module_section *section = &m->sections[order[i]];
        if (order[i] == SECTION_IMPORT)
            write_imports(m, out);
        else if (order[i] == SECTION_TABLE)
            write_tables(m, out);
        else if (order[i] == SECTION_EXPORT)
            write_exports(m, out);
        else if (section->ptr != NULL)
            add_section(out, order[i], section->ptr, section->len);
    }
}

/* ---- the descriptor ---- */

static const char *member(uint8_t type)
{
    static const char *const members[] = {"f64", "f32", "i64", "i32"};
    return members[type - 0x7c];
}

/* A C string that cannot be anything else: all but letters, digits and _ as octal. */
static void add_c_string(struct buf *out, struct slice s)
{
    buf_add_byte(out, '"');
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        bool plain =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
        if (plain)
            buf_add_byte(out, (char)c);
        else
            buf_printf(out, "\\%03o", c);
    }
    buf_add_byte(out, '"');
}

static void add_call(const struct module_type *type, uint32_t number, struct buf *out)
{
    buf_printf(out, "Z_mZ_e%u(instance", number);
    for (uint32_t i = 0; i < type->param_count; i++)
        buf_printf(out, ", arguments[%u].%s", i, member(type->params[i]));
    buf_add_text(out, ");\n");
}

/* Several results come back in a struct whose members are called after type and place: j0, f1. */
static void add_wrapper(const struct module_type *type, uint32_t number, struct buf *out)
{
    static const char letters[] = {'d', 'f', 'j', 'i'};
    buf_printf(out,
               "static void call_%u(void *instance, const union worker_module_value *arguments,\n"
               "                    union worker_module_value *results)\n{\n",
               number);
    if (type->result_count > 1) {
        buf_add_text(out, "    struct wasm_multi_");
        for (uint32_t i = 0; i < type->result_count; i++)
            buf_add_byte(out, letters[type->results[i] - 0x7c]);
        buf_add_text(out, " all = ");
        add_call(type, number, out);
        for (uint32_t i = 0; i < type->result_count; i++)
            buf_printf(out, "    results[%u].%s = all.%c%u;\n", i, member(type->results[i]),
                       letters[type->results[i] - 0x7c], i);
    } else {
        buf_add_text(out, "    ");
        if (type->result_count == 1)
            buf_printf(out, "results[0].%s = ", member(type->results[0]));
        add_call(type, number, out);
    }
    buf_add_text(out, "}\n");
}

static uint32_t add_wrappers(const struct module *m, struct buf *out)
{
    uint32_t count = 0;
    autobuf rows = BUF_INIT;
    for (uint32_t i = 0; i < m->export_count; i++) {
        const struct module_export *e = &m->exports[i];
        if (!module_callable(m, e))
            continue;
        add_wrapper(&m->types[m->functions[e->index]], count, out);
        buf_add_text(&rows, "    {");
        add_c_string(&rows, e->name);
        buf_add_text(&rows, ", \"");
        (void)module_signature(m, e->index, &rows);
        buf_printf(&rows, "\", call_%u},\n", count++);
    }
    buf_add_text(out, "static const struct worker_module_export exports[] = {\n");
    buf_add_slice(out, buf_slice(&rows));
    buf_add_text(out, "    {0, 0, 0},\n};\n");
    out->failed = out->failed || rows.failed;
    return count;
}

static void add_memory_and_tables(const struct module *m, struct buf *out)
{
    buf_printf(out, "static wasm_rt_memory_t *memory(void *instance)\n{\n    return %s;\n}\n",
               m->has_memory ? "Z_mZ_m0(instance)" : "0");
    buf_add_text(out, "static wasm_rt_funcref_table_t *table(void *instance, uint32_t index)\n{\n"
                      "    switch (index) {\n");
    for (uint32_t i = 0; i < m->table_count; i++)
        buf_printf(out, "    case %u:\n        return Z_mZ_t%u(instance);\n", i, i);
    buf_add_text(out, "    default:\n        return 0;\n    }\n}\n");
}

void module_describe(const struct module *m, const char *header, struct buf *out)
{
    buf_printf(out, "#include \"%s\"\n#include \"module_abi.h\"\n", header);
    uint32_t count = add_wrappers(m, out);
    add_memory_and_tables(m, out);
    /* What imports get as their first argument is of no use to them: there is one instance. */
    buf_printf(out,
               "static void instantiate(void *instance)\n{\n    Z_m_instantiate(instance%s);\n"
               "}\nstatic void release(void *instance)\n{\n    Z_m_free(instance);\n}\n",
               m->imported_functions > 0 ? ", 0" : "");
    buf_printf(out,
               "__attribute__((visibility(\"default\"))) const struct worker_module "
               "sluice_module;\n"
               "const struct worker_module sluice_module = {\n    .abi = WORKER_MODULE_ABI,\n"
               "    .instance_size = sizeof(Z_m_instance_t),\n    .init = Z_m_init_module,\n"
               "    .instantiate = instantiate,\n    .free = release,\n    .memory = memory,\n"
               "    .table_count = %u,\n    .table = table,\n    .memory_pages_max = %uu,\n"
               "    .export_count = %u,\n    .exports = exports,\n};\n",
               m->table_count,
               !m->has_memory      ? 0
               : m->memory.has_max ? m->memory.max
                                   : MODULE_PAGE,
               count);
}
