/* SPDX-License-Identifier: Apache-2.0 */
/* A confined program and all that it starts: the runner (outside) sees it as two pipes, a control
 * socket and some listening sockets. Between the two stands an init process (init.c), the first
 * process of the PID namespace: what the program leaves behind ends with it, and it ends when the
 * control socket is closed or the runner dies. */
#ifndef SLUICE_RUNNER_SANDBOX_H
#define SLUICE_RUNNER_SANDBOX_H

#include "function/runtime.h"
#include "runner/bundle.h"
#include "runner/cgroup.h"
#include "runner/lan.h"

#include <sys/types.h>

enum confinement { CONFINEMENT_FULL, CONFINEMENT_PARTIAL, CONFINEMENT_NONE, CONFINEMENT_COUNT };

struct sandbox_options {
    const struct runtime *runtime;
    const char *folder; /* the function's, absolute */
    const struct bundle *bundle;
    char *const *words; /* the program, with ${…} */
    uid_t uid;          /* (uid_t)-1: the runner's own */
    enum confinement confinement;
    bool preparing;  /* packages are installed: with the system's network, a writable folder */
    bool standalone; /* the runner has files to remove at the end */
    int listener;    /* becomes descriptor 3 of the program; -1: none */
};

/* Messages on the control socket, one a datagram: a byte, then text or data. */
enum sandbox_message {
    SANDBOX_GO = 'G',      /* to init: its control group is there */
    SANDBOX_END = 'T',     /* to init: SIGTERM for the program */
    SANDBOX_LAN = 'L',     /* from init: the rules' numbers, with their sockets */
    SANDBOX_MISSING = 'W', /* from init: what could not be had */
    SANDBOX_PLAIN = 'R',   /* from init: namespaces are of no use; start again without */
    SANDBOX_STARTED = 'S', /* from init: the program's process is there */
    SANDBOX_ERROR = 'E',   /* from init or the program's process: it could not start, and why */
    SANDBOX_EXITED = 'X',  /* from init: the program's wait status, as an int */
};
#define SANDBOX_MESSAGE_MAX 1024

struct sandbox {
    pid_t init;
    int control, out, err; /* -1: closed */
    struct lan_socket lan[LAN_SOCKETS_MAX];
    unsigned lan_count;
    struct cgroup cgroup;
    char tmp[64];                      /* the private folder, where there is no mount namespace */
    char missing[SANDBOX_MESSAGE_MAX]; /* what could not be had, for a log line; may be empty */
};

/* Call from a single-threaded process: it forks. 0 or a negative errno. */
int sandbox_start(const struct sandbox_options *o, struct sandbox *ret, struct error *err);
/* SIGTERM for the program. */
void sandbox_end(struct sandbox *s);
/* Kills what is left, waits for it, and frees all. Whether the memory limit was hit. */
bool sandbox_finish(struct sandbox *s);

/* ---- between sandbox.c and init.c ---- */
struct init_options {
    const struct sandbox_options *sandbox;
    int control, out, err; /* its ends */
    bool namespaces, user_namespace;
    uid_t outer_uid;
    const char *tmp; /* the private folder, or NULL */
};
_Noreturn void init_run(const struct init_options *o);

/* argv and environment of the program (program.c). */
struct program {
    char **argv, **envp;
};
int program_build(const struct sandbox_options *o, const struct runtime_places *places,
                  const char *tmp, bool proxied, struct program *ret, struct error *err);

#endif
