/* SPDX-License-Identifier: Apache-2.0 */
/* The server of the exec runtime: one process for each request, event on standard input, reply on
 * standard output (event/stdio.h). It runs inside the sandbox, as any runtime's server does. */
#ifndef SLUICE_RUNNER_EXEC_H
#define SLUICE_RUNNER_EXEC_H

#include "base/loop.h"
#include "event/stdio.h"
#include "http/server.h"

#include <sys/types.h>

#define EXEC_WORDS_MAX 1000

/* From the environment that the runner gives (docs/runtimes.md). */
struct exec_settings {
    char *words[EXEC_WORDS_MAX + 1]; /* the program and its arguments */
    char source[512];                /* of events that do not say theirs */
    uint64_t timeout_ns, request_bytes, response_bytes, log_bytes;
    unsigned concurrency;
};

struct exec_server {
    struct loop *loop;
    struct exec_settings settings;
    unsigned running;
    bool ending;
};

/* Starts the program for the request and answers it in the end; takes the request over. */
void exec_call(struct exec_server *s, struct http_request *request);

/* A line of the function's log (standard output), or an error of it (standard error). */
void exec_log(bool is_error, struct slice line);

#endif
