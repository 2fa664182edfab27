/* SPDX-License-Identifier: Apache-2.0 */
/* A function server of a project: sluice-worker or sluice-runner with a listening socket and a
 * report pipe of ours (worker/protocol.h, runner/protocol.h). */
#ifndef SLUICE_CLI_INSTANCE_H
#define SLUICE_CLI_INSTANCE_H

#include "base/buf.h"
#include "cli/project.h"

#include <sys/types.h>

enum instance_state {
    INSTANCE_STARTING,
    INSTANCE_READY,
    INSTANCE_DRAINING, /* takes no more connections */
    INSTANCE_FAILED,   /* the function could not be loaded; it was said why */
    INSTANCE_STATE_COUNT
};

struct instance {
    pid_t pid;  /* 0: none, or it was waited for */
    int pidfd;  /* readable when it has ended */
    int report; /* end of the pipe, does not block */
    enum instance_state state;
    struct buf line;
    char *folder; /* of a process runtime's files, removed at the end; or NULL */
};

/* What it takes to start one; made once for each version of the code. */
struct instance_code {
    char *bundle; /* JSON */
    char *module; /* path of the compiled module, or NULL */
};
/* 0, or a negative errno after saying why. */
int instance_code_make(const struct project *p, struct instance_code *ret);
void instance_code_done(struct instance_code *c);
bool instance_code_same(const struct instance_code *a, const struct instance_code *b);

/* A listening TCP socket that every instance shares, its address as HOST:PORT. -1 after saying why
 * not. */
int instance_listen(const char *listen, char address[280]);
/* Whether two versions can tell by themselves which of them is ready: not so those in a process of
 * their own, which are asked over the socket that all share. */
bool instance_knows_itself(const struct project *p);
/* ret->folder: of an instance with the same code, taken over as it is; or NULL. 0, or a negative
 * errno after saying why. */
int instance_start(const struct project *p, const struct instance_code *code, int listener,
                   struct instance *ret);
/* Reads what it reported meanwhile; each log line goes to log(). Failures are printed. False: the
 * pipe's other end is closed. */
typedef void instance_log_fn(void *ctx, const json_t *report);
bool instance_read(struct instance *i, instance_log_fn *log, void *ctx);
/* Asks it to end: what is under way is finished. */
void instance_stop(const struct instance *i);
/* Waits for its end; kill: without asking. */
void instance_end(struct instance *i, bool kill);

/* For instance.c: the same for a function in a process of its own. */
int instance_start_process(const struct project *p, int bundle, int listener, int report,
                           struct instance *i);

/* A log line for people: time, level, event, text. */
void instance_print_log(const json_t *report, FILE *out);

#endif
