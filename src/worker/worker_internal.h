/* SPDX-License-Identifier: Apache-2.0 */
/* The worker program's own parts, lowest first: guard (traps and time), snapshot (fresh instances),
 * engine (QuickJS as a guest), module (a compiled WebAssembly module as a guest), bundle (what the
 * host sent), report (what goes back), program (the user's function), call (one request), confine,
 * serve, zygote. All of it runs on the one thread that a worker has. */
#ifndef SLUICE_WORKER_WORKER_INTERNAL_H
#define SLUICE_WORKER_WORKER_INTERNAL_H

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"
#include "event/event.h"
#include "http/server.h"
#include "worker/module_abi.h"
#include "worker/protocol.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

/* ---- guard: guest code runs inside guard_run() and nowhere else ---- */

/* How guard_run() ended besides 0 and the wasm_rt_trap_t values, which stay below. */
#define GUARD_STOPPED_TIME   100
#define GUARD_STOPPED_MEMORY 101

/* Signal handlers and an alternate stack for this thread. Once, in the first process. */
int guard_init(struct error *err);
/* Creates the timer; timers are not inherited, so each worker does it after fork. */
int guard_start_timer(struct error *err);
/* Runs fn(ctx), which may call guests. 0, a wasm_rt_trap_t, or GUARD_STOPPED_*: then fn was unwound
 * while a guest ran, and the guest's state is undefined until its snapshot is restored. Not
 * reentrant. */
int guard_run(void (*fn)(void *ctx), void *ctx);
/* Monotonic nanoseconds at which guest code is unwound; 0: never. */
void guard_set_deadline(uint64_t deadline_ns);
const char *guard_describe(int ended);

/* Around each call into a guest, and around the body of each import. What lies between leaving and
 * entering may use the C library freely; what is held while the guest runs is lost when the guest
 * is unwound, so it must be static. */
void guard_enter_guest(void);
void guard_leave_guest(void);
void guard_enter_import(void);
void guard_leave_import(void);
/* Ends guard_run() from inside a guest or an import. */
_Noreturn void guard_trap(int code);

/* ---- snapshot: what a guest instance looked like, and putting it back ---- */

#define SNAPSHOT_MAX        2 /* the engine, and a module */
#define SNAPSHOT_TABLES_MAX 8

struct snapshot {
    /* Set by the owner before snapshot_take(). */
    void *instance; /* the instance struct */
    size_t instance_size;
    wasm_rt_memory_t *memory; /* inside the instance struct; NULL: it has none */
    wasm_rt_funcref_table_t *tables[SNAPSHOT_TABLES_MAX]; /* those that the guest can change */
    unsigned table_count;

    /* Owned. */
    bool taken;
    uint8_t *base; /* the memory's pages at the time of the snapshot: base to base + size */
    size_t size;
    size_t page_count;
    uint8_t *originals; /* same layout; a page is valid here once PAGE_SAVED is set */
    uint8_t *page_flags;
    uint32_t *written; /* pages that are writable now, copied back at each restore */
    uint32_t written_count;
    uint32_t sorted_count; /* as many as when they were last put in order */
    void *instance_copy;
    wasm_rt_funcref_t *table_copies[SNAPSHOT_TABLES_MAX];
    uint64_t restores;
};

/* Remembers the instance as it is now and write-protects its memory; the original of a page is
 * copied when it is first written. 0 or a negative errno. */
int snapshot_take(struct snapshot *s, struct error *err);
/* Everything is as it was. after_stop: guest code was unwound, so growing may be half done. */
void snapshot_restore(struct snapshot *s, bool after_stop);
/* Called with the address of a fault: true when it was the first write to a protected page, which
 * is writable now. Async-signal-safe. */
bool snapshot_fault(void *address);
/* Whether the address lies in the 8 GiB that a guest memory reserves. */
bool snapshot_contains(const void *address);
/* Known from now on to snapshot_contains(), before it is taken. */
void snapshot_register(struct snapshot *s);
void snapshot_release(struct snapshot *s); /* for tests */

/* ---- engine: QuickJS, one instance in this process ---- */

/* A value of the guest: the address of its box in guest memory; 0 is none. */
typedef uint32_t engine_value;

/* A host function that the prelude gets. argv are borrowed. Returns a value that it owns, or 0
 * after engine_throw(). Runs in GUARD_IMPORT. */
struct engine_function {
    const char *name;
    engine_value (*call)(uint32_t argc, const engine_value *argv);
};

struct engine_failure {
    struct buf name, message, stack, file;
    int line, column; /* 0: unknown */
    int status;       /* a numeric `code` of the error, 400 to 599; else 0 */
    bool out_of_memory;
    bool interrupted; /* ended by the interrupt hook */
};

/* Module loading, answered by the program. resolve appends the file's name; both return 0 or
 * -ENOENT with the message. */
struct engine_loader {
    int (*resolve)(struct slice base, struct slice specifier, struct buf *name, struct error *err);
    int (*load)(struct slice name, struct buf *source, struct error *err);
};

int engine_init(struct error *err);
void engine_set_loader(const struct engine_loader *loader);
struct snapshot *engine_snapshot(void);
/* Clamps what the instance may grow to. */
void engine_set_memory_limit(uint64_t bytes);
/* Collects garbage, makes room so that a fresh instance need not grow its memory at once, and moves
 * the collector's threshold away. final: a snapshot follows. */
void engine_settle(bool final);
void engine_reseed(void);
/* The interrupt hook throws from this monotonic time on; 0: never. */
void engine_set_soft_deadline(uint64_t deadline_ns);

/* What follows calls the guest: only inside guard_run(), where host functions are, too. */
engine_value engine_eval(struct slice source, const char *name, int flags);
/* The same, but its functions have no text of their source: what an event uses lies closer
 * together, on fewer pages. */
engine_value engine_eval_without_source(struct slice source, const char *name);
engine_value engine_call(engine_value function, uint32_t argc, const engine_value *argv);
engine_value engine_string(struct slice text);
engine_value engine_bytes(struct slice bytes);
engine_value engine_undefined(void);
engine_value engine_boolean(bool value);
engine_value engine_object(void);
/* Give an object a property of its own. A negative errno: an exception is pending. */
int engine_set_text(engine_value object, struct slice name, struct slice text);
int engine_set_value(engine_value object, struct slice name, engine_value value);
void engine_add_functions(engine_value object, const struct engine_function *functions,
                          size_t count);
/* For host functions: the value as their result, an exception passed on. */
engine_value engine_pass(engine_value value);
engine_value engine_property(engine_value object, const char *name);
void engine_drop(engine_value value);
bool engine_is_exception(engine_value value);
bool engine_is_function(engine_value value);
bool engine_is_string(engine_value value);
bool engine_is_undefined(engine_value value);
bool engine_is_true(engine_value value);
double engine_number(engine_value value);
/* Appends the text of a string value; -E2BIG beyond max. */
int engine_get_text(engine_value value, size_t max, struct buf *out);
/* The same for the bytes of an ArrayBuffer or a view of one; -EINVAL when it is neither. */
int engine_get_bytes(engine_value value, size_t max, struct buf *out);
engine_value engine_throw(const char *message); /* returns 0 */
/* Appends the members of an array as console.log shows its arguments. -ENOTSUP: there is something
 * that only runtimes/js/inspect.js can show; -E2BIG: more than max bytes. After an error the
 * appended text is of no use. */
int engine_inspect(engine_value list, size_t max, struct buf *out);
/* Appends what JSON.stringify() gives. -ENOTSUP: only that can do it; -E2BIG: more than max bytes.
 */
int engine_json(engine_value value, size_t max, struct buf *out);

/* What an event's data are to the guest. */
enum engine_data {
    ENGINE_DATA_NONE,
    ENGINE_DATA_JSON,  /* says its type */
    ENGINE_DATA_GUESS, /* no type: JSON if they can be parsed, else text, else bytes */
    ENGINE_DATA_TEXT,  /* bytes if they are no UTF-8 */
    ENGINE_DATA_BYTES,
};
/* Calls function(event), or function(event, true) when the data are not the JSON that they should
 * be. abandon: a snapshot takes back what is left behind, which is more than freeing could. A
 * negative errno: an exception is pending. */
int engine_call_event(engine_value function, const struct event *e, enum engine_data form,
                      bool abandon);
/* The prototypes of the events that handlers get, and of those of the builder of replies. */
void engine_event_use(engine_value prototype, engine_value reply_prototype);

/* Where a reply goes: its attributes as "name NUL value NUL"…, and its data. */
struct engine_reply {
    struct buf *head, *body;
    size_t body_max;
    bool (*is_json_type)(struct slice content_type);
    bool has_type, is_json; /* engine_read_event()'s own */
};
/* -ENOTSUP: an event that only runtimes/js/answer.js can write; head and body are of no use then.
 * -E2BIG: the data have more than body_max bytes; -EMSGSIZE: so have the attributes. */
int engine_read_event(engine_value event, struct engine_reply *r);

/* Once, before all of these: the names ['constructor', 'name', 'prototype', Symbol.toStringTag, the
 * symbol of custom inspection] and the samples [{}, [], 'text', 7, true, null, undefined, 1.5].
 * -ENOTSUP when this build of the engine has other values than those that are read here. */
int engine_prepare(engine_value names, engine_value samples);
/* Runs queued jobs until there are none. -EINTR when the interrupt hook ended one, with the place.
 */
int engine_run_jobs(struct engine_failure *f);
/* The interrupt hook has thrown since the soft deadline was set. */
bool engine_interrupted(void);
/* Takes the pending exception, or describes a thrown value. */
void engine_take_failure(struct engine_failure *f);
void engine_describe(engine_value thrown, struct engine_failure *f);
void engine_failure_reset(struct engine_failure *f);
void engine_failure_done(struct engine_failure *f);

/* ---- random: bytes for guests, fetched from the kernel in blocks ---- */
void entropy_reset(void); /* after fork: never share a block */
void entropy_bytes(void *out, size_t len);
uint64_t entropy_u64(void); /* not zero */

/* ---- module: a compiled WebAssembly module ---- */

struct module;
int module_load(int fd, uint64_t memory_bytes, struct module **ret, struct error *err);
/* The export's signature ("ii:i"), or NULL. */
const char *module_signature(const struct module *m, const char *function);
struct snapshot *module_snapshot(struct module *m);
/* Instantiates (data, start function). As guard_run(). */
int module_start(struct module *m);
/* arguments: as many as the signature says. As guard_run(). */
int module_call(struct module *m, const char *function, const union worker_module_value *arguments,
                union worker_module_value *results);

#define MODULE_VALUES_MAX 32

/* ---- bundle: what is to be served ---- */

struct bundle_limits {
    uint64_t memory_bytes, timeout_ms, request_bytes, response_bytes, log_bytes;
};

struct bundle {
    struct json_t *root;
    const char *namespace_name, *name, *main;
    bool is_wasm, isolate_events;
    const char *wasm_module, *wasm_function;
    struct bundle_limits limits;
    struct buf settings; /* JSON for the prelude: everything but the files */
};

int bundle_parse(struct slice json, struct bundle *ret, struct error *err);
void bundle_done(struct bundle *b);
/* The file's text, ptr NULL when there is none. */
struct slice bundle_file(const struct bundle *b, struct slice name);
/* The name of the file that base's import or require of specifier means. 0 or -ENOENT. */
int bundle_resolve(const struct bundle *b, struct slice base, struct slice specifier,
                   struct buf *name, struct error *err);
/* Whether a file is an ECMAScript module: by .mjs and .cjs, package.json's type, and its syntax. */
bool bundle_is_module(const struct bundle *b, struct slice name, struct slice text);

/* ---- report: lines to the host's pipe, or plain text to stdout ---- */

enum report_level { REPORT_DEBUG, REPORT_INFO, REPORT_WARN, REPORT_ERROR, REPORT_LEVEL_COUNT };

void report_setup(int fd, bool plain);
/* label and value as one line of text. */
void report_plain(const char *label, const char *value);
void report_ready(void);
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

/* ---- call: one request through the function ---- */

/* http_handler_fn for every path. */
void call_handle(struct http_request *request, void *ctx);

/* ---- confine, serve, zygote: see the files ---- */

struct confine_options {
    uint64_t memory_bytes; /* what guests may use */
    bool writes_files;     /* the report may go to a file */
};
/* Builds the system call filter; once, in the first process. */
int confine_prepare(struct error *err);
/* An empty network namespace, when the kernel lets us: the filter forbids sockets anyway. */
void confine_leave_network(void);
/* Closes every descriptor from 3 on but those given. */
void confine_close_others(const int *keep, size_t count);
/* From here on the process can do no more than compute, talk on its open sockets and write its
 * report. 0 or a negative errno with a message. */
int confine_self(const struct confine_options *options, struct error *err);

struct serve_options {
    const char *listen;  /* HOST:PORT, or NULL */
    int listen_fd;       /* when listen is NULL */
    const char *address; /* how to call listen_fd on stdout */
    bool standalone;     /* says on stdout where it listens */
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
