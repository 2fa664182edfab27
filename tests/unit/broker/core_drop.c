/* SPDX-License-Identifier: Apache-2.0 */
/* A broker is deleted, and with it what its triggers have not delivered. */
#include "world.h"

#include "unit.h"

#include "broker/cursor.h"
#include "broker/scan.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define COUNTER(w, name) atomic_load(&(w)->core->counters.name)

/* g fails for now, h refuses for good, every other subscriber never answers. */
static void by_name(struct world *w, struct fake_call *c)
{
    c->never = strcmp(c->to, "g") != 0 && strcmp(c->to, "h") != 0;
    c->status = strcmp(c->to, "g") == 0 ? 500 : 400;
}

static void three_triggers(struct world *w)
{
    w->plan = by_name;
    world_trigger(w, "t", "f", "");
    world_trigger(w, "u", "g", ",\"delivery\":{\"retry\":3,\"backoffDelay\":\"PT5M\"}");
    world_trigger(w, "v", "h", "");
    world_send_many(w, "e", 50, "t");
    WORLD_UNTIL(w, world_trigger_find(w, "u")->retrying_count == 50);
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_DEAD) == 50);
    world_send_many(w, "more", 1000, "t");
    WORLD_UNTIL(w, world_trigger_find(w, "t")->behind != 0);
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_DEAD) == 1050 &&
                       world_rows(w, STORE_TABLE_RETRIES) == 1050 && w->core->settling == 0);
}

static void assert_nothing_is_left(struct world *w)
{
    WORLD_UNTIL(w, cursor_needed(w->core) == w->core->scanned + 1);
    assert_int_equal(COUNTER(w, in_flight), 0);
    assert_int_equal(COUNTER(w, waiting), 0);
    assert_int_equal(world_rows(w, STORE_TABLE_RETRIES), 0);
    assert_int_equal(world_rows(w, STORE_TABLE_DEAD), 1050); /* these have ended */
    assert_int_equal(world_rows(w, STORE_TABLE_PAYLOADS), 1050);
}

static bool says(const struct trigger *t, const char *text)
{
    autofree char *status =
        json_dumps(json_object_get(t->resource->object, "status"), JSON_COMPACT);
    return status != NULL && strstr(status, text) != NULL;
}

static void what_waits_goes_with_the_broker(void **state)
{
    struct world *w = *state;
    three_triggers(w);
    assert_true(cursor_needed(w->core) < w->core->scanned);
    world_delete(w, &resource_kind_broker, "b");
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_RETRIES) == 0);
    assert_true(list_empty(&w->calls));
    assert_nothing_is_left(w);
    assert_int_equal(COUNTER(w, dropped), 1050 + TRIGGER_WINDOW + TRIGGER_WAITING_MAX);
    const struct trigger *u = world_trigger_find(w, "u");
    assert_int_equal(u->dropped, 1050);
    WORLD_UNTIL(w, says(u, "and with it 1050 deliveries that had not ended"));
}

static void a_later_broker_of_that_name_has_its_own_events(void **state)
{
    struct world *w = *state;
    three_triggers(w);
    world_delete(w, &resource_kind_broker, "b");
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_RETRIES) == 0);
    size_t before = w->seen_count;
    w->plan = NULL;
    world_broker(w, "b");
    world_send(w, "new", "t");
    WORLD_UNTIL(w, w->seen_count == before + 3);
    world_rest(w);
    assert_int_equal(w->seen_count, before + 3);
    assert_int_equal(world_seen(w, "f", "new"), 1);
    assert_int_equal(world_trigger_find(w, "t")->behind, 0);
    assert_int_equal(cursor_needed(w->core), w->core->scanned + 1);
}

/* Outcomes that are under way when the core hears that the broker is gone leave no rows, either. */
static void outcomes_on_their_way_are_dropped(void **state)
{
    struct world *w = *state;
    w->plan = world_fail_when_told;
    world_trigger(w, "t", "f", ",\"delivery\":{\"retry\":3,\"backoffDelay\":\"PT5M\"}");
    world_send_many(w, "e", 40, "t");
    WORLD_UNTIL(w, w->in_flight == 40);
    world_rest(w);
    world_delete_unheard(w, &resource_kind_broker, "b");
    world_answer_all_now(w); /* and their outcomes come after that */
    assert_int_equal(w->core->settling, 40);
    assert_non_null(broker_find(w->core, "default", "b"));
    WORLD_UNTIL(w, w->core->settling == 0);
    world_rest(w);
    assert_int_equal(COUNTER(w, dropped), 40);
    WORLD_UNTIL(w, says(world_trigger_find(w, "t"), "and with it 40 deliveries"));
    assert_int_equal(world_rows(w, STORE_TABLE_RETRIES), 0);
    assert_int_equal(world_rows(w, STORE_TABLE_PAYLOADS), 0);
    assert_int_equal(world_trigger_find(w, "t")->retrying_count, 0);
    assert_int_equal(cursor_needed(w->core), w->core->scanned + 1);
    world_broker(w, "b");
    world_delete(w, &resource_kind_broker, "b");
    assert_int_equal(world_trigger_find(w, "t")->dropped, 0);
}

/* The first crash comes before the core hears of the deletion, the second before a checkpoint. */
static void a_later_broker_after_a_crash_has_its_own_events(void **state)
{
    struct world *w = *state;
    w->plan = world_fail_when_told;
    world_trigger(w, "t", "f", "");
    world_send_many(w, "old", 3, "t");
    WORLD_UNTIL(w, w->in_flight == 3);
    world_checkpoint(w);
    world_delete_unheard(w, &resource_kind_broker, "b");
    world_abandon(w);
    w->plan = NULL;
    world_open(w);
    assert_int_equal(COUNTER(w, dropped), 3);
    world_broker(w, "b");
    world_abandon(w);
    world_open(w);
    world_send(w, "new", "t");
    WORLD_UNTIL(w, world_seen(w, "f", "new") == 1);
    world_rest(w);
    assert_int_equal(w->seen_count, 3 + 1);
    assert_int_equal(COUNTER(w, dropped), 3);
    assert_int_equal(cursor_needed(w->core), w->core->scanned + 1);
}

/* A trigger that never had a broker; the scan has passed its position when the core hears of it. */
static void without_a_broker_nothing_of_the_log_is_needed(void **state)
{
    struct world *w = *state;
    struct error err = ERROR_INIT;
    json_t *object = json_pack("{ss ss s{ss} s{ss s{ss}}}", "apiVersion", "eventing.knative.dev/v1",
                               "kind", "Trigger", "metadata", "name", "u", "spec", "broker", "none",
                               "subscriber", "uri", "http://127.0.0.1:9/");
    assert_non_null(object);
    assert_int_equal(resource_check(&resource_kind_trigger, object, "default", &err), 0);
    world_trigger(w, "t", "f", ""); /* without any the scan does not run */
    world_rest(w);
    registry_create(w->registry, &resource_kind_trigger, object, NULL, NULL);
    json_decref(object);
    uint64_t before = store_synced(w->store);
    loop_turn(w->loop, 0); /* appends it */
    scan_wake(w->core);    /* comes before the answer of that */
    for (unsigned i = 0; i < 5000 && store_synced(w->store) == before; i++)
        usleep(1000);
    world_send(w, "1", "t");
    WORLD_UNTIL(w, world_seen(w, "f", "1") == 1);
    world_rest(w);
    assert_int_equal(world_trigger_find(w, "u")->behind, 0);
    assert_int_equal(cursor_needed(w->core), w->core->scanned + 1);
}

/* Whatever of it the crash lets through: the deletion alone, or what follows from it, too. */
static void a_crash_after_the_deletion_brings_nothing_back(void **state)
{
    struct world *w = *state;
    for (unsigned again = 0; again < 2; again++) {
        three_triggers(w);
        world_checkpoint(w); /* its rows say what is outstanding, and where it reads */
        world_delete(w, &resource_kind_broker, "b");
        if (again == 1)
            world_broker(w, "b");
        size_t before = w->seen_count;
        world_abandon(w);
        w->plan = NULL;
        world_open(w);
        WORLD_UNTIL(w, world_rows(w, STORE_TABLE_RETRIES) == 0);
        assert_nothing_is_left(w);
        if (again == 0)
            world_broker(w, "b");
        world_send(w, "new", "t");
        WORLD_UNTIL(w, w->seen_count == before + 3);
        world_rest(w);
        assert_int_equal(w->seen_count, before + 3);
        assert_int_equal(COUNTER(w, lost), 0);
        static const char *const names[] = {"t", "u", "v"};
        for (size_t i = 0; i < COUNT_OF(names); i++)
            world_delete(w, &resource_kind_trigger, names[i]);
        WORLD_UNTIL(w, world_rows(w, STORE_TABLE_DEAD) == 0);
    }
}

int main(void)
{
#define DROP_TEST(name) cmocka_unit_test_setup_teardown(name, world_setup_disk, world_teardown)
    const struct CMUnitTest tests[] = {
        DROP_TEST(what_waits_goes_with_the_broker),
        DROP_TEST(a_later_broker_of_that_name_has_its_own_events),
        DROP_TEST(outcomes_on_their_way_are_dropped),
        DROP_TEST(a_later_broker_after_a_crash_has_its_own_events),
        DROP_TEST(without_a_broker_nothing_of_the_log_is_needed),
        DROP_TEST(a_crash_after_the_deletion_brings_nothing_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
