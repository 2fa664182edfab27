/* SPDX-License-Identifier: Apache-2.0 */
/* Confinement of a process that is about to handle hostile input: no capabilities, no new
 * privileges, Landlock for files, resource limits, and an allow-list of system calls (without
 * sockets, ptrace, mounts, or signals to others). For single-threaded programs that were exec'ed
 * for it. */
#ifndef SLUICE_FUNCTION_CONFINE_H
#define SLUICE_FUNCTION_CONFINE_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct confine_rules {
    const char *const *readable; /* files and folders to read and execute; NULL-terminated; missing
                                    ones are passed over */
    const char *writable;        /* one folder to read and write */
    uint64_t cpu_seconds;        /* 0: as it is */
    uint64_t memory_bytes;       /* address space; 0: as it is */
    uint64_t file_bytes;         /* size of one file; 0: as it is */
    bool supervisor;             /* may also confine, wait for and kill children */
};

/* Landlock may be missing from the kernel: then ret_landlock is false and the rest holds. 0 or
 * negative errno; after an error the process must end. */
int confine_self(const struct confine_rules *rules, bool *ret_landlock, struct error *err);

#endif
