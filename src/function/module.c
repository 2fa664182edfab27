/* SPDX-License-Identifier: Apache-2.0 */
#include "function/module.h"

#include "base/memory.h"
#include "function/module_reader.h"

#include <assert.h>
#include <errno.h>

const struct module_limits module_limits_default = {
    .bytes_max = 8u << 20,
    .function_bytes_max = 400u << 10,
    .functions_max = 50000,
    .types_max = 10000,
    .globals_max = 10000,
    .exports_max = 10000,
    .segments_max = 100000, /* Go makes tens of thousands */
    .locals_max = 4000,
    .nesting_max = 2000,
    .tables_max = MODULE_TABLES_MAX,
    .table_entries_max = 100000,
    .memory_pages_max = 1024,
    .values_max = 1000,
};

enum section {
    SECTION_CUSTOM,
    SECTION_TYPE,
    SECTION_IMPORT,
    SECTION_FUNCTION,
    SECTION_TABLE,
    SECTION_MEMORY,
    SECTION_GLOBAL,
    SECTION_EXPORT,
    SECTION_START,
    SECTION_ELEMENT,
    SECTION_CODE,
    SECTION_DATA,
    SECTION_DATA_COUNT,
    SECTION_COUNT
};
static_assert(SECTION_COUNT == MODULE_SECTIONS, "one place for each section");

struct parser {
    struct module_reader r;
    struct module *m;
    const struct module_limits *limits;
    const struct module_import_rule *given;
};

const char *module_kind_text(enum module_kind kind)
{
    static const char *const texts[] = {"function", "table", "memory", "global"};
    return kind < MODULE_KIND_COUNT ? texts[kind] : "tag";
}

void module_add_name(struct buf *out, struct slice name)
{
    size_t shown = name.len > 64 ? 64 : name.len;
    for (size_t i = 0; i < shown; i++) {
        unsigned char c = (unsigned char)name.ptr[i];
        if (c >= 0x20 && c < 0x7f && c != '\\')
            buf_add_byte(out, (char)c);
        else
            buf_printf(out, "\\x%02x", c);
    }
    if (shown < name.len)
        buf_add_text(out, "...");
}

static void *allocate(struct parser *p, size_t count, size_t size)
{
    void *memory = calloc(count > 0 ? count : 1, size);
    if (memory == NULL)
        module_reader_fail(&p->r, -ENOMEM, "out of memory while reading the module");
    return memory;
}

/* ---- sections, in the order of the binary format ---- */

static const char *form_feature(uint8_t form)
{
    return form >= 0x4d && form <= 0x5f ? "garbage collection (GC types)" : NULL;
}

static uint32_t read_values(struct parser *p, const uint8_t **ret)
{
    uint32_t count =
        module_reader_count(&p->r, 1, p->limits->values_max, "parameters or results of one type");
    *ret = p->r.at;
    for (uint32_t i = 0; i < count && module_reader_ok(&p->r); i++)
        (void)module_reader_value_type(&p->r);
    return count;
}

static void read_type_section(struct parser *p)
{
    struct module *m = p->m;
    uint32_t count = module_reader_count(&p->r, 2, p->limits->types_max, "types");
    m->types = allocate(p, count, sizeof(*m->types));
    for (uint32_t i = 0; i < count && module_reader_ok(&p->r); i++) {
        uint8_t form = module_reader_byte(&p->r);
        if (form_feature(form) != NULL)
            module_reader_refuse(&p->r, form_feature(form));
        else if (form != 0x60)
            module_reader_malformed(&p->r, "this is no function type");
        struct module_type *type = &m->types[i];
        type->param_count = read_values(p, &type->params);
        type->result_count = read_values(p, &type->results);
        m->type_count = i + 1;
    }
}

static void add_signature(const struct module_type *type, struct buf *out);

static const struct module_import_rule *find_import(const struct parser *p, struct slice module,
                                                    struct slice name)
{
    for (const struct module_import_rule *row = p->given; row->name != NULL; row++)
        if (slice_is(module, row->module) && slice_is(name, row->name))
            return row;
    return NULL;
}

static void begin_refusal(struct slice module, struct slice name, struct buf *text)
{
    buf_add_text(text, "the module imports '");
    module_add_name(text, module);
    buf_add_text(text, "' '");
    module_add_name(text, name);
    buf_add_byte(text, '\'');
}

static const char *import_advice(struct slice module)
{
    if (slice_is(module, "wasi_unstable"))
        return ": compile for WASI preview 1 (wasi_snapshot_preview1)";
    if (slice_starts(module, "wasi:"))
        return ": compile for WASI preview 1 (wasm32-wasip1), not for components";
    if (slice_starts(module, "wasi"))
        return ": of WASI there is preview 1";
    return ": a module has to bring all it needs but WASI preview 1";
}

static void refuse_import(struct parser *p, struct slice module, struct slice name, uint8_t kind)
{
    autobuf text = BUF_INIT;
    begin_refusal(module, name, &text);
    buf_printf(&text, " (%s), which functions are not given%s",
               module_kind_text((enum module_kind)kind), import_advice(module));
    module_reader_fail(&p->r, -ENOTSUP, "%s", buf_ok(&text) ? text.ptr : "an import is not given");
}

/* The given function of that name, or NULL and it has been refused. */
static const struct module_import_rule *match_import(struct parser *p, struct slice module,
                                                     struct slice name,
                                                     const struct module_type *type)
{
    const struct module_import_rule *row = find_import(p, module, name);
    if (row == NULL) {
        refuse_import(p, module, name, MODULE_FUNCTION);
        return NULL;
    }
    autobuf text = BUF_INIT;
    add_signature(type, &text);
    if (buf_ok(&text) && slice_is(buf_slice(&text), row->signature))
        return row;
    buf_reset(&text);
    begin_refusal(module, name, &text);
    buf_add_text(&text, " with the signature ");
    add_signature(type, &text);
    buf_printf(&text, ", but it is %s (i32 i, i64 I, f32 f, f64 F)", row->signature);
    module_reader_fail(&p->r, -ENOTSUP, "%s", buf_ok(&text) ? text.ptr : "an import is not given");
    return NULL;
}

static void read_import(struct parser *p)
{
    struct slice module = module_reader_name(&p->r);
    struct slice name = module_reader_name(&p->r);
    uint8_t kind = module_reader_byte(&p->r);
    if (!module_reader_ok(&p->r))
        return;
    if (kind != MODULE_FUNCTION) {
        refuse_import(p, module, name, kind);
        return;
    }
    uint32_t type = module_reader_u32(&p->r);
    if (module_reader_ok(&p->r) && type >= p->m->type_count)
        module_reader_malformed(&p->r, "an import's type is not there");
    if (!module_reader_ok(&p->r))
        return;
    p->m->imports[p->m->function_count] = match_import(p, module, name, &p->m->types[type]);
    p->m->functions[p->m->function_count++] = type;
}

static void read_import_section(struct parser *p)
{
    uint32_t count = module_reader_count(&p->r, 4, p->limits->functions_max, "imports");
    p->m->functions = allocate(p, count, sizeof(*p->m->functions));
    p->m->imports = allocate(p, count, sizeof(*p->m->imports));
    for (uint32_t i = 0; i < count && module_reader_ok(&p->r); i++)
        read_import(p);
    p->m->imported_functions = p->m->function_count;
}

static void read_function_section(struct parser *p)
{
    struct module *m = p->m;
    uint32_t count = module_reader_count(&p->r, 1, p->limits->functions_max, "functions");
    uint32_t *grown =
        reallocarray(m->functions, (size_t)m->function_count + count + 1, sizeof(*m->functions));
    if (grown == NULL) {
        module_reader_fail(&p->r, -ENOMEM, "out of memory while reading the module");
        return;
    }
    m->functions = grown;
    for (uint32_t i = 0; i < count && module_reader_ok(&p->r); i++) {
        uint32_t type = module_reader_u32(&p->r);
        if (module_reader_ok(&p->r) && type >= m->type_count)
            module_reader_malformed(&p->r, "a function's type is not there");
        m->functions[m->function_count++] = type;
    }
}

static struct module_range read_range(struct parser *p)
{
    struct module_range range = {0};
    uint8_t flags = module_reader_byte(&p->r);
    if (!module_reader_ok(&p->r))
        return range;
    if (flags > 7)
        module_reader_refuse(&p->r, "limits of an unknown kind");
    else if ((flags & 4) != 0)
        module_reader_refuse(&p->r, "64-bit memory (memory64)");
    else if ((flags & 2) != 0)
        module_reader_refuse(&p->r, "threads (a shared memory)");
    range.has_max = (flags & 1) != 0;
    range.min = module_reader_u32(&p->r);
    range.max = range.has_max ? module_reader_u32(&p->r) : UINT32_MAX;
    if (module_reader_ok(&p->r) && range.max < range.min)
        module_reader_malformed(&p->r, "a maximum is smaller than its minimum");
    return range;
}

static void read_table_section(struct parser *p)
{
    uint32_t count = module_reader_count(&p->r, 2, p->limits->tables_max, "tables");
    for (uint32_t i = 0; i < count && module_reader_ok(&p->r); i++) {
        if (p->r.at < p->r.end && *p->r.at == 0x40)
            module_reader_refuse(&p->r, "typed function references (a table's initial value)");
        if (module_reader_reference_type(&p->r) == 0x6f)
            module_reader_refuse(&p->r, "a table of external references");
        struct module_range range = read_range(p);
        if (module_reader_ok(&p->r) && range.min > p->limits->table_entries_max)
            module_reader_fail(&p->r, -E2BIG, "the module has a table of %u entries, more than %u",
                               range.min, p->limits->table_entries_max);
        p->m->tables[p->m->table_count++] = range;
    }
}

static void check_memory(struct parser *p, struct module_range range)
{
    if (range.min > MODULE_PAGE || (range.has_max && range.max > MODULE_PAGE)) {
        module_reader_malformed(&p->r, "a memory is larger than 4 GiB");
        return;
    }
    if (range.min > p->limits->memory_pages_max)
        module_reader_fail(&p->r, -E2BIG,
                           "the module starts with %u pages of memory (%u KiB), more than the "
                           "function's limit of %u KiB: raise spec.limits.memory",
                           range.min, range.min * 64, p->limits->memory_pages_max * 64);
}

static void read_memory_section(struct parser *p)
{
    uint32_t count = module_reader_u32(&p->r);
    if (count > 1)
        module_reader_refuse(&p->r, "several memories");
    if (count == 0 || !module_reader_ok(&p->r))
        return;
    struct module_range range = read_range(p);
    if (!module_reader_ok(&p->r))
        return;
    check_memory(p, range);
    p->m->memory = range;
    p->m->has_memory = true;
}

static void read_global_section(struct parser *p)
{
    uint32_t count = module_reader_count(&p->r, 4, p->limits->globals_max, "globals");
    for (uint32_t i = 0; i < count && module_reader_ok(&p->r); i++) {
        (void)module_reader_value_type(&p->r);
        if (module_reader_byte(&p->r) > 1)
            module_reader_malformed(&p->r, "a global is neither constant nor mutable");
        module_reader_constant(&p->r, p->m);
        p->m->global_count = i + 1;
    }
}

static uint32_t kind_count(const struct module *m, uint8_t kind)
{
    const uint32_t counts[] = {m->function_count, m->table_count, m->has_memory ? 1 : 0,
                               m->global_count};
    return kind < MODULE_KIND_COUNT ? counts[kind] : 0;
}

static void read_export_section(struct parser *p)
{
    struct module *m = p->m;
    uint32_t count = module_reader_count(&p->r, 3, p->limits->exports_max, "exports");
    m->exports = allocate(p, count, sizeof(*m->exports));
    for (uint32_t i = 0; i < count && module_reader_ok(&p->r); i++) {
        struct slice name = module_reader_name(&p->r);
        uint8_t kind = module_reader_byte(&p->r);
        uint32_t index = module_reader_u32(&p->r);
        if (!module_reader_ok(&p->r))
            return;
        if (kind == 4)
            module_reader_refuse(&p->r, "exceptions (an exported tag)");
        else if (index >= kind_count(m, kind))
            module_reader_malformed(&p->r, "an export names something that is not there");
        else
            m->exports[m->export_count++] = (struct module_export){
                .name = name, .kind = (enum module_kind)kind, .index = index};
    }
}

static void read_start_section(struct parser *p)
{
    struct module *m = p->m;
    m->start = module_reader_u32(&p->r);
    if (!module_reader_ok(&p->r))
        return;
    m->has_start = true;
    if (m->start >= m->function_count)
        module_reader_malformed(&p->r, "the start function is not there");
    else if (m->types[m->functions[m->start]].param_count != 0 ||
             m->types[m->functions[m->start]].result_count != 0)
        module_reader_malformed(&p->r, "the start function has parameters or results");
}

static void read_element_items(struct parser *p, bool expressions)
{
    uint32_t count = module_reader_count(&p->r, 1, p->limits->table_entries_max,
                                         "entries in one element segment");
    for (uint32_t i = 0; i < count && module_reader_ok(&p->r); i++) {
        if (expressions)
            module_reader_constant(&p->r, p->m);
        else if (module_reader_u32(&p->r) >= p->m->function_count)
            module_reader_malformed(&p->r, "a table entry names a function that is not there");
    }
}

/* §5.5.12: bit 0 passive or declared, bit 1 an explicit table or declared, bit 2 expressions. */
static void read_element(struct parser *p)
{
    uint32_t flags = module_reader_u32(&p->r);
    if (flags > 7) {
        module_reader_malformed(&p->r, "an element segment is of an unknown kind");
        return;
    }
    bool active = (flags & 1) == 0, listed = (flags & 2) != 0, expressions = (flags & 4) != 0;
    if (active) {
        uint32_t table = listed ? module_reader_u32(&p->r) : 0;
        if (module_reader_ok(&p->r) && table >= p->m->table_count)
            module_reader_malformed(&p->r, "an element segment names a table that is not there");
        module_reader_constant(&p->r, p->m);
    }
    if ((flags & 3) != 0) {
        if (expressions)
            (void)module_reader_reference_type(&p->r);
        else if (module_reader_byte(&p->r) != 0)
            module_reader_malformed(&p->r, "an element segment holds no functions");
    }
    read_element_items(p, expressions);
}

static void read_element_section(struct parser *p)
{
    uint32_t count = module_reader_count(&p->r, 2, p->limits->segments_max, "element segments");
    for (uint32_t i = 0; i < count && module_reader_ok(&p->r); i++)
        read_element(p);
    p->m->element_count = count;
}

static void read_data_count_section(struct parser *p)
{
    p->m->data_count = module_reader_u32(&p->r);
    p->m->has_data_count = true;
    if (module_reader_ok(&p->r) && p->m->data_count > p->limits->segments_max)
        module_reader_fail(&p->r, -E2BIG, "the module has %u data segments, more than %u",
                           p->m->data_count, p->limits->segments_max);
}

static void read_body(struct parser *p, uint32_t function)
{
    uint32_t len = module_reader_u32(&p->r);
    if (!module_reader_ok(&p->r))
        return;
    if (len > p->limits->function_bytes_max) {
        module_reader_fail(&p->r, -E2BIG,
                           "function %u of the module has %u bytes, more than the limit of %zu: "
                           "the compiler would take too long; split it, or compile it with less "
                           "inlining",
                           function, len, p->limits->function_bytes_max);
        return;
    }
    struct module_reader body = p->r;
    module_reader_skip(&p->r, len);
    if (!module_reader_ok(&p->r))
        return;
    body.end = p->r.at;
    module_code_check(&body, p->m, p->limits, function);
    if (!module_reader_ok(&body)) {
        p->r.status = body.status;
        p->r.at = p->r.end;
    }
}

static void read_code_section(struct parser *p)
{
    uint32_t count = module_reader_count(&p->r, 3, p->limits->functions_max, "function bodies");
    if (module_reader_ok(&p->r) && count != p->m->function_count - p->m->imported_functions)
        module_reader_malformed(&p->r, "there are not as many bodies as functions");
    for (uint32_t i = 0; i < count && module_reader_ok(&p->r); i++)
        read_body(p, p->m->imported_functions + i);
}

static void read_data_section(struct parser *p)
{
    uint32_t count = module_reader_count(&p->r, 2, p->limits->segments_max, "data segments");
    if (module_reader_ok(&p->r) && p->m->has_data_count && count != p->m->data_count)
        module_reader_malformed(&p->r, "there are not as many data segments as announced");
    for (uint32_t i = 0; i < count && module_reader_ok(&p->r); i++) {
        uint32_t flags = module_reader_u32(&p->r);
        if (flags > 2)
            module_reader_malformed(&p->r, "a data segment is of an unknown kind");
        if (flags == 2 && module_reader_u32(&p->r) != 0)
            module_reader_refuse(&p->r, "several memories");
        if (flags != 1) {
            if (!p->m->has_memory)
                module_reader_malformed(&p->r, "a data segment needs a memory and there is none");
            module_reader_constant(&p->r, p->m);
        }
        module_reader_skip(&p->r, module_reader_u32(&p->r));
    }
    p->m->data_count = count;
}

/* A custom section is skipped; only its name has to be well-formed (§5.5.3). */
static void read_custom_section(struct parser *p)
{
    (void)module_reader_name(&p->r);
    p->r.at = p->r.end;
}

/* Where a section may stand: the data count lies between elements and code (§5.5.2). */
static const struct {
    void (*read)(struct parser *p);
    const char *where;
    int order;
} sections[SECTION_COUNT] = {
    [SECTION_CUSTOM] = {read_custom_section, "a custom section", 0},
    [SECTION_TYPE] = {read_type_section, "the type section", 1},
    [SECTION_IMPORT] = {read_import_section, "the import section", 2},
    [SECTION_FUNCTION] = {read_function_section, "the function section", 3},
    [SECTION_TABLE] = {read_table_section, "the table section", 4},
    [SECTION_MEMORY] = {read_memory_section, "the memory section", 5},
    [SECTION_GLOBAL] = {read_global_section, "the global section", 6},
    [SECTION_EXPORT] = {read_export_section, "the export section", 7},
    [SECTION_START] = {read_start_section, "the start section", 8},
    [SECTION_ELEMENT] = {read_element_section, "the element section", 9},
    [SECTION_DATA_COUNT] = {read_data_count_section, "the data count section", 10},
    [SECTION_CODE] = {read_code_section, "the code section", 11},
    [SECTION_DATA] = {read_data_section, "the data section", 12},
};

static void read_section(struct parser *p, int *order)
{
    p->r.where = "a section's head";
    uint8_t id = module_reader_byte(&p->r);
    uint32_t len = module_reader_u32(&p->r);
    const uint8_t *start = p->r.at, *whole = p->r.end;
    module_reader_skip(&p->r, len);
    if (!module_reader_ok(&p->r))
        return;
    p->r.end = p->r.at;
    p->r.at = start;
    if (id == 13) {
        module_reader_refuse(&p->r, "exceptions (a tag section)");
    } else if (id >= SECTION_COUNT) {
        module_reader_malformed(&p->r, "a section is of an unknown kind");
    } else if (id != SECTION_CUSTOM && sections[id].order <= *order) {
        module_reader_malformed(&p->r, "sections are doubled or out of order");
    } else {
        p->r.where = sections[id].where;
        *order = id == SECTION_CUSTOM ? *order : sections[id].order;
        p->m->sections[id] = (struct module_section){start, len};
        sections[id].read(p);
        if (module_reader_ok(&p->r) && p->r.at != p->r.end)
            module_reader_malformed(&p->r, "a section is longer than its contents");
    }
    p->r.end = whole;
}

static int compare_names(const void *a, const void *b)
{
    const struct module_export *left = a, *right = b;
    return slice_compare(left->name, right->name);
}

/* Names of exports are unique (§3.4.10). Checked on a sorted copy, since the order matters. */
static void check_names(struct parser *p)
{
    struct module *m = p->m;
    autofree struct module_export *sorted = allocate(p, m->export_count, sizeof(*sorted));
    if (sorted == NULL || m->export_count == 0)
        return;
    memcpy(sorted, m->exports, m->export_count * sizeof(*sorted));
    qsort(sorted, m->export_count, sizeof(*sorted), compare_names);
    for (uint32_t i = 1; i < m->export_count; i++)
        if (slice_equal(sorted[i - 1].name, sorted[i].name))
            module_reader_fail(&p->r, -ENOEXEC, "the module is malformed: an export is doubled");
}

static void check_whole(struct parser *p)
{
    p->r.where = "the whole";
    const struct module *m = p->m;
    if (!module_reader_ok(&p->r))
        return;
    if (m->function_count > m->imported_functions && m->sections[SECTION_CODE].ptr == NULL)
        module_reader_malformed(&p->r, "the code section is missing");
    if (m->has_data_count && m->data_count > 0 && m->sections[SECTION_DATA].ptr == NULL)
        module_reader_malformed(&p->r, "the data section is missing");
    check_names(p);
}

/* ---- the whole ---- */

static int check_head(struct slice bytes, const struct module_limits *limits, struct error *err)
{
    if (bytes.len == 0)
        return error_set(err, -ENOEXEC, "the module is empty: it must be a WebAssembly binary");
    if (slice_starts(bytes, "(module"))
        return error_set(
            err, -ENOEXEC,
            "the module is WebAssembly text, not a binary: translate it with wat2wasm");
    if (bytes.len < 8 || memcmp(bytes.ptr, "\0asm", 4) != 0)
        return error_set(err, -ENOEXEC,
                         "the module is no WebAssembly: it must begin with the bytes 00 61 73 6d");
    if (memcmp(bytes.ptr + 4, "\x0d\0\1\0", 4) == 0)
        return error_set(err, -ENOTSUP,
                         "the module is a WebAssembly component, which functions cannot use: give "
                         "the core module that it was made from");
    if (memcmp(bytes.ptr + 4, "\1\0\0\0", 4) != 0)
        return error_set(err, -ENOTSUP, "the module is WebAssembly of an unknown version, not 1");
    if (bytes.len > limits->bytes_max)
        return error_set(err, -E2BIG, "the module has %zu bytes, more than the limit of %zu",
                         bytes.len, limits->bytes_max);
    return 0;
}

int module_parse(struct slice bytes, const struct module_limits *limits,
                 const struct module_import_rule *given, struct module **ret, struct error *err)
{
    int r = check_head(bytes, limits, err);
    if (r < 0)
        return r;
    const uint8_t *base = (const uint8_t *)bytes.ptr;
    struct parser p = {
        .r = {.base = base, .at = base + 8, .end = base + bytes.len, .where = "", .err = err},
        .m = calloc(1, sizeof(struct module)),
        .limits = limits,
        .given = given,
    };
    if (p.m == NULL)
        return error_set(err, -ENOMEM, "out of memory while reading the module");
    for (int order = 0; module_reader_ok(&p.r) && p.r.at < p.r.end;)
        read_section(&p, &order);
    check_whole(&p);
    if (!module_reader_ok(&p.r)) {
        module_free(p.m);
        return p.r.status;
    }
    *ret = p.m;
    return 0;
}

void module_free(struct module *m)
{
    if (m == NULL)
        return;
    free(m->types);
    free(m->functions);
    free((void *)m->imports);
    free(m->exports);
    free(m);
}

/* ---- questions ---- */

static void add_values(const uint8_t *types, uint32_t count, struct buf *out)
{
    for (uint32_t i = 0; i < count; i++) {
        static const char letters[] = {'F', 'f', 'I', 'i'}; /* 0x7c f64 to 0x7f i32 */
        buf_add_byte(out, types[i] >= 0x7c ? letters[types[i] - 0x7c] : '?');
    }
}

static void add_signature(const struct module_type *type, struct buf *out)
{
    add_values(type->params, type->param_count, out);
    buf_add_byte(out, ':');
    add_values(type->results, type->result_count, out);
}

bool module_signature(const struct module *m, uint32_t function, struct buf *out)
{
    const struct module_type *type = &m->types[m->functions[function]];
    if (type->param_count > MODULE_CALL_VALUES_MAX || type->result_count > MODULE_CALL_VALUES_MAX)
        return false;
    for (uint32_t i = 0; i < type->param_count; i++)
        if (type->params[i] < 0x7c)
            return false;
    for (uint32_t i = 0; i < type->result_count; i++)
        if (type->results[i] < 0x7c)
            return false;
    add_signature(type, out);
    return true;
}

bool module_callable(const struct module *m, const struct module_export *e)
{
    autobuf signature = BUF_INIT;
    return e->kind == MODULE_FUNCTION && memchr(e->name.ptr, 0, e->name.len) == NULL &&
           e->name.len <= 1024 && module_signature(m, e->index, &signature);
}

static void list_exports(const struct module *m, struct buf *text)
{
    if (m->export_count == 0)
        buf_add_text(text, "; it exports nothing");
    for (uint32_t i = 0; i < m->export_count && i < 12; i++) {
        buf_add_text(text, i == 0 ? "; it exports " : ", ");
        module_add_name(text, m->exports[i].name);
        if (m->exports[i].kind != MODULE_FUNCTION)
            buf_printf(text, " (%s)", module_kind_text(m->exports[i].kind));
    }
    if (m->export_count > 12)
        buf_printf(text, " and %u more", m->export_count - 12);
}

int module_find_function(const struct module *m, const char *name, const struct module_export **ret,
                         struct error *err)
{
    const struct module_export *found = NULL;
    for (uint32_t i = 0; i < m->export_count && found == NULL; i++)
        if (slice_is(m->exports[i].name, name))
            found = &m->exports[i];
    if (found != NULL && module_callable(m, found)) {
        *ret = found;
        return 0;
    }
    autobuf text = BUF_INIT;
    buf_add_text(&text, found == NULL ? "the module has no export '" : "the module's export '");
    module_add_name(&text, slice_text(name));
    buf_add_byte(&text, '\'');
    if (found != NULL && found->kind != MODULE_FUNCTION)
        buf_printf(&text, " is a %s and no function", module_kind_text(found->kind));
    else if (found != NULL)
        buf_printf(&text, " takes or returns references, or more than %d values",
                   MODULE_CALL_VALUES_MAX);
    list_exports(m, &text);
    return error_field(err, -ENOENT, "spec.function", "%s",
                       buf_ok(&text) ? text.ptr : "an export is missing");
}
