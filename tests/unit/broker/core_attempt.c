/* SPDX-License-Identifier: Apache-2.0 */
/* What the log says of attempts: as they end, in the groups that end them. */
#include "world.h"

#include "unit.h"

#include "base/bytes.h"
#include "broker/attempt.h"
#include "broker/row.h"

#include <stdio.h>
#include <string.h>

#define FOUND_MAX 16

/* The records that took a delivery of the event out of where it stood, in order, and the rows that
 * took it over. */
struct found {
    struct attempt attempts[FOUND_MAX];
    uint64_t positions[FOUND_MAX];
    unsigned attempt_count, retry_count, dead_count;
    struct retry_row retries[FOUND_MAX];
    char body[FOUND_MAX][64];
};

static void take_attempt(struct found *f, const struct store_entry *e)
{
    assert_true(f->attempt_count < FOUND_MAX);
    f->positions[f->attempt_count] = e->position;
    assert_int_equal(attempt_read(e->value, &f->attempts[f->attempt_count++]), 0);
}

static void take_record(struct found *f, const struct store_entry *e, uint64_t position)
{
    if (e->type == STORE_RECORD_FINISH && bytes_le64(e->key.ptr) == position)
        take_attempt(f, e);
    if (e->type == STORE_RECORD_DELETE && e->scope == STORE_TABLE_RETRIES &&
        bytes_be64(e->key.ptr + 13) == position)
        take_attempt(f, e);
    if (e->type == STORE_RECORD_PUT && e->scope == STORE_TABLE_RETRIES) {
        struct retry_row *row = &f->retries[f->retry_count];
        assert_int_equal(row_retry_read(e->key, e->value, row), 0);
        if (row->position == position)
            snprintf(f->body[f->retry_count++], sizeof(f->body[0]), SLICE_FMT,
                     SLICE_ARG(row->body));
    }
    f->dead_count += e->type == STORE_RECORD_PUT && e->scope == STORE_TABLE_DEAD;
}

static struct found find(struct world *w, uint64_t position)
{
    struct found f = {0};
    struct store_entry e;
    struct store_reader *r = store_reader_new(w->store, position);
    assert_non_null(r);
    while (store_reader_next(r, &e) == 1)
        take_record(&f, &e, position);
    store_reader_free(r);
    return f;
}

static void busy_twice_then_reply(struct world *w, struct fake_call *c)
{
    if (strcmp(c->type, "t") != 0)
        return;
    c->delay_ns = 3 * CLOCK_MILLISECOND;
    if (world_seen(w, "f", "1") <= 2) {
        c->status = 503;
        snprintf(c->reply_id, sizeof(c->reply_id), "no-event");
        return;
    }
    snprintf(c->reply_id, sizeof(c->reply_id), "answer");
    snprintf(c->reply_type, sizeof(c->reply_type), "reply");
}

static void each_attempt_leaves_its_facts(void **state)
{
    struct world *w = *state;
    w->plan = busy_twice_then_reply;
    world_trigger(w, "t", "f", ",\"delivery\":{\"retry\":5,\"backoffDelay\":\"PT0.001S\"}");
    uint64_t before = clock_realtime();
    int64_t position = world_send(w, "1", "t");
    WORLD_UNTIL(w, world_events(w, "reply") == 1);
    struct found f = find(w, (uint64_t)position);
    assert_int_equal(f.attempt_count, 3);
    for (unsigned i = 0; i < 3; i++) {
        const struct attempt *a = &f.attempts[i];
        assert_int_equal(a->number, i + 1);
        assert_int_equal(a->code, i < 2 ? 503 : 200);
        assert_int_equal(a->end, i < 2 ? ATTEMPT_RETRY : ATTEMPT_DONE);
        assert_int_equal(a->reply, i == 2);
        assert_true(a->latency_us >= 1000);
        assert_true(a->time_ns >= before && a->time_ns <= clock_realtime());
    }
    assert_int_equal(f.retry_count, 2);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(f.retries[i].attempts, i + 1);
        assert_int_equal(f.retries[i].attempt_time_ns, f.attempts[i].time_ns);
        assert_int_equal(f.retries[i].latency_us, f.attempts[i].latency_us);
        assert_true(slice_is(f.retries[i].error, "answered 503 Service Unavailable"));
    }
    uint32_t broker;
    uint64_t time_ns;
    autobuf reply = BUF_INIT; /* as the flag says: the record before */
    assert_int_equal(store_read_event(w->store, f.positions[2] - 1, &broker, &time_ns, &reply), 0);
}

static void never(struct world *w, struct fake_call *c)
{
    c->never = true;
}

static void what_goes_with_its_broker_was_not_tried(void **state)
{
    struct world *w = *state;
    w->plan = never;
    world_trigger(w, "t", "f", "");
    int64_t position = world_send(w, "1", "t");
    WORLD_UNTIL(w, world_seen(w, "f", "1") == 1);
    world_delete(w, &resource_kind_broker, "b");
    WORLD_UNTIL(w, find(w, (uint64_t)position).attempt_count == 1);
    struct attempt a = find(w, (uint64_t)position).attempts[0];
    assert_int_equal(a.end, ATTEMPT_DROPPED);
    assert_int_equal(a.number, 0);
    assert_int_equal(a.code, 0);
    assert_true(a.time_ns != 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_attempt_leaves_its_facts, world_setup_memory,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(what_goes_with_its_broker_was_not_tried, world_setup_memory,
                                        world_teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
