/* SPDX-License-Identifier: Apache-2.0 */
/* What a module may import. The worker defines each as the C function Z_hZ_ and then the symbol
 * (worker/wasi*.c); the translated module calls it under that name. */
#include "function/module.h"

#include <stdio.h>

#define WASI(name, signature)                                                                      \
    {                                                                                              \
        "wasi_snapshot_preview1", #name, signature, "wasi_" #name                                  \
    }
#define ENV(name, signature)                                                                       \
    {                                                                                              \
        "env", #name, signature, "env_" #name                                                      \
    }

const struct module_import_rule module_imports_given[] = {
    WASI(args_get, "ii:i"),
    WASI(args_sizes_get, "ii:i"),
    WASI(environ_get, "ii:i"),
    WASI(environ_sizes_get, "ii:i"),
    WASI(clock_res_get, "ii:i"),
    WASI(clock_time_get, "iIi:i"),
    WASI(fd_advise, "iIIi:i"),
    WASI(fd_allocate, "iII:i"),
    WASI(fd_close, "i:i"),
    WASI(fd_datasync, "i:i"),
    WASI(fd_fdstat_get, "ii:i"),
    WASI(fd_fdstat_set_flags, "ii:i"),
    WASI(fd_fdstat_set_rights, "iII:i"),
    WASI(fd_filestat_get, "ii:i"),
    WASI(fd_filestat_set_size, "iI:i"),
    WASI(fd_filestat_set_times, "iIIi:i"),
    WASI(fd_pread, "iiiIi:i"),
    WASI(fd_prestat_get, "ii:i"),
    WASI(fd_prestat_dir_name, "iii:i"),
    WASI(fd_pwrite, "iiiIi:i"),
    WASI(fd_read, "iiii:i"),
    WASI(fd_readdir, "iiiIi:i"),
    WASI(fd_renumber, "ii:i"),
    WASI(fd_seek, "iIii:i"),
    WASI(fd_sync, "i:i"),
    WASI(fd_tell, "ii:i"),
    WASI(fd_write, "iiii:i"),
    WASI(path_create_directory, "iii:i"),
    WASI(path_filestat_get, "iiiii:i"),
    WASI(path_filestat_set_times, "iiiiIIi:i"),
    WASI(path_link, "iiiiiii:i"),
    WASI(path_open, "iiiiiIIii:i"),
    WASI(path_readlink, "iiiiii:i"),
    WASI(path_remove_directory, "iii:i"),
    WASI(path_rename, "iiiiii:i"),
    WASI(path_symlink, "iiiii:i"),
    WASI(path_unlink_file, "iii:i"),
    WASI(poll_oneoff, "iiii:i"),
    WASI(proc_exit, "i:"),
    WASI(proc_raise, "i:i"),
    WASI(sched_yield, ":i"),
    WASI(random_get, "ii:i"),
    WASI(sock_accept, "iii:i"),
    WASI(sock_recv, "iiiiii:i"),
    WASI(sock_send, "iiiii:i"),
    WASI(sock_shutdown, "ii:i"),
    /* of AssemblyScript's runtime */
    ENV(abort, "iiii:"),
    ENV(trace, "iiFFFFF:"),
    ENV(seed, ":F"),
    {NULL, NULL, NULL, NULL},
};

bool module_symbol_given(const char *symbol)
{
    static const char prefix[] = MODULE_IMPORT_PREFIX;
    if (strncmp(symbol, prefix, sizeof(prefix) - 1) != 0)
        return false;
    for (const struct module_import_rule *row = module_imports_given; row->name != NULL; row++)
        if (strcmp(symbol + sizeof(prefix) - 1, row->symbol) == 0)
            return true;
    return false;
}
