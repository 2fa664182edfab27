/* SPDX-License-Identifier: Apache-2.0 */
/* The worker program's own parts, lowest first: guard (traps and time), snapshot (fresh instances),
 * engine (QuickJS as a guest), module (a compiled WebAssembly module as a guest), bundle (what the
 * host sent), report (what goes back), program (the user's function), call (one request), confine,
 * serve, zygote. All of it runs on the one thread that a worker has. */
#ifndef SLUICE_WORKER_WORKER_INTERNAL_H
#define SLUICE_WORKER_WORKER_INTERNAL_H

#include "base/buf.h"
#include "base/error.h"
#include "base/random.h"
#include "base/slice.h"
#include "event/event.h"
#include "http/server.h"
#include "worker/engine.h"
#include "worker/guard.h"
#include "worker/module_abi.h"
#include "worker/protocol.h"
#include "worker/snapshot.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

/* ---- random: bytes for guests, fetched from the kernel in blocks ---- */
void entropy_reset(void); /* after fork: never share a block */
void entropy_bytes(void *out, size_t len);
uint64_t entropy_u64(void); /* not zero */
void entropy_uuid(char out[RANDOM_UUID_SIZE]);

/* ---- module: a compiled WebAssembly module ---- */

struct module;
int module_load(int fd, uint64_t memory_bytes, struct module **ret, struct error *err);
/* The export's signature ("ii:i"), or NULL. */
const char *module_signature(const struct module *m, const char *function);
/* Whether it exports a function of that name and signature. */
bool module_has(const struct module *m, const char *function, const char *signature);
struct snapshot *module_snapshot(struct module *m);
/* Its memory, or NULL. */
wasm_rt_memory_t *module_memory(const struct module *m);
/* Instantiates (data, start function), and runs a reactor's _initialize. As guard_run(). */
int module_start(struct module *m);
/* arguments: as many as the signature says. As guard_run(). */
int module_call(struct module *m, const char *function, const union worker_module_value *arguments,
                union worker_module_value *results);

#define MODULE_VALUES_MAX 32
#define MODULE_COMMAND    "_start" /* what a WASI command exports */

/* ---- module_memory: texts and bytes in a module's memory ---- */

/* Finds the functions by which the module gives memory. The name of the one that allocates, NULL
 * when it exports none. */
const char *module_memory_find(const struct module *m);
/* Puts a copy into the guest's memory; *ret_address is meaningless for no bytes. As guard_run();
 * GUARD_STOPPED_MEMORY when the module gives no memory. */
int module_memory_give(struct module *m, struct slice bytes, uint32_t *ret_address);
/* Frees what was given. As guard_run(). */
int module_memory_free(struct module *m, uint32_t address, uint32_t len);
/* Frees what the function returned, when the module exports sluice_free. As guard_run(). */
int module_memory_free_result(struct module *m, uint32_t address, uint32_t len);
/* The bytes there; ptr NULL when they are not all in memory. Good until the guest runs again. */
struct slice module_memory_at(const struct module *m, uint32_t address, uint32_t len);

/* ---- bundle: what is to be served ---- */

struct bundle_limits {
    uint64_t memory_bytes, timeout_ms, request_bytes, response_bytes, log_bytes, fetch_bytes;
    /* Calls that wait at once, requests that wait for their turn beyond those, and how late the
     * loop may be while any do. */
    uint64_t concurrency, queue_length, loop_delay_ms;
};

struct bundle {
    struct json_t *root;
    const char *namespace_name, *name, *main;
    bool is_wasm, isolate_events;
    const char *wasm_module;
    const char *wasm_function; /* NULL until bundle_choose_function() */
    const char *wasm_result;   /* NULL: not said */
    bool has_mapping;          /* JavaScript makes the arguments or the answer */
    struct json_t *command, *env;
    struct json_t *allow; /* texts HOST:PORT, what fetch may call; NULL: nothing */
    struct bundle_limits limits;
    struct buf settings; /* JSON for the prelude: everything but the files */
};

int bundle_parse(struct slice json, struct bundle *ret, struct error *err);
void bundle_done(struct bundle *b);
/* Puts the variables of this process into the bundle's text, before it is parsed. */
int bundle_add_environment(struct buf *bundle, struct error *err);
/* Without wasm.function, a module that is a WASI command is one, and any other has to export
 * handle.
 */
int bundle_choose_function(struct bundle *b, const struct module *m, struct error *err);
/* The file's text, ptr NULL when there is none. */
struct slice bundle_file(const struct bundle *b, struct slice name);
/* The name of the file that base's import or require of specifier means, or "node:NAME" of a module
 * of Node's that is given. 0, -ENOENT, or -ENOTSUP for those that are not. */
int bundle_resolve(const struct bundle *b, struct slice base, struct slice specifier,
                   bool is_import, struct buf *name, struct error *err);
/* Whether a file is an ECMAScript module: by .mjs and .cjs, package.json's type, and its syntax. */
bool bundle_is_module(const struct bundle *b, struct slice name, struct slice text);

/* ---- report: lines to the host's pipe, or plain text to stdout ---- */

enum report_level { REPORT_DEBUG, REPORT_INFO, REPORT_WARN, REPORT_ERROR, REPORT_LEVEL_COUNT };

void report_setup(int fd, bool plain);
/* label and value as one line of text. */
void report_plain(const char *label, const char *value);
void report_ready(void);
void report_draining(void); /* it takes no more connections */
void report_failed(const struct engine_failure *f);
void report_failed_text(const char *message);
void report_log(enum report_level level, struct slice event, struct slice text);
void report_limit(const char *limit, struct slice event, const char *message);

/* ---- program: the user's function, loaded ---- */

/* Evaluates the prelude; in the first process, before any fork. */
int program_prepare(struct error *err);
/* Evaluates the user's code and takes the snapshots. module: NULL for js. 0 or a negative errno: it
 * has been reported. */
int program_load(struct bundle *bundle, struct module *module);
/* Calls what the function exports as shutdown, when no call is under way. */
void program_shutdown(void);

/* ---- call: one request through the function ---- */

/* http_handler_fn for every path. */
void call_handle(struct http_request *request, void *ctx);
/* The same for all: health and metrics are the worker's. */
void page_handle(struct http_request *request, void *ctx);

/* ---- confine, serve, zygote: see the files ---- */

struct confine_options {
    uint64_t memory_bytes; /* what guests may use */
    uint64_t own_bytes;    /* what the worker itself needs besides the usual */
    bool writes_files;     /* the report may go to a file */
    bool may_be_less; /* in a container of its own: what that one forbids is told and left out */
};
/* Builds the system call filter; once, in the first process. */
int confine_prepare(struct error *err);
/* Closes every descriptor from 3 on but those given. */
void confine_close_others(const int *keep, size_t count);
/* From here on the process can do no more than compute, talk on its open sockets and write its
 * report. 0 or a negative errno with a message. */
int confine_self(const struct confine_options *options, struct error *err);

/* ---- network.c: a namespace without network for the workers ---- */
/* In the zygote. act(fd) is what workers may ask for with network_act(). */
void network_leave(int (*act)(int fd));
/* What a worker needs for network_act(); -1: nothing. */
int network_descriptor(void);
/* Runs act(fd) where the network is, here or in the porter. Its result, 0 when another process does
 * it, or a negative errno. */
int network_act(int (*act)(int fd), int fd);
/* In the worker: it needs no network any more. */
void network_forget(void);

struct serve_options {
    const char *listen;  /* HOST:PORT, or NULL */
    int listen_fd;       /* when listen is NULL */
    const char *address; /* how to call listen_fd on stdout */
    bool standalone;     /* says on stdout where it listens */
    bool alone;          /* no host has seen to it that nothing is under way when it ends, or that
                            the system allows all of the confinement */
};
void serve_catch_signals(void);
/* Loads the function, confines the process and serves until it is told to end. The exit status. The
 * bundle's text must stay as long as the process. */
int serve_run(struct slice bundle, int module_fd, const struct serve_options *options);

/* ---- pool.c ---- */
#define POOL_WORKERS_MAX 64
/* Keeps count workers alive that share the TCP address; after preparation, before anything is
 * loaded. The exit status, or a negative errno when it cannot listen. */
int pool_run(const char *listen, unsigned count, struct slice bundle, int module_fd,
             struct error *err);

int zygote_run(int socket);

#endif
