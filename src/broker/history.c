/* SPDX-License-Identifier: Apache-2.0 */
/* One pass over the log, from the event on: a reply always stands behind its cause, and all that
 * happens to it behind itself, so whatever belongs to the tree is known before its records come. */
#include "broker/history.h"

#include "base/bytes.h"
#include "base/must.h"
#include "broker/delivery.h"
#include "broker/row.h"
#include "broker/walk.h"

#include <errno.h>

const char *history_state_name(enum history_state state)
{
    static const char *const names[] = {
        [HISTORY_UNKNOWN] = "unknown",
        [HISTORY_WAITING] = "waiting",
        [HISTORY_BEHIND] = "behind",
        [HISTORY_IN_FLIGHT] = "in flight",
        [HISTORY_DELAYED] = "delayed",
        [HISTORY_RETRYING] = "retrying",
        [HISTORY_DELIVERED] = "delivered",
        [HISTORY_DEAD] = "dead",
        [HISTORY_DEAD_LETTER_WAITING] = "dead-letter waiting",
        [HISTORY_DEAD_LETTER_SENT] = "dead-lettered",
        [HISTORY_DROPPED] = "dropped",
        [HISTORY_EXPIRED] = "expired",
        [HISTORY_GONE] = "removed",
    };
    static_assert(sizeof(names) / sizeof(names[0]) == HISTORY_STATE_COUNT, "each has a name");
    must(state < HISTORY_STATE_COUNT);
    return names[state];
}

/* ---- the tree ---- */

struct history_event *history_find(const struct history *h, uint64_t position)
{
    uint32_t low = 0, high = h->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (h->events[middle].position < position)
            low = middle + 1;
        else
            high = middle;
    }
    return low < h->count && h->events[low].position == position ? &h->events[low] : NULL;
}

bool history_grow(void **array, uint32_t count, uint32_t *cap, size_t size)
{
    if (count < *cap)
        return true;
    uint32_t more = *cap == 0 ? 4 : *cap * 2;
    void *grown = realloc(*array, more * size);
    if (grown == NULL)
        return false;
    *array = grown;
    *cap = more;
    return true;
}

struct history_delivery *history_delivery(struct history *h, struct history_event *e,
                                          uint32_t trigger)
{
    for (uint32_t i = 0; i < e->count; i++)
        if (e->deliveries[i].trigger == trigger)
            return &e->deliveries[i];
    if (h->steps >= HISTORY_STEPS_MAX) {
        h->cut = true;
        return NULL;
    }
    void *deliveries = e->deliveries;
    bool room = history_grow(&deliveries, e->count, &e->cap, sizeof(*e->deliveries));
    e->deliveries = deliveries;
    if (!room) {
        h->out_of_memory = true;
        return NULL;
    }
    h->steps++; /* one costs no less */
    struct history_delivery *d = &e->deliveries[e->count++];
    *d = (struct history_delivery){.trigger = trigger};
    return d;
}

/* ---- events ---- */

/* Of a large one the data are not kept. */
static int keep_event(struct history *h, struct slice encoded, bool all, struct history_event *to)
{
    struct event event = {0};
    if (event_decode(encoded, &event) < 0) { /* shown as such */
        buf_add(&to->encoded, encoded.ptr, encoded.len < HISTORY_DATA_MAX ? encoded.len : 0);
        return buf_ok(&to->encoded) ? 0 : -ENOMEM;
    }
    to->data_bytes = event.data.len;
    to->data_left_out =
        !all && (event.data.len > HISTORY_DATA_MAX || h->bytes + encoded.len > HISTORY_BYTES_MAX);
    if (to->data_left_out) {
        event.data = slice_of("", 0);
        event.has_data = false;
        event_encode(&event, &to->encoded);
    } else {
        buf_add_slice(&to->encoded, encoded);
    }
    h->bytes += to->encoded.len;
    return buf_ok(&to->encoded) ? 0 : -ENOMEM;
}

/* 0, -ENOENT: it is no event; -ENOMEM, or that it cannot be read. */
static int add_event(struct history *h, struct inspect_job *job, uint64_t position, uint32_t depth)
{
    autobuf encoded = BUF_INIT;
    struct history_event e = {.position = position, .depth = depth, .encoded = BUF_INIT};
    int r = store_read_event(job->core->store, position, &e.broker, &e.time_ns, &encoded);
    if (r < 0)
        return r;
    inspect_spend(job, encoded.len);
    void *events = h->events;
    bool room = history_grow(&events, h->count, &h->cap, sizeof(*h->events));
    h->events = events;
    if (!room)
        return -ENOMEM;
    r = keep_event(h, buf_slice(&encoded), h->count == 0, &e);
    if (r < 0) {
        buf_done(&e.encoded);
        return r;
    }
    h->events[h->count++] = e;
    return 0;
}

void history_add_reply(struct history *h, struct inspect_job *job, uint64_t position,
                       uint32_t depth)
{
    if (h->count >= HISTORY_EVENTS_MAX || depth >= HISTORY_DEPTH_MAX) {
        h->cut = true;
        return;
    }
    if (h->count > 0 && h->events[h->count - 1].position >= position)
        return; /* what was read is not what was written */
    int r = add_event(h, job, position, depth);
    h->out_of_memory = h->out_of_memory || r == -ENOMEM;
}

/* ---- upwards ---- */

/* True when the event at position is what another one was answered with. */
static bool find_cause(struct inspect_job *job, uint64_t position, struct history_cause *ret)
{
    struct store_reader *reader = store_reader_new(job->core->store, position + 1);
    struct store_entry e;
    struct attempt facts;
    struct retry_row row;
    bool found = false;
    if (reader != NULL && store_reader_next(reader, &e) == 1 && e.position == position + 1 &&
        attempt_read(e.value, &facts) == 0 && facts.reply) {
        found = true;
        *ret = (struct history_cause){.attempt = facts.number, .encoded = BUF_INIT};
        if (e.type == STORE_RECORD_FINISH && e.key.len == sizeof(uint64_t)) {
            ret->position = bytes_le64(e.key.ptr);
            ret->trigger = e.scope;
        } else if (e.type == STORE_RECORD_DELETE && e.scope == STORE_TABLE_RETRIES &&
                   row_retry_read_key(e.key, &row) == 0) {
            ret->trigger = row.trigger;
            ret->position = row.position;
        } else {
            found = false;
        }
    }
    store_reader_free(reader);
    return found;
}

/* Its attributes, if the log still has it. */
static void read_cause(struct history *h, struct inspect_job *job, struct history_cause *c)
{
    autobuf encoded = BUF_INIT;
    struct event event = {0};
    if (store_read_event(job->core->store, c->position, &c->broker, &c->time_ns, &encoded) < 0 ||
        event_decode(buf_slice(&encoded), &event) < 0)
        return;
    inspect_spend(job, encoded.len);
    event.data = slice_of("", 0);
    event.has_data = false;
    event_encode(&event, &c->encoded);
    h->out_of_memory = h->out_of_memory || !buf_ok(&c->encoded);
}

static void read_causes(struct history *h, struct inspect_job *job, uint64_t position)
{
    while (position != 0 && !job->exhausted) {
        struct history_cause c;
        if (!find_cause(job, position, &c) || c.position >= position)
            return;
        if (h->cause_count == HISTORY_CAUSES_MAX) {
            h->cut = true;
            return;
        }
        read_cause(h, job, &c);
        h->causes[h->cause_count++] = c;
        position = c.encoded.len > 0 ? c.position : 0;
    }
}

/* ---- one that was there before ---- */

static bool is_same(const struct store_entry *entry, const struct history_event *e,
                    const struct event *wanted)
{
    struct event event = {0};
    return entry->type == STORE_RECORD_EVENT && entry->scope == e->broker &&
           event_decode(entry->value, &event) == 0 &&
           slice_equal(event_get(&event, "id"), event_get(wanted, "id")) &&
           slice_equal(event_get(&event, "source"), event_get(wanted, "source"));
}

static int find_same(struct history *h, struct inspect_job *job)
{
    const struct history_event *e = &h->events[0];
    struct event wanted = {0};
    struct walk walk;
    struct store_entry entry;
    int r;
    if (e->count > 0 || job->exhausted || event_decode(buf_slice(&e->encoded), &wanted) < 0)
        return 0;
    struct store_search search = {.by_key = true, .key = walk_id_key(event_get(&wanted, "id"))};
    walk_begin(&walk, job, store_first(job->core->store), e->position - 1);
    walk.search = &search;
    while ((r = walk_next(&walk, &entry)) == 1)
        if (is_same(&entry, e, &wanted)) {
            h->same_position = entry.position;
            h->same_time_ns = entry.time_ns;
        }
    walk_done(&walk);
    return r;
}

/* ---- all of it ---- */

static int read_on(struct history *h, struct inspect_job *job, uint64_t position)
{
    struct walk walk;
    struct store_entry e;
    uint64_t about[HISTORY_EVENTS_MAX];
    struct store_search search = {.about = about, .about_count = 0};
    int r;
    walk_begin(&walk, job, position + 1, UINT64_MAX);
    walk.search = &search;
    do {
        while (search.about_count < h->count) {
            about[search.about_count] = h->events[search.about_count].position;
            search.about_count++;
        }
        r = walk_next(&walk, &e);
        if (r == 1)
            history_take(h, job, &e);
    } while (r == 1 && !h->out_of_memory);
    h->read_to = walk.position - 1;
    walk_done(&walk);
    return r;
}

int history_read(struct history *h, struct inspect_job *job, uint64_t position)
{
    int r = add_event(h, job, position, 0);
    if (r < 0)
        return r;
    read_causes(h, job, position);
    r = read_on(h, job, position);
    r = r == 0 ? find_same(h, job) : r;
    return r == 0 && h->out_of_memory ? -ENOMEM : r;
}

static void delivery_done(struct history_delivery *d)
{
    for (uint32_t i = 0; i < d->count; i++) {
        buf_done(&d->steps[i].error);
        buf_done(&d->steps[i].body);
    }
    free(d->steps);
}

void history_done(struct history *h)
{
    for (uint32_t i = 0; i < h->count; i++) {
        struct history_event *e = &h->events[i];
        for (uint32_t n = 0; n < e->count; n++)
            delivery_done(&e->deliveries[n]);
        free(e->deliveries);
        buf_done(&e->encoded);
    }
    free(h->events);
    for (uint32_t i = 0; i < h->cause_count; i++)
        buf_done(&h->causes[i].encoded);
}
