/* SPDX-License-Identifier: Apache-2.0 */
/* Events that are not to be delivered before a time, or not after one. */
#include "world.h"

#include "unit.h"

#include "broker/retry.h"
#include "broker/timing.h"

#include <stdio.h>
#include <string.h>

#define MINUTE (60 * CLOCK_SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

#define COUNTER(w, name) atomic_load(&(w)->core->counters.name)

static void send_later(struct world *w, const char *id, uint64_t in_ns)
{
    char time[CLOCK_RFC3339_SIZE];
    assert_true(world_send_with(w, id, "t", TIMING_DELIVERY, world_time(w, (int64_t)in_ns, time)) >
                0);
}

/* Both attributes; NULL: without. */
static void add(struct world *w, struct store_group *g, const char *id, const char *delivery,
                const char *expiry)
{
    struct event e = {.version = EVENT_V1};
    event_set(&e, "id", slice_text(id));
    event_set(&e, "source", slice_text("/test"));
    event_set(&e, "type", slice_text("t"));
    event_set(&e, TIMING_DELIVERY, slice_text(delivery));
    if (expiry != NULL)
        event_set(&e, TIMING_EXPIRY, slice_text(expiry));
    store_group_begin(g, STORE_RECORD_EVENT, broker_find(w->core, "default", "b")->number,
                      slice_of("", 0));
    event_encode(&e, &g->bytes);
    store_group_end(g);
}

static void send_mortal(struct world *w, const char *id, int64_t in_ns)
{
    char time[CLOCK_RFC3339_SIZE];
    assert_true(world_send_with(w, id, "t", TIMING_EXPIRY, world_time(w, in_ns, time)) > 0);
}

static bool settled(const struct world *w)
{
    return w->core->settling == 0 && w->core->scanned == store_synced(w->store);
}

static bool nothing_is_left(struct world *w)
{
    return world_rows(w, STORE_TABLE_RETRIES) == 0 && world_rows(w, STORE_TABLE_PAYLOADS) == 0 &&
           world_rows(w, STORE_TABLE_DEAD) == 0;
}

static void refuse(struct world *w, struct fake_call *c)
{
    (void)w;
    c->status = 503;
}

static void it_comes_when_its_time_has_come(void **state)
{
    struct world *w = *state;
    world_trigger(w, "t", "f", "");
    send_later(w, "later", 3 * DAY);
    world_send(w, "now", "t");
    WORLD_UNTIL(w, world_seen(w, "f", "now") == 1 && settled(w));
    assert_int_equal(world_rows(w, STORE_TABLE_RETRIES), 1);
    assert_int_equal(COUNTER(w, delayed), 1);
    world_pass(w, 3 * DAY - HOUR);
    assert_int_equal(world_seen(w, "f", "later"), 0);
    world_pass(w, HOUR);
    WORLD_UNTIL(w, world_seen(w, "f", "later") == 1 && nothing_is_left(w));
}

static void a_time_that_has_passed_is_now(void **state)
{
    struct world *w = *state;
    world_trigger(w, "t", "f", "");
    send_later(w, "1", (uint64_t)-HOUR);
    WORLD_UNTIL(w, world_seen(w, "f", "1") == 1 && settled(w));
    assert_int_equal(COUNTER(w, delayed), 0);
    assert_true(nothing_is_left(w));
}

/* Wherever the end comes: before the row is written, or after. */
static void it_survives_a_crash(void **state)
{
    struct world *w = *state;
    world_trigger(w, "t", "f", "");
    world_rest(w);
    send_later(w, "1", HOUR);
    world_abandon(w); /* not matched yet */
    world_open(w);
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_RETRIES) == 1 && settled(w));
    world_abandon(w);
    world_open(w);
    world_checkpoint(w);
    world_abandon(w);
    world_open(w);
    world_pass(w, 59 * MINUTE);
    assert_int_equal(w->seen_count, 0);
    world_pass(w, 2 * MINUTE);
    WORLD_UNTIL(w, world_seen(w, "f", "1") == 1 && nothing_is_left(w));
    world_abandon(w);
    world_open(w);
    world_rest(w);
    assert_int_equal(w->seen_count, 1);
}

/* The log goes after a while; the event does not need it. */
static void it_outlives_the_log(void **state)
{
    struct world *w = *state;
    world_done(w);
    world_init(w, false);
    w->options.segment_bytes = 64 << 10;
    world_open(w);
    world_broker(w, "b");
    world_trigger(w, "t", "f", "");
    world_send(w, "before", "t");
    send_later(w, "later", 9 * DAY);
    world_send_many(w, "e", 2000, "t");
    WORLD_UNTIL(w, settled(w) && COUNTER(w, delivered) == 2001);
    uint64_t first = store_first(w->store);
    world_pass(w, 8 * DAY);
    world_checkpoint(w);
    world_pass(w, MINUTE);
    WORLD_UNTIL(w, store_first(w->store) > first + 1000);
    world_pass(w, 2 * DAY);
    WORLD_UNTIL(w, world_seen(w, "f", "later") == 1 && nothing_is_left(w));
    assert_int_equal(COUNTER(w, lost), 0);
}

static void each_trigger_has_its_own(void **state)
{
    struct world *w = *state;
    world_trigger(w, "t", "f", "");
    world_trigger(w, "u", "g", "");
    send_later(w, "1", HOUR);
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_RETRIES) == 2 && settled(w));
    world_delete(w, &resource_kind_trigger, "u");
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_RETRIES) == 1);
    world_pass(w, 2 * HOUR);
    WORLD_UNTIL(w, world_seen(w, "f", "1") == 1 && nothing_is_left(w));
    assert_int_equal(world_seen(w, "g", NULL), 0);
}

/* Only the first attempt is put off. */
static void retries_wait_as_always(void **state)
{
    struct world *w = *state;
    w->plan = refuse;
    world_trigger(w, "t", "f", ",\"delivery\":{\"retry\":3,\"backoffDelay\":\"PT1M\"}");
    send_later(w, "1", DAY);
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_RETRIES) == 1 && settled(w));
    world_pass(w, DAY + 30 * CLOCK_SECOND);
    WORLD_UNTIL(w, world_seen(w, "f", "1") == 1 && settled(w));
    w->plan = NULL;
    world_pass(w, MINUTE);
    WORLD_UNTIL(w, world_seen(w, "f", "1") == 2 && nothing_is_left(w));
}

/* One that is asked for anew (redriven, replayed) before its time waits for it again. */
static void one_that_comes_anew_waits_again(void **state)
{
    struct world *w = *state;
    char time[CLOCK_RFC3339_SIZE];
    autobuf key = BUF_INIT;
    autobuf value = BUF_INIT;
    int64_t position =
        world_send_with(w, "1", "t", TIMING_DELIVERY, world_time(w, (int64_t)DAY, time));
    world_trigger(w, "t", "f", "");
    struct trigger *t = world_trigger_find(w, "t");
    struct store_group g;
    uint64_t now = world_realtime(w);
    row_retry_key(t->number, RETRY_NEW, now, (uint64_t)position, &key);
    row_retry_value(&(struct retry_row){.attempts = 0}, &value);
    store_group_init(&g);
    store_group_add(&g, STORE_RECORD_PUT, STORE_TABLE_RETRIES, buf_slice(&key), buf_slice(&value));
    store_append(w->store, &g, NULL, NULL);
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_RETRIES) == 1);
    retry_added(t, RETRY_NEW, now, (uint64_t)position);
    WORLD_UNTIL(w, COUNTER(w, delayed) == 1 && w->core->settling == 0);
    assert_int_equal(world_rows(w, STORE_TABLE_RETRIES), 1);
    world_pass(w, DAY - HOUR);
    assert_int_equal(w->seen_count, 0);
    world_pass(w, 2 * HOUR);
    WORLD_UNTIL(w, world_seen(w, "f", "1") == 1 && nothing_is_left(w));
}

/* More than memory may hold, and no reason not to take new events. */
static void many_wait_in_the_table(void **state)
{
    struct world *w = *state;
    const unsigned many = TRIGGER_RETRYING_MAX + 3000;
    char time[CLOCK_RFC3339_SIZE], id[16];
    world_trigger(w, "t", "f", "");
    world_time(w, DAY, time);
    for (unsigned i = 0; i < many;) {
        struct store_group g;
        store_group_init(&g);
        for (unsigned n = 0; n < 100; n++) {
            snprintf(id, sizeof(id), "e%u", i++);
            add(w, &g, id, time, NULL);
        }
        store_append(w->store, &g, NULL, NULL);
    }
    world_send(w, "now", "t");
    WORLD_UNTIL(w, world_seen(w, "f", "now") == 1 && settled(w));
    const struct trigger *t = world_trigger_find(w, "t");
    assert_int_equal(world_rows(w, STORE_TABLE_RETRIES), many);
    assert_in_range(t->windows[RETRY_NEW].loaded, 1, RETRY_WINDOW_MAX);
    assert_int_equal(t->aside, 0);
    world_pass(w, DAY + MINUTE);
    WORLD_UNTIL(w, COUNTER(w, delivered) == many + 1 && nothing_is_left(w));
    assert_int_equal(world_seen(w, "f", NULL), many + 1);
}

/* "Not before" is told by the calendar. */
static void the_calendar_tells_when(void **state)
{
    struct world *w = *state;
    world_trigger(w, "t", "f", "");
    send_later(w, "1", HOUR);
    send_later(w, "2", 3 * HOUR);
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_RETRIES) == 2 && settled(w));
    world_set_clock(w, -(int64_t)HOUR);
    world_pass(w, 119 * MINUTE);
    assert_int_equal(w->seen_count, 0);
    world_pass(w, 2 * MINUTE);
    WORLD_UNTIL(w, world_seen(w, "f", "1") == 1);
    world_set_clock(w, 3 * (int64_t)HOUR);
    world_pass(w, MINUTE); /* that is noticed soon */
    WORLD_UNTIL(w, world_seen(w, "f", "2") == 1 && nothing_is_left(w));
}

static void one_that_has_expired_is_not_delivered(void **state)
{
    struct world *w = *state;
    world_trigger(w, "t", "f", "");
    send_mortal(w, "dead", -(int64_t)CLOCK_SECOND);
    send_mortal(w, "alive", (int64_t)HOUR);
    WORLD_UNTIL(w, world_seen(w, "f", "alive") == 1 && settled(w));
    assert_int_equal(world_seen(w, "f", "dead"), 0);
    assert_int_equal(COUNTER(w, expired), 1);
    assert_true(nothing_is_left(w));
    world_abandon(w);
    world_open(w);
    world_rest(w);
    assert_int_equal(w->seen_count, 1);
    assert_int_equal(COUNTER(w, expired), 0); /* it has its end in the log */
}

/* Not when its next attempt would be, and without that. */
static void it_expires_while_it_waits_for_a_retry(void **state)
{
    struct world *w = *state;
    w->plan = refuse;
    world_trigger(w, "t", "f", ",\"delivery\":{\"retry\":3,\"backoffDelay\":\"PT40M\"}");
    send_mortal(w, "1", (int64_t)HOUR);
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_RETRIES) == 1 && settled(w));
    world_pass(w, 45 * MINUTE);
    WORLD_UNTIL(w, world_seen(w, "f", "1") == 2 && settled(w));
    assert_int_equal(COUNTER(w, expired), 0);
    world_pass(w, 16 * MINUTE);
    WORLD_UNTIL(w, COUNTER(w, expired) == 1 && nothing_is_left(w));
    assert_int_equal(world_seen(w, "f", "1"), 2);
}

static void it_expires_while_it_is_put_off(void **state)
{
    struct world *w = *state;
    char later[CLOCK_RFC3339_SIZE], expiry[CLOCK_RFC3339_SIZE];
    world_trigger(w, "t", "f", "");
    struct store_group g;
    store_group_init(&g);
    add(w, &g, "1", world_time(w, (int64_t)(2 * HOUR), later),
        world_time(w, (int64_t)HOUR, expiry));
    store_append(w->store, &g, NULL, NULL);
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_RETRIES) == 1 && settled(w));
    world_pass(w, 3 * HOUR);
    WORLD_UNTIL(w, COUNTER(w, expired) == 1 && nothing_is_left(w));
    assert_int_equal(w->seen_count, 0);
}

static enum sink_state not_ready(struct world *w, const char *name)
{
    (void)w;
    (void)name;
    return SINK_WAITING;
}

/* One that was matched in time, and whose subscriber was not there. */
static void it_expires_while_it_waits_in_memory(void **state)
{
    struct world *w = *state;
    w->state = not_ready;
    world_trigger(w, "t", "f", "");
    send_mortal(w, "1", (int64_t)HOUR);
    world_send(w, "2", "t");
    WORLD_UNTIL(w, world_trigger_find(w, "t")->waiting_count == 2);
    world_pass(w, 2 * HOUR);
    w->state = NULL;
    broker_core_sink_changed(w->core, "default", "f");
    WORLD_UNTIL(w, world_seen(w, "f", "2") == 1 && settled(w));
    assert_int_equal(world_seen(w, "f", "1"), 0);
    assert_int_equal(COUNTER(w, expired), 1);
    assert_int_equal(world_trigger_find(w, "t")->aside, 0);
}

/* It is a dead letter because its subscriber has failed in time. */
static void a_dead_letter_does_not_expire(void **state)
{
    struct world *w = *state;
    w->plan = world_fail_when_told;
    world_trigger(w, "t", "f",
                  ",\"delivery\":{\"deadLetterSink\":{\"uri\":\"http://127.0.0.1:9/\"}}");
    send_mortal(w, "1", (int64_t)HOUR);
    WORLD_UNTIL(w, w->in_flight == 1);
    world_pass(w, 2 * HOUR);
    w->plan = NULL;
    world_answer_all(w);
    WORLD_UNTIL(w, world_seen(w, "http://127.0.0.1:9/", "1") == 1);
    assert_int_equal(COUNTER(w, expired), 0);
}

/* What is put off leaves the order: it blocks nobody meanwhile. */
static void the_order_does_not_wait_for_it(void **state)
{
    struct world *w = *state;
    world_apply(w, "{\"apiVersion\":\"eventing.knative.dev/v1\",\"kind\":\"Trigger\",\"metadata\":"
                   "{\"name\":\"t\",\"annotations\":{\"sluice.dev/order\":\"ordered\"}},\"spec\":"
                   "{\"broker\":\"b\",\"subscriber\":{\"ref\":{\"apiVersion\":\"sluice.dev/v1\","
                   "\"kind\":\"Function\",\"name\":\"f\"}}}}");
    w->partitionkey = "k";
    send_later(w, "1", HOUR);
    world_send(w, "2", "t");
    send_mortal(w, "3", -(int64_t)CLOCK_SECOND);
    world_send(w, "4", "t");
    WORLD_UNTIL(w, world_seen(w, "f", "4") == 1 && settled(w));
    assert_int_equal(world_seen(w, "f", "2"), 1);
    assert_int_equal(world_seen(w, "f", "1"), 0);
    world_pass(w, HOUR + MINUTE);
    WORLD_UNTIL(w, world_seen(w, "f", "1") == 1 && nothing_is_left(w));
    assert_int_equal(w->seen_count, 3);
    assert_int_equal(world_trigger_find(w, "t")->lanes.count, 0);
}

/* The store has no room for the row: nothing is lost, and nothing comes early. */
static void a_refused_row_is_written_later(void **state)
{
    struct world *w = *state;
    w->state = not_ready;
    world_trigger(w, "t", "f", "");
    world_rest(w);
    for (unsigned i = 0;
         world_send_data(w, "fill", "other", slice_of((char[60000]){0}, 60000)) > 0;)
        assert_in_range(++i, 1, 100000);
    send_later(w, "1", HOUR); /* is smaller, and has room */
    world_pass(w, 10 * CLOCK_SECOND);
    w->state = NULL;
    broker_core_sink_changed(w->core, "default", "f");
    world_pass(w, 30 * MINUTE);
    assert_int_equal(world_seen(w, "f", "1"), 0);
    world_pass(w, HOUR);
    WORLD_UNTIL(w, world_seen(w, "f", "1") == 1);
}

int main(void)
{
#define MEMORY_TEST(name) cmocka_unit_test_setup_teardown(name, world_setup_memory, world_teardown)
#define DISK_TEST(name)   cmocka_unit_test_setup_teardown(name, world_setup_disk, world_teardown)
    const struct CMUnitTest tests[] = {
        MEMORY_TEST(it_comes_when_its_time_has_come),
        MEMORY_TEST(a_time_that_has_passed_is_now),
        DISK_TEST(it_survives_a_crash),
        DISK_TEST(it_outlives_the_log),
        MEMORY_TEST(each_trigger_has_its_own),
        MEMORY_TEST(retries_wait_as_always),
        MEMORY_TEST(one_that_comes_anew_waits_again),
        MEMORY_TEST(many_wait_in_the_table),
        MEMORY_TEST(the_calendar_tells_when),
        DISK_TEST(one_that_has_expired_is_not_delivered),
        MEMORY_TEST(it_expires_while_it_waits_for_a_retry),
        MEMORY_TEST(it_expires_while_it_is_put_off),
        MEMORY_TEST(it_expires_while_it_waits_in_memory),
        MEMORY_TEST(a_dead_letter_does_not_expire),
        MEMORY_TEST(the_order_does_not_wait_for_it),
        MEMORY_TEST(a_refused_row_is_written_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
