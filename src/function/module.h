/* SPDX-License-Identifier: Apache-2.0 */
/* A WebAssembly binary (core specification, chapter 5), parsed strictly, before any translator sees
 * it: whatever sluice cannot run is refused with a message that names the feature, and the module
 * is written again without the names and custom sections of its maker. Types of operands are not
 * checked here; the translator validates. Pure functions, any thread. */
#ifndef SLUICE_FUNCTION_MODULE_H
#define SLUICE_FUNCTION_MODULE_H

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MODULE_PAGE 65536u

/* What one module may hold. Values too large for the compiler to cope with are refused here, where
 * the message can say so. */
struct module_limits {
    size_t bytes_max;
    size_t function_bytes_max; /* of one function's body */
    uint32_t functions_max, types_max, globals_max, exports_max, segments_max;
    uint32_t locals_max;        /* of one function, parameters included */
    uint32_t nesting_max;       /* blocks in blocks */
    uint32_t tables_max;        /* number of tables */
    uint32_t table_entries_max; /* initial size of each */
    uint32_t memory_pages_max;  /* initial size */
    uint32_t values_max;        /* parameters or results of one type */
};
extern const struct module_limits module_limits_default;

enum module_kind { MODULE_FUNCTION, MODULE_TABLE, MODULE_MEMORY, MODULE_GLOBAL, MODULE_KIND_COUNT };
const char *module_kind_text(enum module_kind kind);

/* An import that a module may have. Tables of them end with a row whose name is NULL. */
struct module_import_rule {
    const char *module, *name;
    const char *signature; /* as in module_abi.h: "ii:i" */
    const char *symbol;    /* what it is called in the translated module, after the prefix */
};
/* What functions are given. */
extern const struct module_import_rule module_imports_given[];
#define MODULE_IMPORT_PREFIX "Z_hZ_"
/* Whether it is the C name of one of these. */
bool module_symbol_given(const char *symbol);

struct module_type { /* the value types, one byte each, in the module's bytes */
    const uint8_t *params, *results;
    uint32_t param_count, result_count;
};

struct module_range { /* of a table or memory */
    uint32_t min, max;
    bool has_max;
};

struct module_export {
    struct slice name; /* borrowed from the module's bytes; any UTF-8, NUL included */
    enum module_kind kind;
    uint32_t index;
};

struct module_section {
    const uint8_t *ptr; /* the contents; NULL: absent */
    size_t len;
};

#define MODULE_SECTIONS   13
#define MODULE_TABLES_MAX 8 /* as many as a worker restores */

/* Everything but the arrays borrows from the bytes that were parsed. */
struct module {
    struct module_section sections[MODULE_SECTIONS];
    struct module_type *types;
    uint32_t *functions;                       /* type of each, imported ones first */
    const struct module_import_rule **imports; /* as many as imported_functions */
    struct module_export *exports;
    uint32_t type_count, function_count, imported_functions, global_count, export_count;
    uint32_t element_count, data_count;
    struct module_range tables[MODULE_TABLES_MAX];
    uint32_t table_count;
    struct module_range memory;
    bool has_memory, has_data_count;
    bool has_start;
    uint32_t start;
};

/* 0; -ENOEXEC when the bytes are no WebAssembly or malformed; -ENOTSUP for a feature or import that
 * is not given; -E2BIG for a limit; -ENOMEM. */
int module_parse(struct slice bytes, const struct module_limits *limits,
                 const struct module_import_rule *given, struct module **ret, struct error *err);
void module_free(struct module *m);

/* The exported function of that name. -ENOENT with a message that lists those there are. */
int module_find_function(const struct module *m, const char *name, const struct module_export **ret,
                         struct error *err);
/* Appends the signature, "ii:i". False when it holds references or more values than a host call
 * carries: such a function cannot be called from outside, and nothing is appended. */
#define MODULE_CALL_VALUES_MAX 64
bool module_signature(const struct module *m, uint32_t function, struct buf *out);
/* Whether the host can call this export by its name. */
bool module_callable(const struct module *m, const struct module_export *e);

/* Writes the module again: callable functions are exported as e0, e1… in order of the exports, the
 * memory as m0, tables as t0, t1…; nothing else is. Imports have their symbol, of module h. Custom
 * sections are left out. Tables cannot grow (table.grow answers -1): the worker restores them by
 * copying. */
void module_rewrite(const struct module *m, struct buf *out);
/* The C file that goes beside the translated module: the descriptor that worker/module_abi.h
 * declares. header is the name of the translated header. */
void module_describe(const struct module *m, const char *header, struct buf *out);

/* A name for messages: printable ASCII as it is, the rest as \xNN, cut after 64 characters. */
void module_add_name(struct buf *out, struct slice name);

#endif
