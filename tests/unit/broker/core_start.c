/* SPDX-License-Identifier: Apache-2.0 */
/* Where triggers start: sluice.dev/start. */
#include "world.h"

#include "unit.h"

#include "broker/start.h"

#include <stdio.h>
#include <string.h>

static void trigger_json(const char *name, const char *function, const char *start, struct buf *out)
{
    buf_printf(out,
               "{\"apiVersion\":\"eventing.knative.dev/v1\",\"kind\":\"Trigger\",\"metadata\":"
               "{\"name\":\"%s\",\"annotations\":{\"sluice.dev/start\":\"%s\"}},\"spec\":{"
               "\"broker\":\"b\",\"subscriber\":{\"ref\":{\"apiVersion\":\"sluice.dev/v1\","
               "\"kind\":\"Function\",\"name\":\"%s\"}}}}",
               name, start, function);
}

static void trigger_from(struct world *w, const char *name, const char *start)
{
    autobuf json = BUF_INIT;
    trigger_json(name, name, start, &json);
    world_apply(w, json.ptr);
}

static struct {
    bool answered;
    unsigned status;
    struct error err;
} last;

static void written(void *ctx, unsigned status, struct resource *resource, const struct error *err)
{
    (void)ctx;
    (void)resource;
    last.answered = true;
    last.status = status;
    last.err = *err;
}

static void refused_from(struct world *w, bool replace, const char *start, const char *part)
{
    autobuf json = BUF_INIT;
    struct error err = ERROR_INIT;
    trigger_json("t", "t", start, &json);
    json_t *object = json_loads(json.ptr, 0, NULL);
    assert_int_equal(resource_check(&resource_kind_trigger, object, "default", &err), 0);
    last.answered = false;
    if (replace)
        registry_replace(w->registry, &resource_kind_trigger, object, written, NULL);
    else
        registry_create(w->registry, &resource_kind_trigger, object, written, NULL);
    json_decref(object);
    WORLD_UNTIL(w, last.answered);
    assert_int_equal(last.status, 422);
    assert_string_equal(last.err.field, "metadata.annotations[\"sluice.dev/start\"]");
    if (strstr(last.err.message, part) == NULL)
        fail_msg("%s\nwanted: %s", last.err.message, part);
}

/* Of e0 to e9. */
static void expect_from(struct world *w, const char *name, unsigned first)
{
    char id[16];
    WORLD_UNTIL(w, world_seen(w, name, NULL) == 10 - first);
    world_rest(w);
    for (unsigned i = 0; i < 10; i++) {
        snprintf(id, sizeof(id), "e%u", i);
        assert_int_equal(world_seen(w, name, id), i >= first);
    }
}

static const char *said(struct world *w, const char *name)
{
    const struct trigger *t = world_trigger_find(w, name);
    const json_t *all = resource_at(t->resource->object, "status.annotations");
    return json_string_value(json_object_get(all, ANNOTATION_START));
}

static const char *ready_reason(struct world *w, const char *name)
{
    const struct trigger *t = world_trigger_find(w, name);
    const json_t *condition;
    size_t index;
    json_array_foreach(resource_at(t->resource->object, "status.conditions"), index, condition)
    {
        if (strcmp(resource_text_at(condition, "type"), "Ready") == 0)
            return resource_text_at(condition, "reason");
    }
    return NULL;
}

static uint64_t send_ten(struct world *w)
{
    uint64_t fifth = 0;
    for (unsigned i = 0; i < 10; i++) {
        char id[16];
        snprintf(id, sizeof(id), "e%u", i);
        int64_t position = world_send(w, id, "t");
        assert_true(position > 0);
        fifth = i == 5 ? (uint64_t)position : fifth;
    }
    return fifth;
}

static void each_place_is_where_it_says(void **state)
{
    struct world *w = *state;
    char at[40], time[CLOCK_RFC3339_SIZE];
    uint64_t fifth = send_ten(w);
    trigger_from(w, "earliest", "earliest");
    expect_from(w, "earliest", 0);
    trigger_from(w, "latest", "latest");
    expect_from(w, "latest", 10);
    snprintf(at, sizeof(at), "position:%llu", (unsigned long long)fifth);
    trigger_from(w, "position", at);
    expect_from(w, "position", 5);
    assert_string_equal(said(w, "position"), at);
    trigger_from(w, "id", "id:e5");
    expect_from(w, "id", 5);
    WORLD_UNTIL(w, said(w, "id") != NULL);
    assert_string_equal(said(w, "id"), at);
    trigger_from(w, "both", "id:/test#e7");
    expect_from(w, "both", 7);
    clock_format_rfc3339(world_realtime(w), 9, time);
    trigger_from(w, "now", time);
    expect_from(w, "now", 10);
    trigger_from(w, "long-ago", "2001-01-01T00:00:00Z");
    expect_from(w, "long-ago", 0);
}

static void what_cannot_be_a_start_is_refused(void **state)
{
    struct world *w = *state;
    send_ten(w);
    refused_from(w, false, "position:1000", "is not in the log yet: the newest is");
    refused_from(w, false, "2200-01-01T00:00:00Z", "still to come");
    trigger_from(w, "t", "earliest");
    expect_from(w, "t", 0);
    refused_from(w, true, "latest", "cannot be changed, was \"earliest\"");
}

static void an_id_that_is_not_there_is_said(void **state)
{
    struct world *w = *state;
    send_ten(w);
    trigger_from(w, "t", "id:other");
    world_send(w, "other", "t"); /* too late */
    WORLD_UNTIL(w,
                ready_reason(w, "t") != NULL && strcmp(ready_reason(w, "t"), "StartNotFound") == 0);
    world_checkpoint(w);
    world_abandon(w);
    world_open(w);
    world_rest(w);
    assert_string_equal(ready_reason(w, "t"), "StartNotFound");
    assert_int_equal(world_seen(w, "t", NULL), 0);
    assert_int_equal(world_trigger_find(w, "t")->behind, 0);
}

/* The scan is beyond the start, and so says the last checkpoint, which does not know the trigger.
 */
static void a_crash_before_any_checkpoint_loses_no_event(void **state)
{
    static const char *const starts[] = {"earliest", "id:e0"};
    for (unsigned i = 0; i < COUNT_OF(starts); i++) {
        struct world *w = *state;
        char name[16];
        snprintf(name, sizeof(name), "t%u", i);
        if (i == 0) {
            world_trigger(w, "other", "other", "");
            send_ten(w);
            WORLD_UNTIL(w, world_seen(w, "other", NULL) == 10);
        }
        world_checkpoint(w);
        assert_true(w->core->scanned > 10);
        trigger_from(w, name, starts[i]);
        world_abandon(w);
        w->seen_count = 0;
        world_open(w);
        expect_from(w, name, 0);
        world_abandon(w);
        world_open(w);
        expect_from(w, name, 0);
    }
}

/* What it was told before it was found stays so after. */
static void what_is_found_stays_found(void **state)
{
    struct world *w = *state;
    send_ten(w);
    trigger_from(w, "t", "id:e8");
    expect_from(w, "t", 8);
    world_send(w, "e8", "t"); /* another event of this id */
    WORLD_UNTIL(w, world_seen(w, "t", NULL) == 3);
    world_abandon(w);
    world_open(w);
    world_send(w, "after", "t");
    WORLD_UNTIL(w, world_seen(w, "t", "after") == 1);
    assert_int_equal(world_seen(w, "t", NULL), 4);
}

#define START_TEST(name) cmocka_unit_test_setup_teardown(name, world_setup_disk, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        START_TEST(each_place_is_where_it_says),
        START_TEST(what_cannot_be_a_start_is_refused),
        START_TEST(an_id_that_is_not_there_is_said),
        START_TEST(a_crash_before_any_checkpoint_loses_no_event),
        START_TEST(what_is_found_stays_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
