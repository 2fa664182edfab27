/* SPDX-License-Identifier: Apache-2.0 */
/* Lanes whose events were passed over read them again, all by one sweep over the log: from the
 * lowest place at which a lane has nothing else to do, up to where the trigger itself has come to.
 * A lane that has no room meanwhile is passed once more, and keeps its place for the next sweep. */
#include "broker/lane.h"

#include "broker/delivery.h"

#include <errno.h>

#define SWEEP_BUDGET 2000 /* records read in one turn for one trigger */

/* Positions from here on come to the trigger by themselves. */
static uint64_t limit_of(const struct trigger *t)
{
    return t->behind != 0 ? t->behind : t->core->scanned + 1;
}

static void stop_reading(struct lanes *l)
{
    store_reader_free(STEAL(l->reader));
}

/* Where the sweep is to go on. When it serves no lane that waits for it, another begins. */
static void find_place(struct lanes *l)
{
    uint64_t lowest = UINT64_MAX;
    list_for_each (node, &l->starving) {
        const struct lane *lane = list_entry(node, struct lane, starving);
        if (lane_is_served(l, lane))
            return;
        lowest = lane->from < lowest ? lane->from : lowest;
    }
    stop_reading(l);
    l->sweeping = true;
    l->number++;
    l->begin = l->at = lowest;
}

/* All that was not passed once more is through. */
static void end(struct trigger *t)
{
    struct lanes *l = &t->lanes;
    size_t at;
    stop_reading(l);
    for (struct lane *lane = lane_first(l, &at), *following; lane != NULL; lane = following) {
        following = lane_following(l, lane, &at);
        if (lane->from == 0 || !lane_is_served(l, lane))
            continue;
        lane_set_from(t, lane, 0);
        list_remove(&lane->starving);
        lane_advance(t, lane);
    }
    l->sweeping = false;
}

static bool has_room(const struct trigger *t)
{
    return trigger_takes_more(t) && t->waiting_count <= TRIGGER_WAITING_MAX / 2;
}

/* The next record that is the trigger's to look at. 1, 0 at the end, negative errno. */
static int next(struct trigger *t, struct store_entry *entry)
{
    struct lanes *l = &t->lanes;
    if (l->at >= limit_of(t))
        return 0;
    if (l->reader == NULL && (l->reader = store_reader_new(t->core->store, l->at)) == NULL)
        return -ENOMEM;
    int r = store_reader_next(l->reader, entry);
    return r == 1 && entry->position >= limit_of(t) ? 0 : r;
}

bool lane_sweep(struct trigger *t, unsigned *left)
{
    struct lanes *l = &t->lanes;
    if (t->filter == NULL || t->broker == NULL || t->stalled || list_empty(&l->starving) ||
        !has_room(t))
        return false;
    find_place(l);
    for (unsigned n = 0; n < SWEEP_BUDGET && *left != 0 && !list_empty(&l->starving); n++) {
        --*left;
        struct store_entry entry;
        int r = next(t, &entry);
        if (r < 0) {
            stop_reading(l);
            trigger_stall(t, l->at, r);
            break;
        }
        if (r == 0) {
            end(t);
            break;
        }
        trigger_readable(t);
        if (!trigger_read(t, &entry, true)) {
            l->at = entry.position;
            stop_reading(l);
            break;
        }
        l->at = entry.position + 1;
    }
    if (list_empty(&l->starving))
        list_remove(&l->link);
    bool more = !list_empty(&l->starving) && !t->stalled && has_room(t);
    trigger_pump(t);
    return more;
}
