/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/dedup.h"

#include "base/bytes.h"
#include "base/log.h"
#include "broker/dedup_set.h"
#include "broker/scan.h"
#include "broker/trigger.h"
#include "resource/annotation.h"

#include <errno.h>

#define TURN_RECORDS 5000

struct dedup {
    struct list link; /* in core->dedups */
    struct broker_core *core;
    struct broker *broker;
    uint64_t window_ns;
    struct dedup_set set;
    bool live;
    uint64_t from;               /* it knows of each event from here on */
    uint64_t counted;            /* duplicates up to here are counted */
    struct store_reader *reader; /* while it is not live */
    bool unreadable;             /* counted as a place in the log that cannot be read */
    struct buf duplicates;       /* u64 positions from `from` on, ascending */
    size_t pruned;               /* bytes of them that nobody asks for */
};

/* ---- which are duplicates ---- */

static size_t duplicates(const struct dedup *d)
{
    return (d->duplicates.len - d->pruned) / sizeof(uint64_t);
}

static uint64_t duplicate_at(const struct dedup *d, size_t n)
{
    return bytes_le64(d->duplicates.ptr + d->pruned + n * sizeof(uint64_t));
}

static bool is_duplicate(const struct dedup *d, uint64_t position)
{
    size_t low = 0, high = duplicates(d);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (duplicate_at(d, middle) < position)
            low = middle + 1;
        else
            high = middle;
    }
    return low < duplicates(d) && duplicate_at(d, low) == position;
}

static void compact(struct dedup *d)
{
    if (d->pruned == 0 || d->pruned < d->duplicates.len / 2)
        return;
    d->duplicates.len -= d->pruned;
    memmove(d->duplicates.ptr, d->duplicates.ptr + d->pruned, d->duplicates.len);
    d->pruned = 0;
    if (d->duplicates.len == 0)
        buf_done(&d->duplicates);
}

static void note_forgotten(struct dedup *d)
{
    atomic_fetch_add_explicit(&d->core->counters.dedup_forgotten, 1, memory_order_relaxed);
}

static void note_duplicate(struct dedup *d, uint64_t position)
{
    if (position > d->counted) {
        d->counted = position;
        atomic_fetch_add_explicit(&d->core->counters.duplicates, 1, memory_order_relaxed);
    }
    if (position < d->from)
        return;
    if (duplicates(d) == DEDUP_VERDICTS_MAX) {
        d->pruned += sizeof(uint64_t);
        note_forgotten(d);
        compact(d);
    }
    buf_add_u64(&d->duplicates, position);
    if (buf_ok(&d->duplicates))
        return;
    buf_done(&d->duplicates); /* out of memory: rather some of them twice than none */
    d->pruned = 0;
    note_forgotten(d);
}

/* Without memory an event is no duplicate. */
static bool judge(struct dedup *d, const struct store_entry *entry, const struct event *event)
{
    uint64_t forgotten = d->set.forgotten;
    if (event->opaque && event_get(event, "id").ptr == NULL)
        return false; /* nothing tells it from others */
    int r = dedup_set_add(&d->set, event_get(event, "source"), event_get(event, "id"),
                          entry->time_ns, d->window_ns);
    if (r < 0 || d->set.forgotten > forgotten)
        note_forgotten(d);
    if (r != 1)
        return false;
    note_duplicate(d, entry->position);
    return true;
}

/* ---- where it reads ---- */

/* The lowest position that a trigger may still ask about. */
static uint64_t first_asked(const struct dedup *d)
{
    uint64_t first = d->core->scanned + 1;
    list_for_each (node, &d->broker->triggers) {
        const struct trigger *t = list_entry(node, struct trigger, broker_link);
        uint64_t lanes = lanes_first(t);
        first = t->behind != 0 && t->behind < first ? t->behind : first;
        first = lanes < first ? lanes : first;
    }
    return first;
}

static void note_readable(struct dedup *d)
{
    if (d->unreadable)
        atomic_fetch_sub_explicit(&d->core->counters.unreadable, 1, memory_order_relaxed);
    d->unreadable = false;
}

/* It begins anew, so far back that it knows of everything from that position on. */
static void begin(struct dedup *d, uint64_t from)
{
    d->live = false;
    d->from = from;
    dedup_set_clear(&d->set);
    buf_done(&d->duplicates);
    d->pruned = 0;
    store_reader_free(STEAL(d->reader));
    scan_wake(d->core);
}

/* Where the window of the first event begins that it is to judge. */
static uint64_t beginning(const struct dedup *d)
{
    struct store_reader *r = store_reader_new(d->core->store, d->from);
    struct store_entry entry;
    uint64_t time = loop_realtime(d->core->loop);
    if (r != NULL && store_reader_next(r, &entry) == 1)
        time = entry.time_ns;
    store_reader_free(r);
    uint64_t first = store_find_time(d->core->store, time > d->window_ns ? time - d->window_ns : 0);
    return first < d->from ? first : d->from;
}

static void unreadable(struct dedup *d, int error)
{
    store_reader_free(STEAL(d->reader));
    if (d->unreadable)
        return;
    d->unreadable = true;
    atomic_fetch_add_explicit(&d->core->counters.unreadable, 1, memory_order_relaxed);
    log_error("broker %s/%s: the log cannot be read (%s): its events wait until it is known which "
              "are duplicates",
              d->broker->resource->namespace_name, d->broker->resource->name, strerror(-error));
}

/* True: there is more to read now. */
static bool read_on(struct dedup *d)
{
    if (d->reader == NULL && (d->reader = store_reader_new(d->core->store, beginning(d))) == NULL)
        return false;
    for (unsigned n = 0; n < TURN_RECORDS; n++) {
        struct store_entry entry;
        struct event event = {0};
        int r = store_reader_position(d->reader) > d->core->scanned
                    ? 0
                    : store_reader_next(d->reader, &entry);
        if (r < 0) {
            unreadable(d, r);
            return false;
        }
        if (r == 0 || entry.position > d->core->scanned) {
            d->live = true;
            store_reader_free(STEAL(d->reader));
            note_readable(d);
            return true; /* for those that wait for it */
        }
        if (entry.type == STORE_RECORD_EVENT && entry.scope == d->broker->number &&
            event_decode(entry.value, &event) == 0)
            judge(d, &entry, &event);
    }
    return true;
}

bool dedup_turn(struct broker_core *b)
{
    bool more = false;
    list_for_each_safe (node, following, &b->dedups) {
        struct dedup *d = list_entry(node, struct dedup, link);
        if (!d->live && !list_empty(&d->broker->triggers))
            more = read_on(d) || more;
    }
    return more;
}

/* ---- the answers ---- */

enum dedup_verdict dedup_scan(struct dedup *d, const struct store_entry *entry,
                              const struct event *event)
{
    if (!d->live)
        return DEDUP_UNKNOWN;
    return judge(d, entry, event) ? DEDUP_DUPLICATE : DEDUP_ORIGINAL;
}

enum dedup_verdict dedup_ask(struct dedup *d, uint64_t position)
{
    if (position < d->from)
        begin(d, first_asked(d) < position ? first_asked(d) : position);
    if (!d->live)
        return DEDUP_UNKNOWN;
    return is_duplicate(d, position) ? DEDUP_DUPLICATE : DEDUP_ORIGINAL;
}

/* ---- life ---- */

void dedup_free(struct dedup *d)
{
    if (d == NULL)
        return;
    note_readable(d);
    list_remove(&d->link);
    store_reader_free(d->reader);
    dedup_set_done(&d->set);
    buf_done(&d->duplicates);
    free(d);
}

uint64_t dedup_window(const struct dedup *d)
{
    return d->window_ns;
}

void dedup_read(struct broker_core *b, struct broker *broker)
{
    uint64_t window = annotation_duration(broker->resource->object, ANNOTATION_DEDUP, 0);
    struct dedup *d = broker->dedup;
    if (window == 0) {
        dedup_free(STEAL(broker->dedup));
        return;
    }
    if (d != NULL && d->window_ns == window)
        return;
    if (d == NULL) {
        d = calloc(1, sizeof(*d));
        if (d == NULL)
            return;
        d->core = b;
        d->broker = broker;
        d->set.max = b->dedup_max;
        d->counted = b->scanned;
        list_append(&b->dedups, &d->link);
        broker->dedup = d;
    }
    d->window_ns = window;
    begin(d, first_asked(d));
}

void dedup_skipped(struct broker_core *b)
{
    list_for_each (node, &b->dedups)
        begin(list_entry(node, struct dedup, link), b->scanned + 1);
}

void dedup_tend(struct broker_core *b)
{
    list_for_each (node, &b->dedups) {
        struct dedup *d = list_entry(node, struct dedup, link);
        uint64_t first = first_asked(d);
        while (d->live && duplicates(d) > 0 && duplicate_at(d, 0) < first)
            d->pruned += sizeof(uint64_t);
        if (d->live && d->from < first)
            d->from = first;
        compact(d);
        if (!d->live && d->reader == NULL)
            scan_wake(b); /* what could not be read is tried again */
    }
}
