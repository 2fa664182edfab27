/* SPDX-License-Identifier: Apache-2.0 */
/* What a process of a function gives up before it runs foreign code: limits, privileges, files
 * (Landlock), system calls. A deny-list, since interpreters and native packages need most calls. */
#ifndef SLUICE_RUNNER_CONFINE_H
#define SLUICE_RUNNER_CONFINE_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct confine_paths {
    const char *const *readable; /* NULL-terminated; what is missing is passed over */
    const char *const *writable; /* the same; folders, or devices */
    bool execute_written;        /* programs may be started from writable folders (packages that
                                    compile) */
};

struct confine_limits {
    uint64_t data_bytes;       /* writable memory of one process; 0: as it is */
    uint64_t file_bytes;       /* one file */
    uint64_t files, processes; /* 0: as it is */
};

/* Each returns 0 or a negative errno. */
int confine_limits(const struct confine_limits *l);
/* The user and group, without supplementary groups and capabilities; then no new privileges.
 * uid (uid_t)-1: the present ones. */
int confine_user(uid_t uid);
/* What the runner itself keeps, once all is started: no capabilities, no new privileges, the files
 * that names of hosts are looked up in (Landlock, where the kernel has it), the same calls as a
 * function. Its user id stays, which its own sockets may need. kept: folders in which it makes and
 * removes things. */
int confine_supervisor(const char *const *kept);
/* -ENOSYS, -EOPNOTSUPP: the kernel has no Landlock. */
int confine_files(const struct confine_paths *p);
int confine_calls(void);

#endif
