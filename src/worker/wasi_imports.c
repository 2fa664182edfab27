/* SPDX-License-Identifier: Apache-2.0 */
/* The symbols that translated code is linked to: each function of wasi.h inside the guard, so that
 * the time limit waits while the C library is in use. Signatures as in function/module_imports.c.
 */
#include "worker/wasi.h"

struct Z_h_instance_t; /* what translated code passes first; there is nothing behind it */

#define IMPORT(name, parameters, arguments)                                                        \
    uint32_t Z_hZ_wasi_##name parameters;                                                          \
    uint32_t Z_hZ_wasi_##name parameters                                                           \
    {                                                                                              \
        guard_enter_import();                                                                      \
        uint32_t status = wasi_##name arguments;                                                   \
        if (wasi.output_full)                                                                      \
            guard_trap(GUARD_STOPPED_OUTPUT);                                                      \
        guard_leave_import();                                                                      \
        return status;                                                                             \
    }                                                                                              \
    struct Z_h_instance_t /* the semicolon is the caller's */
#define H struct Z_h_instance_t *nothing

#define IMPORT_none(name) IMPORT(name, (H), ())
#define IMPORT_i(name)    IMPORT(name, (H, uint32_t a), (a))
#define IMPORT_iI(name)   IMPORT(name, (H, uint32_t a, uint64_t b), (a, b))
#define IMPORT_ii(name)   IMPORT(name, (H, uint32_t a, uint32_t b), (a, b))
#define IMPORT_iII(name)  IMPORT(name, (H, uint32_t a, uint64_t b, uint64_t c), (a, b, c))
#define IMPORT_iIi(name)  IMPORT(name, (H, uint32_t a, uint64_t b, uint32_t c), (a, b, c))
#define IMPORT_iii(name)  IMPORT(name, (H, uint32_t a, uint32_t b, uint32_t c), (a, b, c))
#define IMPORT_iIIi(name)                                                                          \
    IMPORT(name, (H, uint32_t a, uint64_t b, uint64_t c, uint32_t d), (a, b, c, d))
#define IMPORT_iIii(name)                                                                          \
    IMPORT(name, (H, uint32_t a, uint64_t b, uint32_t c, uint32_t d), (a, b, c, d))
#define IMPORT_iiii(name)                                                                          \
    IMPORT(name, (H, uint32_t a, uint32_t b, uint32_t c, uint32_t d), (a, b, c, d))
#define IMPORT_iiiIi(name)                                                                         \
    IMPORT(name, (H, uint32_t a, uint32_t b, uint32_t c, uint64_t d, uint32_t e), (a, b, c, d, e))
#define IMPORT_iiiii(name)                                                                         \
    IMPORT(name, (H, uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t e), (a, b, c, d, e))
#define IMPORT_iiiiii(name)                                                                        \
    IMPORT(name, (H, uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t e, uint32_t f),      \
           (a, b, c, d, e, f))
#define IMPORT_iiiiIIi(name)                                                                       \
    IMPORT(                                                                                        \
        name,                                                                                      \
        (H, uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint64_t e, uint64_t f, uint32_t g),   \
        (a, b, c, d, e, f, g))
#define IMPORT_iiiiiii(name)                                                                       \
    IMPORT(                                                                                        \
        name,                                                                                      \
        (H, uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t e, uint32_t f, uint32_t g),   \
        (a, b, c, d, e, f, g))
#define IMPORT_iiiiiIIii(name)                                                                     \
    IMPORT(name,                                                                                   \
           (H, uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t e, uint64_t f, uint64_t g, \
            uint32_t h, uint32_t i),                                                               \
           (a, b, c, d, e, f, g, h, i))

IMPORT_ii(args_get);
IMPORT_ii(args_sizes_get);
IMPORT_ii(environ_get);
IMPORT_ii(environ_sizes_get);
IMPORT_ii(clock_res_get);
IMPORT_iIi(clock_time_get);
IMPORT_iIIi(fd_advise);
IMPORT_iII(fd_allocate);
IMPORT_i(fd_close);
IMPORT_i(fd_datasync);
IMPORT_ii(fd_fdstat_get);
IMPORT_ii(fd_fdstat_set_flags);
IMPORT_iII(fd_fdstat_set_rights);
IMPORT_ii(fd_filestat_get);
IMPORT_iI(fd_filestat_set_size);
IMPORT_iIIi(fd_filestat_set_times);
IMPORT_iiiIi(fd_pread);
IMPORT_ii(fd_prestat_get);
IMPORT_iii(fd_prestat_dir_name);
IMPORT_iiiIi(fd_pwrite);
IMPORT_iiii(fd_read);
IMPORT_iiiIi(fd_readdir);
IMPORT_ii(fd_renumber);
IMPORT_iIii(fd_seek);
IMPORT_i(fd_sync);
IMPORT_ii(fd_tell);
IMPORT_iiii(fd_write);
IMPORT_iii(path_create_directory);
IMPORT_iiiii(path_filestat_get);
IMPORT_iiiiIIi(path_filestat_set_times);
IMPORT_iiiiiii(path_link);
IMPORT_iiiiiIIii(path_open); /* NOLINT(readability-function-size) */
IMPORT_iiiiii(path_readlink);
IMPORT_iii(path_remove_directory);
IMPORT_iiiiii(path_rename);
IMPORT_iiiii(path_symlink);
IMPORT_iii(path_unlink_file);
IMPORT_iiii(poll_oneoff);
IMPORT_i(proc_raise);
IMPORT_ii(random_get);
IMPORT_none(sched_yield);
IMPORT_iii(sock_accept);
IMPORT_iiiiii(sock_recv);
IMPORT_iiiii(sock_send);
IMPORT_ii(sock_shutdown);

/* Unwinds to the call. */
_Noreturn void Z_hZ_wasi_proc_exit(H, uint32_t code);
_Noreturn void Z_hZ_wasi_proc_exit(H, uint32_t code)
{
    guard_enter_import();
    wasi_proc_exit(code);
    guard_trap(GUARD_EXITED);
}
