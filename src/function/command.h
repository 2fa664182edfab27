/* SPDX-License-Identifier: Apache-2.0 */
/* One confined child of the builder: wasm2c or the C compiler. */
#ifndef SLUICE_FUNCTION_COMMAND_H
#define SLUICE_FUNCTION_COMMAND_H

#include "base/buf.h"
#include "base/error.h"

#include <stdint.h>

struct command_limits {
    uint64_t cpu_seconds;  /* per process */
    uint64_t wall_seconds; /* the whole command */
    uint64_t memory_bytes; /* address space of each process */
};

struct command {
    const char *const *argv;     /* argv[0] is an absolute path; NULL-terminated */
    const char *name;            /* for messages: "wasm2c" */
    const char *folder;          /* working folder, the only one it can write to */
    const char *const *readable; /* further paths to read and execute */
    struct command_limits limits;
};

/* Absolute path of the first program of the list that PATH has, with symbolic links kept (compilers
 * look at their own name). -ENOENT. The caller frees it. */
int command_find(const char *const *names, char **ret_path);
/* Runs it to its end. 0 when it exits with 0; else negative errno with what happened: -ETIME for a
 * time limit, -ENOMEM for memory, -ENOEXEC for any other end, the last lines of its standard error
 * in the message. Call from a single-threaded program only: it forks. */
int command_run(const struct command *c, struct error *err);
/* Kills the command that runs, if any, with all its processes. For signal handlers. */
void command_abort(void);

#endif
