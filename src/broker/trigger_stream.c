/* SPDX-License-Identifier: Apache-2.0 */
/* How events come to one trigger from the log: offered by the shared scan, or read by itself when
 * it has fallen behind. */
#include "broker/trigger.h"

#include "base/log.h"
#include "broker/delivery.h"
#include "broker/scan.h"
#include "broker/start.h"

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

static bool takes_more(const struct trigger *t)
{
    return !trigger_is_full(t) && t->retrying_count < TRIGGER_RETRYING_MAX && !has_its_share(t);
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

/* Queues the event. False when there is no room or no memory: the trigger stays at this position.
 */
static bool take(struct trigger *t, const struct store_entry *entry, struct event_hold **hold)
{
    if (entry->position <= t->start || position_set_take(&t->done_before, entry->position))
        return true;
    if (!takes_more(t))
        return false;
    if (*hold == NULL)
        *hold = event_hold_new(entry->value);
    struct delivery *d = *hold != NULL ? delivery_new(t, entry->position, entry->time_ns) : NULL;
    if (d == NULL)
        return false;
    d->event = event_hold_ref(*hold);
    list_append(&t->outstanding, &d->outstanding);
    atomic_fetch_add_explicit(&t->core->counters.matched, 1, memory_order_relaxed);
    trigger_measure_count(t, TRIGGER_MATCHED);
    trigger_queue(t, d);
    return true;
}

void trigger_offer(struct trigger *t, const struct store_entry *entry, struct event_hold **hold)
{
    if (t->behind != 0 || t->search != NULL)
        return;
    if (take(t, entry, hold))
        trigger_pump(t);
    else
        trigger_fall_behind(t, entry->position);
}

/* One record of the log for a trigger that is behind. False: no room, come again. */
static bool catch_up_record(struct trigger *t, const struct store_entry *entry)
{
    if (entry->type != STORE_RECORD_EVENT || entry->scope != t->broker->number)
        return true;
    struct event event = {0};
    if (event_decode(entry->value, &event) < 0)
        return true;
    if (t->search != NULL)
        return start_passes(t, entry->position, &event);
    if (!filter_matches(t->filter, &event))
        return true;
    struct event_hold *hold = NULL;
    bool taken = take(t, entry, &hold);
    event_hold_unref(hold);
    return taken;
}

void trigger_caught_up(struct trigger *t)
{
    t->behind = 0;
    list_remove(&t->behind_link);
    store_reader_free(STEAL(t->catch_up));
}

/* It stays where it is, and tries again from time to time, rather than pass over events. */
static void pause_catch_up(struct trigger *t, int error)
{
    store_reader_free(STEAL(t->catch_up));
    t->stalled = true;
    if (t->unreadable)
        return;
    t->unreadable = true;
    atomic_fetch_add_explicit(&t->core->counters.unreadable, 1, memory_order_relaxed);
    log_error(
        "trigger %s/%s: the log cannot be read at position %llu (%s): its events wait until it "
        "can",
        t->resource->namespace_name, t->resource->name, (unsigned long long)t->behind,
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

void trigger_catch_up(struct trigger *t)
{
    if (t->filter == NULL || t->broker == NULL || t->stalled || !takes_more(t) ||
        t->waiting_count > TRIGGER_WAITING_MAX / 2)
        return;
    if (t->catch_up == NULL && (t->catch_up = store_reader_new(t->core->store, t->behind)) == NULL)
        return;
    for (unsigned n = 0; n < CATCH_UP_BUDGET && t->behind != 0; n++) {
        struct store_entry entry;
        int r = t->behind > t->core->scanned ? 0 : store_reader_next(t->catch_up, &entry);
        if (r < 0) {
            pause_catch_up(t, r);
            break;
        }
        trigger_readable(t);
        if (r == 0 || entry.position > t->core->scanned ||
            (t->search != NULL && entry.position > t->created)) {
            end_of_log(t);
            break;
        }
        if (!catch_up_record(t, &entry)) { /* read it again when there is room */
            t->behind = entry.position;
            store_reader_free(STEAL(t->catch_up));
            break;
        }
        t->behind = entry.position + 1;
    }
    trigger_pump(t);
}
