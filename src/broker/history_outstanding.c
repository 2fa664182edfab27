/* SPDX-License-Identifier: Apache-2.0 */
/* What the log does not say of a history, since it has not happened yet. */
#include "broker/history.h"

#include "broker/delivery.h"
#include "resource/filter.h"

#define LOOKED_AT_MAX 100000u /* deliveries and triggers, for one request */

struct look {
    struct history *h;
    unsigned left;
};

/* Deliveries that a row in RETRIES stands for have records; these may have none. */
static void add_delivery(struct look *l, const struct delivery *d)
{
    struct history_event *e = history_find(l->h, d->position);
    struct history_delivery *to = e != NULL ? history_delivery(l->h, e, d->trigger_number) : NULL;
    if (to != NULL && to->state == HISTORY_UNKNOWN)
        to->state = d->call != NULL || d->settling ? HISTORY_IN_FLIGHT : HISTORY_WAITING;
}

/* Has the trigger, or the lane of the event's key, not come to it? */
static bool is_behind(const struct trigger *t, const struct event *e, uint64_t position)
{
    return (t->behind != 0 && position >= t->behind) || lane_will_read(t, e, position);
}

static void add_behind(struct look *l, const struct trigger *t)
{
    for (uint32_t i = 0; i < l->h->count && l->left > 0; i++) {
        struct history_event *e = &l->h->events[i];
        struct event event = {0};
        if (e->position <= t->start || e->data_left_out || t->broker == NULL ||
            t->broker->number != e->broker || t->filter == NULL)
            continue;
        l->left--;
        if (event_decode(buf_slice(&e->encoded), &event) < 0 ||
            !is_behind(t, &event, e->position) || !filter_matches(t->filter, &event))
            continue;
        struct history_delivery *to = history_delivery(l->h, e, t->number);
        if (to != NULL && to->state == HISTORY_UNKNOWN)
            to->state = HISTORY_BEHIND;
    }
}

static void add_trigger(struct look *l, const struct trigger *t)
{
    l->left--;
    list_for_each (node, &t->outstanding) {
        if (l->left == 0)
            return;
        l->left--;
        add_delivery(l, list_entry(node, struct delivery, outstanding));
    }
    if (t->behind != 0 || t->lanes.behind > 0)
        add_behind(l, t);
}

void history_add_outstanding(struct history *h, struct broker_core *core)
{
    struct look l = {h, LOOKED_AT_MAX};
    for (uint32_t i = 0; i < h->count; i++)
        h->events[i].matched = h->events[i].position <= core->scanned;
    for (uint32_t i = 0; i < core->number_cap && l.left > 0; i++) {
        const struct trigger *t = trigger_by_number(core, i);
        if (t != NULL)
            add_trigger(&l, t);
    }
    h->cut = h->cut || l.left == 0;
}
