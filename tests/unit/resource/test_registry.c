/* SPDX-License-Identifier: Apache-2.0 */
/* The registry over the memory store: writes, conflicts, observers, statuses, what survives. */
#include "base/fdio.h"
#include "base/memory.h"
#include "base/must.h"
#include "resource/registry.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct world {
    struct loop *loop;
    struct store *store;
    struct registry *registry;
    struct buf seen; /* what observers got */
    /* of the last answer */
    bool answered;
    unsigned status;
    struct error err;
    json_t *object;
};

static void observe(void *ctx, enum registry_change change, struct resource *resource,
                    const json_t *before)
{
    static const char letters[] = {'A', 'M', 'S', 'D'};
    struct world *w = ctx;
    assert_true((before == NULL) == (change == REGISTRY_ADDED));
    buf_printf(&w->seen, "%c:%s/%s ", letters[change], resource->namespace_name, resource->name);
}

static void load(struct world *w)
{
    w->registry = registry_new(w->store, w->loop);
    assert_int_equal(registry_observe(w->registry, NULL, observe, w), 0);
    struct error err = ERROR_INIT;
    if (registry_load(w->registry, &err) < 0)
        fail_msg("%s", err.message);
}

static void settle(struct world *w)
{
    for (int i = 0; i < 50; i++)
        loop_turn(w->loop, 2000000);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    struct error err = ERROR_INIT;
    w->loop = loop_new();
    if (store_open(&(struct store_options){.dir = NULL}, NULL, NULL, &w->store, &err) < 0)
        return -1;
    load(w);
    settle(w);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    store_close(w->store);
    registry_free(w->registry);
    loop_free(w->loop);
    buf_done(&w->seen);
    json_decref(w->object);
    free(w);
    return 0;
}

static void done(void *ctx, unsigned status, struct resource *resource, const struct error *err)
{
    struct world *w = ctx;
    must(!w->answered);
    w->answered = true;
    w->status = status;
    w->err = *err;
    json_decref(w->object);
    w->object = resource != NULL ? json_deep_copy(resource->object) : NULL;
    assert_true(status < 400 || err->message[0] != '\0');
}

static void wait_answer(struct world *w)
{
    for (int i = 0; i < 1000 && !w->answered; i++)
        loop_turn(w->loop, 10000000);
    assert_true(w->answered);
    w->answered = false;
}

static json_t *object_of(const char *json)
{
    json_t *object = json_loads(json, 0, NULL);
    assert_non_null(object);
    const struct resource_kind *kind =
        resource_kind_of(resource_text_at(object, "apiVersion"), resource_text_at(object, "kind"));
    struct error err = ERROR_INIT;
    if (resource_check(kind, object, "default", &err) < 0)
        fail_msg("%s: %s", err.field, err.message);
    return object;
}

static unsigned submit(struct world *w, enum registry_operation operation, const char *json)
{
    json_t *object = object_of(json);
    struct registry_request q = {
        .operation = operation,
        .kind = resource_kind_of(resource_text_at(object, "apiVersion"),
                                 resource_text_at(object, "kind")),
        .object = object,
    };
    registry_submit(w->registry, &q, done, w);
    json_decref(object);
    wait_answer(w);
    return w->status;
}

static unsigned create(struct world *w, const char *json)
{
    return submit(w, REGISTRY_CREATE, json);
}

static unsigned replace(struct world *w, const char *json)
{
    return submit(w, REGISTRY_REPLACE, json);
}

static unsigned delete (struct world *w, const struct resource_kind *kind, const char *space,
                        const char *name)
{
    registry_delete(w->registry, kind, space, name, done, w);
    wait_answer(w);
    return w->status;
}

static void expect_seen(struct world *w, const char *text)
{
    assert_string_equal(w->seen.ptr != NULL ? w->seen.ptr : "", text);
    buf_reset(&w->seen);
}

#define BROKER(name, more)                                                                         \
    "{\"apiVersion\":\"eventing.knative.dev/"                                                      \
    "v1\",\"kind\":\"Broker\",\"metadata\":{\"name\":\"" name "\"" more "}}"
#define NAMESPACE(name, more)                                                                      \
    "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"" name "\"" more "}}"
#define TRIGGER(name, broker, uri)                                                                 \
    "{\"apiVersion\":\"eventing.knative.dev/"                                                      \
    "v1\",\"kind\":\"Trigger\",\"metadata\":{\"name\":\"" name                                     \
    "\"},\"spec\":{\"broker\":\"" broker "\",\"subscriber\":{\"uri\":\"" uri "\"}}}"

static void test_default_namespace(void **state)
{
    struct world *w = *state;
    expect_seen(w, "A:/default ");
    struct resource *n = registry_find(w->registry, &resource_kind_namespace, "", "default");
    assert_non_null(n);
    assert_string_equal(resource_text_at(n->object, "status.phase"), "Active");
    assert_int_equal(delete (w, &resource_kind_namespace, "", "default"), 403);
}

static void test_create(void **state)
{
    struct world *w = *state;
    assert_int_equal(create(w, BROKER("b", "")), 201);
    assert_non_null(resource_text_at(w->object, "metadata.uid"));
    assert_non_null(resource_text_at(w->object, "metadata.creationTimestamp"));
    assert_int_equal(resource_integer_at(w->object, "metadata.generation", 0), 1);
    struct resource *b = registry_find(w->registry, &resource_kind_broker, "default", "b");
    char version[24];
    snprintf(version, sizeof(version), "%llu", (unsigned long long)b->version);
    assert_string_equal(resource_text_at(w->object, "metadata.resourceVersion"), version);
    assert_true(b->version <= registry_version(w->registry));
    assert_int_equal(create(w, BROKER("b", "")), 409);
    assert_string_equal(w->err.message, "brokers.eventing.knative.dev \"b\" already exists");
    assert_int_equal(create(w, BROKER("b", ",\"namespace\":\"nowhere\"")), 404);
    assert_non_null(strstr(w->err.message, "create it first"));
    expect_seen(w, "A:/default A:default/b ");
}

static void test_replace(void **state)
{
    struct world *w = *state;
    assert_int_equal(replace(w, TRIGGER("t", "b", "http://x/")), 404);
    assert_int_equal(create(w, TRIGGER("t", "b", "http://x/")), 201);
    char *version = strdup(resource_text_at(w->object, "metadata.resourceVersion"));
    assert_int_equal(replace(w, TRIGGER("t", "b", "http://x/")), 200);
    assert_string_equal(resource_text_at(w->object, "metadata.resourceVersion"), version);
    assert_int_equal(replace(w, TRIGGER("t", "b", "http://y/")), 200);
    assert_string_not_equal(resource_text_at(w->object, "metadata.resourceVersion"), version);
    assert_int_equal(resource_integer_at(w->object, "metadata.generation", 0), 2);
    assert_int_equal(replace(w, TRIGGER("t", "other", "http://y/")), 422);
    assert_string_equal(w->err.field, "spec.broker");
    json_t *stale = object_of(TRIGGER("t", "b", "http://z/"));
    json_object_set_new(json_object_get(stale, "metadata"), "resourceVersion",
                        json_string(version));
    registry_replace(w->registry, &resource_kind_trigger, stale, done, w);
    wait_answer(w);
    assert_int_equal(w->status, 409);
    json_decref(stale);
    free(version);
    expect_seen(w, "A:/default A:default/t M:default/t ");
}

static void test_injection(void **state)
{
    struct world *w = *state;
    assert_int_equal(
        create(w, NAMESPACE("n", ",\"labels\":{\"knative-eventing-injection\":\"enabled\"}")), 201);
    assert_string_equal(resource_text_at(w->object, "metadata.name"), "n");
    expect_seen(w, "A:/default A:/n A:n/default ");
    assert_int_equal(create(w, TRIGGER("t", "default", "http://x/")), 201);
    assert_int_equal(create(w, TRIGGER("u", "default", "http://x/")), 201);
    expect_seen(w, "A:default/t A:default/default A:default/u ");
}

static void test_delete(void **state)
{
    struct world *w = *state;
    assert_int_equal(create(w, NAMESPACE("n", "")), 201);
    assert_int_equal(create(w, BROKER("b", ",\"namespace\":\"n\"")), 201);
    assert_int_equal(create(w, BROKER("b", "")), 201);
    buf_reset(&w->seen);
    assert_int_equal(delete (w, &resource_kind_namespace, "", "n"), 200);
    assert_string_equal(resource_text_at(w->object, "metadata.name"), "n");
    expect_seen(w, "D:n/b D:/n ");
    assert_int_equal(delete (w, &resource_kind_broker, "n", "b"), 404);
    assert_int_equal(delete (w, &resource_kind_broker, "default", "b"), 200);
    assert_null(registry_find(w->registry, &resource_kind_broker, "default", "b"));
}

/* A row in a table of its own for each broker, by number; "refused" is. */
static int extend(void *ctx, enum registry_change change, uint32_t number, const json_t *object,
                  struct store_group *g, struct error *err)
{
    if (strcmp(resource_text_at(object, "metadata.name"), "refused") == 0)
        return error_set(err, -EINVAL, "no row for this one");
    store_group_add(g, change == REGISTRY_ADDED ? STORE_RECORD_PUT : STORE_RECORD_DELETE,
                    STORE_TABLE_CURSORS, slice_of((const char *)&number, sizeof(number)),
                    SLICE("row"));
    return 0;
}

static unsigned rows(struct world *w)
{
    struct store_scan *scan =
        store_scan_new(w->store, STORE_TABLE_CURSORS, SLICE(""), slice_of(NULL, 0));
    struct slice key, value;
    unsigned n = 0;
    while (store_scan_next(scan, &key, &value, NULL) == 1)
        n++;
    store_scan_free(scan);
    return n;
}

static void test_extension(void **state)
{
    struct world *w = *state;
    registry_extend(w->registry, &resource_kind_broker, extend, w);
    assert_int_equal(
        create(w, NAMESPACE("n", ",\"labels\":{\"knative-eventing-injection\":\"enabled\"}")), 201);
    assert_int_equal(rows(w), 1);
    assert_int_equal(create(w, BROKER("b", ",\"namespace\":\"n\"")), 201);
    assert_int_equal(create(w, BROKER("b", "")), 201);
    assert_int_equal(rows(w), 3);
    assert_int_equal(replace(w, BROKER("b", ",\"labels\":{\"a\":\"b\"}")), 200);
    assert_int_equal(create(w, BROKER("refused", "")), 422);
    assert_string_equal(w->err.message, "no row for this one");
    assert_null(registry_find(w->registry, &resource_kind_broker, "default", "refused"));
    assert_int_equal(delete (w, &resource_kind_namespace, "", "n"), 200);
    assert_int_equal(rows(w), 1);
    assert_int_equal(delete (w, &resource_kind_broker, "default", "b"), 200);
    assert_int_equal(rows(w), 0);
}

static json_t *status_of(const char *ready)
{
    json_t *conditions = json_array();
    json_array_append_new(conditions, registry_condition("Ready", ready, "", ""));
    return json_pack("{s:o}", "conditions", conditions);
}

static void test_status(void **state)
{
    struct world *w = *state;
    assert_int_equal(create(w, BROKER("b", "")), 201);
    struct resource *b = registry_find(w->registry, &resource_kind_broker, "default", "b");
    buf_reset(&w->seen);
    registry_set_status(w->registry, b, status_of("Unknown"));
    registry_set_status(w->registry, b, status_of("True"));
    settle(w);
    expect_seen(w, "S:default/b ");
    assert_int_equal(resource_integer_at(b->object, "status.observedGeneration", 0), 1);
    const json_t *condition = json_array_get(resource_at(b->object, "status.conditions"), 0);
    assert_string_equal(resource_text_at(condition, "status"), "True");
    assert_non_null(resource_text_at(condition, "lastTransitionTime"));
    uint64_t version = b->version;
    registry_set_status(w->registry, b, status_of("True"));
    settle(w);
    assert_int_equal(b->version, version);
    assert_int_equal(replace(w, BROKER("b", ",\"labels\":{\"a\":\"b\"}")), 200);
    assert_non_null(resource_at(w->object, "status.conditions"));
    assert_int_equal(resource_integer_at(w->object, "metadata.generation", 0), 1);
    registry_set_status(w->registry, b, status_of("False"));
    assert_int_equal(delete (w, &resource_kind_broker, "default", "b"), 200);
    settle(w);
}

static void test_dry_run(void **state)
{
    struct world *w = *state;
    json_t *object = object_of(BROKER("b", ""));
    struct registry_request q = {.operation = REGISTRY_CREATE,
                                 .kind = &resource_kind_broker,
                                 .object = object,
                                 .dry_run = true};
    registry_submit(w->registry, &q, done, w);
    wait_answer(w);
    assert_int_equal(w->status, 201);
    assert_string_equal(resource_text_at(w->object, "metadata.name"), "b");
    assert_null(registry_find(w->registry, &resource_kind_broker, "default", "b"));
    json_decref(object);
}

static void test_generate_name(void **state)
{
    struct world *w = *state;
    assert_int_equal(create(w, "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{"
                               "\"generateName\":\"n-\"}}"),
                     201);
    assert_int_equal(strlen(resource_text_at(w->object, "metadata.name")), 7);
}

static int count(void *ctx, struct resource *resource)
{
    ++*(int *)ctx;
    return 0;
}

/* The same store read again gives the same objects, and numbers go on. */
static void test_reload(void **state)
{
    struct world *w = *state;
    assert_int_equal(create(w, BROKER("b", "")), 201);
    assert_int_equal(create(w, BROKER("a", "")), 201);
    struct resource *a = registry_find(w->registry, &resource_kind_broker, "default", "a");
    json_t *before = json_deep_copy(a->object);
    uint32_t highest = a->number;
    assert_int_equal(delete (w, &resource_kind_broker, "default", "b"), 200);
    uint64_t version = registry_version(w->registry);
    registry_free(w->registry);
    buf_reset(&w->seen);
    load(w);
    expect_seen(w, "A:/default A:default/a ");
    a = registry_find(w->registry, &resource_kind_broker, "default", "a");
    assert_true(json_equal(a->object, before));
    assert_int_equal(a->number, highest);
    assert_true(registry_version(w->registry) >= version);
    assert_int_equal(create(w, BROKER("c", "")), 201);
    assert_true(registry_find(w->registry, &resource_kind_broker, "default", "c")->number >
                highest);
    int n = 0;
    registry_each(w->registry, &resource_kind_broker, "default", count, &n);
    assert_int_equal(n, 2);
    json_decref(before);
}

/* ---- several at a time ---- */

#define MANY 200

struct many {
    unsigned answered, order[MANY], status[MANY];
    struct one {
        struct many *many;
        unsigned index;
    } ones[MANY];
};

static void one_done(void *ctx, unsigned status, struct resource *resource, const struct error *err)
{
    struct one *o = ctx;
    o->many->status[o->index] = status;
    o->many->order[o->many->answered++] = o->index;
}

/* Several names, each written several times: creations, then what comes after them. */
static json_t *nth_trigger(unsigned i, unsigned names)
{
    char json[400];
    snprintf(json, sizeof(json), TRIGGER("t%u", "b", "http://x/%u"), i % names, i / names);
    return object_of(json);
}

static void submit_many(struct world *w, struct many *m, unsigned names)
{
    *m = (struct many){.answered = 0};
    for (unsigned i = 0; i < MANY; i++) {
        m->ones[i] = (struct one){m, i};
        json_t *object = nth_trigger(i, names);
        struct registry_request q = {.operation = i < names ? REGISTRY_CREATE : REGISTRY_REPLACE,
                                     .kind = &resource_kind_trigger,
                                     .object = object};
        registry_submit(w->registry, &q, one_done, &m->ones[i]);
        json_decref(object);
    }
}

static void await_many(struct world *w, const struct many *m)
{
    for (int i = 0; i < 5000 && m->answered < MANY; i++)
        loop_turn(w->loop, 1000000);
    assert_int_equal(m->answered, MANY);
}

/* Writes of different objects do not wait for each other's sync, and are in the log in the order in
 * which they were asked for. */
static void test_many_at_once(void **state)
{
    struct world *w = *state;
    struct many m;
    assert_int_equal(create(w, BROKER("b", "")), 201);
    uint32_t number = registry_find(w->registry, &resource_kind_broker, "default", "b")->number;
    submit_many(w, &m, MANY);
    loop_turn(w->loop, 0);
    registry_stop(
        w->registry); /* all are on their way after one turn: their outcome is not known */
    assert_int_equal(m.answered, MANY);
    settle(w);
    registry_free(w->registry);
    load(w);
    settle(w);
    buf_reset(&w->seen);
    uint64_t version = 0;
    for (unsigned i = 0; i < MANY; i++) {
        char name[16];
        snprintf(name, sizeof(name), "t%u", i);
        struct resource *r = registry_find(w->registry, &resource_kind_trigger, "default", name);
        assert_non_null(r);
        assert_int_equal(r->number, number + 1 + i);
        assert_true(r->version > version);
        version = r->version;
    }
}

/* Those of one object are done one after the other, each against what the one before left. */
static void test_many_of_one_object(void **state)
{
    struct world *w = *state;
    struct many m;
    static const unsigned names[] = {1, 3, 50};
    assert_int_equal(create(w, BROKER("b", "")), 201);
    for (size_t n = 0; n < COUNT_OF(names); n++) {
        submit_many(w, &m, names[n]);
        await_many(w, &m);
        for (unsigned i = 0; i < MANY; i++)
            assert_int_equal(m.status[i], i < names[n] ? 201 : 200);
        for (unsigned i = 0; i < names[n]; i++) {
            char name[16], uri[32];
            snprintf(name, sizeof(name), "t%u", i);
            snprintf(uri, sizeof(uri), "http://x/%u", (MANY - 1 - i) / names[n]);
            struct resource *r =
                registry_find(w->registry, &resource_kind_trigger, "default", name);
            assert_string_equal(resource_text_at(r->object, "spec.subscriber.uri"), uri);
            assert_int_equal(resource_integer_at(r->object, "metadata.generation", 0),
                             1 + (MANY - 1 - i) / names[n]);
        }
        for (unsigned i = 0; i < names[n]; i++) {
            char name[16];
            snprintf(name, sizeof(name), "t%u", i);
            assert_int_equal(delete (w, &resource_kind_trigger, "default", name), 200);
        }
    }
}

/* What needs a namespace or makes a broker waits for those before it, and those after wait for it.
 */
static void test_order_across_kinds(void **state)
{
    struct world *w = *state;
    struct many m = {.answered = 0};
    static const char *const objects[] = {
        NAMESPACE("n", ""), TRIGGER("t", "default", "http://x/"),    /* makes the broker */
        TRIGGER("u", "default", "http://x/"), BROKER("default", ""), /* is there by now */
    };
    for (unsigned i = 0; i < COUNT_OF(objects); i++) {
        m.ones[i] = (struct one){&m, i};
        json_t *object = object_of(objects[i]);
        json_t *metadata = json_object_get(object, "metadata");
        if (i > 0)
            json_object_set_new(metadata, "namespace", json_string("n"));
        struct registry_request q = {
            .operation = REGISTRY_CREATE,
            .kind = resource_kind_of(resource_text_at(object, "apiVersion"),
                                     resource_text_at(object, "kind")),
            .object = object,
        };
        registry_submit(w->registry, &q, one_done, &m.ones[i]);
        json_decref(object);
    }
    registry_delete(w->registry, &resource_kind_namespace, "", "n", done, w);
    wait_answer(w);
    assert_int_equal(w->status, 200);
    assert_int_equal(m.answered, 4);
    static const unsigned expected[] = {201, 201, 201, 409};
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(m.order[i], i);
        assert_int_equal(m.status[i], expected[i]);
    }
    assert_null(registry_find(w->registry, &resource_kind_trigger, "n", "u"));
    assert_null(registry_find(w->registry, &resource_kind_broker, "n", "default"));
}

static void test_stop(void **state)
{
    struct world *w = *state;
    json_t *object = object_of(BROKER("b", ""));
    registry_create(w->registry, &resource_kind_broker, object, done, w);
    registry_stop(w->registry);
    wait_answer(w);
    assert_int_equal(w->status, 503);
    json_decref(object);
}

/* ---- a store that is full for a while ---- */

static bool disk_full;

static int64_t full_pwrite(void *ctx, int fd, const void *bytes, size_t len, uint64_t offset)
{
    return disk_full ? -ENOSPC : store_io_posix.pwrite(store_io_posix.ctx, fd, bytes, len, offset);
}

static void reopen_on_disk(struct world *w, const struct store_io *io, const char *dir)
{
    struct error err = ERROR_INIT;
    store_close(w->store);
    registry_free(w->registry);
    struct store_options options = {.dir = dir, .segment_bytes = 1 << 20, .io = io};
    if (store_open(&options, NULL, NULL, &w->store, &err) < 0)
        fail_msg("%s", err.message);
    load(w);
    settle(w);
}

static void test_full_disk(void **state)
{
    struct world *w = *state;
    char dir[] = "/tmp/sluice-registry-XXXXXX";
    assert_non_null(mkdtemp(dir));
    static struct store_io io; /* as long as the store */
    io = store_io_posix;
    io.pwrite = full_pwrite;
    reopen_on_disk(w, &io, dir);
    assert_int_equal(create(w, BROKER("b", "")), 201);
    struct resource *b = registry_find(w->registry, &resource_kind_broker, "default", "b");
    disk_full = true;
    assert_int_equal(create(w, BROKER("c", "")), 503);
    assert_null(registry_find(w->registry, &resource_kind_broker, "default", "c"));
    registry_set_status(w->registry, b, status_of("True"));
    settle(w);
    assert_null(resource_at(b->object, "status"));
    registry_set_status(w->registry, b, status_of("False")); /* the newer one is the one kept */
    disk_full = false;
    for (int i = 0; i < 300 && resource_at(b->object, "status") == NULL; i++)
        loop_turn(w->loop, 20000000);
    const json_t *condition = json_array_get(resource_at(b->object, "status.conditions"), 0);
    assert_string_equal(resource_text_at(condition, "status"), "False");
    assert_int_equal(create(w, BROKER("c", "")), 201);
    assert_int_equal(fdio_remove_tree(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_default_namespace, setup, teardown),
        cmocka_unit_test_setup_teardown(test_create, setup, teardown),
        cmocka_unit_test_setup_teardown(test_replace, setup, teardown),
        cmocka_unit_test_setup_teardown(test_injection, setup, teardown),
        cmocka_unit_test_setup_teardown(test_delete, setup, teardown),
        cmocka_unit_test_setup_teardown(test_extension, setup, teardown),
        cmocka_unit_test_setup_teardown(test_status, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dry_run, setup, teardown),
        cmocka_unit_test_setup_teardown(test_generate_name, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reload, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_of_one_object, setup, teardown),
        cmocka_unit_test_setup_teardown(test_order_across_kinds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stop, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_disk, setup, teardown),
    };
    return cmocka_run_group_tests_name("resource/registry", tests, NULL, NULL);
}
