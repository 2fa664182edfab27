/* SPDX-License-Identifier: Apache-2.0 */
/* The server: everything behind `sluice serve`. */
#ifndef SLUICE_DAEMON_SERVE_H
#define SLUICE_DAEMON_SERVE_H

#include <stdbool.h>
#include <stdint.h>

enum serve_store { SERVE_STORE_DISK, SERVE_STORE_MEMORY };

/* All strings are borrowed and live as long as serve_run(). */
struct serve_options {
    const char *data_dir; /* made when it is not there; sockets and compiled modules live there even
                             with the memory store */
    const char *listen;   /* HOST:PORT; port 0 picks a free one */
    enum serve_store store;
    bool log_json;
    bool quiet;                   /* log warnings and errors only */
    bool insecure;                /* other addresses than loopback are allowed (DESIGN §13) */
    uint64_t dead_letters_max;    /* of one trigger; 0: no limit */
    uint64_t dead_letters_age_ns; /* none is kept for longer; 0: no limit */
    const char *worker_path;      /* the sluice-worker program */
    const char *runtimes;         /* directory of runtimes; NULL: SLUICE_RUNTIMES, or beside */
    const char *admin_token_file; /* NULL: nobody can show the admin token */
    uint64_t overload_memory;   /* bytes in use above which calls get 503; 0: half the machine's */
    bool allow_unsandboxed;     /* functions may be processes without it */
    const char *const *hosts;   /* further names that Host may have; NULL-terminated, or NULL */
    const char *const *origins; /* Origins that are let in; NULL-terminated, or NULL */
};

/* Serves until SIGINT or SIGTERM. Prints the bound address to stdout and writes it to
 * DIR/address. Returns the exit code: 0 after a clean end, 1 when it could not start or had to
 * give up (the reason is in the log). */
int serve_run(const struct serve_options *o);

#endif
