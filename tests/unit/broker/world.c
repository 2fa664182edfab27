/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include "unit.h"

#include "base/encoding.h"
#include "base/fdio.h"

#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROUTES 40

/* ---- the fake HTTP client: takes the place of src/http/client.c in this program ---- */

static struct world *client_world; /* whose client it is; one at a time */

static void copy_slice(char *out, size_t size, struct slice s)
{
    snprintf(out, size, SLICE_FMT, SLICE_ARG(s));
}

static void copy_header(struct fake_call *c, const struct http_call_header *h)
{
    static const struct {
        const char *name;
        size_t offset, size;
    } wanted[] = {
        {"ce-id", offsetof(struct fake_call, id), sizeof(c->id)},
        {"ce-type", offsetof(struct fake_call, type), sizeof(c->type)},
        {"ce-knativeerrorcode", offsetof(struct fake_call, code), sizeof(c->code)},
        {"ce-knativeerrordest", offsetof(struct fake_call, destination), sizeof(c->destination)},
        {"ce-knativeerrordata", offsetof(struct fake_call, data), sizeof(c->data)},
    };
    for (size_t i = 0; i < COUNT_OF(wanted); i++)
        if (slice_is_nocase(h->name, wanted[i].name))
            copy_slice((char *)c + wanted[i].offset, wanted[i].size, h->value);
}

static void record_seen(struct fake_call *c)
{
    struct world *w = c->world;
    if (w->seen_count == w->seen_cap) {
        w->seen_cap = w->seen_cap == 0 ? 256 : w->seen_cap * 2;
        w->seen = realloc(w->seen, w->seen_cap * sizeof(*w->seen));
        assert_non_null(w->seen);
    }
    struct seen *s = &w->seen[w->seen_count++];
    *s = (struct seen){.at_ns = loop_now(w->loop)};
    memcpy(s->to, c->to, sizeof(s->to));
    memcpy(s->id, c->id, sizeof(s->id));
}

static void call_end(struct fake_call *c)
{
    list_remove(&c->link);
    loop_timer_cancel(c->world->loop, &c->timer);
    c->world->in_flight--;
}

static void add_header(struct http_call_result *result, struct http_call_header *headers,
                       const char *name, const char *value)
{
    headers[result->header_count++] =
        (struct http_call_header){slice_text(name), slice_text(value)};
    result->headers = headers;
}

static void add_fields(struct http_call_result *result, struct http_call_header *headers,
                       struct slice lines)
{
    const char *end;
    while (lines.len > 0 && (end = memchr(lines.ptr, '\n', lines.len)) != NULL) {
        struct slice line = slice_of(lines.ptr, (size_t)(end - lines.ptr));
        const char *colon = memchr(line.ptr, ':', line.len);
        assert_non_null(colon);
        headers[result->header_count++] = (struct http_call_header){
            slice_of(line.ptr, (size_t)(colon - line.ptr)),
            slice_of(colon + 2, line.len - (size_t)(colon + 2 - line.ptr))};
        result->headers = headers;
        lines = slice_of(end + 1, lines.len - line.len - 1);
    }
}

static void answer(struct loop_timer *timer)
{
    struct fake_call *c = timer->ctx;
    struct http_call_result result = {
        .error = c->error, .error_text = c->error != 0 ? "as planned" : "", .status = c->status};
    struct http_call_header headers[EVENT_ATTRIBUTES_MAX + 8];
    char names[EVENT_ATTRIBUTES_MAX][16];
    if (c->retry_after != NULL)
        add_header(&result, headers, "Retry-After", c->retry_after);
    if (c->reply_id[0] != '\0') {
        add_header(&result, headers, "ce-specversion", "1.0");
        add_header(&result, headers, "ce-id", c->reply_id);
        add_header(&result, headers, "ce-source", "/reply");
        add_header(&result, headers, "ce-type", c->reply_type);
        for (unsigned i = 0; i < c->reply_attributes; i++) {
            snprintf(names[i], sizeof(names[i]), "ce-more%u", i);
            add_header(&result, headers, names[i], "x");
        }
    }
    autofree char *body = calloc(1, c->reply_bytes + 1);
    memset(body, 'x', c->reply_bytes);
    result.body = slice_of(body, c->reply_bytes);
    if (c->fields != NULL)
        add_fields(&result, headers, slice_text(c->fields));
    if (c->body != NULL)
        result.body = slice_text(c->body);
    for (size_t i = c->world->seen_count; c->error == 0 && c->status / 100 == 2 && i-- > 0;)
        if (strcmp(c->world->seen[i].id, c->id) == 0 && strcmp(c->world->seen[i].to, c->to) == 0) {
            c->world->seen[i].finished = true;
            break;
        }
    call_end(c);
    c->done(c->ctx, &result);
    free(c);
}

static int call_start(struct world *w, const char *to, const struct http_call_options *options,
                      struct http_call **ret_call)
{
    struct fake_call *c = calloc(1, sizeof(*c));
    assert_non_null(c);
    c->world = w;
    c->done = options->done;
    c->cancelled = options->cancelled;
    c->ctx = options->ctx;
    c->timer.due = answer;
    c->timer.ctx = c;
    c->status = 200;
    copy_slice(c->to, sizeof(c->to), slice_text(to));
    w->head[0] = '\0';
    for (unsigned i = 0; i < options->header_count; i++) {
        copy_header(c, &options->headers[i]);
        size_t len = strlen(w->head);
        snprintf(w->head + len, sizeof(w->head) - len, SLICE_FMT ": " SLICE_FMT "\n",
                 SLICE_ARG(options->headers[i].name), SLICE_ARG(options->headers[i].value));
    }
    copy_slice(w->sent, sizeof(w->sent), options->body);
    w->timeout_ns = options->timeout_ns;
    record_seen(c);
    list_append(&w->calls, &c->link);
    if (++w->in_flight > w->in_flight_max)
        w->in_flight_max = w->in_flight;
    if (w->plan != NULL)
        w->plan(w, c);
    if (!c->never)
        loop_timer_set(w->loop, &c->timer, loop_now(w->loop) + c->delay_ns);
    *ret_call = (struct http_call *)c;
    return 0;
}

int http_client_call(struct http_client *client, const struct http_call_options *options,
                     struct http_call **ret_call)
{
    (void)client;
    return call_start(client_world, options->url, options, ret_call);
}

void http_call_cancel(struct http_call *call)
{
    struct fake_call *c = (struct fake_call *)(void *)call;
    call_end(c);
    if (c->cancelled != NULL)
        c->cancelled(c->ctx);
    free(c);
}

static enum sink_state sink_state(void *ctx, const char *namespace_name, const char *name,
                                  struct error *err)
{
    struct world *w = ctx;
    enum sink_state state = w->state != NULL ? w->state(w, name) : SINK_READY;
    if (state != SINK_READY)
        error_set(err, -EAGAIN, "%s is not ready", name);
    return state;
}

static int sink_call(void *ctx, const char *namespace_name, const char *name, const char *path,
                     const struct http_call_options *options, struct http_call **ret_call)
{
    return call_start(ctx, name, options, ret_call);
}

static const struct sink_ops fake_sink = {.state = sink_state, .call = sink_call};

/* ---- life ---- */

static uint64_t monotonic(void *ctx)
{
    struct world *w = ctx;
    return clock_monotonic() + atomic_load(&w->passed_ns);
}

static uint64_t realtime(void *ctx)
{
    struct world *w = ctx;
    return clock_realtime() + atomic_load(&w->passed_ns) + atomic_load(&w->set_ns);
}

void world_init(struct world *w, bool memory)
{
    *w = (struct world){.options = {.segment_bytes = 4 << 20, .now = realtime, .now_ctx = w},
                        .clock = {monotonic, realtime, w}};
    list_init(&w->calls);
    if (memory)
        return;
    const char *parent = getenv("TMPDIR");
    snprintf(w->dir, sizeof(w->dir), "%s/sluice-broker-XXXXXX", parent != NULL ? parent : "/tmp");
    assert_non_null(mkdtemp(w->dir));
    w->options.dir = w->dir;
}

void world_done(struct world *w)
{
    world_abandon(w);
    free(w->seen);
    if (w->dir[0] != '\0')
        assert_int_equal(fdio_remove_tree(w->dir), 0);
}

void world_open(struct world *w)
{
    struct error err = ERROR_INIT;
    struct broker_replay *replay = broker_replay_new();
    client_world = w;
    w->loop = loop_new();
    assert_non_null(w->loop);
    loop_set_clock(w->loop, &w->clock);
    if (store_open(&w->options, broker_replay_record, replay, &w->store, &err) < 0)
        fail_msg("store: %s", err.message);
    w->registry = registry_new(w->store, w->loop);
    struct broker_core_options options = {.loop = w->loop,
                                          .store = w->store,
                                          .registry = w->registry,
                                          .dead_letters_max = w->dead_letters_max,
                                          .dead_letters_age_ns = w->dead_letters_age_ns,
                                          .base_url = "http://127.0.0.1:8080"};
    assert_int_equal(broker_core_new(&options, &w->core, &err), 0);
    broker_core_set_sink(w->core, &fake_sink, w);
    if (registry_load(w->registry, &err) < 0)
        fail_msg("registry: %s", err.message);
    if (broker_core_start(w->core, replay, &err) < 0)
        fail_msg("core: %s", err.message);
}

void world_abandon(struct world *w)
{
    if (w->core == NULL)
        return;
    broker_core_release_log(w->core);
    registry_stop(w->registry);
    store_close(STEAL(w->store));
    broker_core_free(STEAL(w->core));
    registry_free(STEAL(w->registry));
    assert_true(list_empty(&w->calls));
    loop_free(STEAL(w->loop));
}

void world_stop(struct world *w)
{
    broker_core_quiesce(w->core);
    WORLD_UNTIL(w, broker_core_idle(w->core));
    world_checkpoint(w);
    world_abandon(w);
}

void world_checkpoint(struct world *w)
{
    WORLD_UNTIL(w, !broker_core_checkpointing(w->core));
    broker_core_checkpoint(w->core);
    WORLD_UNTIL(w, !broker_core_checkpointing(w->core));
}

void world_turn(struct world *w)
{
    loop_turn(w->loop, CLOCK_MILLISECOND);
}

void world_step(struct world *w)
{
    atomic_fetch_add(&w->passed_ns, CLOCK_MILLISECOND);
    loop_turn(w->loop, w->core->settling > 0 ? CLOCK_MILLISECOND : 0);
}

void world_pass(struct world *w, uint64_t ns)
{
    uint64_t end = monotonic(w) + ns;
    for (uint64_t now = monotonic(w); now < end; now = monotonic(w)) {
        uint64_t due = loop_first_due(w->loop), to = due < end ? due : end;
        if (to > now)
            atomic_fetch_add(&w->passed_ns, to - now);
        loop_turn(w->loop, 0);
        while (w->core->settling > 0)
            world_turn(w);
    }
}

void world_set_clock(struct world *w, int64_t by_ns)
{
    atomic_fetch_add(&w->set_ns, (uint64_t)by_ns);
}

uint64_t world_realtime(struct world *w)
{
    return realtime(w);
}

void world_rest(struct world *w)
{
    for (int quiet = 0; quiet < 20; quiet++) {
        size_t before = w->seen_count;
        uint64_t synced = store_synced(w->store);
        world_turn(w);
        if (w->seen_count != before || w->core->settling > 0 || synced != store_synced(w->store))
            quiet = 0;
    }
}

/* ---- fixtures ---- */

static int setup(void **state, bool memory)
{
    static struct world w;
    world_init(&w, memory);
    world_open(&w);
    world_broker(&w, "b");
    *state = &w;
    return 0;
}

int world_setup_memory(void **state)
{
    return setup(state, true);
}

int world_setup_disk(void **state)
{
    return setup(state, false);
}

int world_teardown(void **state)
{
    world_done(*state);
    return 0;
}

static int serve(struct world *w)
{
    static struct http_route routes[ROUTES];
    struct error err = ERROR_INIT;
    struct http_server_options options = {
        .listen = "127.0.0.1:0",
        .listen_fd = -1,
        .threads = 1,
        .routes = routes,
        .route_count = broker_core_routes(w->core, routes, ROUTES),
        .body_timeout_s = 1,
    };
    return http_server_start(&options, &w->server, &err);
}

int world_setup_served(void **state)
{
    world_setup_memory(state);
    return serve(*state);
}

int world_setup_served_disk(void **state)
{
    static struct world w;
    world_init(&w, false);
    w.options.segment_bytes = 64 << 10;
    world_open(&w);
    world_broker(&w, "b");
    *state = &w;
    return serve(&w);
}

void world_restart_served(struct world *w)
{
    http_server_stop(w->server);
    world_abandon(w);
    world_open(w);
    assert_int_equal(serve(w), 0);
}

int world_teardown_served(void **state)
{
    struct world *w = *state;
    http_server_stop(w->server);
    return world_teardown(state);
}

/* ---- resources ---- */

static void written(void *ctx, unsigned status, struct resource *resource, const struct error *err)
{
    struct world *w = ctx;
    w->answered = true;
    w->status = status;
    w->version = resource != NULL ? resource->version : 0;
    if (status >= 400 && status != 409)
        print_message("%u %s\n", status, err->message);
}

static void wait_answer(struct world *w)
{
    WORLD_UNTIL(w, w->answered);
    w->answered = false;
}

static json_t *checked(const char *json, const struct resource_kind **ret_kind)
{
    struct error err = ERROR_INIT;
    json_error_t where;
    json_t *object = json_loads(json, 0, &where);
    if (object == NULL)
        fail_msg("%s: %s", where.text, json);
    *ret_kind =
        resource_kind_of(resource_text_at(object, "apiVersion"), resource_text_at(object, "kind"));
    if (resource_check(*ret_kind, object, "default", &err) < 0)
        fail_msg("%s: %s", err.field, err.message);
    return object;
}

void world_apply(struct world *w, const char *json)
{
    const struct resource_kind *kind;
    json_t *object = checked(json, &kind);
    registry_create(w->registry, kind, object, written, w);
    wait_answer(w);
    if (w->status == 409) {
        registry_replace(w->registry, kind, object, written, w);
        wait_answer(w);
    }
    json_decref(object);
    assert_in_range(w->status, 200, 201);
}

void world_delete(struct world *w, const struct resource_kind *kind, const char *name)
{
    registry_delete(w->registry, kind, "default", name, written, w);
    wait_answer(w);
    assert_int_equal(w->status, 200);
}

static void wait_unheard(struct world *w)
{
    uint64_t before = store_synced(w->store);
    loop_turn(w->loop, 0); /* appends it */
    for (unsigned i = 0; i < 20000 && store_synced(w->store) == before; i++)
        usleep(1000);
    assert_true(store_synced(w->store) > before);
}

void world_delete_unheard(struct world *w, const struct resource_kind *kind, const char *name)
{
    world_rest(w); /* what is synced next is the deletion */
    registry_delete(w->registry, kind, "default", name, NULL, NULL);
    wait_unheard(w);
}

void world_broker(struct world *w, const char *name)
{
    autobuf json = BUF_INIT;
    buf_printf(&json,
               "{\"apiVersion\":\"eventing.knative.dev/v1\",\"kind\":\"Broker\",\"metadata\":"
               "{\"name\":\"%s\"}}",
               name);
    world_apply(w, json.ptr);
}

static void trigger_json(const char *name, const char *annotations, const char *function,
                         const char *more, struct buf *out)
{
    buf_printf(
        out,
        "{\"apiVersion\":\"eventing.knative.dev/v1\",\"kind\":\"Trigger\",\"metadata\":"
        "{\"name\":\"%s\",\"annotations\":{%s}},\"spec\":{\"broker\":\"b\",\"subscriber\":{"
        "\"ref\":{\"apiVersion\":\"sluice.dev/v1\",\"kind\":\"Function\",\"name\":\"%s\"}}%s}}",
        name, annotations, function, more);
}

void world_trigger(struct world *w, const char *name, const char *function, const char *more)
{
    world_trigger_annotated(w, name, "", function, more);
}

void world_trigger_annotated(struct world *w, const char *name, const char *annotations,
                             const char *function, const char *more)
{
    autobuf json = BUF_INIT;
    trigger_json(name, annotations, function, more, &json);
    world_apply(w, json.ptr);
}

void world_trigger_unheard(struct world *w, const char *name, const char *function)
{
    autobuf json = BUF_INIT;
    const struct resource_kind *kind;
    trigger_json(name, "", function, "", &json);
    json_t *object = checked(json.ptr, &kind);
    registry_create(w->registry, kind, object, NULL, NULL);
    json_decref(object);
    wait_unheard(w);
}

struct trigger *world_trigger_find(struct world *w, const char *name)
{
    struct resource *r = registry_find(w->registry, &resource_kind_trigger, "default", name);
    assert_non_null(r);
    return r->controller;
}

/* ---- events ---- */

struct append {
    sem_t done;
    int error;
    uint64_t position;
};

static void appended(void *ctx, int error, uint64_t position)
{
    struct append *a = ctx;
    a->error = error;
    a->position = position;
    sem_post(&a->done);
}

static int64_t append(struct world *w, struct store_group *g)
{
    struct append a = {.error = 0};
    sem_init(&a.done, 0, 0);
    store_append(w->store, g, appended, &a);
    while (sem_wait(&a.done) != 0)
        ;
    sem_destroy(&a.done);
    return a.error != 0 ? a.error : (int64_t)a.position;
}

static void add_event_with(struct world *w, struct store_group *g, const char *id, const char *type,
                           struct slice data, const char *name, const char *value)
{
    struct broker *broker =
        broker_find(w->core, "default", w->to_broker != NULL ? w->to_broker : "b");
    assert_non_null(broker);
    struct event e = {.version = EVENT_V1};
    event_set(&e, "id", slice_text(id));
    event_set(&e, "source", slice_text("/test"));
    event_set(&e, "type", slice_text(type));
    if (name != NULL)
        event_set(&e, name, slice_text(value));
    if (w->partitionkey != NULL)
        event_set(&e, "partitionkey", slice_text(w->partitionkey));
    e.data = data;
    e.has_data = data.len > 0;
    store_group_begin(g, STORE_RECORD_EVENT, broker->number, (struct slice){"", 0});
    event_encode(&e, &g->bytes);
    store_group_end(g);
}

static void add_event(struct world *w, struct store_group *g, const char *id, const char *type,
                      struct slice data)
{
    add_event_with(w, g, id, type, data, NULL, NULL);
}

int64_t world_send_data(struct world *w, const char *id, const char *type, struct slice data)
{
    struct store_group g;
    store_group_init(&g);
    add_event(w, &g, id, type, data);
    return append(w, &g);
}

int64_t world_send_with(struct world *w, const char *id, const char *type, const char *name,
                        const char *value)
{
    struct store_group g;
    store_group_init(&g);
    add_event_with(w, &g, id, type, slice_of("", 0), name, value);
    return append(w, &g);
}

const char *world_time(struct world *w, int64_t in_ns, char *out)
{
    out[clock_format_rfc3339(world_realtime(w) + (uint64_t)in_ns, 9, out)] = '\0';
    return out;
}

int64_t world_send(struct world *w, const char *id, const char *type)
{
    return world_send_data(w, id, type, slice_of("", 0));
}

void world_send_many(struct world *w, const char *prefix, unsigned count, const char *type)
{
    for (unsigned i = 0; i < count;) {
        struct store_group g;
        store_group_init(&g);
        for (unsigned n = 0; n < 100 && i < count; n++, i++) {
            char id[WORLD_NAME_MAX];
            snprintf(id, sizeof(id), "%s%u", prefix, i);
            add_event(w, &g, id, type, slice_of("", 0));
        }
        assert_true(append(w, &g) > 0);
    }
}

void world_answer_all(struct world *w)
{
    list_for_each (node, &w->calls) {
        struct fake_call *c = list_entry(node, struct fake_call, link);
        loop_timer_set(w->loop, &c->timer, loop_now(w->loop));
    }
}

void world_answer_all_now(struct world *w)
{
    list_for_each_safe (node, following, &w->calls) {
        struct fake_call *c = list_entry(node, struct fake_call, link);
        c->timer.due(&c->timer);
    }
}

void world_fail_when_told(struct world *w, struct fake_call *c)
{
    c->never = true;
    c->status = 500;
}

unsigned world_seen(const struct world *w, const char *to, const char *id)
{
    unsigned n = 0;
    for (size_t i = 0; i < w->seen_count; i++)
        n += strcmp(w->seen[i].to, to) == 0 && (id == NULL || strcmp(w->seen[i].id, id) == 0);
    return n;
}

unsigned world_rows(struct world *w, enum store_table t)
{
    struct store_scan *scan =
        store_scan_new(w->store, t, (struct slice){"", 0}, (struct slice){NULL, 0});
    struct slice key, value;
    unsigned n = 0;
    while (store_scan_next(scan, &key, &value, NULL) == 1)
        n++;
    store_scan_free(scan);
    return n;
}

unsigned world_events(struct world *w, const char *type)
{
    struct store_reader *r = store_reader_new(w->store, 1);
    struct store_entry entry;
    unsigned n = 0;
    while (store_reader_next(r, &entry) == 1) {
        struct event e = {0};
        if (entry.type != STORE_RECORD_EVENT)
            continue;
        assert_int_equal(event_decode(entry.value, &e), 0);
        n += slice_is(event_get(&e, "type"), type);
    }
    store_reader_free(r);
    return n;
}
