/* SPDX-License-Identifier: Apache-2.0 */
/* The file system that a function sees: a new root with the system's programs and libraries (read
 * only), the function's own folders, a private /tmp, and nothing else. */
#ifndef SLUICE_RUNNER_ROOT_H
#define SLUICE_RUNNER_ROOT_H

#include "base/buf.h"
#include "base/error.h"
#include "function/runtime.h"

#include <stdbool.h>
#include <sys/types.h>

#define ROOT_CODE     "/function/code"
#define ROOT_PACKAGES "/function/packages"
#define ROOT_RUNTIME  "/function/runtime"
#define ROOT_RUNNER   "/function/runner"

struct root_options {
    const char *runtime;         /* its folder, */
    const char *folder;          /* the function's: code and packages are in it */
    const char *const *readable; /* more paths, or NULL */
    bool writable_folder;        /* while packages are installed */
    bool network;                /* with the system's own resolver and hosts files */
    const char *hosts;           /* text of /etc/hosts otherwise */
    const char *host_name;
    uid_t uid;
    uint64_t tmp_bytes;
};

/* Makes it the root of the calling process, which has a mount namespace of its own, and goes to
 * the code folder. *ret_proc: whether there is a /proc. 0 or a negative errno. */
int root_enter(const struct root_options *o, bool *ret_proc, struct error *err);

#endif
