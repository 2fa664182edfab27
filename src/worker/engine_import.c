/* SPDX-License-Identifier: Apache-2.0 */
/* The functions that QuickJS imports: host calls, module loading, clock, random bytes, output.
 * Everything that a system call would write goes through host memory, since a write-protected guest
 * page would make the call fail with EFAULT. */
#include "worker/engine_guest.h"

#include "base/clock.h"
#include "base/must.h"

#include <string.h>

#define IMPORT_FUNCTIONS_MAX 64
#define IMPORT_NAME_FIRST    '0'
#define IMPORT_OUTPUT_MAX    1024

#define WASI_BADF  8
#define WASI_FAULT 21
#define WASI_INVAL 28
#define WASI_NOSYS 52

static const struct engine_function *functions[IMPORT_FUNCTIONS_MAX];
static unsigned function_count;
static const struct engine_loader *loader;

void engine_set_loader(const struct engine_loader *l)
{
    loader = l;
}

/* Host functions are named by one character, which is their place in the table. */
void engine_add_functions(engine_value object, const struct engine_function *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        must(function_count < IMPORT_FUNCTIONS_MAX);
        char place = (char)(IMPORT_NAME_FIRST + (int)function_count);
        functions[function_count++] = &list[i];
        uint32_t text = engine_put(slice_of(&place, 1));
        engine_value function = GUEST(qjs_new_host_function, text, 1, 0);
        uint32_t name = engine_put(slice_text(list[i].name));
        GUEST(qjs_set_prop_string, object, name, function);
        engine_drop(function);
    }
}

u32 Z_envZ_host_call(struct Z_env_instance_t *env, u32 name, u32 name_len, u32 this_value, u32 argc,
                     u32 argv)
{
    guard_enter_import();
    const char *place = engine_at(name, 1);
    unsigned index = place != NULL ? (unsigned)(*place - IMPORT_NAME_FIRST) : IMPORT_FUNCTIONS_MAX;
    engine_value arguments[ENGINE_ARGUMENTS_MAX] = {0};
    if (argc > ENGINE_ARGUMENTS_MAX)
        argc = ENGINE_ARGUMENTS_MAX;
    const void *from = engine_at(argv, argc * sizeof(u32));
    engine_value result = 0;
    if (index >= function_count || from == NULL) {
        result = engine_throw("no such host function");
    } else {
        memcpy(arguments, from, argc * sizeof(u32));
        result = functions[index]->call(argc, arguments);
    }
    guard_leave_import();
    return result;
}

/* Called about every 20 µs in loops; it needs nothing but the clock. */
u32 Z_envZ_host_interrupt(struct Z_env_instance_t *env)
{
    if (engine.soft_deadline == 0 || clock_monotonic() < engine.soft_deadline)
        return 0;
    engine.interrupted = true;
    return 1;
}

u32 Z_envZ_host_get_timezone_offset(struct Z_env_instance_t *env, u32 high, u32 low)
{
    return 0; /* UTC */
}

static struct slice text_at(u32 address)
{
    const char *from = engine_at(address, 1);
    if (from == NULL)
        return slice_of("", 0);
    return slice_of(from, strnlen(from, engine.instance.w2c_memory.size - address));
}

/* A NUL-terminated copy that the guest frees. */
static u32 give_text(struct slice text)
{
    u32 address = GUEST(wasm_malloc, (u32)text.len + 1);
    char *to = engine_at(address, text.len + 1);
    if (address == 0 || to == NULL)
        return 0;
    memcpy(to, text.ptr, text.len);
    to[text.len] = '\0';
    return address;
}

u32 Z_envZ_host_module_normalize(struct Z_env_instance_t *env, u32 base, u32 name)
{
    static struct buf resolved;
    guard_enter_import();
    struct error err = ERROR_INIT;
    buf_reset(&resolved);
    u32 result = 0;
    if (loader == NULL || loader->resolve(text_at(base), text_at(name), &resolved, &err) < 0)
        engine_throw(loader != NULL ? err.message : "modules cannot be loaded here");
    else
        result = give_text(buf_slice(&resolved));
    guard_leave_import();
    return result;
}

u32 Z_envZ_host_module_load(struct Z_env_instance_t *env, u32 name, u32 ret_len)
{
    static struct buf source;
    guard_enter_import();
    struct error err = ERROR_INIT;
    buf_reset(&source);
    u32 result = 0;
    if (loader == NULL || loader->load(text_at(name), &source, &err) < 0) {
        engine_throw(loader != NULL ? err.message : "modules cannot be loaded here");
    } else {
        result = give_text(buf_slice(&source));
        u32 len = (u32)source.len;
        void *to = engine_at(ret_len, sizeof(len));
        if (to != NULL)
            memcpy(to, &len, sizeof(len));
    }
    guard_leave_import();
    return result;
}

u32 Z_wasi_snapshot_preview1Z_clock_time_get(struct Z_wasi_snapshot_preview1_instance_t *wasi,
                                             u32 id, u64 precision, u32 result)
{
    void *to = engine_at(result, sizeof(u64));
    if (to == NULL)
        return WASI_FAULT;
    if (id > 1)
        return WASI_INVAL;
    u64 now = id == 0 ? clock_realtime() : clock_monotonic();
    memcpy(to, &now, sizeof(now));
    return 0;
}

u32 Z_wasi_snapshot_preview1Z_random_get(struct Z_wasi_snapshot_preview1_instance_t *wasi,
                                         u32 address, u32 len)
{
    guard_enter_import();
    unsigned char block[256];
    u32 status = engine_at(address, len) != NULL ? 0 : WASI_FAULT;
    for (u32 done = 0; status == 0 && done < len;) {
        u32 part = len - done < sizeof(block) ? len - done : (u32)sizeof(block);
        entropy_bytes(block, part);
        memcpy(engine_at(address + done, part), block, part);
        done += part;
    }
    guard_leave_import();
    return status;
}

/* The engine's own diagnostics, as before an abort. */
u32 Z_wasi_snapshot_preview1Z_fd_write(struct Z_wasi_snapshot_preview1_instance_t *wasi, u32 fd,
                                       u32 vectors, u32 count, u32 ret_written)
{
    guard_enter_import();
    char text[IMPORT_OUTPUT_MAX];
    size_t kept = 0;
    u32 written = 0;
    u32 status = fd == 1 || fd == 2 ? 0 : WASI_BADF;
    for (u32 i = 0; status == 0 && i < count && i < 64; i++) {
        u32 len = engine_word(vectors + i * 8 + 4);
        const char *from = engine_at(engine_word(vectors + i * 8), len);
        if (from == NULL) {
            status = WASI_FAULT;
            break;
        }
        size_t part = len < sizeof(text) - kept ? len : sizeof(text) - kept;
        memcpy(text + kept, from, part);
        kept += part;
        written += len;
    }
    void *to = engine_at(ret_written, sizeof(written));
    if (to != NULL)
        memcpy(to, &written, sizeof(written));
    if (kept > 0)
        report_log(REPORT_ERROR, slice_of(NULL, 0), slice_of(text, kept));
    guard_leave_import();
    return status;
}

u32 Z_wasi_snapshot_preview1Z_fd_close(struct Z_wasi_snapshot_preview1_instance_t *wasi, u32 fd)
{
    return WASI_NOSYS;
}

u32 Z_wasi_snapshot_preview1Z_fd_seek(struct Z_wasi_snapshot_preview1_instance_t *wasi, u32 fd,
                                      u64 offset, u32 whence, u32 result)
{
    return WASI_NOSYS;
}

/* A character device, so that the C library inside does not buffer. */
u32 Z_wasi_snapshot_preview1Z_fd_fdstat_get(struct Z_wasi_snapshot_preview1_instance_t *wasi,
                                            u32 fd, u32 result)
{
    unsigned char *to = engine_at(result, 24);
    if (to == NULL)
        return WASI_FAULT;
    if (fd != 1 && fd != 2)
        return WASI_BADF;
    memset(to, 0, 24);
    to[0] = 2;
    return 0;
}
