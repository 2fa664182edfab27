/* SPDX-License-Identifier: Apache-2.0 */
/* Events that have come before: to triggers that keep up, that are behind, and after restarts. */
#include "world.h"

#include "unit.h"

#include "broker/trigger.h"

#include <stdio.h>
#include <string.h>

#define MINUTE (60 * CLOCK_SECOND)
#define HOUR   (60 * MINUTE)

#define COUNTER(w, name) atomic_load(&(w)->core->counters.name)

static void broker(struct world *w, const char *window)
{
    char json[256];
    snprintf(json, sizeof(json),
             "{\"apiVersion\":\"eventing.knative.dev/v1\",\"kind\":\"Broker\",\"metadata\":"
             "{\"name\":\"b\",\"annotations\":{\"sluice.dev/dedup\":\"%s\"}}}",
             window);
    world_apply(w, json);
}

static bool settled(const struct world *w)
{
    return w->core->settling == 0 && w->core->scanned == store_synced(w->store) &&
           w->in_flight == 0;
}

static enum sink_state not_ready(struct world *w, const char *name)
{
    (void)w;
    (void)name;
    return SINK_WAITING;
}

static void one_that_came_before_is_not_delivered(void **state)
{
    struct world *w = *state;
    broker(w, "PT10M");
    world_trigger(w, "t", "f", "");
    world_send(w, "1", "t");
    world_send(w, "2", "t");
    world_send(w, "1", "t");
    world_send(w, "3", "t");
    WORLD_UNTIL(w, world_seen(w, "f", "3") == 1 && settled(w));
    assert_int_equal(w->seen_count, 3);
    assert_int_equal(COUNTER(w, duplicates), 1);
    world_pass(w, 11 * MINUTE);
    world_send(w, "1", "t");
    WORLD_UNTIL(w, world_seen(w, "f", "1") == 2 && settled(w));
    assert_int_equal(COUNTER(w, duplicates), 1);
}

static void without_the_annotation_each_is_delivered(void **state)
{
    struct world *w = *state;
    world_trigger(w, "t", "f", "");
    world_send(w, "1", "t");
    world_send(w, "1", "t");
    WORLD_UNTIL(w, world_seen(w, "f", "1") == 2);
    broker(w, "PT10M");
    world_send(w, "1", "t"); /* what came before the annotation counts */
    world_send(w, "2", "t");
    WORLD_UNTIL(w, world_seen(w, "f", "2") == 1 && settled(w));
    assert_int_equal(world_seen(w, "f", "1"), 2);
    broker(w, "off");
    world_send(w, "1", "t");
    WORLD_UNTIL(w, world_seen(w, "f", "1") == 3);
    assert_null(broker_find(w->core, "default", "b")->dedup);
}

static void a_group_may_hold_one_twice(void **state)
{
    struct world *w = *state;
    broker(w, "PT10M");
    world_trigger(w, "t", "f", "");
    world_send_many(w, "e", 50, "t");
    world_send_many(w, "e", 100, "t");
    WORLD_UNTIL(w, w->seen_count == 100 && settled(w));
    assert_int_equal(COUNTER(w, duplicates), 50);
}

/* Nor does a trigger that reads the log by itself meet them. */
static void a_trigger_that_is_behind_is_spared_them(void **state)
{
    struct world *w = *state;
    broker(w, "PT1H");
    w->state = not_ready;
    world_trigger(w, "t", "f", "");
    world_send_many(w, "e", 1000, "t");
    world_send_many(w, "e", 1000, "t");
    world_send_many(w, "more", 1000, "t");
    WORLD_UNTIL(w, world_trigger_find(w, "t")->behind != 0 && settled(w));
    assert_int_equal(COUNTER(w, duplicates), 1000);
    w->state = NULL;
    broker_core_sink_changed(w->core, "default", "f");
    WORLD_UNTIL(w, COUNTER(w, delivered) == 2000 && settled(w));
    world_rest(w);
    assert_int_equal(w->seen_count, 2000);
}

/* The same answers wherever the end comes. */
static void after_a_crash_too(void **state)
{
    struct world *w = *state;
    broker(w, "PT1H");
    w->state = not_ready;
    world_trigger(w, "t", "f", "");
    world_send_many(w, "e", 1000, "t");
    world_send_many(w, "e", 500, "t");
    WORLD_UNTIL(w, world_trigger_find(w, "t")->behind != 0 && settled(w));
    world_checkpoint(w);
    world_send_many(w, "e", 1000, "t");
    world_abandon(w); /* the trigger is behind */
    world_open(w);
    world_send_many(w, "e", 1100, "t");
    w->state = NULL;
    broker_core_sink_changed(w->core, "default", "f");
    WORLD_UNTIL(w, COUNTER(w, delivered) == 1100 && settled(w));
    world_stop(w);
    world_open(w); /* it is not behind */
    world_send_many(w, "e", 1200, "t");
    WORLD_UNTIL(w, COUNTER(w, delivered) == 100 && settled(w));
    world_abandon(w);
    world_open(w);
    world_rest(w);
    assert_int_equal(w->seen_count, 1200);
}

/* One that begins far back, where the judge has not looked. */
static void a_trigger_from_the_beginning(void **state)
{
    struct world *w = *state;
    broker(w, "PT1M");
    world_trigger(w, "t", "f", "");
    world_send_many(w, "e", 200, "t");
    world_send_many(w, "e", 200, "t");
    world_pass(w, HOUR);
    world_send_many(w, "e", 10, "t"); /* not in the window of the others */
    WORLD_UNTIL(w, COUNTER(w, delivered) == 210 && settled(w));
    world_trigger_annotated(w, "u", "\"sluice.dev/start\":\"earliest\"", "g", "");
    WORLD_UNTIL(w, world_seen(w, "g", NULL) == 210 && settled(w));
    world_rest(w);
    assert_int_equal(world_seen(w, "g", NULL), 210);
    assert_int_equal(world_seen(w, "g", "e0"), 2);
    assert_int_equal(COUNTER(w, duplicates), 200);
}

static void reply_the_same(struct world *w, struct fake_call *c)
{
    (void)w;
    if (strcmp(c->type, "ask") != 0)
        return;
    snprintf(c->reply_id, sizeof(c->reply_id), "answer");
    snprintf(c->reply_type, sizeof(c->reply_type), "told");
}

static void replies_are_judged_as_well(void **state)
{
    struct world *w = *state;
    broker(w, "PT1H");
    w->plan = reply_the_same;
    world_trigger(w, "t", "f", "");
    world_send(w, "1", "ask");
    world_send(w, "2", "ask");
    WORLD_UNTIL(w, world_events(w, "told") == 2 && settled(w));
    world_rest(w);
    assert_int_equal(world_seen(w, "f", "answer"), 1);
}

/* Events that come in while there is no trigger have come, too. */
static void what_nobody_wanted_counts(void **state)
{
    struct world *w = *state;
    broker(w, "PT1H");
    world_send_many(w, "e", 10, "t");
    world_pass(w, 5 * CLOCK_SECOND);
    world_trigger(w, "t", "f", "");
    world_send_many(w, "e", 20, "t");
    WORLD_UNTIL(w, w->seen_count >= 10 && settled(w));
    world_rest(w);
    assert_int_equal(w->seen_count, 10);
    assert_int_equal(world_seen(w, "f", "e0"), 0);
}

/* What has to be forgotten early is counted, and may come twice. */
static void memory_is_limited(void **state)
{
    struct world *w = *state;
    w->core->dedup_max = 100;
    broker(w, "PT1H");
    world_trigger(w, "t", "f", "");
    world_send_many(w, "e", 300, "t");
    world_send_many(w, "e", 10, "t");
    WORLD_UNTIL(w, COUNTER(w, delivered) == 310 && settled(w));
    assert_int_equal(COUNTER(w, duplicates), 0);
    assert_int_equal(COUNTER(w, dedup_forgotten), 210);
}

/* Nobody is behind: there is nothing to remember but the window. */
static void answers_that_nobody_asks_for_are_forgotten(void **state)
{
    struct world *w = *state;
    broker(w, "PT1H");
    world_trigger(w, "t", "f", "");
    for (unsigned i = 0; i < 5; i++)
        world_send_many(w, "e", 1000, "t");
    WORLD_UNTIL(w, COUNTER(w, delivered) == 1000 && settled(w));
    world_pass(w, 2 * CLOCK_SECOND);
    assert_int_equal(COUNTER(w, duplicates), 4000);
    world_delete(w, &resource_kind_broker, "b");
    assert_true(list_empty(&w->core->dedups));
}

int main(void)
{
#define MEMORY_TEST(name) cmocka_unit_test_setup_teardown(name, world_setup_memory, world_teardown)
#define DISK_TEST(name)   cmocka_unit_test_setup_teardown(name, world_setup_disk, world_teardown)
    const struct CMUnitTest tests[] = {
        MEMORY_TEST(one_that_came_before_is_not_delivered),
        MEMORY_TEST(without_the_annotation_each_is_delivered),
        MEMORY_TEST(a_group_may_hold_one_twice),
        MEMORY_TEST(a_trigger_that_is_behind_is_spared_them),
        DISK_TEST(after_a_crash_too),
        MEMORY_TEST(a_trigger_from_the_beginning),
        MEMORY_TEST(replies_are_judged_as_well),
        MEMORY_TEST(what_nobody_wanted_counts),
        MEMORY_TEST(memory_is_limited),
        MEMORY_TEST(answers_that_nobody_asks_for_are_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
