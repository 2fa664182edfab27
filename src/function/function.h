/* SPDX-License-Identifier: Apache-2.0 */
/* Functions inside the broker process: a controller for Function resources that builds what must be
 * built (confined, in a process of its own), asks the zygote for workers, watches them, keeps their
 * logs, and calls them over their Unix sockets. Loop thread only. */
#ifndef SLUICE_FUNCTION_FUNCTION_H
#define SLUICE_FUNCTION_FUNCTION_H

#include "base/error.h"
#include "base/loop.h"
#include "broker/sink.h"
#include "http/client.h"
#include "http/server.h"
#include "resource/registry.h"

struct function_host;

struct function_host_options {
    struct loop *loop;
    struct registry *registry;
    struct http_client *client;
    const char
        *data_dir; /* DIR: sockets in DIR/run, compiled modules in DIR/cache, logs in DIR/logs */
    const char *worker_path;  /* the sluice-worker program */
    const char *builder_path; /* the sluice-builder program; NULL: beside the worker */
    const char *runner_path;  /* the sluice-runner program; NULL: beside the worker */
    const char *runtimes;     /* directory of runtimes; NULL: where runtime_directory() finds it */
    bool allow_unsandboxed;   /* anybody who may write may run functions as processes */
    bool persistent;          /* false: --store memory, still uses data_dir for sockets and cache */
    /* Called when a function's sink state changed. */
    void (*changed)(void *ctx, const char *namespace_name, const char *name);
    void *changed_ctx;
};

/* Spawns the zygote and registers itself as observer of Function resources. */
int function_host_new(const struct function_host_options *options, struct function_host **ret,
                      struct error *err);
/* May this Function be written? admin: who asks may do anything. 0; 403 when its runtime runs
 * outside of the sandbox; 422 when there is no such runtime. Any thread. */
unsigned function_host_admit(const struct function_host *h, const json_t *object, bool admin,
                             struct error *err);
/* http://HOST:PORT, for status.url; copied. */
void function_host_set_address(struct function_host *h, const char *base_url);
/* Ends workers and zygote; calls under way end with -ECANCELED. Before the client, the registry and
 * the loop are freed. */
void function_host_free(struct function_host *h);
/* ctx for these is the function_host. */
extern const struct sink_ops function_sink_ops;

/* A request of /functions/{namespace}/{name}/{path...}: forwarded to a worker, its answer passed
 * on. Takes the request over. */
void function_serve(struct function_host *h, struct http_request *request);
/* 503 with Retry-After and Client-Retry. Takes the request over. */
void function_refuse(struct function_host *h, struct http_request *request,
                     const struct error *err);
/* GET …/log: text/plain, the last tail_lines (0: all kept); follow keeps the stream open. Takes the
 * request over. 404 when there is no such function. */
void function_serve_log(struct function_host *h, struct http_request *request,
                        const char *namespace_name, const char *name, unsigned tail_lines,
                        bool follow);

struct function_host_stats {
    unsigned functions, ready, workers, workers_busy;
    unsigned waiting; /* calls for which no worker has room */
    uint64_t calls, failures, waited, rejected;
    uint64_t worker_starts, worker_exits, restarts_crash, restarts_time, restarts_zygote,
        restarts_health;
    uint64_t cold_starts, cold_start_ns;
    uint64_t builds, builds_cached, build_failures, prepares, prepare_failures;
    unsigned building, starting, failed, crashing; /* functions */
};
void function_host_stats(const struct function_host *h, struct function_host_stats *ret);

#endif
