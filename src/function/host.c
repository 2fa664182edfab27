/* SPDX-License-Identifier: Apache-2.0 */
#include "function/function_internal.h"

#include "base/fdio.h"
#include "base/log.h"
#include "base/must.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* ---- functions by name ---- */

static int make_key(const char *namespace_name, const char *name, struct buf *out)
{
    buf_printf(out, "%s/%s", namespace_name, name);
    return buf_ok(out) ? 0 : -ENOMEM;
}

struct function *function_host_find(struct function_host *h, const char *namespace_name,
                                    const char *name)
{
    char key[600];
    int len = snprintf(key, sizeof(key), "%s/%s", namespace_name, name);
    if (len < 0 || (size_t)len >= sizeof(key))
        return NULL; /* longer than any name */
    return map_get(&h->functions, slice_of(key, (size_t)len));
}

void function_host_retire(struct function_host *h, struct function *f)
{
    autobuf key = BUF_INIT;
    if (make_key(f->namespace_name, f->name, &key) == 0)
        map_remove(&h->functions, buf_slice(&key));
    list_append(&h->removed, &f->link);
}

/* ---- runtimes ---- */

int function_host_runtime(const struct function_host *h, const char *name,
                          const struct runtime **ret, struct error *err)
{
    const struct runtime *found = name != NULL ? runtime_set_find(h->runtimes, name) : NULL;
    autobuf names = BUF_INIT;
    if (found != NULL) {
        *ret = found;
        return 0;
    }
    runtime_set_names(h->runtimes, &names);
    return error_field(err, -EINVAL, "spec.runtime",
                       "there is no runtime \"%.60s\" on this server: there are %s",
                       name != NULL ? name : "", names.len > 0 ? names.ptr : "none");
}

unsigned function_host_admit(const struct function_host *h, const json_t *object, bool admin,
                             struct error *err)
{
    const struct runtime *runtime = NULL;
    if (function_host_runtime(h, resource_text_at(object, "spec.runtime"), &runtime, err) < 0 ||
        runtime == NULL)
        return 422;
    if (runtime->sandbox != RUNTIME_PROCESS || h->allow_unsandboxed || admin)
        return 0;
    error_field(
        err, -EACCES, "spec.runtime",
        "runtime %s runs programs outside of the sandbox: that wants the server's admin token, "
        "and none or another was shown (SLUICE_TOKEN, --token, or Authorization: Bearer), "
        "or a server that was started with --allow-unsandboxed",
        runtime->name);
    return 403;
}

static int load_runtimes(struct function_host *h, const char *given, struct error *err)
{
    autofree char *directory = NULL;
    int r = runtime_directory(given, &directory, err);
    return r < 0 ? r : runtime_set_load(directory, &h->runtimes, err);
}

/* ---- the controller ---- */

static struct function *host_add(struct function_host *h, struct resource *resource)
{
    struct function *f = NULL;
    autobuf key = BUF_INIT;
    int r = make_key(resource->namespace_name, resource->name, &key);
    if (r == 0)
        r = function_new(h, resource, &f);
    if (r == 0 && (r = map_put(&h->functions, buf_slice(&key), f)) < 0)
        function_free(STEAL(f), false);
    if (r < 0)
        log_error("function %s/%s: %s", resource->namespace_name, resource->name, strerror(-r));
    return f;
}

static bool same_spec(const struct resource *resource, const json_t *before)
{
    return before != NULL && json_equal(json_object_get(resource->object, "spec"),
                                        json_object_get(before, "spec")) == 1;
}

static void host_on_change(void *ctx, enum registry_change change, struct resource *resource,
                           const json_t *before)
{
    struct function_host *h = ctx;
    struct function *f = resource->controller;
    if (change == REGISTRY_STATUS)
        return;
    if (change == REGISTRY_DELETED) {
        resource->controller = NULL;
        if (f != NULL)
            function_remove(f);
        return;
    }
    if (f == NULL)
        f = resource->controller = host_add(h, resource);
    else if (same_spec(resource, before))
        return;
    if (f != NULL)
        function_deploy(f);
}

/* A Secret or a ConfigMap. Those that are there before the functions, at a start, meet none. */
static void host_on_entries(void *ctx, enum registry_change change, struct resource *resource,
                            const json_t *before)
{
    struct function_host *h = ctx;
    struct slice key;
    void *value;
    if (change == REGISTRY_STATUS)
        return;
    for (size_t at = 0; map_next(&h->functions, &at, &key, &value);) {
        struct function *f = value;
        if (strcmp(f->namespace_name, resource->namespace_name) == 0 &&
            environment_uses(json_object_get(f->resource->object, "spec"), resource->kind,
                             resource->name))
            function_environment_changed(f);
    }
}

/* ---- what the zygote says ---- */

static struct worker *find_worker(struct function_host *h, uint64_t number)
{
    return map_get(&h->workers, slice_of(&number, sizeof(number)));
}

static void host_on_started(void *ctx, uint64_t number, int value)
{
    struct worker *w = find_worker(ctx, number);
    if (w == NULL)
        return;
    if (value <= 0)
        log_warn("function %s/%s: the zygote could not fork: %s",
                 w->version->function->namespace_name, w->version->function->name,
                 strerror(-value));
    worker_started(w, value);
}

static void host_on_exited(void *ctx, uint64_t number, int status)
{
    struct worker *w = find_worker(ctx, number);
    if (w != NULL)
        worker_exited(w, status);
}

static void retry_functions(struct function_host *h)
{
    struct slice key;
    void *value;
    for (size_t at = 0; map_next(&h->functions, &at, &key, &value);) {
        struct function *f = value;
        if (f->next != NULL)
            version_retry(f->next);
        if (f->current != NULL)
            version_retry(f->current);
    }
}

static void host_on_ready(void *ctx)
{
    retry_functions(ctx);
}

/* An end of a worker can end others' structures too, so each is looked up again by its number. */
static void host_on_lost(void *ctx)
{
    struct function_host *h = ctx;
    size_t count = 0;
    uint64_t *numbers = calloc(h->workers.len + 1, sizeof(*numbers));
    must(numbers != NULL);
    struct slice key;
    void *value;
    for (size_t at = 0; map_next(&h->workers, &at, &key, &value);)
        numbers[count++] = ((struct worker *)value)->number;
    for (size_t i = 0; i < count; i++)
        host_on_exited(h, numbers[i], -1);
    free(numbers);
}

static const struct zygote_events zygote_events = {
    .ready = host_on_ready,
    .started = host_on_started,
    .exited = host_on_exited,
    .lost = host_on_lost,
};

/* ---- life ---- */

/* A socket's path has 107 characters. A longer folder is reached through a descriptor: the client
 * that connects is in this process. */
static int shorten_run(struct function_host *h, struct error *err)
{
    if (strlen(h->run_folder) + sizeof("/w18446744073709551615.sock") <= 108)
        return 0;
    h->run_fd = open(h->run_folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (h->run_fd < 0)
        return error_set(err, -errno, "cannot open %s: %s", h->run_folder, strerror(errno));
    free(STEAL(h->run_folder));
    if (asprintf(&h->run_folder, "/proc/self/fd/%d", h->run_fd) < 0)
        h->run_folder = NULL;
    return h->run_folder == NULL ? error_set(err, -ENOMEM, "out of memory") : 0;
}

static int make_folders(struct function_host *h, const struct function_host_options *o,
                        struct error *err)
{
    if (asprintf(&h->run_folder, "%s/run", o->data_dir) < 0)
        h->run_folder = NULL;
    if (o->persistent && asprintf(&h->logs.path, "%s/logs", o->data_dir) < 0)
        h->logs.path = NULL;
    h->logs.loop = o->loop;
    if (h->run_folder == NULL || (o->persistent && h->logs.path == NULL))
        return error_set(err, -ENOMEM, "out of memory");
    /* Sockets of a run before are of no use, and DIR is ours alone. */
    int r = fdio_remove_tree(h->run_folder);
    if (r == 0)
        r = fdio_make_folders(h->run_folder, 0700);
    if (r == 0 && h->logs.path != NULL)
        r = fdio_make_folders(h->logs.path, 0700);
    if (r < 0)
        return error_set(err, r, "cannot make %s: %s", h->run_folder, strerror(-r));
    return shorten_run(h, err);
}

static int observe(struct function_host *h, struct error *err)
{
    static const struct {
        const struct resource_kind *kind;
        registry_observer_fn *observer;
    } rows[] = {
        {&resource_kind_secret, host_on_entries},
        {&resource_kind_configmap, host_on_entries},
        {&resource_kind_function, host_on_change},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int r = registry_observe(h->registry, rows[i].kind, rows[i].observer, h);
        if (r < 0)
            return error_set(err, r, "cannot observe %s: %s", rows[i].kind->plural, strerror(-r));
    }
    return 0;
}

/* Without it functions that are processes are refused when they are deployed, the others run. */
static void find_runner(struct function_host *h, const struct function_host_options *o)
{
    static const char *const places[] = {"sluice-runner", "../runner/sluice-runner", NULL};
    h->runner_path =
        o->runner_path != NULL ? strdup(o->runner_path) : find_beside(o->worker_path, places);
    prepare_queue_init(&h->prepares, h->loop, h->runner_path);
}

static int host_start(struct function_host *h, const struct function_host_options *o,
                      struct error *err)
{
    autofree char *cache = NULL;
    if (asprintf(&cache, "%s/cache", o->data_dir) < 0)
        cache = NULL;
    int r = cache == NULL ? error_set(err, -ENOMEM, "out of memory") : make_folders(h, o, err);
    if (r == 0)
        r = build_queue_init(&h->builds, o->loop, o->builder_path, o->worker_path, cache, err);
    if (r == 0)
        r = folders_init(h, o->data_dir, err);
    if (r == 0)
        r = load_runtimes(h, o->runtimes, err);
    find_runner(h, o);
    if (r == 0)
        r = zygote_new(o->loop, o->worker_path, &zygote_events, h, &h->zygote, err);
    return r == 0 ? observe(h, err) : r;
}

int function_host_new(const struct function_host_options *o, struct function_host **ret,
                      struct error *err)
{
    struct function_host *h = calloc(1, sizeof(*h));
    if (h == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    h->loop = o->loop;
    h->registry = o->registry;
    h->client = o->client;
    h->allow_unsandboxed = o->allow_unsandboxed;
    h->changed = o->changed;
    h->changed_ctx = o->changed_ctx;
    h->run_fd = -1;
    list_init(&h->invocations);
    list_init(&h->removed);
    launches_init(h);
    int r = host_start(h, o, err);
    if (r < 0) {
        function_host_free(h);
        return r;
    }
    *ret = h;
    return 0;
}

void function_host_free(struct function_host *h)
{
    if (h == NULL)
        return;
    h->changed = NULL;
    invocation_end_all(h);
    struct slice key;
    void *value;
    for (size_t at = 0; map_next(&h->functions, &at, &key, &value);)
        function_free(value, false);
    while (!list_empty(&h->removed))
        function_free(list_entry(h->removed.next, struct function, link), true);
    zygote_free(h->zygote);
    build_queue_done(&h->builds);
    prepare_queue_done(&h->prepares);
    folders_done(h);
    runtime_set_free(h->runtimes);
    free(h->runner_path);
    loop_timer_cancel(h->loop, &h->launch);
    map_done(&h->functions);
    map_done(&h->workers);
    if (h->run_fd >= 0)
        close(h->run_fd);
    free(h->run_folder);
    free(h->logs.path);
    free(h->base_url);
    free(h);
}

void function_host_set_address(struct function_host *h, const char *base_url)
{
    free(h->base_url);
    h->base_url = base_url != NULL ? strdup(base_url) : NULL;
    struct slice key;
    void *value;
    for (size_t at = 0; map_next(&h->functions, &at, &key, &value);)
        function_publish(value);
}

static void count_states(const struct function *f, struct function_host_stats *ret)
{
    ret->ready += function_sink_state(f, NULL) == SINK_READY;
    ret->building += f->next != NULL && f->next->state == VERSION_BUILDING;
    ret->starting += f->next != NULL && f->next->state == VERSION_STARTING;
    ret->failed += f->failure_reason != NULL;
    ret->crashing += f->current != NULL && f->current->crashes > 1;
}

void function_host_stats(const struct function_host *h, struct function_host_stats *ret)
{
    *ret = h->stats;
    ret->functions = (unsigned)h->functions.len;
    ret->waiting = (unsigned)h->waiting_count;
    ret->builds = h->builds.builds;
    ret->builds_cached = h->builds.cached;
    ret->build_failures = h->builds.failures;
    ret->prepares = h->prepares.prepares;
    ret->prepare_failures = h->prepares.failures;
    struct slice key;
    void *value;
    for (size_t at = 0; map_next(&h->functions, &at, &key, &value);)
        count_states(value, ret);
}
