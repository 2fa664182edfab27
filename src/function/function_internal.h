/* SPDX-License-Identifier: Apache-2.0 */
/* The function host's own parts, loop thread only. Ownership: host → functions → versions →
 * workers. A version is one generation of a function's spec; a function has at most one that serves
 * (current) and one that is on its way (next); replaced ones live on until their calls have ended.
 */
#ifndef SLUICE_FUNCTION_FUNCTION_INTERNAL_H
#define SLUICE_FUNCTION_FUNCTION_INTERNAL_H

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "function/folder.h"
#include "function/function.h"
#include "function/log.h"
#include "function/programs.h"
#include "function/runtime.h"

#include <jansson.h>
#include <sys/types.h>

struct function;
struct version;

/* ---- spec.c: the Function object, read ---- */

enum function_form {
    FUNCTION_JS,
    FUNCTION_WASM,
    FUNCTION_PROCESS, /* a program under sluice-runner */
    FUNCTION_URL,     /* it serves already, elsewhere */
    FUNCTION_FORM_COUNT
};

struct function_spec {
    enum function_form form;
    uint64_t memory_bytes, timeout_ns, idle_ns, request_bytes, response_bytes, fetch_bytes;
    unsigned concurrency, scale_min, scale_max;
    uint64_t health_period_ns; /* 0: nobody asks */
    unsigned health_failures;  /* in a row, until a worker is replaced */
    const struct runtime *runtime;
    const char *main_file;   /* js, processes: lives as long as source */
    const char *export_name; /* wasm: the same; NULL: the usual ones */
    const char *url;         /* the same */
    struct buf module;       /* wasm: the bytes, until they are built */
    json_t *source;          /* the object's spec: shared with the registry, never changed */
    json_t *environment;     /* name: value */
};
/* 0, or negative errno with err and ret_reason, the condition's reason, set. */
int function_spec_read(const struct function_host *h, const json_t *object,
                       struct function_spec *ret, const char **ret_reason, struct error *err);
void function_spec_done(struct function_spec *s);

/* ---- environment.c: variables, Secrets and ConfigMaps ---- */

/* A new object name: value. 0, or negative errno with err and the condition's reason. */
int environment_read(const struct function_host *h, const char *namespace_name, const json_t *spec,
                     json_t **ret, const char **ret_reason, struct error *err);
/* Does the spec take a value from that Secret or ConfigMap? */
bool environment_uses(const json_t *spec, const struct resource_kind *kind, const char *name);

/* ---- bundle.c: what a worker is given ---- */

/* A sealed memfd with protocol.h's JSON, or a negative errno. The caller closes it. */
int bundle_make(const struct function_spec *s, const json_t *metadata, int64_t generation);

/* ---- worker.c: one worker process as the host sees it ---- */

enum worker_state {
    WORKER_STARTING, /* its socket takes connections already, they wait in its backlog */
    WORKER_READY,
    WORKER_STOPPING, /* gets no more calls */
    WORKER_GONE,     /* waits for its calls to end */
    WORKER_STATE_COUNT
};

struct worker {
    struct list link;
    struct version *version;
    uint64_t number;
    enum worker_state state;
    pid_t pid;
    struct process process; /* sluice-runner; or not used: the zygote's child */
    int report;
    struct loop_watch report_watch;
    struct buf line;
    bool line_too_long, failed, asked_to_stop;
    bool lost; /* gets no more calls: it is being killed, or its socket is dead already */
    struct error failure; /* what a "failed" report said */
    struct loop_timer deadline;
    unsigned calls;
    uint64_t progress; /* when the last call began or ended */
    uint64_t started_at, ready_at;
    bool cold; /* a call waits for it, and there was no other */
    struct {
        struct loop_timer timer;
        struct http_call *call; /* NULL: none is under way */
        unsigned failures;      /* in a row */
    } health;
    char socket_path[108];
};
int worker_start(struct version *v, struct worker **ret, struct error *err);
static inline bool worker_usable(const struct worker *w)
{
    return (w->state == WORKER_STARTING || w->state == WORKER_READY) && !w->lost;
}
/* No more calls; ends when those that run have ended, or at the latest when their time is up. */
void worker_stop(struct worker *w);
/* Its end is treated as a crash. */
void worker_kill(struct worker *w);
/* A call was given up as it took too long. One call of a process cannot be ended: the process is
 * replaced, once its other calls have ended. */
void worker_overran(struct worker *w);
void worker_call_begin(struct worker *w);
void worker_call_end(struct worker *w);
void worker_started(struct worker *w, int value);
/* status: the wait status; -1: it went with its zygote. */
void worker_exited(struct worker *w, int status);
/* At the end of the host: nobody is waited for. */
void worker_free(struct worker *w);

/* ---- health.c: asks workers whether they are alive ---- */

/* It is ready. */
void health_begin(struct worker *w);
void health_end(struct worker *w);

/* ---- version.c: one generation, its build and its workers ---- */

enum version_state {
    VERSION_BUILDING,
    VERSION_STARTING, /* the first worker is loading it */
    VERSION_SERVING,
    VERSION_RETIRING,
    VERSION_STATE_COUNT
};

struct version {
    struct list link; /* in function->retiring, or alone */
    struct function *function;
    int64_t generation;
    enum version_state state;
    struct function_spec spec;
    struct build *build;
    struct prepare *prepare;
    char digest[FOLDER_DIGEST_SIZE]; /* of its folder; "": none */
    unsigned uid;                    /* of its processes */
    int module;                      /* descriptor of the shared object, or -1 */
    int bundle;                      /* while there are workers; -1: made for the next one */
    struct list workers;
    bool proven;     /* it served before a restart: no worker has to show that it loads */
    unsigned usable; /* workers that take calls */
    unsigned calls, peak_calls;
    unsigned crashes;                   /* in a row */
    unsigned restarts;                  /* in all, after crashes */
    char last_end[200], next_start[32]; /* of the last crash */
    struct loop_timer restart, idle;
    struct list launch; /* in host->launches, or alone */
    bool launching;     /* it has one of the places */
    struct loop_timer hold;
};
/* Takes spec over. */
int version_new(struct function *f, int64_t generation, struct function_spec *spec,
                struct version **ret);
/* Builds and starts the first worker; tells the function how it went. */
void version_begin(struct version *v);
/* A worker that has room for a call, one more being started when all are busy; NULL: none has. */
struct worker *version_pick(struct version *v);
void version_retire(struct version *v);
/* Kills all at once. */
void version_free(struct version *v);
void version_prepared(struct version *v, int status, const char *reason, const struct error *err);
void version_worker_ready(struct worker *w);
/* It ended in that state; frees it once its calls have ended. status: as of worker_exited. */
void version_worker_gone(struct worker *w, enum worker_state was, int status);
/* A worker may be had now or later without a new deploy. */
bool version_ready(const struct version *v);
/* The zygote is there (again): starts what waited for it. */
void version_retry(struct version *v);
/* Starts workers until wanted are usable, and returns the last; tries again later when it cannot.
 */
struct worker *version_fill(struct version *v, unsigned wanted);
/* No worker is started for so long, then as many as are wanted. */
void version_schedule(struct version *v, uint64_t delay);
/* Only spec.scale and limits.queue are others. Takes spec over. */
void version_rescale(struct version *v, int64_t generation, struct function_spec *spec);
/* A retiring version without workers and calls is freed. */
void version_end_when_idle(struct version *v);
/* Frees a worker that is gone, and with the last one a retiring version. */
void version_release_worker(struct worker *w);

/* ---- launch.c: new versions, some at a time ---- */

void launches_init(struct function_host *h);
void launch_init(struct version *v);
/* Its first worker is started, now or when there is a place. */
void launch_begin(struct version *v);
void launch_end(struct version *v);

/* ---- deploy.c: one function, its versions, its status ---- */

struct function {
    struct list link; /* in host->removed, or alone */
    struct function_host *host;
    struct resource *resource; /* NULL when it was deleted and its calls are ending */
    char *namespace_name, *name;
    char identity[48]; /* metadata.uid */
    uint32_t number;   /* the resource's */
    struct version *current, *next;
    struct list retiring;
    struct list waiting; /* calls for which no worker has room yet */
    unsigned waiting_count;
    struct loop_timer dispatch, expiry;
    struct function_log *log;
    const char *failure_reason; /* of the last deploy; NULL: none */
    char failure_reason_text[48];
    struct error failure;
    int64_t failed_generation;
    enum sink_state announced;
};
int function_new(struct function_host *h, struct resource *resource, struct function **ret);
/* A new generation of the spec. */
void function_deploy(struct function *f);
/* A Secret or ConfigMap that it may use is another now: deploys it anew when that makes a
 * difference. */
void function_environment_changed(struct function *f);
/* Its resource is gone: ends its workers; frees it when the last has ended. */
void function_remove(struct function *f);
/* At once. */
void function_free(struct function *f, bool remove_log);
void function_version_serving(struct function *f, struct version *v);
void function_version_failed(struct function *f, struct version *v, const char *reason,
                             const struct error *err);
void function_version_retired(struct function *f, struct version *v);
/* Writes the status anew. */
void function_publish(struct function *f);
/* Workers came or went: the sink's state may have changed. */
void function_update(struct function *f);
enum sink_state function_sink_state(const struct function *f, struct error *err);

/* ---- host.c ---- */

struct function_host {
    struct loop *loop;
    struct registry *registry;
    struct http_client *client;
    char *run_folder; /* as sockets' paths begin; short enough for them */
    int run_fd;       /* behind a run_folder of /proc/self/fd/N, or -1 */
    char *base_url;
    struct function_log_folder logs;
    struct zygote *zygote;
    struct build_queue builds;
    struct prepare_queue prepares;
    char *runner_path;
    struct function_folders folders;
    struct runtime_set *runtimes; /* never changes: any thread */
    bool allow_unsandboxed;
    struct list launches; /* versions that wait for a place */
    unsigned launching;
    struct loop_timer launch;
    struct map functions; /* "namespace/name" */
    struct map workers;   /* by number, 8 bytes */
    struct list removed;  /* functions whose resource is gone and whose calls are ending */
    struct list invocations;
    size_t waiting_count, waiting_bytes; /* of all functions */
    uint64_t last_worker;
    struct function_host_stats stats;
    void (*changed)(void *ctx, const char *namespace_name, const char *name);
    void *changed_ctx;
    bool landlock_missing_told;
};
/* By the name or alias in spec.runtime. 0 or -EINVAL with those that there are. Any thread. */
int function_host_runtime(const struct function_host *h, const char *name,
                          const struct runtime **ret, struct error *err);
struct function *function_host_find(struct function_host *h, const char *namespace_name,
                                    const char *name);
/* Its name is free again. */
void function_host_retire(struct function_host *h, struct function *f);

/* ---- invoke.c: one call, waiting for a worker or under way ---- */

/* Each call under way or waiting ends with -ECANCELED. */
void invocation_end_all(struct function_host *h);
/* Calls the function, once a worker has room for it. A call that may be refused ends with -EAGAIN
 * when it has waited for the time of a call. -EAGAIN when it cannot be had now, or too many wait
 * already, with err; -ENOENT. */
int function_invoke(struct function *f, const char *path, const struct http_call_options *options,
                    bool refusable, struct http_call **ret_call, struct error *err);
/* Workers may have room: calls that wait go on, in the next turn of the loop. */
void function_dispatch(struct function *f);
/* All that wait end with that error. */
void function_give_up(struct function *f, int error, const char *text);
void function_waiting_init(struct function *f);
/* Nothing waits any more. */
void function_waiting_done(struct function *f);

#endif
