/* SPDX-License-Identifier: Apache-2.0 */
/* One event for one trigger: how an attempt starts and what its conclusion leads to. */
#include "broker/delivery.h"

#include "base/clock.h"
#include "base/must.h"
#include "broker/dead_letter.h"
#include "broker/reply.h"
#include "broker/request.h"
#include "broker/retry.h"
#include "broker/timing.h"
#include "broker/ttl.h"

#include <errno.h>
#include <stdio.h>

struct delivery *delivery_new(struct trigger *t, uint64_t position, uint64_t time_ns)
{
    struct delivery *d = calloc(1, sizeof(*d));
    if (d == NULL)
        return NULL;
    d->magic = DELIVERY_MAGIC;
    d->trigger = t;
    d->trigger_number = t->number;
    d->core = t->core;
    d->position = position;
    d->time_ns = time_ns;
    list_init(&d->link);
    list_init(&d->outstanding);
    return d;
}

void delivery_free(struct delivery *d)
{
    must(d->call == NULL);
    if (d->in_tables && d->trigger != NULL)
        retry_leave(d);
    retry_readable(d);
    lane_leave(d->trigger, d);
    timing_settled(d);
    list_remove(&d->link);
    list_remove(&d->outstanding);
    loop_timer_cancel(d->core->loop, &d->due);
    event_hold_unref(d->event);
    buf_done(&d->reply);
    buf_done(&d->error_body);
    buf_done(&d->body);
    d->magic = 0;
    free(d);
}

void delivery_fail(struct delivery *d, unsigned code, const char *reason, struct slice body)
{
    d->code = code;
    snprintf(d->error, sizeof(d->error), "%s", reason);
    buf_reset(&d->error_body);
    buf_add(&d->error_body, body.ptr, body.len < DELIVERY_BODY_MAX ? body.len : DELIVERY_BODY_MAX);
}

static void forward_to_broker(struct delivery *d, const struct target *target, struct event *e)
{
    struct broker *to = broker_find(d->core, target->namespace_name, target->name);
    if (to == NULL) {
        delivery_fail(d, 404, "the subscriber's broker does not exist", (struct slice){"", 0});
        delivery_conclude(d, OUTCOME_RETRY);
        return;
    }
    d->answered = 202;
    reply_conclude(d, e, to->number);
}

void delivery_start(struct delivery *d)
{
    struct trigger *t = d->trigger;
    const struct target *target =
        d->stage == STAGE_DEAD_LETTER ? &t->policy.dead_letter : &t->subscriber;
    struct event event = {0};
    d->began_ns = clock_monotonic();
    must(event_decode(slice_of(d->event->bytes, d->event->len), &event) == 0);
    trigger_measure_began(d, &event);
    struct dead_letter_text text = DEAD_LETTER_TEXT_INIT;
    if (d->stage == STAGE_DEAD_LETTER)
        dead_letter_add_why(d, &event, &text);
    if (target->kind == TARGET_NONE) { /* the trigger has no dead-letter sink any more */
        delivery_conclude(d, OUTCOME_DEAD);
    } else if (target->kind == TARGET_BROKER) {
        forward_to_broker(d, target, &event);
    } else {
        char arrival[CLOCK_RFC3339_SIZE];
        size_t len = clock_format_rfc3339(d->time_ns, 9, arrival);
        event_unset(&event, BROKER_TTL_ATTRIBUTE); /* first: it makes room */
        event_set(&event, "knativearrivaltime", slice_of(arrival, len));
        int r = request_send(d, target, &event);
        if (r < 0) {
            d->silent = true;
            delivery_fail(d, 0, strerror(-r), (struct slice){"", 0});
            delivery_conclude(d, OUTCOME_RETRY);
        }
    }
    dead_letter_text_done(&text);
}

void delivery_conclude(struct delivery *d, enum delivery_outcome outcome)
{
    struct trigger *t = d->trigger;
    struct counters *c = &d->core->counters;
    d->took_ns = d->began_ns != 0 ? clock_monotonic() - d->began_ns : 0;
    trigger_measure_ended(d, outcome == OUTCOME_DONE ? d->answered : d->code);
    if (flow_end(t, d)) { /* a probe that failed costs no attempt */
        trigger_queue(t, d);
        trigger_pump(t);
        return;
    }
    d->attempts++;
    if (outcome == OUTCOME_RETRY && d->attempts > t->policy.retry)
        outcome = OUTCOME_DEAD;
    if (outcome == OUTCOME_RETRY) {
        uint64_t delay = policy_backoff(&t->policy, d->attempts);
        d->next_delay_ns = delay > d->next_delay_ns ? delay : d->next_delay_ns;
    }
    atomic_fetch_add_explicit(outcome == OUTCOME_DONE    ? &c->delivered
                              : outcome == OUTCOME_RETRY ? &c->retried
                                                         : &c->dead,
                              1, memory_order_relaxed);
    if (outcome != OUTCOME_DONE)
        atomic_fetch_add_explicit(&c->failed, 1, memory_order_relaxed);
    d->outcome = outcome;
    trigger_measure_concluded(d);
    outcome_append(d);
}
