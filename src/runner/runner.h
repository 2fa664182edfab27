/* SPDX-License-Identifier: Apache-2.0 */
/* The modes of sluice-runner (protocol.h says what each does). */
#ifndef SLUICE_RUNNER_RUNNER_H
#define SLUICE_RUNNER_RUNNER_H

#include "runner/sandbox.h"

struct runner_options {
    const char *runtime;  /* its folder */
    const char *runtimes; /* the directory of all, or NULL */
    const char *folder;   /* the function's, or NULL */
    const char *bundle;   /* a file, or NULL */
    const char *listen;   /* or NULL */
    const char *report;   /* fd:N, or NULL */
    uid_t uid;            /* (uid_t)-1: as it is */
    enum confinement confinement;
};

/* Chooses the main file when the bundle names none, which ${main} and SLUICE_MAIN need; a bundle
 * with a command needs none. */
int runner_choose_main(const struct runtime *r, struct bundle *b, struct error *err);

/* Serves until it is told to end; the exit status. ready: called with ctx once, may be NULL. */
int worker_run(const struct sandbox_options *o, void (*ready)(void *ctx), void *ctx);

/* Writes the files and installs packages. progress: a line of output of step `step` of `steps`.
 * 0 or a negative errno; *ret_reason (static) and err say why. */
struct prepare_options {
    const struct runtime *runtime;
    const char *folder;
    const struct bundle *bundle;
    uid_t uid;
    enum confinement confinement;
    void (*progress)(unsigned step, unsigned steps, struct slice text);
};
int prepare_run(const struct prepare_options *o, unsigned *ret_steps, const char **ret_reason,
                struct error *err);

/* The three modes; each returns the exit status. */
int mode_worker(const struct runner_options *o);
int mode_prepare(const struct runner_options *o);
int mode_serve(const struct runner_options *o);
/* Inside the sandbox: the server of the exec runtime (exec.c). */
int mode_exec(void);

#endif
