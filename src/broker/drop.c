/* SPDX-License-Identifier: Apache-2.0 */
/* Deliveries that leave without having ended. */
#include "broker/drop.h"

#include "broker/retry.h"

/* Out of where it waits: queue, call, or the next try of its append. */
static void take_out(struct trigger *t, struct delivery *d)
{
    if (!list_empty(&d->link) && d->event != NULL) { /* in t->waiting: the other lists' have none */
        trigger_unqueue(t, d);
    }
    list_remove(&d->link);
    lane_leave(t, d);
    if (d->call != NULL) {
        http_call_cancel(STEAL(d->call));
        flow_cut(t, d);
    }
    if (d->refused)
        t->refused--;
    d->refused = false;
}

/* ---- with the trigger ---- */

static void drop_all(struct trigger *t, struct list *deliveries)
{
    while (!list_empty(deliveries)) {
        struct delivery *d = list_entry(list_shift(deliveries), struct delivery, outstanding);
        take_out(t, d);
        d->trigger = NULL;
        if (d->settling && !t->core->closed)
            list_append(&t->core->orphans, &d->outstanding); /* freed when its append comes back */
        else
            delivery_free(d);
    }
}

void drop_with_trigger(struct trigger *t)
{
    drop_all(t, &t->outstanding);
    drop_all(t, &t->retrying);
}

/* ---- with the broker ---- */

static void drop_one(struct delivery *d, struct store_group *g)
{
    d->outcome = OUTCOME_NONE; /* an attempt whose end the log did not take has not been */
    if (d->in_tables)
        retry_forget_delivery(d, g);
    else
        outcome_add_finish(g, d);
    take_out(d->trigger, d);
    delivery_free(d);
}

/* One whose outcome is on its way leaves when that has come back. */
static bool drop_later(struct delivery *d)
{
    if (!d->settling)
        return false;
    d->trigger->leaving += d->dropped ? 0 : 1;
    d->dropped = true;
    return true;
}

static uint64_t drop_outstanding(struct trigger *t, struct store_group *g)
{
    uint64_t count = 0;
    list_for_each_safe (node, following, &t->outstanding) {
        struct delivery *d = list_entry(node, struct delivery, outstanding);
        if (drop_later(d))
            continue;
        drop_one(d, g);
        count++;
    }
    return count;
}

/* Not all rows have a delivery in memory. */
static uint64_t drop_waiting(struct trigger *t, struct store_group *g)
{
    list_for_each_safe (node, following, &t->retrying) {
        struct delivery *d = list_entry(node, struct delivery, outstanding);
        if (drop_later(d))
            continue;
        take_out(t, d);
        delivery_free(d);
    }
    return retry_forget_waiting(t, g);
}

void drop_count(struct trigger *t, uint64_t deliveries)
{
    t->dropped += deliveries;
    atomic_fetch_add_explicit(&t->core->counters.dropped, deliveries, memory_order_relaxed);
}

uint64_t drop_with_broker(struct trigger *t)
{
    struct store_group g;
    t->dropped = 0;
    retry_forget_begin(&g);
    uint64_t count = drop_outstanding(t, &g) + drop_waiting(t, &g);
    retry_forget_end(t->core, &g);
    drop_count(t, count);
    return count;
}

void drop_late(struct delivery *d)
{
    struct store_group g;
    drop_count(d->trigger, 1);
    struct broker_core *b = d->core;
    retry_forget_begin(&g);
    drop_one(d, &g);
    retry_forget_end(b, &g);
}

void drop_came_back(struct trigger *t)
{
    t->leaving--;
    if (t->leaving == 0 && t->dropped > 0 && t->broker == NULL)
        trigger_refresh(t);
}
