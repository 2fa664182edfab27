/* SPDX-License-Identifier: Apache-2.0 */
/* How events come to one trigger from the log: offered by the shared scan, or read by itself when
 * it has fallen behind. */
#include "broker/trigger.h"

#include "base/log.h"
#include "broker/dedup.h"
#include "broker/delivery.h"
#include "broker/scan.h"
#include "broker/start.h"
#include "broker/timing.h"

#define CATCH_UP_BUDGET 2000 /* records read in one turn for one trigger */

static bool has_its_share(const struct trigger *t)
{
    const struct broker_core *b = t->core;
    uint64_t all = atomic_load_explicit(&b->counters.waiting, memory_order_relaxed) +
                   atomic_load_explicit(&b->counters.in_flight, memory_order_relaxed);
    if (all < b->deliveries_max)
        return false;
    uint64_t share = b->deliveries_max / atomic_load_explicit(&b->listeners, memory_order_relaxed);
    return t->waiting_count + t->in_flight >=
           (share > TRIGGER_SHARE_MIN ? share : TRIGGER_SHARE_MIN);
}

bool trigger_takes_more(const struct trigger *t)
{
    return !trigger_is_full(t) && t->retrying_count < TRIGGER_RETRYING_MAX &&
           t->aside < TRIGGER_ASIDE_MAX && !has_its_share(t);
}

void trigger_fall_behind(struct trigger *t, uint64_t position)
{
    t->behind = position;
    list_append(&t->core->behind, &t->behind_link);
}

/* What it reads can be read, or is not wanted any more. */
void trigger_readable(struct trigger *t)
{
    if (!t->unreadable)
        return;
    t->unreadable = false;
    atomic_fetch_sub_explicit(&t->core->counters.unreadable, 1, memory_order_relaxed);
}

void trigger_matched(struct trigger *t)
{
    atomic_fetch_add_explicit(&t->core->counters.matched, 1, memory_order_relaxed);
    trigger_measure_count(t, TRIGGER_MATCHED);
}

/* Queues the event. False when there is no room or no memory: the trigger stays at this position.
 */
static bool queue_event(struct trigger *t, const struct store_entry *entry,
                        const struct event *event, struct event_hold **hold)
{
    if (!trigger_takes_more(t))
        return false;
    if (*hold == NULL)
        *hold = event_hold_new(entry->value);
    struct delivery *d = *hold != NULL ? delivery_new(t, entry->position, entry->time_ns) : NULL;
    if (d == NULL)
        return false;
    d->event = event_hold_ref(*hold);
    d->timed = timing_is_given(event);
    list_append(&t->outstanding, &d->outstanding);
    if (timing_set_aside(d)) {
        trigger_matched(t);
        return true;
    }
    if (lane_enter(t, d) < 0) {
        delivery_free(d);
        return false;
    }
    if (d->place != LANE_QUEUED) /* which may be given back to the log */
        trigger_matched(t);
    trigger_queue(t, d);
    return true;
}

/* An event that the filter lets through. again: only lanes that have passed it want it. */
static bool take(struct trigger *t, const struct store_entry *entry, const struct event *event,
                 struct event_hold **hold, bool again)
{
    if (entry->position <= t->start)
        return true;
    enum lane_verdict verdict =
        lanes_used(t) ? lane_judge(t, event, entry->position, again) : LANE_TAKE;
    if (verdict != LANE_TAKE)
        return verdict == LANE_PASS;
    if (!position_set_take(&t->done_before, entry->position) && !queue_event(t, entry, event, hold))
        return false;
    if (again)
        lane_taken_again(t, event, entry->position);
    return true;
}

void trigger_offer(struct trigger *t, const struct store_entry *entry, const struct event *event,
                   struct event_hold **hold)
{
    if (t->behind != 0 || t->search != NULL)
        return;
    if (take(t, entry, event, hold, false))
        trigger_pump(t);
    else
        trigger_fall_behind(t, entry->position);
}

bool trigger_read(struct trigger *t, const struct store_entry *entry, bool again)
{
    if (entry->type != STORE_RECORD_EVENT || entry->scope != t->broker->number)
        return true;
    struct event event = {0};
    if (event_decode(entry->value, &event) < 0)
        return true;
    if (t->search != NULL)
        return start_passes(t, entry->position, &event);
    enum dedup_verdict verdict =
        t->broker->dedup != NULL ? dedup_ask(t->broker->dedup, entry->position) : DEDUP_ORIGINAL;
    if (verdict != DEDUP_ORIGINAL)
        return verdict == DEDUP_DUPLICATE;
    if (!filter_matches(t->filter, &event))
        return true;
    struct event_hold *hold = NULL;
    bool taken = take(t, entry, &event, &hold, again);
    event_hold_unref(hold);
    return taken;
}

void trigger_caught_up(struct trigger *t)
{
    t->behind = 0;
    list_remove(&t->behind_link);
    store_reader_free(STEAL(t->catch_up));
}

void trigger_stall(struct trigger *t, uint64_t position, int error)
{
    t->stalled = true;
    if (t->unreadable)
        return;
    t->unreadable = true;
    atomic_fetch_add_explicit(&t->core->counters.unreadable, 1, memory_order_relaxed);
    log_error(
        "trigger %s/%s: the log cannot be read at position %llu (%s): its events wait until it "
        "can",
        t->resource->namespace_name, t->resource->name, (unsigned long long)position,
        strerror(-error));
}

void trigger_tend(struct trigger *t)
{
    if (t->stalled) {
        t->stalled = false;
        scan_wake(t->core); /* whose turn ends with catching up */
    }
}

/* What it searches for may still come, up to its own creation. */
static void end_of_log(struct trigger *t)
{
    if (t->search != NULL && t->core->scanned < t->created)
        return;
    trigger_caught_up(t);
    if (t->search != NULL)
        start_not_found(t);
}

bool trigger_catch_up(struct trigger *t, unsigned *left)
{
    if (t->filter == NULL || t->broker == NULL || t->stalled || !trigger_takes_more(t) ||
        t->waiting_count > TRIGGER_WAITING_MAX / 2)
        return false;
    if (t->catch_up == NULL && (t->catch_up = store_reader_new(t->core->store, t->behind)) == NULL)
        return false;
    uint64_t before = t->behind;
    for (unsigned n = 0; n < CATCH_UP_BUDGET && *left != 0 && t->behind != 0; n++) {
        --*left;
        struct store_entry entry;
        int r = t->behind > t->core->scanned ? 0 : store_reader_next(t->catch_up, &entry);
        if (r < 0) {
            store_reader_free(STEAL(t->catch_up));
            trigger_stall(t, t->behind, r);
            break;
        }
        trigger_readable(t);
        if (r == 0 || entry.position > t->core->scanned ||
            (t->search != NULL && entry.position > t->created)) {
            end_of_log(t);
            break;
        }
        if (!trigger_read(t, &entry, false)) { /* read it again when there is room */
            t->behind = entry.position;
            store_reader_free(STEAL(t->catch_up));
            break;
        }
        t->behind = entry.position + 1;
    }
    bool more = t->behind != 0 && t->behind != before;
    trigger_pump(t);
    return more;
}
