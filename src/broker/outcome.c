/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a delivery attempt becomes one group in the log: the reply and the finish of its
 * cause, or the row that takes the delivery over. Only when the group is synced does the delivery
 * move on. */
#include "broker/delivery.h"

#include "base/bytes.h"
#include "base/clock.h"
#include "base/must.h"
#include "broker/attempt.h"
#include "broker/dead_retain.h"
#include "broker/drop.h"
#include "broker/replay.h"
#include "broker/retry.h"
#include "broker/row.h"
#include "broker/timing.h"

#include <errno.h>
#include <stdio.h>

#define APPEND_AGAIN_NS CLOCK_SECOND /* when the store refused: the disk may have room again */

/* Keys of one delivery's rows, and a buffer for their values. */
struct rows {
    struct buf old_retry, new_retry, object, value;
};

static void rows_done(struct rows *r)
{
    buf_done(&r->old_retry);
    buf_done(&r->new_retry);
    buf_done(&r->object);
    buf_done(&r->value);
}

/* Of all tries to append the end of one attempt, the first says when it was. */
static void note_end(struct delivery *d)
{
    if (d->ended_ns != 0)
        return;
    d->ended_ns = loop_realtime(d->core->loop);
    uint64_t us = d->took_ns / 1000;
    d->latency_us = us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
}

/* One that can be sent to, for an event that is there. */
static bool has_dead_letter_sink(const struct delivery *d)
{
    return d->trigger != NULL && d->event != NULL &&
           d->trigger->policy.dead_letter.kind != TARGET_NONE;
}

/* The row that may take over. */
static void note_next(struct delivery *d)
{
    d->dead_letter_row = d->outcome == OUTCOME_DEAD && has_dead_letter_sink(d);
    if (d->outcome == OUTCOME_DELAYED) { /* which has said when */
        d->next_class = RETRY_NEW;
        d->next_delay_ns = 0;
        return;
    }
    d->next_class = d->dead_letter_row || d->stage == STAGE_DEAD_LETTER ? RETRY_SINK : RETRY_AGAIN;
    d->next_due_ns = retry_now(d->core, d->next_class) + d->next_delay_ns;
    if (d->outcome == OUTCOME_RETRY)
        timing_shorten(d);
}

static void note_nothing(struct delivery *d)
{
    d->began_ns = d->ended_ns = d->took_ns = 0;
    d->latency_us = 0;
    d->answered = 0;
}

/* What the record says that takes the delivery out of where it stands. */
static struct slice attempt_value(const struct delivery *d, char *out)
{
    static const enum attempt_end ends[] = {
        [OUTCOME_NONE] = ATTEMPT_DROPPED,    [OUTCOME_DONE] = ATTEMPT_DONE,
        [OUTCOME_RETRY] = ATTEMPT_RETRY,     [OUTCOME_DEAD] = ATTEMPT_DEAD,
        [OUTCOME_DELAYED] = ATTEMPT_DELAYED, [OUTCOME_EXPIRED] = ATTEMPT_EXPIRED};
    static_assert(sizeof(ends) / sizeof(ends[0]) == OUTCOME_COUNT, "each outcome ends somehow");
    struct attempt a = {.time_ns = d->ended_ns,
                        .number = d->began_ns != 0 ? d->attempts : 0,
                        .latency_us = d->latency_us,
                        .code = (uint16_t)(d->outcome == OUTCOME_DONE ? d->answered : d->code),
                        .stage = (uint8_t)d->stage,
                        .origin = (uint8_t)d->origin,
                        .end = ends[d->outcome],
                        .reply = d->reply.len > 0};
    if (d->outcome == OUTCOME_NONE) {
        a.time_ns = loop_realtime(d->core->loop);
        a.number = a.latency_us = a.code = 0;
        a.reply = false;
    }
    return slice_of(out, attempt_write(&a, out));
}

void outcome_add_finish(struct store_group *g, const struct delivery *d)
{
    char position[sizeof(uint64_t)];
    char value[ATTEMPT_BYTES_MAX];
    bytes_put_le64(position, d->position);
    store_group_add(g, STORE_RECORD_FINISH, d->trigger_number, slice_of(position, sizeof(position)),
                    attempt_value(d, value));
}

/* Takes the delivery out of where it stands now. */
static void add_leave(struct store_group *g, const struct delivery *d, const struct rows *rows)
{
    char value[ATTEMPT_BYTES_MAX];
    if (d->in_tables)
        store_group_add(g, STORE_RECORD_DELETE, STORE_TABLE_RETRIES, buf_slice(&rows->old_retry),
                        attempt_value(d, value));
    else
        outcome_add_finish(g, d);
}

/* The payload is kept from the first row on that needs it. */
static void add_payload(struct store_group *g, const struct delivery *d, const struct rows *rows)
{
    if (d->event != NULL && (!d->in_tables || d->payload_gone))
        store_group_add(g, STORE_RECORD_PUT, STORE_TABLE_PAYLOADS, buf_slice(&rows->object),
                        slice_of(d->event->bytes, d->event->len));
}

static void add_retry(struct store_group *g, const struct delivery *d, struct rows *rows,
                      enum delivery_stage stage, unsigned attempts)
{
    row_retry_value(&(struct retry_row){.attempts = attempts,
                                        .code = d->code,
                                        .stage = stage,
                                        .origin = d->origin,
                                        .delay_ns = d->next_delay_ns,
                                        .time_ns = d->time_ns,
                                        .attempt_time_ns = d->began_ns != 0 ? d->ended_ns : 0,
                                        .latency_us = d->latency_us,
                                        .error = slice_text(d->error),
                                        .body = buf_slice(&d->error_body)},
                    &rows->value);
    store_group_add(g, STORE_RECORD_PUT, STORE_TABLE_RETRIES, buf_slice(&rows->new_retry),
                    buf_slice(&rows->value));
}

static void add_done(struct store_group *g, const struct delivery *d, const struct rows *rows)
{
    if (d->reply.len > 0)
        store_group_add(g, STORE_RECORD_EVENT, d->reply_broker, (struct slice){"", 0},
                        buf_slice(&d->reply));
    add_leave(g, d, rows);
    if (d->in_tables && d->stage == STAGE_SUBSCRIBER) /* a dead letter keeps its payload */
        store_group_add(g, STORE_RECORD_DELETE, STORE_TABLE_PAYLOADS, buf_slice(&rows->object),
                        (struct slice){"", 0});
}

static void add_dead(struct store_group *g, const struct delivery *d, struct rows *rows)
{
    add_leave(g, d, rows);
    if (d->stage == STAGE_DEAD_LETTER) /* the row in DEAD is there, and stays */
        return;
    row_dead_value(&(struct dead_row){.attempts = d->attempts,
                                      .code = d->code,
                                      .latency_us = d->latency_us,
                                      .time_ns = d->ended_ns,
                                      .event_time_ns = d->time_ns,
                                      .error = slice_text(d->error),
                                      .body = buf_slice(&d->error_body)},
                   &rows->value);
    store_group_add(g, STORE_RECORD_PUT, STORE_TABLE_DEAD, buf_slice(&rows->object),
                    buf_slice(&rows->value));
    add_payload(g, d, rows);
    if (has_dead_letter_sink(d))
        add_retry(g, d, rows, STAGE_DEAD_LETTER, 0);
}

static void add_outcome(struct store_group *g, const struct delivery *d, struct rows *rows)
{
    switch (d->outcome) {
    case OUTCOME_DONE:
    case OUTCOME_EXPIRED:
        add_done(g, d, rows);
        break;
    case OUTCOME_RETRY:
    case OUTCOME_DELAYED:
        add_payload(g, d, rows);
        add_leave(g, d, rows);
        add_retry(g, d, rows, d->stage, d->attempts);
        break;
    case OUTCOME_DEAD:
        add_dead(g, d, rows);
        break;
    case OUTCOME_NONE:
    case OUTCOME_COUNT:
        unreachable_code();
    }
}

/* ---- after the sync ---- */

static void move_to_retrying(struct delivery *d)
{
    d->due_ns = d->next_due_ns;
    d->delay_ns = d->next_delay_ns;
    d->outcome = OUTCOME_NONE;
    d->payload_gone = false;
    note_nothing(d);
    buf_done(&d->error_body); /* the row has it */
    event_hold_unref(STEAL(d->event));
    timing_settled(d);
    retry_enter(d);
    if (d->dropped)
        drop_late(d);
    else
        retry_wait(d);
}

static void note_reply(const struct delivery *d)
{
    const struct broker *broker = broker_by_number(d->core, d->reply_broker);
    uint64_t now = loop_realtime(d->core->loop);
    if (broker != NULL)
        ingress_replied(broker->measure, d->reply_type, now > d->ended_ns ? now - d->ended_ns : 0);
}

static void settle(struct delivery *d)
{
    struct trigger *t = d->trigger;
    if (d->outcome == OUTCOME_DEAD && d->stage == STAGE_SUBSCRIBER)
        dead_retain_count(t, 1);
    if (d->outcome == OUTCOME_DONE && d->reply.len > 0)
        note_reply(d);
    bool goes_on = d->outcome == OUTCOME_RETRY || d->outcome == OUTCOME_DELAYED;
    if (d->origin == RETRY_REPLAYED && !goes_on && d->stage == STAGE_SUBSCRIBER)
        replay_ended(t);
    if (goes_on) {
        move_to_retrying(d);
    } else if (d->outcome == OUTCOME_DEAD && d->stage == STAGE_SUBSCRIBER && d->dead_letter_row) {
        d->stage = STAGE_DEAD_LETTER;
        d->attempts = 0;
        move_to_retrying(d);
    } else {
        delivery_free(d);
    }
    trigger_pump(t);
}

static void append_again(struct loop_timer *timer)
{
    struct delivery *d = must_be((struct delivery *)timer->ctx, DELIVERY_MAGIC);
    d->trigger->refused--;
    d->refused = false;
    outcome_append(d);
}

/* No segment is large enough, and none ever will be: it ends as a dead letter without its reply, or
 * without its event when there is none. */
static void give_up(struct delivery *d)
{
    bool reply = d->reply.len > 0;
    if (!reply)
        event_hold_unref(STEAL(d->event));
    if (d->outcome != OUTCOME_DEAD)
        atomic_fetch_add_explicit(&d->core->counters.dead, 1, memory_order_relaxed);
    if (d->outcome != OUTCOME_DEAD && d->stage == STAGE_SUBSCRIBER)
        trigger_measure_count(d->trigger, TRIGGER_DEAD);
    buf_reset(&d->reply);
    buf_reset(&d->error_body);
    d->code = 413;
    snprintf(d->error, sizeof(d->error), "the %s is too large for a segment of the log",
             reply ? "reply" : "row of the event");
    d->outcome = OUTCOME_DEAD;
    outcome_append(d);
}

/* The store had no room, or never will have. */
static void refused(struct delivery *d)
{
    if (d->settle_error == -EMSGSIZE && (d->reply.len > 0 || d->event != NULL)) {
        give_up(d);
        return;
    }
    d->refused = true;
    d->trigger->refused++;
    d->due.due = append_again;
    d->due.ctx = d;
    loop_timer_set(d->core->loop, &d->due, loop_now(d->core->loop) + APPEND_AGAIN_NS);
}

/* Loop thread. */
static void settled(struct loop_message *m)
{
    struct delivery *d = container_of(m, struct delivery, settled);
    struct broker_core *b = must_be(d, DELIVERY_MAGIC)->core;
    struct trigger *late = d->dropped ? d->trigger : NULL;
    d->settling = false;
    b->settling--;
    if (d->settle_error == 0 && d->settle_position > b->settled_position)
        b->settled_position = d->settle_position;
    if (d->trigger == NULL) { /* deleted meanwhile: nobody wants the rows */
        if (d->outcome != OUTCOME_DONE && d->settle_error == 0)
            retry_forget_outcome(d);
        delivery_free(d);
    } else if (d->settle_error != 0 && d->dropped) {
        drop_late(d);
    } else if (d->settle_error != 0) {
        refused(d);
    } else {
        settle(d);
    }
    if (late != NULL)
        drop_came_back(late);
}

/* Log thread, or the loop's when the store refuses at once. */
static void appended(void *ctx, int error, uint64_t position)
{
    struct delivery *d = ctx;
    d->settle_error = error;
    d->settle_position = position + d->records - 1;
    loop_post(d->core->loop, &d->settled);
}

void outcome_append(struct delivery *d)
{
    struct broker_core *b = d->core;
    struct rows rows = {BUF_INIT, BUF_INIT, BUF_INIT, BUF_INIT};
    note_end(d);
    if (d->outcome != OUTCOME_DONE)
        note_next(d);
    if (d->in_tables)
        row_retry_key(d->trigger_number, d->row_class, d->due_ns, d->position, &rows.old_retry);
    if (d->in_tables || d->outcome != OUTCOME_DONE) {
        row_retry_key(d->trigger_number, d->next_class, d->next_due_ns, d->position,
                      &rows.new_retry);
        row_object_key(d->trigger_number, d->position, &rows.object);
    }
    struct store_group group;
    store_group_init(&group);
    add_outcome(&group, d, &rows);
    rows_done(&rows);
    group.internal =
        d->reply.len == 0; /* ends have room reserved on a full disk, new events have not */
    d->records = group.records;
    d->settled.receive = settled;
    d->settling = true;
    b->settling++;
    store_append(b->store, &group, appended, d);
}
