/* SPDX-License-Identifier: Apache-2.0 */
/* A WebAssembly module that was compiled ahead of time: loaded into the process, instantiated, and
 * called as a guest. */
#include "worker/wasi.h"
#include "worker/worker_internal.h"

#include "base/must.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WASM_PAGE 65536u

struct module {
    const struct worker_module *abi;
    void *instance;
    struct snapshot snapshot;
    uint64_t memory_bytes;
};

static int check_abi(const struct worker_module *abi, struct error *err)
{
    if (abi->abi != WORKER_MODULE_ABI)
        return error_set(err, -ENOEXEC, "the module was compiled for ABI %u, this worker has %u",
                         abi->abi, WORKER_MODULE_ABI);
    if (abi->table_count > SNAPSHOT_TABLES_MAX)
        return error_set(err, -ENOTSUP, "the module has %u tables, at most %d can be used",
                         abi->table_count, SNAPSHOT_TABLES_MAX);
    return 0;
}

int module_load(int fd, uint64_t memory_bytes, struct module **ret, struct error *err)
{
    char path[32];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL)
        return error_set(err, -ENOEXEC, "cannot load the compiled module: %s", dlerror());
    const struct worker_module *abi = dlsym(handle, WORKER_MODULE_SYMBOL);
    if (abi == NULL)
        return error_set(err, -ENOEXEC, "the compiled module has no %s", WORKER_MODULE_SYMBOL);
    int status = check_abi(abi, err);
    if (status < 0)
        return status;
    struct module *m = calloc(1, sizeof(*m));
    void *instance = calloc(1, abi->instance_size);
    if (m == NULL || instance == NULL) {
        free(m);
        free(instance);
        return error_set(err, -ENOMEM, "no memory for the module's instance");
    }
    m->abi = abi;
    m->instance = instance;
    m->memory_bytes = memory_bytes;
    *ret = m;
    return 0;
}

static const struct worker_module_export *find_export(const struct module *m, const char *name)
{
    for (uint32_t i = 0; i < m->abi->export_count; i++)
        if (strcmp(m->abi->exports[i].name, name) == 0)
            return &m->abi->exports[i];
    return NULL;
}

const char *module_signature(const struct module *m, const char *function)
{
    const struct worker_module_export *export = find_export(m, function);
    return export != NULL ? export->signature : NULL;
}

bool module_has(const struct module *m, const char *function, const char *signature)
{
    const struct worker_module_export *export = find_export(m, function);
    return export != NULL && strcmp(export->signature, signature) == 0;
}

struct snapshot *module_snapshot(struct module *m)
{
    return &m->snapshot;
}

wasm_rt_memory_t *module_memory(const struct module *m)
{
    return m->snapshot.memory;
}

static void instantiate(void *ctx)
{
    struct module *m = ctx;
    guard_enter_guest(NULL);
    m->abi->instantiate(m->instance);
    guard_leave_guest();
}

/* More pages than the limit allows cannot be grown to; what the module starts with, it has. */
static void clamp_memory(struct module *m)
{
    wasm_rt_memory_t *memory = m->snapshot.memory;
    uint64_t pages = m->memory_bytes / WASM_PAGE;
    if (pages > m->abi->memory_pages_max && m->abi->memory_pages_max > 0)
        pages = m->abi->memory_pages_max;
    if (pages > UINT16_MAX)
        pages = UINT16_MAX; /* 65536 would overflow the runtime's size */
    memory->max_pages = pages > memory->pages ? (uint32_t)pages : memory->pages;
}

/* WASI's reactors have it run once, before anything else. */
static int initialize(struct module *m)
{
    bool command = module_has(m, MODULE_COMMAND, ":");
    if (command || !module_has(m, "_initialize", ":"))
        return 0;
    return module_call(m, "_initialize", NULL, NULL);
}

int module_start(struct module *m)
{
    struct snapshot *s = &m->snapshot;
    s->instance = m->instance;
    s->instance_size = m->abi->instance_size;
    s->memory = m->abi->memory != NULL ? m->abi->memory(m->instance) : NULL;
    snapshot_register(s);
    wasi.memory = s->memory;
    wasi_begin();
    m->abi->init();
    int ended = guard_run(instantiate, m);
    if (ended != 0)
        return ended;
    s->table_count = m->abi->table_count;
    for (uint32_t i = 0; i < s->table_count; i++)
        s->tables[i] = m->abi->table(m->instance, i);
    if (s->memory != NULL)
        clamp_memory(m);
    ended = initialize(m);
    wasi_end();
    return ended;
}

struct call {
    struct module *module;
    const struct worker_module_export *export;
    const union worker_module_value *arguments;
    union worker_module_value *results;
};

static void run_call(void *ctx)
{
    struct call *c = ctx;
    const wasm_rt_memory_t *memory = c->module->snapshot.memory;
    guard_enter_guest(memory != NULL ? memory->data : NULL);
    c->export->call(c->module->instance, c->arguments, c->results);
    guard_leave_guest();
}

int module_call(struct module *m, const char *function, const union worker_module_value *arguments,
                union worker_module_value *results)
{
    struct call call = {m, find_export(m, function), arguments, results};
    must(call.export != NULL);
    return guard_run(run_call, &call);
}
