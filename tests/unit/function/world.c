/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include "../unit.h"
#include "base/fdio.h"
#include "base/log.h"
#include "base/must.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A test that failed has left its answers' memory. */
static bool ending;

static void on_changed(void *ctx, const char *namespace_name, const char *name)
{
    struct world *w = ctx;
    w->changes++;
}

static void ignore(void *ctx, unsigned status, struct resource *resource, const struct error *err)
{
    if (status >= 400)
        fail_msg("%u: %s: %s", status, err->field, err->message);
    *(bool *)ctx = true;
}

int world_setup(void **state)
{
    log_setup("test", getenv("SLUICE_TEST_LOG") != NULL ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR, false);
    ending = false;
    struct world *w = calloc(1, sizeof(*w));
    struct error err = ERROR_INIT;
    snprintf(w->folder, sizeof(w->folder), "/tmp/sluice-function.XXXXXX");
    must(mkdtemp(w->folder) != NULL);
    w->loop = loop_new();
    if (store_open(&(struct store_options){.dir = NULL}, NULL, NULL, &w->store, &err) < 0)
        fail_msg("%s", err.message);
    w->registry = registry_new(w->store, w->loop);
    w->client = http_client_new(w->loop, 64);
    const struct function_host_options options = {
        .loop = w->loop,
        .registry = w->registry,
        .client = w->client,
        .data_dir = w->folder,
        .worker_path = getenv("FUNCTION_WORKER"),
        .builder_path = getenv("FUNCTION_BUILDER"),
        .runner_path = getenv("FUNCTION_RUNNER"),
        .persistent = true,
        .changed = on_changed,
        .changed_ctx = w,
    };
    if (function_host_new(&options, &w->host, &err) < 0)
        fail_msg("%s", err.message);
    if (registry_load(w->registry, &err) < 0)
        fail_msg("%s", err.message);
    *state = w;
    bool done = false;
    json_t *demo = json_pack("{s:s,s:s,s:{s:s}}", "apiVersion", "v1", "kind", "Namespace",
                             "metadata", "name", "demo");
    registry_create(w->registry, &resource_kind_namespace, demo, ignore, &done);
    json_decref(demo);
    while (!done)
        world_turn(w, 2);
    return 0;
}

int world_teardown(void **state)
{
    struct world *w = *state;
    ending = true;
    function_host_free(w->host);
    http_client_free(w->client);
    registry_stop(w->registry);
    store_close(w->store);
    registry_free(w->registry);
    loop_free(w->loop);
    assert_int_equal(fdio_remove_tree(w->folder), 0);
    free(w);
    return 0;
}

void world_turn(struct world *w, unsigned milliseconds)
{
    uint64_t until = clock_monotonic() + milliseconds * CLOCK_MILLISECOND;
    for (uint64_t now; (now = clock_monotonic()) < until;)
        loop_turn(w->loop, until - now);
}

bool world_until(struct world *w, bool (*done)(struct world *w, void *ctx), void *ctx,
                 unsigned milliseconds)
{
    uint64_t until = clock_monotonic() + milliseconds * CLOCK_MILLISECOND;
    while (!done(w, ctx)) {
        if (clock_monotonic() >= until)
            return false;
        loop_turn(w->loop, 5 * CLOCK_MILLISECOND);
    }
    return true;
}

void world_apply(struct world *w, const char *name, const char *spec)
{
    json_error_t problem;
    json_t *parsed = json_loads(spec, 0, &problem);
    if (parsed == NULL)
        fail_msg("%s", problem.text);
    json_t *object =
        json_pack("{s:s,s:s,s:{s:s,s:s},s:o}", "apiVersion", "sluice.dev/v1", "kind", "Function",
                  "metadata", "name", name, "namespace", "demo", "spec", parsed);
    struct error err = ERROR_INIT;
    if (resource_check(&resource_kind_function, object, "demo", &err) < 0)
        fail_msg("%s: %s", err.field, err.message);
    bool done = false;
    if (registry_find(w->registry, &resource_kind_function, "demo", name) != NULL)
        registry_replace(w->registry, &resource_kind_function, object, ignore, &done);
    else
        registry_create(w->registry, &resource_kind_function, object, ignore, &done);
    json_decref(object);
    while (!done)
        world_turn(w, 2);
}

void world_delete(struct world *w, const char *name)
{
    bool done = false;
    registry_delete(w->registry, &resource_kind_function, "demo", name, ignore, &done);
    while (!done)
        world_turn(w, 2);
}

static bool sink_ready(struct world *w, void *name)
{
    return function_sink_ops.state(w->host, "demo", name, NULL) == SINK_READY;
}

bool world_ready(struct world *w, const char *name, unsigned milliseconds)
{
    char copy[64];
    snprintf(copy, sizeof(copy), "%s", name);
    return world_until(w, sink_ready, copy, milliseconds);
}

const char *world_condition(struct world *w, const char *name, const char *type)
{
    static char text[1024];
    text[0] = '\0';
    const struct resource *r = registry_find(w->registry, &resource_kind_function, "demo", name);
    size_t i;
    json_t *c;
    json_array_foreach(r != NULL ? resource_at(r->object, "status.conditions") : NULL, i, c)
    {
        if (strcmp(json_string_value(json_object_get(c, "type")), type) == 0)
            snprintf(text, sizeof(text), "%s/%s: %s",
                     json_string_value(json_object_get(c, "status")),
                     json_string_value(json_object_get(c, "reason")),
                     json_string_value(json_object_get(c, "message")));
    }
    return text;
}

struct wanted {
    const char *name, *type, *start;
};

static bool condition_is(struct world *w, void *ctx)
{
    const struct wanted *wanted = ctx;
    return strncmp(world_condition(w, wanted->name, wanted->type), wanted->start,
                   strlen(wanted->start)) == 0;
}

bool world_wait_condition(struct world *w, const char *name, const char *type, const char *start,
                          unsigned milliseconds)
{
    struct wanted wanted = {name, type, start};
    if (world_until(w, condition_is, &wanted, milliseconds))
        return true;
    print_message("%s is: %s\n", type, world_condition(w, name, type));
    return false;
}

static void on_done(void *ctx, const struct http_call_result *result)
{
    struct answer *a = ctx;
    if (ending)
        return;
    must(!a->done);
    a->done = true;
    a->error = result->error;
    a->status = result->status;
    buf_add_slice(&a->body, result->body);
    for (unsigned i = 0; i < result->header_count; i++)
        if (slice_is_nocase(result->headers[i].name, "x-pid"))
            snprintf(a->pid, sizeof(a->pid), SLICE_FMT, SLICE_ARG(result->headers[i].value));
}

void world_options(struct answer *a, struct http_call_options *options)
{
    options->done = on_done;
    options->ctx = a;
}

int world_begin(struct world *w, const char *name, const char *path, const char *body,
                struct answer *ret, struct http_call **ret_call)
{
    *ret = (struct answer){.body = BUF_INIT};
    const struct http_call_header headers[] = {{SLICE("X-Passed"), SLICE("1")}};
    const struct http_call_options options = {
        .method = "POST",
        .headers = headers,
        .header_count = 1,
        .body = slice_text(body),
        .done = on_done,
        .ctx = ret,
    };
    return function_sink_ops.call(w->host, "demo", name, path, &options, ret_call);
}

static bool has_answer(struct world *w, void *ctx)
{
    return ((struct answer *)ctx)->done;
}

bool world_answered(struct world *w, struct answer *a, unsigned milliseconds)
{
    return world_until(w, has_answer, a, milliseconds);
}

int world_call(struct world *w, const char *name, const char *path, const char *body,
               struct answer *ret)
{
    int r = world_begin(w, name, path, body, ret, NULL);
    if (r == 0 && !world_answered(w, ret, 20000))
        fail_msg("no answer");
    return r;
}

void answer_done(struct answer *a)
{
    buf_done(&a->body);
}
