/* SPDX-License-Identifier: Apache-2.0 */
/* Reads what the dynamic linker would read (program headers and the dynamic section, System V ABI
 * chapter 5), never the section headers, which it does not look at. */
#include "function/object.h"

#include "base/memory.h"
#include "base/must.h"
#include "function/module.h"

#include <elf.h>
#include <errno.h>
#include <stdint.h>

#if defined(__x86_64__)
#define OBJECT_MACHINE EM_X86_64
static const uint32_t relocations_good[] = {R_X86_64_RELATIVE, R_X86_64_GLOB_DAT,
                                            R_X86_64_JUMP_SLOT, R_X86_64_64};
#elif defined(__aarch64__)
#define OBJECT_MACHINE EM_AARCH64
static const uint32_t relocations_good[] = {R_AARCH64_RELATIVE, R_AARCH64_GLOB_DAT,
                                            R_AARCH64_JUMP_SLOT, R_AARCH64_ABS64};
#else
#error "the check of compiled modules knows the relocations of x86-64 and arm64"
#endif

/* What translated code may call. */
static const char *const symbols_given[] = {
    "wasm_rt_is_initialized",
    "wasm_rt_register_func_type",
    "wasm_rt_trap",
    "wasm_rt_allocate_memory",
    "wasm_rt_grow_memory",
    "wasm_rt_free_memory",
    "wasm_rt_allocate_funcref_table",
    "wasm_rt_grow_funcref_table",
    "wasm_rt_free_funcref_table",
    "__assert_fail",
    "__stack_chk_fail",
    "memcpy",
    "memmove",
    "memset",
    "memcmp",
    "ceil",
    "ceilf",
    "copysign",
    "copysignf",
    "fabs",
    "fabsf",
    "floor",
    "floorf",
    "nearbyint",
    "nearbyintf",
    "rint",
    "rintf",
    "sqrt",
    "sqrtf",
    "trunc",
    "truncf",
    "__isnan",
    "__isnanf",
    "__signbit",
    "__signbitf",
};

static const int64_t tags_good[] = {
    DT_NEEDED,  DT_HASH,       DT_GNU_HASH,  DT_STRTAB,   DT_SYMTAB, DT_STRSZ,
    DT_SYMENT,  DT_PLTGOT,     DT_PLTRELSZ,  DT_PLTREL,   DT_JMPREL, DT_RELA,
    DT_RELASZ,  DT_RELAENT,    DT_RELACOUNT, DT_BIND_NOW, DT_FLAGS,  DT_FLAGS_1,
    DT_VERNEED, DT_VERNEEDNUM, DT_VERSYM,    DT_SYMBOLIC,
};

struct object {
    struct slice file;
    const Elf64_Phdr *segments;
    size_t segment_count;
    uint64_t hash, strings, strings_len, symbols, rela, rela_len, jump, jump_len;
    struct error *err;
};

static int bad(struct object *o, const char *what)
{
    return error_set(o->err, -ENOEXEC, "the compiled module was not accepted: %s", what);
}

/* len bytes at an offset of the file, aligned for 8; NULL when they do not lie in it. */
static const void *at_offset(const struct object *o, uint64_t offset, uint64_t len)
{
    if (offset > o->file.len || len > o->file.len - offset || offset % 8 != 0)
        return NULL;
    return o->file.ptr + offset;
}

/* The same at an address of the loaded image. */
static const char *at_address(const struct object *o, uint64_t address, uint64_t len)
{
    for (size_t i = 0; i < o->segment_count; i++) {
        const Elf64_Phdr *s = &o->segments[i];
        if (s->p_type != PT_LOAD || address < s->p_vaddr || address - s->p_vaddr > s->p_filesz ||
            len > s->p_filesz - (address - s->p_vaddr))
            continue;
        uint64_t offset = s->p_offset + (address - s->p_vaddr);
        if (s->p_offset > o->file.len || offset > o->file.len || len > o->file.len - offset)
            return NULL;
        return o->file.ptr + offset;
    }
    return NULL;
}

static const char *name_at(const struct object *o, uint64_t offset)
{
    const char *strings = at_address(o, o->strings, o->strings_len);
    if (strings == NULL || offset >= o->strings_len ||
        memchr(strings + offset, 0, o->strings_len - offset) == NULL)
        return NULL;
    return strings + offset;
}

static int read_head(struct object *o)
{
    const Elf64_Ehdr *head = at_offset(o, 0, sizeof(*head));
    if (head == NULL || memcmp(head->e_ident, ELFMAG, SELFMAG) != 0 ||
        head->e_ident[EI_CLASS] != ELFCLASS64 || head->e_ident[EI_DATA] != ELFDATA2LSB)
        return bad(o, "it is no ELF file");
    if (head->e_type != ET_DYN || head->e_machine != OBJECT_MACHINE ||
        head->e_phentsize != sizeof(Elf64_Phdr))
        return bad(o, "it is no shared object for this machine");
    o->segment_count = head->e_phnum;
    o->segments = at_offset(o, head->e_phoff, o->segment_count * sizeof(Elf64_Phdr));
    return o->segments == NULL ? bad(o, "its program headers lie outside of it") : 0;
}

static int check_segments(struct object *o, const Elf64_Phdr **ret_dynamic)
{
    *ret_dynamic = NULL;
    bool has_stack = false;
    for (size_t i = 0; i < o->segment_count; i++) {
        const Elf64_Phdr *s = &o->segments[i];
        if ((s->p_flags & PF_W) != 0 && (s->p_flags & PF_X) != 0)
            return bad(o, "it has memory that is writable and executable");
        if (s->p_type == PT_INTERP || s->p_type == PT_TLS)
            return bad(o, "it has a segment that translated code has no use for");
        has_stack = has_stack || s->p_type == PT_GNU_STACK;
        if (s->p_type == PT_DYNAMIC && *ret_dynamic != NULL)
            return bad(o, "it has two dynamic sections");
        if (s->p_type == PT_DYNAMIC)
            *ret_dynamic = s;
    }
    if (!has_stack)
        return bad(o, "it wants an executable stack");
    return *ret_dynamic == NULL ? bad(o, "it has no dynamic section") : 0;
}

static bool tag_good(int64_t tag)
{
    for (size_t i = 0; i < COUNT_OF(tags_good); i++)
        if (tags_good[i] == tag)
            return true;
    return false;
}

static void note_tag(struct object *o, const Elf64_Dyn *d)
{
    const struct {
        int64_t tag;
        uint64_t *value;
    } kept[] = {
        {DT_HASH, &o->hash},      {DT_STRTAB, &o->strings},    {DT_STRSZ, &o->strings_len},
        {DT_SYMTAB, &o->symbols}, {DT_RELA, &o->rela},         {DT_RELASZ, &o->rela_len},
        {DT_JMPREL, &o->jump},    {DT_PLTRELSZ, &o->jump_len},
    };
    for (size_t i = 0; i < COUNT_OF(kept); i++)
        if (kept[i].tag == d->d_tag)
            *kept[i].value = d->d_un.d_val;
}

static int check_needed(struct object *o, uint64_t offset)
{
    const char *name = name_at(o, offset);
    if (name == NULL || (strcmp(name, "libc.so.6") != 0 && strcmp(name, "libm.so.6") != 0))
        return bad(o, "it needs a library that it may not have");
    return 0;
}

static int check_dynamic(struct object *o, const Elf64_Phdr *segment)
{
    must(segment != NULL); /* check_segments() saw to it */
    size_t count = segment->p_filesz / sizeof(Elf64_Dyn);
    const Elf64_Dyn *entries = at_offset(o, segment->p_offset, segment->p_filesz);
    if (entries == NULL ||
        (const char *)entries != at_address(o, segment->p_vaddr, segment->p_filesz))
        return bad(o, "its dynamic section lies outside of it");
    size_t used = 0;
    for (; used < count && entries[used].d_tag != DT_NULL; used++) {
        if (entries[used].d_tag == DT_INIT || entries[used].d_tag == DT_INIT_ARRAY ||
            entries[used].d_tag == DT_FINI || entries[used].d_tag == DT_FINI_ARRAY)
            return bad(o, "it holds code that runs when it is loaded or unloaded");
        if (!tag_good(entries[used].d_tag))
            return bad(o, "its dynamic section has an entry of an unexpected kind");
        note_tag(o, &entries[used]);
    }
    if (used == count)
        return bad(o, "its dynamic section has no end");
    for (size_t i = 0; i < used; i++)
        if (entries[i].d_tag == DT_NEEDED && check_needed(o, entries[i].d_un.d_val) < 0)
            return -ENOEXEC;
    return 0;
}

static bool symbol_given(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(symbols_given); i++)
        if (strcmp(symbols_given[i], name) == 0)
            return true;
    return module_symbol_given(name);
}

static int check_symbol(struct object *o, const Elf64_Sym *symbol)
{
    const char *name = name_at(o, symbol->st_name);
    unsigned type = ELF64_ST_TYPE(symbol->st_info);
    if (name == NULL)
        return bad(o, "a symbol has no name");
    if (type == STT_GNU_IFUNC || type == STT_TLS)
        return bad(o, "a symbol is of an unexpected kind");
    if (symbol->st_shndx == SHN_UNDEF && !symbol_given(name))
        return error_set(o->err, -ENOEXEC,
                         "the compiled module was not accepted: it calls %.64s, which is not given",
                         name);
    if (symbol->st_shndx != SHN_UNDEF && strcmp(name, "sluice_module") != 0)
        return bad(o, "it defines a symbol besides its descriptor");
    return 0;
}

/* The hash table's chain has one entry for each symbol: that is their number. */
static int check_symbols(struct object *o)
{
    uint32_t head[2];
    const char *hash = at_address(o, o->hash, sizeof(head));
    if (o->hash == 0 || hash == NULL)
        return bad(o, "it has no symbol hash");
    memcpy(head, hash, sizeof(head));
    uint64_t bytes = (uint64_t)head[1] * sizeof(Elf64_Sym);
    const char *symbols = at_address(o, o->symbols, bytes);
    if (symbols == NULL)
        return bad(o, "its symbols lie outside of it");
    for (uint32_t i = 1; i < head[1]; i++) {
        Elf64_Sym symbol;
        memcpy(&symbol, symbols + i * sizeof(symbol), sizeof(symbol));
        if (check_symbol(o, &symbol) < 0)
            return -ENOEXEC;
    }
    return 0;
}

static int check_relocations(struct object *o, uint64_t address, uint64_t len)
{
    const char *rows = at_address(o, address, len);
    if (len > 0 && rows == NULL)
        return bad(o, "its relocations lie outside of it");
    for (uint64_t i = 0; i + sizeof(Elf64_Rela) <= len; i += sizeof(Elf64_Rela)) {
        Elf64_Rela row;
        memcpy(&row, rows + i, sizeof(row));
        bool good = false;
        for (size_t k = 0; k < COUNT_OF(relocations_good); k++)
            good = good || ELF64_R_TYPE(row.r_info) == relocations_good[k];
        if (!good)
            return bad(o, "a relocation is of an unexpected kind");
    }
    return 0;
}

int object_check(struct slice file, struct error *err)
{
    /* The structures are read in place where the format aligns them. */
    if (((uintptr_t)file.ptr & 7) != 0)
        return error_set(err, -EINVAL, "the compiled module's bytes are not aligned");
    struct object o = {.file = file, .err = err};
    const Elf64_Phdr *dynamic = NULL;
    int r = read_head(&o);
    if (r == 0)
        r = check_segments(&o, &dynamic);
    if (r == 0)
        r = check_dynamic(&o, dynamic);
    if (r == 0)
        r = check_symbols(&o);
    if (r == 0)
        r = check_relocations(&o, o.rela, o.rela_len);
    if (r == 0)
        r = check_relocations(&o, o.jump, o.jump_len);
    return r;
}
