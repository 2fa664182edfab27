/* SPDX-License-Identifier: Apache-2.0 */
/* Matching, delivery, replies, dead letters: one core, no restarts. */
#include "world.h"

#include "unit.h"

#include "broker/retry.h"

#include "base/bytes.h"
#include "base/encoding.h"
#include "broker/row.h"
#include "broker/ttl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define HOUR (3600 * CLOCK_SECOND)

static void each_event_goes_to_the_triggers_that_want_it(void **state)
{
    struct world *w = *state;
    world_trigger(w, "all", "all", "");
    world_trigger(w, "red", "red", ",\"filter\":{\"attributes\":{\"type\":\"red\"}}");
    world_trigger(w, "not-red", "other", ",\"filters\":[{\"not\":{\"exact\":{\"type\":\"red\"}}}]");
    world_send(w, "1", "red");
    world_send(w, "2", "blue");
    WORLD_UNTIL(w, w->seen_count == 4);
    world_rest(w);
    assert_int_equal(world_seen(w, "all", NULL), 2);
    assert_int_equal(world_seen(w, "red", "1"), 1);
    assert_int_equal(world_seen(w, "red", "2"), 0);
    assert_int_equal(world_seen(w, "other", "2"), 1);
    assert_int_equal(w->seen_count, 4);
}

static void a_trigger_gets_events_after_its_creation_only(void **state)
{
    struct world *w = *state;
    world_send(w, "before", "t");
    world_rest(w);
    world_trigger(w, "t", "f", "");
    world_send(w, "after", "t");
    WORLD_UNTIL(w, world_seen(w, "f", "after") == 1);
    world_rest(w);
    assert_int_equal(world_seen(w, "f", "before"), 0);
}

/* The scan may have passed events that follow the creation before the core hears of it. */
static void events_right_after_the_creation_are_for_the_trigger(void **state)
{
    struct world *w = *state;
    struct error err = ERROR_INIT;
    json_t *object =
        json_pack("{ss ss s{ss} s{ss s{s{ss ss ss}}}}", "apiVersion", "eventing.knative.dev/v1",
                  "kind", "Trigger", "metadata", "name", "t", "spec", "broker", "b", "subscriber",
                  "ref", "apiVersion", "sluice.dev/v1", "kind", "Function", "name", "f");
    assert_non_null(object);
    assert_int_equal(resource_check(&resource_kind_trigger, object, "default", &err), 0);
    world_trigger(w, "other", "g", ""); /* without any the scan does not run */
    world_rest(w);
    registry_create(w->registry, &resource_kind_trigger, object, NULL, NULL);
    json_decref(object);
    uint64_t before = store_synced(w->store);
    loop_turn(w->loop, 0); /* appends it */
    for (unsigned i = 0; i < 5000 && store_synced(w->store) == before; i++)
        usleep(1000);
    assert_true(store_synced(w->store) > before); /* and the core has not heard of it */
    world_send(w, "1", "t");
    WORLD_UNTIL(w, world_seen(w, "f", "1") == 1);
}

static void reply_with_an_event(struct world *w, struct fake_call *c)
{
    if (strcmp(c->type, "ask") == 0) {
        snprintf(c->reply_id, sizeof(c->reply_id), "re-%.60s", c->id);
        snprintf(c->reply_type, sizeof(c->reply_type), "answer");
    }
}

static void the_reply_and_the_finish_are_one_group(void **state)
{
    struct world *w = *state;
    w->plan = reply_with_an_event;
    world_trigger(w, "t", "f", "");
    int64_t cause = world_send(w, "1", "ask");
    WORLD_UNTIL(w, world_seen(w, "f", "re-1") == 1);
    struct store_reader *r = store_reader_new(w->store, (uint64_t)cause + 1);
    struct store_entry entry;
    uint64_t reply = 0, finish = 0;
    while (finish == 0 && store_reader_next(r, &entry) == 1) {
        if (entry.type == STORE_RECORD_EVENT)
            reply = entry.position;
        if (entry.type != STORE_RECORD_FINISH)
            continue;
        finish = bytes_le64(entry.key.ptr) == (uint64_t)cause ? entry.position : 0;
    }
    store_reader_free(r);
    assert_true(reply != 0);
    assert_int_equal(finish, reply + 1);
}

static void echo(struct world *w, struct fake_call *c)
{
    snprintf(c->reply_id, sizeof(c->reply_id), "x");
    snprintf(c->reply_type, sizeof(c->reply_type), "echo");
}

static void a_loop_of_replies_ends(void **state)
{
    struct world *w = *state;
    w->plan = echo;
    world_trigger(w, "t", "f", "");
    world_send(w, "1", "echo");
    WORLD_UNTIL(w, atomic_load(&w->core->counters.loops) == 1);
    world_rest(w);
    assert_int_equal(w->seen_count, BROKER_TTL_DEFAULT);
}

static void echo_all_attributes(struct world *w, struct fake_call *c)
{
    echo(w, c);
    c->reply_attributes = EVENT_ATTRIBUTES_MAX - 3;
}

static void a_reply_without_room_for_the_ttl_is_no_reply(void **state)
{
    struct world *w = *state;
    w->plan = echo_all_attributes;
    world_trigger(w, "t", "f", ",\"delivery\":{\"retry\":0}");
    world_send(w, "1", "echo");
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_DEAD) == 1);
    world_rest(w);
    assert_int_equal(w->seen_count, 1);
}

#define TO_DEAD(more)                                                                              \
    ",\"delivery\":{\"retry\":1,\"backoffDelay\":\"PT0.01S\",\"deadLetterSink\":{" more "}}"
#define FUNCTION_REF(name)                                                                         \
    "\"ref\":{\"apiVersion\":\"sluice.dev/v1\",\"kind\":\"Function\",\"name\":\"" name "\"}"

static void fail_at_f(struct world *w, struct fake_call *c)
{
    if (strcmp(c->to, "f") == 0) {
        c->status = 500;
        c->reply_bytes = 3;
    }
}

static void without_a_dead_letter_sink_the_event_stays_in_the_table(void **state)
{
    struct world *w = *state;
    w->plan = fail_at_f;
    world_trigger(w, "t", "f", ",\"delivery\":{\"retry\":2,\"backoffDelay\":\"PT0.01S\"}");
    world_send(w, "1", "t");
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_DEAD) == 1);
    world_rest(w);
    assert_int_equal(w->seen_count, 3);
    assert_int_equal(world_rows(w, STORE_TABLE_PAYLOADS), 1);
    assert_int_equal(world_rows(w, STORE_TABLE_RETRIES), 0);
}

static struct fake_call at_sink; /* the last call of the dead-letter sink */

static void fail_and_keep(struct world *w, struct fake_call *c)
{
    fail_at_f(w, c);
    if (strcmp(c->to, "d") != 0)
        return;
    at_sink = *c;
    if (world_seen(w, c->to, c->id) == 1)
        c->status = 503;
}

/* Also when the sink itself fails at first. */
static void a_dead_letter_says_why(void **state)
{
    struct world *w = *state;
    w->plan = fail_and_keep;
    world_trigger(w, "t", "f", TO_DEAD(FUNCTION_REF("d")));
    world_send(w, "1", "t");
    for (unsigned n = 1; n <= 2; n++) {
        WORLD_UNTIL(w, world_seen(w, "d", "1") == n);
        assert_string_equal(at_sink.code, "500");
        assert_string_equal(at_sink.data, "eHh4");
        assert_string_equal(at_sink.destination, "http://f.default.svc.cluster.local/");
    }
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_RETRIES) == 0);
    assert_int_equal(world_seen(w, "f", "1"), 2);
    assert_int_equal(world_rows(w, STORE_TABLE_DEAD), 1);
    assert_int_equal(world_rows(w, STORE_TABLE_PAYLOADS), 1);
}

static void a_dead_letter_can_go_to_a_broker(void **state)
{
    struct world *w = *state;
    w->plan = fail_at_f;
    world_broker(w, "graves");
    world_trigger(w, "t", "f",
                  TO_DEAD("\"ref\":{\"apiVersion\":\"eventing.knative.dev/v1\",\"kind\":\"Broker\","
                          "\"name\":\"graves\"}"));
    world_send(w, "1", "lost");
    WORLD_UNTIL(w, world_events(w, "lost") == 2);
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_RETRIES) == 0);
}

static void refuse_for_good(struct world *w, struct fake_call *c)
{
    c->status = 400;
}

static void what_cannot_be_retried_is_dead_at_once(void **state)
{
    struct world *w = *state;
    w->plan = refuse_for_good;
    world_trigger(w, "t", "f", "");
    world_send(w, "1", "t");
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_DEAD) == 1);
    assert_int_equal(w->seen_count, 1);
}

static void no_answer_from_slow(struct world *w, struct fake_call *c)
{
    c->never = strcmp(c->to, "slow") == 0;
}

static void world_triggers(struct world *w, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char name[16];
        snprintf(name, sizeof(name), "slow%u", i);
        world_trigger(w, name, "slow", "");
    }
}

/* What a checkpoint has to say of them is limited, and others are served all the same. */
static void deliveries_in_memory_are_limited(void **state)
{
    struct world *w = *state;
    const struct counters *c = &w->core->counters;
    w->core->deliveries_max = 500;
    w->plan = no_answer_from_slow;
    world_triggers(w, 10);
    world_trigger(w, "fast", "fast", "");
    world_send_many(w, "e", 1000, "t");
    WORLD_UNTIL(w, world_seen(w, "fast", NULL) == 1000);
    assert_in_range(atomic_load(&c->waiting) + atomic_load(&c->in_flight), 500, 2 * 500);
    w->plan = NULL;
    world_answer_all(w);
    WORLD_UNTIL(w, world_seen(w, "slow", NULL) == 10 * 1000);
    WORLD_UNTIL(w, w->core->settling == 0);
    assert_int_equal(atomic_load(&c->delivered), 11 * 1000);
}

static void a_slow_subscriber_holds_nobody_up(void **state)
{
    struct world *w = *state;
    w->plan = no_answer_from_slow;
    world_trigger(w, "slow", "slow", "");
    world_trigger(w, "fast", "fast", "");
    world_send_many(w, "e", 2000, "t");
    WORLD_UNTIL(w, world_seen(w, "fast", NULL) == 2000);
    assert_int_equal(world_seen(w, "slow", NULL), TRIGGER_WINDOW);
    assert_true(world_trigger_find(w, "slow")->behind != 0);
    w->plan = NULL;
    world_answer_all(w);
    WORLD_UNTIL(w, world_seen(w, "slow", NULL) == 2000);
    WORLD_UNTIL(w, world_trigger_find(w, "slow")->behind == 0);
    assert_int_equal(world_seen(w, "fast", NULL), 2000);
}

static bool function_ready;

static enum sink_state ready_or_waiting(struct world *w, const char *name)
{
    return function_ready ? SINK_READY : SINK_WAITING;
}

static void events_wait_for_a_function_in_order(void **state)
{
    struct world *w = *state;
    function_ready = false;
    w->state = ready_or_waiting;
    world_trigger(w, "t", "f", "");
    world_send_many(w, "", 5000, "t");
    world_rest(w);
    assert_int_equal(w->seen_count, 0);
    function_ready = true;
    broker_core_sink_changed(w->core, "default", "f");
    WORLD_UNTIL(w, w->seen_count == 5000);
    for (size_t i = 0; i < 5000; i++) {
        char id[16];
        snprintf(id, sizeof(id), "%zu", i);
        assert_string_equal(w->seen[i].id, id);
    }
    assert_in_range(w->in_flight_max, 1, TRIGGER_WINDOW);
}

static unsigned crowded(const struct trigger *t)
{
    unsigned n = 0;
    list_for_each (node, &t->crowded) {
        assert_false(heap_contains(&list_entry(node, struct delivery, link)->due.node));
        n++;
    }
    return n;
}

static void fail_first(struct world *w, struct fake_call *c)
{
    c->status = 500;
}

/* Without a look at each of them now and then. */
static void retries_that_are_due_wait_for_room(void **state)
{
    struct world *w = *state;
    function_ready = true;
    w->state = ready_or_waiting;
    w->plan = fail_first;
    world_trigger(w, "t", "f", ",\"delivery\":{\"retry\":5,\"backoffDelay\":\"PT10M\"}");
    world_send_many(w, "", 1000, "t");
    const struct trigger *t = world_trigger_find(w, "t");
    WORLD_UNTIL(w, t->retrying_count == 1000);
    function_ready = false;
    broker_core_sink_changed(w->core, "default", "f");
    world_pass(w, HOUR);
    WORLD_UNTIL(w, t->in_flight == 0 && crowded(t) == RETRY_WINDOW_MAX - TRIGGER_WAITING_MAX);
    assert_int_equal(t->waiting_count, TRIGGER_WAITING_MAX);
    w->plan = NULL;
    function_ready = true;
    broker_core_sink_changed(w->core, "default", "f");
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_RETRIES) == 0);
    assert_int_equal(crowded(t), 0);
    assert_int_equal(world_rows(w, STORE_TABLE_DEAD), 0);
    assert_int_equal(atomic_load(&w->core->counters.delivered), 1000);
}

static void never_answer(struct world *w, struct fake_call *c)
{
    c->never = true;
}

static void a_trigger_is_deleted_with_deliveries_in_flight(void **state)
{
    struct world *w = *state;
    w->plan = never_answer;
    world_trigger(w, "t", "f", "");
    world_send_many(w, "e", 500, "t");
    WORLD_UNTIL(w, w->seen_count == TRIGGER_WINDOW);
    world_delete(w, &resource_kind_trigger, "t");
    assert_true(list_empty(&w->calls));
    struct broker_core_stats stats;
    broker_core_stats(w->core, &stats);
    assert_int_equal(stats.in_flight, 0);
    assert_int_equal(stats.waiting, 0);
    assert_true(broker_core_idle(w->core));
}

static void fail_all(struct world *w, struct fake_call *c)
{
    c->status = 500;
}

/* Rows whose appends are under way when the trigger goes must not stay. */
static void a_deleted_trigger_leaves_no_rows(void **state)
{
    struct world *w = *state;
    w->plan = fail_all;
    world_trigger(w, "t", "f", "");
    world_send_many(w, "e", 40, "t");
    WORLD_UNTIL(w, w->core->settling > 0);
    registry_delete(w->registry, &resource_kind_trigger, "default", "t", NULL, NULL);
    WORLD_UNTIL(w, registry_find(w->registry, &resource_kind_trigger, "default", "t") == NULL &&
                       w->core->settling == 0);
    world_rest(w);
    assert_int_equal(world_rows(w, STORE_TABLE_RETRIES), 0);
    assert_int_equal(world_rows(w, STORE_TABLE_PAYLOADS), 0);
    assert_int_equal(world_rows(w, STORE_TABLE_DEAD), 0);
    world_checkpoint(w);
    assert_int_equal(world_rows(w, STORE_TABLE_CURSORS), 1); /* the scan's */
}

static void retries_in_memory_are_limited(void **state)
{
    struct world *w = *state;
    w->plan = fail_all;
    world_trigger(w, "t", "f", ",\"delivery\":{\"retry\":1,\"backoffDelay\":\"PT5M\"}");
    world_send_many(w, "e", TRIGGER_RETRYING_MAX + 2000, "t");
    const struct trigger *t = world_trigger_find(w, "t");
    WORLD_UNTIL(w, t->retrying_count >= TRIGGER_RETRYING_MAX);
    world_rest(w);
    /* Those whose rows are on their way to the disk are neither waiting nor retrying: how many
     * these are is the disk's to say, but the rest of the log is not read. */
    assert_in_range(w->seen_count, TRIGGER_RETRYING_MAX, TRIGGER_RETRYING_MAX + 1999);
    assert_true(t->behind != 0);
}

static void an_update_counts_for_the_next_attempt(void **state)
{
    struct world *w = *state;
    w->plan = never_answer;
    world_trigger(w, "t", "f", "");
    world_send(w, "1", "t");
    WORLD_UNTIL(w, w->seen_count == 1);
    w->plan = NULL;
    world_trigger(w, "t", "g", ",\"delivery\":{\"retry\":1,\"backoffDelay\":\"PT0.01S\"}");
    list_entry(w->calls.next, struct fake_call, link)->status = 503;
    world_answer_all(w);
    WORLD_UNTIL(w, world_seen(w, "g", "1") == 1);
    world_rest(w);
    assert_int_equal(world_rows(w, STORE_TABLE_RETRIES), 0);
}

static enum sink_state dead_letter_sink_state; /* of d; everything else is ready */

static enum sink_state state_of_d(struct world *w, const char *name)
{
    return strcmp(name, "d") == 0 ? dead_letter_sink_state : SINK_READY;
}

static bool condition_holds(struct world *w, const char *trigger, const char *type)
{
    const json_t *status =
        json_object_get(world_trigger_find(w, trigger)->resource->object, "status");
    size_t i;
    json_t *condition;
    json_array_foreach(json_object_get(status, "conditions"), i, condition)
    {
        if (strcmp(resource_text_at(condition, "type"), type) == 0)
            return strcmp(resource_text_at(condition, "status"), "True") == 0;
    }
    fail_msg("no condition %s", type);
    return false;
}

/* No attempt is made while it is not there, so none is used up, however long that takes. */
static void a_dead_letter_waits_for_its_function(void **state)
{
    struct world *w = *state;
    static const enum sink_state not_ready[] = {SINK_WAITING, SINK_ABSENT};
    w->plan = fail_at_f;
    w->state = state_of_d;
    for (unsigned i = 0; i < COUNT_OF(not_ready); i++) {
        char id[8];
        dead_letter_sink_state = not_ready[i];
        world_trigger(w, "t", "f", TO_DEAD(FUNCTION_REF("d")));
        broker_core_sink_changed(w->core, "default", "d");
        snprintf(id, sizeof(id), "%u", i);
        world_send(w, id, "t");
        WORLD_UNTIL(w, world_rows(w, STORE_TABLE_DEAD) == 1);
        world_rest(w);
        world_rest(w);
        assert_int_equal(world_seen(w, "d", id), 0);
        assert_int_equal(world_rows(w, STORE_TABLE_RETRIES), 1);
        assert_false(condition_holds(w, "t", "DeadLetterSinkResolved"));
        assert_false(condition_holds(w, "t", "Ready")); /* as Knative has it */
        world_send(w, "other", "t");                    /* the subscriber is served all the same */
        WORLD_UNTIL(w, world_seen(w, "f", "other") == 2 * (i + 1));
        dead_letter_sink_state = SINK_READY;
        broker_core_sink_changed(w->core, "default", "d");
        WORLD_UNTIL(w, world_seen(w, "d", id) == 1);
        WORLD_UNTIL(w, world_rows(w, STORE_TABLE_RETRIES) == 0);
        WORLD_UNTIL(w, condition_holds(w, "t", "DeadLetterSinkResolved"));
        world_delete(w, &resource_kind_trigger, "t");
        WORLD_UNTIL(w, world_rows(w, STORE_TABLE_DEAD) == 0);
    }
}

/* Held deliveries of a trigger that is deleted, and of one whose sink is taken away. */
static void a_dead_letter_that_waits_may_be_given_up(void **state)
{
    struct world *w = *state;
    w->plan = fail_at_f;
    w->state = state_of_d;
    dead_letter_sink_state = SINK_ABSENT;
    world_trigger(w, "t", "f", TO_DEAD(FUNCTION_REF("d")));
    world_trigger(w, "u", "f", TO_DEAD(FUNCTION_REF("d")));
    world_send(w, "1", "t");
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_DEAD) == 2);
    world_rest(w);
    assert_int_equal(world_rows(w, STORE_TABLE_RETRIES), 2);
    world_delete(w, &resource_kind_trigger, "u");
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_RETRIES) == 1);
    world_trigger(w, "t", "f", ",\"delivery\":{\"retry\":1}");
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_RETRIES) == 0);
    assert_int_equal(world_rows(w, STORE_TABLE_DEAD), 1);
    assert_int_equal(world_rows(w, STORE_TABLE_PAYLOADS), 1);
    WORLD_UNTIL(w, world_trigger_find(w, "t")->retrying_count == 0);
    assert_int_equal(atomic_load(&w->core->counters.waiting), 0);
}

static void fail_for_good(struct world *w, struct fake_call *c)
{
    if (strcmp(c->to, "f") == 0)
        c->status = 400;
}

/* The lowest position of a trigger's rows in DEAD. */
static uint64_t oldest_dead(struct world *w, const char *trigger)
{
    autobuf from = BUF_INIT;
    uint64_t position = 0;
    row_object_key(world_trigger_find(w, trigger)->number, 0, &from);
    struct store_scan *scan =
        store_scan_new(w->store, STORE_TABLE_DEAD, buf_slice(&from), (struct slice){NULL, 0});
    struct slice key, value;
    if (store_scan_next(scan, &key, &value, NULL) == 1)
        position = bytes_be64(key.ptr + 4);
    store_scan_free(scan);
    return position;
}

static void open_with_limits(struct world *w, uint64_t max, uint64_t age_ns)
{
    world_done(w);
    world_init(w, true);
    w->dead_letters_max = max;
    w->dead_letters_age_ns = age_ns;
    world_open(w);
    world_broker(w, "b");
    w->plan = fail_for_good;
}

static void the_oldest_dead_letters_go_first(void **state)
{
    struct world *w = *state;
    open_with_limits(w, 5, 0);
    world_trigger(w, "few", "f", ",\"filter\":{\"attributes\":{\"type\":\"few\"}}");
    world_trigger(w, "many", "f", ",\"filter\":{\"attributes\":{\"type\":\"many\"}}");
    world_send_many(w, "few", 3, "few");
    int64_t first = world_send(w, "many", "many");
    world_send_many(w, "many", 1500, "many"); /* more than one group removes */
    WORLD_UNTIL(w, atomic_load(&w->core->counters.dead_removed) == 1496);
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_DEAD) == 8);
    world_rest(w);
    assert_int_equal(world_rows(w, STORE_TABLE_PAYLOADS), 8);
    assert_int_equal(world_trigger_find(w, "few")->dead_count, 3);
    assert_int_equal(world_trigger_find(w, "many")->dead_count, 5);
    assert_int_equal(atomic_load(&w->core->counters.dead_kept), 8);
    assert_true(oldest_dead(w, "many") > (uint64_t)first);
    world_delete(w, &resource_kind_trigger, "many");
    assert_int_equal(atomic_load(&w->core->counters.dead_kept), 3);
}

static void old_dead_letters_go(void **state)
{
    struct world *w = *state;
    open_with_limits(w, 0, HOUR);
    world_trigger(w, "t", "f", "");
    world_send_many(w, "old", 10, "t");
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_DEAD) == 10);
    world_pass(w, HOUR / 2);
    assert_int_equal(world_rows(w, STORE_TABLE_DEAD), 10);
    int64_t young = world_send(w, "young", "t");
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_DEAD) == 11);
    world_pass(w, HOUR / 2);
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_DEAD) == 1);
    assert_true(oldest_dead(w, "t") == (uint64_t)young);
    world_pass(w, HOUR);
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_PAYLOADS) == 0);
    WORLD_UNTIL(w, atomic_load(&w->core->counters.dead_removed) == 11);
    assert_int_equal(atomic_load(&w->core->counters.dead_kept), 0);
}

/* What waits for the dead-letter sink stays until it was sent. */
static void dead_letters_on_their_way_stay(void **state)
{
    struct world *w = *state;
    open_with_limits(w, 1, 1);
    w->state = state_of_d;
    dead_letter_sink_state = SINK_WAITING;
    world_trigger(w, "t", "f", TO_DEAD(FUNCTION_REF("d")));
    world_send_many(w, "e", 6, "t");
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_DEAD) == 6);
    world_pass(w, HOUR); /* many looks */
    assert_int_equal(world_rows(w, STORE_TABLE_DEAD), 6);
    assert_int_equal(world_rows(w, STORE_TABLE_PAYLOADS), 6);
    dead_letter_sink_state = SINK_READY;
    broker_core_sink_changed(w->core, "default", "d");
    WORLD_UNTIL(w, world_seen(w, "d", NULL) == 6);
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_DEAD) == 0);
    assert_int_equal(atomic_load(&w->core->counters.lost), 0);
}

static void a_broker_that_comes_back_serves_its_triggers(void **state)
{
    struct world *w = *state;
    world_trigger(w, "t", "f", "");
    world_send(w, "1", "t");
    WORLD_UNTIL(w, world_seen(w, "f", "1") == 1);
    world_delete(w, &resource_kind_broker, "b");
    assert_false(world_trigger_find(w, "t")->ready);
    world_broker(w, "b");
    assert_true(world_trigger_find(w, "t")->ready);
    world_send(w, "2", "t");
    WORLD_UNTIL(w, world_seen(w, "f", "2") == 1);
    assert_int_equal(w->seen_count, 2);
}

int main(void)
{
#define CORE_TEST(name) cmocka_unit_test_setup_teardown(name, world_setup_memory, world_teardown)
    const struct CMUnitTest tests[] = {
        CORE_TEST(each_event_goes_to_the_triggers_that_want_it),
        CORE_TEST(a_trigger_gets_events_after_its_creation_only),
        CORE_TEST(events_right_after_the_creation_are_for_the_trigger),
        CORE_TEST(the_reply_and_the_finish_are_one_group),
        CORE_TEST(a_loop_of_replies_ends),
        CORE_TEST(a_reply_without_room_for_the_ttl_is_no_reply),
        CORE_TEST(without_a_dead_letter_sink_the_event_stays_in_the_table),
        CORE_TEST(a_dead_letter_says_why),
        CORE_TEST(a_dead_letter_can_go_to_a_broker),
        CORE_TEST(a_dead_letter_waits_for_its_function),
        CORE_TEST(a_dead_letter_that_waits_may_be_given_up),
        CORE_TEST(the_oldest_dead_letters_go_first),
        CORE_TEST(old_dead_letters_go),
        CORE_TEST(dead_letters_on_their_way_stay),
        CORE_TEST(what_cannot_be_retried_is_dead_at_once),
        CORE_TEST(a_slow_subscriber_holds_nobody_up),
        CORE_TEST(deliveries_in_memory_are_limited),
        CORE_TEST(events_wait_for_a_function_in_order),
        CORE_TEST(retries_that_are_due_wait_for_room),
        CORE_TEST(a_trigger_is_deleted_with_deliveries_in_flight),
        CORE_TEST(a_deleted_trigger_leaves_no_rows),
        CORE_TEST(retries_in_memory_are_limited),
        CORE_TEST(an_update_counts_for_the_next_attempt),
        CORE_TEST(a_broker_that_comes_back_serves_its_triggers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
