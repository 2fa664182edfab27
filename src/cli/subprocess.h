/* SPDX-License-Identifier: Apache-2.0 */
/* Programs that a command runs to their end: npm, esbuild, sluice-builder, buildah. */
#ifndef SLUICE_CLI_SUBPROCESS_H
#define SLUICE_CLI_SUBPROCESS_H

#include "base/buf.h"
#include "base/error.h"

#include <sys/types.h>

#define SUBPROCESS_OUTPUT_MAX (64u << 20)

struct subprocess {
    const char *const *argv; /* argv[0] is looked up in PATH when it has no slash */
    const char *folder;      /* to work in; NULL: where we are */
    struct slice input;      /* its standard input */
    bool shown;              /* what it writes goes to our standard error instead of the buffers */
};

/* 0 when it ran, whatever its end: ret_status is its exit code, or 128 and the signal's number. out
 * and errors get what it wrote; either may be NULL. Else a negative errno, -ENOENT: no such
 * program. */
int subprocess_run(const struct subprocess *s, struct buf *out, struct buf *errors, int *ret_status,
                   struct error *err);

struct subprocess_descriptor {
    int from, to;
};
/* Starts it in a process group of its own and does not wait. The descriptors become those numbers
 * in it, all others but the standard ones are closed there (ours are close-on-exec). 0, or a
 * negative errno. */
int subprocess_start(const char *const *argv, const struct subprocess_descriptor *descriptors,
                     size_t count, pid_t *ret_pid);
/* The path of the program in PATH; the caller frees it. NULL: it is not there. */
char *subprocess_find(const char *name);

#endif
