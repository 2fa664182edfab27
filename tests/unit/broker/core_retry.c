/* SPDX-License-Identifier: Apache-2.0 */
/* Many retries that are due at the same time: what they leave to others. */
#include "world.h"

#include "unit.h"

#include "broker/retry.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define RETRIES 2000
#define HOUR    (3600 * CLOCK_SECOND)

static bool function_ready;

static enum sink_state ready_or_waiting(struct world *w, const char *name)
{
    return function_ready ? SINK_READY : SINK_WAITING;
}

static void fail_first(struct world *w, struct fake_call *c)
{
    c->status = 500;
}

static bool has_crowd(const struct trigger *t)
{
    unsigned n = 0;
    list_for_each (node, &t->crowded)
        n++;
    return n == RETRY_WINDOW_MAX - TRIGGER_WAITING_MAX;
}

/* All have failed once. */
static const struct trigger *with_retries(struct world *w)
{
    function_ready = true;
    w->state = ready_or_waiting;
    w->plan = fail_first;
    world_trigger(w, "t", "f", ",\"delivery\":{\"retry\":5,\"backoffDelay\":\"PT10M\"}");
    world_send_many(w, "bad", RETRIES, "t");
    const struct trigger *t = world_trigger_find(w, "t");
    WORLD_UNTIL(w, t->retrying_count == RETRIES);
    return t;
}

static bool all_good_seen(const struct world *w)
{
    for (unsigned i = 0; i < 20; i++) {
        char id[16];
        snprintf(id, sizeof(id), "good%u", i);
        if (world_seen(w, "f", id) == 0)
            return false;
    }
    return true;
}

static void new_events_do_not_wait_for_all_of_them(void **state)
{
    struct world *w = *state;
    const struct trigger *t = with_retries(w);
    function_ready = false;
    broker_core_sink_changed(w->core, "default", "f");
    world_pass(w, HOUR);
    WORLD_UNTIL(w, t->in_flight == 0 && has_crowd(t));
    world_send_many(w, "good", 20, "t");
    WORLD_UNTIL(w, t->behind != 0);
    size_t before = w->seen_count;
    w->plan = NULL;
    function_ready = true;
    broker_core_sink_changed(w->core, "default", "f");
    WORLD_UNTIL(w, all_good_seen(w));
    assert_in_range(w->seen_count - before, 20, 3 * TRIGGER_WAITING_MAX);
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_RETRIES) == 0);
    assert_int_equal(atomic_load(&w->core->counters.delivered), RETRIES + 20);
    assert_int_equal(t->waiting_retries, 0);
    assert_int_equal(t->waiting_retry_bytes, 0);
    assert_int_equal(t->waiting_bytes, 0);
}

/* A broker as subscriber answers at once. */
static void they_are_taken_in_turns(void **state)
{
    struct world *w = *state;
    const struct trigger *t = with_retries(w);
    world_apply(w, "{\"apiVersion\":\"eventing.knative.dev/v1\",\"kind\":\"Trigger\",\"metadata\":"
                   "{\"name\":\"t\"},\"spec\":{\"broker\":\"b\",\"subscriber\":{\"ref\":{"
                   "\"apiVersion\":\"eventing.knative.dev/v1\",\"kind\":\"Broker\",\"name\":"
                   "\"other\"}}}}");
    world_pass(w, HOUR);
    WORLD_UNTIL(w, t->in_flight == 0 && has_crowd(t));
    assert_int_equal(atomic_load(&w->core->counters.delivered), 0);
    world_broker(w, "other");
    assert_in_range(atomic_load(&w->core->counters.delivered), 1,
                    TRIGGER_WAITING_MAX + 2 * TRIGGER_RETRIES_TURN);
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_RETRIES) == 0);
    assert_int_equal(atomic_load(&w->core->counters.delivered), RETRIES);
}

/* After the core has heard of the deletion: a row of the trigger that is not of those deliveries.
 */
static void put_another(void *ctx, enum registry_change change, struct resource *resource,
                        const json_t *before)
{
    struct world *w = ctx;
    if (change != REGISTRY_DELETED)
        return;
    autobuf key = BUF_INIT;
    autobuf value = BUF_INIT;
    struct store_group g;
    row_object_key(resource->number, UINT32_MAX, &key);
    store_group_init(&g);
    store_group_add(&g, STORE_RECORD_PUT, STORE_TABLE_PAYLOADS, buf_slice(&key), SLICE("x"));
    store_append(w->store, &g, NULL, NULL);
    for (unsigned i = 0;
         i < 5000 && store_get(w->store, STORE_TABLE_PAYLOADS, buf_slice(&key), &value, NULL) != 0;
         i++)
        usleep(1000);
}

/* They do not look at all rows for those that they have written. */
static void outcomes_after_the_deletion_remove_their_own_rows(void **state)
{
    struct world *w = *state;
    w->plan = world_fail_when_told;
    registry_observe(w->registry, &resource_kind_trigger, put_another, w);
    world_trigger(w, "t", "f", ",\"delivery\":{\"retry\":3,\"backoffDelay\":\"PT5M\"}");
    world_send_many(w, "e", 40, "t");
    WORLD_UNTIL(w, w->in_flight == 40);
    world_rest(w);
    world_delete_unheard(w, &resource_kind_trigger, "t");
    world_answer_all_now(w); /* and their outcomes come after that */
    assert_int_equal(w->core->settling, 40);
    WORLD_UNTIL(w, w->core->settling == 0);
    world_rest(w);
    assert_int_equal(world_rows(w, STORE_TABLE_RETRIES), 0);
    assert_int_equal(world_rows(w, STORE_TABLE_PAYLOADS), 1);
}

int main(void)
{
#define RETRY_TEST(name) cmocka_unit_test_setup_teardown(name, world_setup_memory, world_teardown)
    const struct CMUnitTest tests[] = {
        RETRY_TEST(new_events_do_not_wait_for_all_of_them),
        RETRY_TEST(they_are_taken_in_turns),
        RETRY_TEST(outcomes_after_the_deletion_remove_their_own_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
