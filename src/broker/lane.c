/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/lane.h"

#include "base/must.h"
#include "broker/delivery.h"
#include "broker/retry.h"

#include <errno.h>

static uint64_t id_of(const struct event *e)
{
    struct slice key = event_get(e, "partitionkey");
    if (key.len == 0)
        return 0;
    uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a: it is kept, and must not change */
    for (size_t i = 0; i < key.len; i++)
        h = (h ^ (uint8_t)key.ptr[i]) * UINT64_C(0x100000001b3);
    return h != 0 ? h : 1;
}

static uint64_t id_of_delivery(const struct delivery *d)
{
    struct event e = {0};
    return event_decode(slice_of(d->event->bytes, d->event->len), &e) == 0 ? id_of(&e) : 0;
}

/* ---- what is passed over ---- */

void lane_set_from(struct trigger *t, struct lane *lane, uint64_t from)
{
    struct lanes *l = &t->lanes;
    int change = (from != 0) - (lane->from != 0);
    l->behind += (unsigned)change;
    t->core->lanes_behind += (unsigned)change;
    lane->from = from;
    if (l->sweeping && from < l->at)
        lane->missed_in = l->number;
}

bool lane_is_served(const struct lanes *l, const struct lane *lane)
{
    return l->sweeping && lane->from >= l->begin && lane->missed_in != l->number;
}

static bool may_pass(const struct trigger *t)
{
    const struct lanes *l = &t->lanes;
    return l->behind < LANES_BEHIND_MAX &&
           (t->core->lanes_behind < LANES_BEHIND_ALL || l->behind < LANES_BEHIND_SHARE);
}

static bool is_idle(const struct lane *lane)
{
    return lane->active == 0 && lane->holding == 0 && lane->queued == 0 && list_empty(&lane->due);
}

static bool has_room(const struct trigger *t, const struct lane *lane)
{
    return is_idle(lane) ||
           (lane->holding == 0 && lane->queued < LANE_QUEUE_MAX &&
            t->lanes.queued < LANES_QUEUED_MAX && t->waiting_bytes < TRIGGER_WAITING_BYTES_MAX / 2);
}

static enum lane_verdict judge_again(struct trigger *t, struct lane *lane, uint64_t position)
{
    if (lane == NULL || lane->from == 0 || position < lane->from)
        return LANE_PASS; /* it has been read before */
    if (!lane_is_served(&t->lanes, lane))
        return LANE_PASS; /* there are others of its own before it */
    if (has_room(t, lane))
        return LANE_TAKE;
    lane->from = position;
    lane->missed_in = t->lanes.number;
    return LANE_PASS;
}

enum lane_verdict lane_judge(struct trigger *t, const struct event *e, uint64_t position,
                             bool again)
{
    uint64_t id = id_of(e);
    struct lane *lane = id != 0 ? lane_find(&t->lanes, id) : NULL;
    if (again)
        return judge_again(t, lane, position);
    if (lane == NULL)
        return LANE_TAKE;
    if (lane->from != 0)
        return LANE_PASS;
    if (has_room(t, lane))
        return LANE_TAKE;
    if (!may_pass(t))
        return LANE_STAY;
    lane_set_from(t, lane, position);
    return LANE_PASS;
}

bool lane_will_read(const struct trigger *t, const struct event *e, uint64_t position)
{
    uint64_t id = id_of(e);
    const struct lane *lane = id != 0 ? lane_find(&t->lanes, id) : NULL;
    return lane != NULL && lane->from != 0 && lane->from <= position &&
           !position_set_has(&t->done_before, position);
}

void lane_taken_again(struct trigger *t, const struct event *e, uint64_t position)
{
    struct lane *lane = lane_find(&t->lanes, id_of(e));
    must(lane != NULL);
    lane->from = position + 1;
}

/* ---- whose turn it is ---- */

static void activate(struct lane *lane, struct delivery *d)
{
    d->place = LANE_ACTIVE;
    lane->active++;
    list_remove(&lane->starving);
}

static void leave_queue(struct trigger *t, struct lane *lane, struct delivery *d)
{
    list_remove(&d->link);
    lane->queued--;
    t->lanes.queued--;
}

void lane_advance(struct trigger *t, struct lane *lane)
{
    if (lane->active > 0 || lane->holding > 0)
        return;
    struct lanes *l = &t->lanes;
    if (!list_empty(&lane->due)) {
        struct delivery *d = list_entry(list_shift(&lane->due), struct delivery, link);
        activate(lane, d);
        list_append(&t->crowded, &d->link); /* its event is read as soon as there is room */
    } else if (lane->queued > 0) {
        struct delivery *d = list_entry(lane->queue.next, struct delivery, link);
        leave_queue(t, lane, d);
        activate(lane, d);
        list_append(&t->waiting, &d->link);
        if (t->core->running) /* else it was counted before the stop */
            trigger_matched(t);
    } else if (lane->from == 0) {
        lane_free(&t->lanes, lane);
    } else if (list_empty(&lane->starving)) {
        list_append(&l->starving, &lane->starving);
        if (list_empty(&l->link))
            list_append(&t->core->sweeping, &l->link);
    }
}

/* In the order of the log; they mostly come in it. */
void lane_insert(struct list *into, struct delivery *d)
{
    struct list *after = into->prev;
    while (after != into && list_entry(after, struct delivery, link)->position > d->position)
        after = after->prev;
    list_append(after->next, &d->link);
}

/* NULL: it needs none, or there is no memory. Lanes that are left go on when order is not asked for
 * any more. */
static struct lane *lane_for(struct trigger *t, uint64_t id)
{
    if (id == 0)
        return NULL;
    return t->lanes.ordered ? lane_make(&t->lanes, id) : lane_find(&t->lanes, id);
}

int lane_enter(struct trigger *t, struct delivery *d)
{
    struct lane *lane = d->lane;
    if (d->stage != STAGE_SUBSCRIBER || !lanes_used(t) || d->place == LANE_ACTIVE)
        return 0;
    if (d->place == LANE_HOLDING) {
        lane->holding--;
        d->place = LANE_DUE;
        if (lane->active == 0)
            activate(lane, d);
        return 0;
    }
    uint64_t id = id_of_delivery(d);
    lane = lane_for(t, id);
    if (lane == NULL)
        return id != 0 && t->lanes.ordered ? -ENOMEM : 0;
    d->lane = lane;
    if (is_idle(lane) && t->core->running)
        activate(lane, d);
    else
        d->place = d->in_tables ? LANE_DUE : LANE_QUEUED;
    return 0;
}

bool lane_put(struct trigger *t, struct delivery *d)
{
    if (d->place == LANE_QUEUED) {
        lane_insert(&d->lane->queue, d);
        d->lane->queued++;
        t->lanes.queued++;
    } else if (d->place == LANE_DUE) {
        event_hold_unref(STEAL(d->event));
        lane_insert(&d->lane->due, d);
    } else {
        return false;
    }
    return true;
}

/* Those behind one that waits for its retry give their memory back. */
static void give_back(struct trigger *t, struct lane *lane)
{
    if (lane->queued == 0 || (lane->from == 0 && !may_pass(t)))
        return;
    lane_set_from(t, lane, list_entry(lane->queue.next, struct delivery, link)->position);
    while (lane->queued > 0) {
        struct delivery *d = list_entry(lane->queue.next, struct delivery, link);
        trigger_unqueue(t, d);
        leave_queue(t, lane, d);
        d->lane = NULL;
        d->place = LANE_NONE;
        delivery_free(d);
    }
}

void lane_hold(struct trigger *t, struct delivery *d)
{
    struct lane *lane = d->lane;
    if (lane == NULL)
        return;
    if (d->stage != STAGE_SUBSCRIBER || d->row_class == RETRY_NEW) { /* dead, or put off */
        lane_leave(t, d);
        return;
    }
    must(d->place == LANE_ACTIVE);
    lane->active--;
    lane->holding++;
    d->place = LANE_HOLDING;
    give_back(t, lane);
}

void lane_leave(struct trigger *t, struct delivery *d)
{
    struct lane *lane = d->lane;
    if (lane == NULL)
        return;
    switch (d->place) {
    case LANE_QUEUED:
        leave_queue(t, lane, d);
        break;
    case LANE_ACTIVE:
        lane->active--;
        break;
    case LANE_HOLDING:
        lane->holding--;
        break;
    case LANE_DUE:
        list_remove(&d->link);
        break;
    case LANE_NONE:
        unreachable_code();
    }
    d->lane = NULL;
    d->place = LANE_NONE;
    lane_advance(t, lane);
}

/* ---- life ---- */

void lanes_init(struct trigger *t)
{
    list_init(&t->lanes.starving);
    list_init(&t->lanes.link);
}

bool lanes_used(const struct trigger *t)
{
    return t->lanes.ordered || t->lanes.count > 0;
}

uint64_t lanes_first(const struct trigger *t)
{
    uint64_t first = UINT64_MAX;
    size_t at;
    if (t->lanes.behind == 0)
        return first;
    for (struct lane *lane = lane_first(&t->lanes, &at); lane != NULL;
         lane = lane_following(&t->lanes, lane, &at))
        if (lane->from != 0 && lane->from < first)
            first = lane->from;
    return first;
}

/* What each does may free the lane. */
static void each_lane(struct trigger *t, void (*each)(struct trigger *t, struct lane *lane))
{
    size_t at;
    for (struct lane *lane = lane_first(&t->lanes, &at), *following; lane != NULL;
         lane = following) {
        following = lane_following(&t->lanes, lane, &at);
        each(t, lane);
    }
}

static void begin(struct trigger *t, struct lane *lane)
{
    if (lane->holding > 0)
        give_back(t, lane);
    lane_advance(t, lane);
}

void lanes_begin(struct trigger *t)
{
    each_lane(t, begin);
}

static void forget(struct trigger *t, struct lane *lane)
{
    lane_set_from(t, lane, 0);
    list_remove(&lane->starving);
    lane_advance(t, lane);
}

void lanes_forget(struct trigger *t)
{
    each_lane(t, forget);
    t->lanes.sweeping = false;
    store_reader_free(STEAL(t->lanes.reader));
    list_remove(&t->lanes.link);
}

void lanes_done(struct trigger *t)
{
    lanes_forget(t);
    must(t->lanes.count == 0);
    lane_table_done(&t->lanes);
}

int lane_restore(struct trigger *t, uint64_t id, uint64_t from)
{
    struct lane *lane = id != 0 && from != 0 ? lane_make(&t->lanes, id) : NULL;
    if (lane == NULL)
        return id != 0 && from != 0 ? -ENOMEM : -EBADMSG;
    lane_set_from(t, lane, from);
    return 0;
}

/* ---- from now on ordered ---- */

int lane_load(struct trigger *t, struct delivery *d)
{
    if (!lanes_used(t) || d->row_class != RETRY_AGAIN)
        return 0;
    int r = retry_read_event(d);
    if (r < 0)
        return r == -ENOENT ? 0 : r; /* it is lost when it is due */
    uint64_t id = id_of_delivery(d);
    event_hold_unref(STEAL(d->event));
    struct lane *lane = lane_for(t, id);
    if (lane == NULL)
        return id != 0 && t->lanes.ordered ? -ENOMEM : 0;
    d->lane = lane;
    d->place = LANE_HOLDING;
    lane->holding++;
    return 0;
}

/* One that is under way, or ends. Without memory for its lane it goes unordered, this time. */
static void enrol(struct trigger *t, struct delivery *d)
{
    bool waits = !list_empty(&d->link) && d->event != NULL;
    if (d->lane != NULL || d->stage != STAGE_SUBSCRIBER || waits)
        return;
    if (d->event == NULL) {
        (void)lane_load(t, d);
        return;
    }
    uint64_t id = id_of_delivery(d);
    d->lane = id != 0 ? lane_make(&t->lanes, id) : NULL;
    if (d->lane != NULL)
        activate(d->lane, d);
}

/* Those that wait take their turns. */
static void enrol_waiting(struct trigger *t)
{
    struct list waiting, *node;
    list_init(&waiting);
    while ((node = list_shift(&t->waiting)) != NULL)
        list_append(&waiting, node);
    while ((node = list_shift(&waiting)) != NULL) {
        struct delivery *d = list_entry(node, struct delivery, link);
        trigger_unqueue(t, d);
        (void)lane_enter(t, d);
        trigger_queue(t, d);
    }
}

void lanes_set(struct trigger *t, bool ordered)
{
    bool begins = ordered && !t->lanes.ordered;
    t->lanes.ordered = ordered;
    if (lanes_used(t) != t->keeps_retries)
        retry_keep_all(t, lanes_used(t));
    if (!begins || !t->core->running)
        return;
    list_for_each (node, &t->outstanding)
        enrol(t, list_entry(node, struct delivery, outstanding));
    list_for_each (node, &t->retrying)
        enrol(t, list_entry(node, struct delivery, outstanding));
    enrol_waiting(t);
    lanes_begin(t);
}
