/* SPDX-License-Identifier: Apache-2.0 */
/* One function: which of its versions serves, what became of the last deploy, and what its status
 * says about that. A new version serves before the old one goes; one that fails leaves the old one
 * alone. */
#include "function/function_internal.h"

#include "base/log.h"
#include "base/must.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- status ---- */

struct condition {
    const char *status, *reason;
    struct error text;
};

static const char *building_text(const struct version *v)
{
    return v->spec.form == FUNCTION_WASM ? "compiled" : "prepared: its packages are installed";
}

static struct condition built_condition(const struct function *f)
{
    struct condition c = {"True", "Built", ERROR_INIT};
    if (f->next != NULL && f->next->state == VERSION_BUILDING) {
        c = (struct condition){"Unknown", "Building", ERROR_INIT};
        error_set(&c.text, 0, "generation %lld is being %s", (long long)f->next->generation,
                  building_text(f->next));
    } else if (f->failure_reason != NULL && strcmp(f->failure_reason, "LoadFailed") != 0 &&
               strcmp(f->failure_reason, "WorkerCrashed") != 0) {
        c = (struct condition){"False", f->failure_reason, f->failure};
    }
    return c;
}

/* Back-off is said once a worker has crashed more than once in a row; before, another is started at
 * once. */
static struct condition crashed_condition(const struct version *v)
{
    bool loops = v->crashes > 1;
    struct condition c = {"False", loops ? "CrashLoopBackOff" : "WorkerCrashed", ERROR_INIT};
    error_set(&c.text, 0, "%s; restarted %u times, the next start is at %s; see its log",
              v->last_end, v->restarts, v->next_start);
    return c;
}

/* About the newest generation, as with Kubernetes' workloads: while it is on its way, and when it
 * failed, the one before may well be serving; the message says so, and servingGeneration. */
static struct condition ready_condition(const struct function *f)
{
    char old[64] = "";
    if (f->current != NULL)
        snprintf(old, sizeof(old), "; generation %lld goes on serving",
                 (long long)f->current->generation);
    struct condition c = {"True", "Serving", ERROR_INIT};
    if (f->failure_reason != NULL) {
        c = (struct condition){"False", f->failure_reason, f->failure};
        error_field(&c.text, 0, f->failure.field, "%s%s", f->failure.message, old);
    } else if (f->next != NULL && f->next->state == VERSION_BUILDING) {
        c = (struct condition){"Unknown", "Building", ERROR_INIT};
        error_set(&c.text, 0, "it is being %s%s", building_text(f->next), old);
    } else if (f->next != NULL || f->current == NULL) {
        c = (struct condition){"Unknown", "Starting", ERROR_INIT};
        error_set(&c.text, 0, "its worker is starting%s", old);
    } else if (!version_ready(f->current)) {
        c = crashed_condition(f->current);
    }
    return c;
}

static json_t *condition_object(const char *type, const struct condition *c)
{
    char message[sizeof(c->text.message) + sizeof(c->text.field) + 2];
    bool named = c->text.field[0] != '\0';
    snprintf(message, sizeof(message), "%s%s%s", c->text.field, named ? ": " : "", c->text.message);
    return registry_condition(type, c->status, c->reason, message);
}

static json_t *function_url(const struct function *f)
{
    const char *base = f->host->base_url;
    if (base == NULL)
        return json_sprintf("http://%s.%s.svc.cluster.local", f->name, f->namespace_name);
    return json_sprintf("%s/functions/%s/%s", base, f->namespace_name, f->name);
}

/* Is there something to be done before a worker can start? */
static bool is_built(const struct function *f)
{
    const struct version *v = f->next != NULL ? f->next : f->current;
    if (v != NULL)
        return v->spec.form == FUNCTION_WASM || v->spec.form == FUNCTION_PROCESS;
    const char *runtime = resource_text_at(f->resource->object, "spec.runtime");
    return runtime != NULL && strcmp(runtime, "js") != 0 && strcmp(runtime, "http") != 0;
}

void function_publish(struct function *f)
{
    if (f->resource == NULL)
        return;
    json_t *conditions = json_array();
    if (is_built(f)) {
        struct condition built = built_condition(f);
        json_array_append_new(conditions, condition_object("Built", &built));
    }
    struct condition ready = ready_condition(f);
    json_array_append_new(conditions, condition_object("Ready", &ready));
    json_t *status = json_object();
    json_object_set_new(status, "conditions", conditions);
    json_object_set_new(status, "url", function_url(f));
    json_t *address = json_object();
    json_object_set_new(address, "url", function_url(f));
    json_object_set_new(status, "address", address);
    if (f->current != NULL)
        json_object_set_new(status, "servingGeneration", json_integer(f->current->generation));
    if (f->current != NULL && f->current->restarts > 0) {
        json_object_set_new(status, "restarts", json_integer(f->current->restarts));
        json_object_set_new(status, "lastExit", json_string(f->current->last_end));
    }
    registry_set_status(f->host->registry, f->resource, status);
}

enum sink_state function_sink_state(const struct function *f, struct error *err)
{
    if (f->resource == NULL)
        return SINK_ABSENT;
    if (f->current != NULL && version_ready(f->current))
        return SINK_READY;
    struct condition ready =
        f->current != NULL ? crashed_condition(f->current) : ready_condition(f);
    error_set(err, -EAGAIN, "function %s/%s is not ready (%s): %s", f->namespace_name, f->name,
              ready.reason, ready.text.message);
    return SINK_WAITING;
}

/* The last thing that its callers do: the broker may call the function from within. */
void function_update(struct function *f)
{
    function_publish(f);
    enum sink_state state = function_sink_state(f, NULL);
    if (state == f->announced)
        return;
    f->announced = state;
    struct function_host *h = f->host;
    if (h->changed != NULL)
        h->changed(h->changed_ctx, f->namespace_name, f->name);
}

/* ---- deploys ---- */

static void drop_next(struct function *f)
{
    if (f->next != NULL)
        version_free(STEAL(f->next));
}

static void note_failure(struct function *f, int64_t generation, const char *reason,
                         const struct error *err)
{
    snprintf(f->failure_reason_text, sizeof(f->failure_reason_text), "%s", reason);
    f->failure_reason = f->failure_reason_text;
    f->failure = *err;
    f->failed_generation = generation;
    log_warn("function %s/%s, generation %lld: %s: %s%s%s", f->namespace_name, f->name,
             (long long)generation, reason, err->field, err->field[0] != '\0' ? ": " : "",
             err->message);
    function_update(f);
}

/* What a worker knows of its spec. */
static json_t *known_to_workers(const struct function_spec *s)
{
    json_t *spec = json_copy(s->source);
    json_t *limits = json_copy(json_object_get(s->source, "limits"));
    json_object_del(spec, "scale");
    json_object_del(limits, "queue");
    if (limits != NULL)
        json_object_set_new(spec, "limits", limits);
    return spec;
}

static bool is_only_rescaled(const struct version *before, const struct version *after)
{
    if (before == NULL || !json_equal(before->spec.environment, after->spec.environment))
        return false;
    json_t *a = known_to_workers(&before->spec), *b = known_to_workers(&after->spec);
    bool same = json_equal(a, b) == 1;
    json_decref(a);
    json_decref(b);
    return same;
}

void function_deploy(struct function *f)
{
    const json_t *object = f->resource->object;
    int64_t generation = resource_integer_at(object, "metadata.generation", 1);
    struct function_spec spec;
    struct error err = ERROR_INIT;
    const char *reason = "BuildFailed";
    drop_next(f);
    f->failure_reason = NULL;
    int r = function_spec_read(f->host, object, &spec, &reason, &err);
    if (r == 0 && (r = version_new(f, generation, &spec, &f->next)) < 0) {
        function_spec_done(&spec);
        error_set(&err, r, "out of memory");
    }
    if (r < 0) {
        note_failure(f, generation, reason, &err);
        return;
    }
    must(f->next != NULL);
    if (is_only_rescaled(f->current, f->next)) {
        version_rescale(f->current, generation, &f->next->spec);
        drop_next(f);
        function_dispatch(f);
        function_update(f);
        return;
    }
    f->next->proven = f->current == NULL &&
                      resource_integer_at(object, "status.servingGeneration", -1) == generation;
    version_begin(f->next);
}

/* Only what takes effect: a value that is the same as before changes nothing. */
void function_environment_changed(struct function *f)
{
    const struct version *v = f->next != NULL ? f->next : f->current;
    const json_t *object = f->resource->object;
    bool newest = v != NULL && f->failure_reason == NULL;
    json_t *environment = NULL;
    const char *reason;
    struct error err = ERROR_INIT;
    int r = environment_read(f->host, f->namespace_name, json_object_get(object, "spec"),
                             &environment, &reason, &err);
    bool same = r == 0 && newest && json_equal(environment, v->spec.environment);
    json_decref(environment);
    if (!same)
        function_deploy(f);
}

void function_version_serving(struct function *f, struct version *v)
{
    must(v == f->next);
    struct version *old = f->current;
    f->current = v;
    f->next = NULL;
    if (old != NULL)
        version_retire(old);
    function_dispatch(f);
    folder_sweep(f);
    log_info("function %s/%s: generation %lld serves", f->namespace_name, f->name,
             (long long)v->generation);
    function_update(f);
}

void function_version_failed(struct function *f, struct version *v, const char *reason,
                             const struct error *err)
{
    must(v == f->next);
    int64_t generation = v->generation;
    struct error copy = *err;
    drop_next(f);
    folder_sweep(f);
    note_failure(f, generation, reason, &copy);
}

static void function_end(struct function *f)
{
    folder_remove(f);
    function_free(f, true);
}

static void function_end_when_idle(struct function *f)
{
    if (f->resource == NULL && f->current == NULL && list_empty(&f->retiring))
        function_end(f);
}

void function_version_retired(struct function *f, struct version *v)
{
    version_free(v);
    folder_sweep(f);
    function_end_when_idle(f);
}

/* ---- life ---- */

int function_new(struct function_host *h, struct resource *resource, struct function **ret)
{
    struct function *f = calloc(1, sizeof(*f));
    if (f == NULL)
        return -ENOMEM;
    f->host = h;
    f->resource = resource;
    f->number = resource->number;
    const char *uid = resource_text_at(resource->object, "metadata.uid");
    snprintf(f->identity, sizeof(f->identity), "%s", uid != NULL ? uid : resource->name);
    list_init(&f->retiring);
    list_init(&f->link);
    function_waiting_init(f);
    f->announced = SINK_ABSENT;
    f->namespace_name = strdup(resource->namespace_name);
    f->name = strdup(resource->name);
    if (f->namespace_name != NULL && f->name != NULL)
        f->log = function_log_new(&h->logs, f->namespace_name, f->name);
    if (f->log == NULL) {
        function_free(f, false);
        return -ENOMEM;
    }
    *ret = f;
    return 0;
}

void function_remove(struct function *f)
{
    struct function_host *h = f->host;
    f->resource = NULL;
    f->announced = SINK_ABSENT;
    drop_next(f);
    struct version *current = STEAL(f->current);
    function_host_retire(h, f);
    function_give_up(f, -ENOENT, "the function was deleted");
    if (h->changed != NULL)
        h->changed(h->changed_ctx, f->namespace_name, f->name);
    if (current != NULL)
        version_retire(current); /* frees f with the last worker */
    else
        function_end_when_idle(f);
}

void function_free(struct function *f, bool remove_log)
{
    function_give_up(f, -ECANCELED, "the function host ends");
    function_waiting_done(f);
    drop_next(f);
    if (f->current != NULL)
        version_free(STEAL(f->current));
    while (!list_empty(&f->retiring))
        version_free(list_entry(f->retiring.next, struct version, link));
    if (f->log != NULL)
        function_log_free(f->log, remove_log);
    list_remove(&f->link);
    free(f->namespace_name);
    free(f->name);
    free(f);
}
