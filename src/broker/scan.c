/* SPDX-License-Identifier: Apache-2.0 */
/* The scan: reads what was appended, in bounded turns, and lets triggers that are behind read on at
 * the end of each turn. */
#include "broker/scan.h"

#include "base/log.h"
#include "base/must.h"
#include "broker/cursor.h"
#include "broker/dedup.h"
#include "broker/event_hold.h"
#include "broker/trigger.h"

#include <errno.h>

#define SCAN_BUDGET 2000 /* records in one turn */
#define READ_BUDGET 8000 /* the same, of all triggers that read by themselves */

struct offering {
    const struct store_entry *entry;
    const struct event *event;
    struct event_hold *hold;
};

static void offer(void *ctx, void *item)
{
    struct offering *o = ctx;
    struct trigger *t = must_be((struct trigger *)item, TRIGGER_MAGIC);
    if (t->behind == 0)
        trigger_offer(t, o->entry, o->event, &o->hold);
}

/* When that is not known, yet, its triggers read on by themselves as soon as it is. */
static bool is_original(struct broker *broker, const struct store_entry *entry,
                        const struct event *event)
{
    enum dedup_verdict verdict = dedup_scan(broker->dedup, entry, event);
    if (verdict != DEDUP_UNKNOWN)
        return verdict == DEDUP_ORIGINAL;
    list_for_each_safe (node, following, &broker->triggers) {
        struct trigger *t = list_entry(node, struct trigger, broker_link);
        if (t->behind == 0)
            trigger_fall_behind(t, entry->position);
    }
    return false;
}

static void scan_event(struct broker_core *b, const struct store_entry *entry)
{
    struct broker *broker = broker_by_number(b, entry->scope);
    if (broker == NULL || (list_empty(&broker->triggers) && broker->dedup == NULL))
        return;
    struct event event = {0};
    if (event_decode(entry->value, &event) < 0) { /* whole, and yet no event: of another version */
        atomic_fetch_add_explicit(&b->counters.undecodable, 1, memory_order_relaxed);
        log_error("the record at position %llu is no event that this version can read: passed over",
                  (unsigned long long)entry->position);
        return;
    }
    if (broker->dedup != NULL && !is_original(broker, entry, &event))
        return;
    struct offering o = {entry, &event, NULL};
    index_match(&broker->index, &event, offer, &o);
    event_hold_unref(o.hold);
}

/* It stays where it is, and tries again from time to time, rather than pass over events. */
static void pause_scan(struct broker_core *b, int error)
{
    b->scan_paused = true;
    if (b->scan_error != 0)
        return;
    b->scan_error = error;
    atomic_fetch_add_explicit(&b->counters.unreadable, 1, memory_order_relaxed);
    log_error(
        "the log cannot be read at position %llu (%s): no newer event is delivered until it can",
        (unsigned long long)(b->scanned + 1), strerror(-error));
}

static void note_success(struct broker_core *b)
{
    if (b->scan_error == 0)
        return;
    b->scan_error = 0;
    atomic_fetch_sub_explicit(&b->counters.unreadable, 1, memory_order_relaxed);
    log_info("the log can be read again at position %llu", (unsigned long long)b->scanned);
}

static void scan_log(struct broker_core *b)
{
    if (!b->running || b->scan_paused)
        return;
    unsigned n = 0;
    int r = 0;
    struct store_entry entry;
    while (n < SCAN_BUDGET && (r = store_reader_next(b->scan, &entry)) == 1) {
        if (entry.type == STORE_RECORD_EVENT)
            scan_event(b, &entry);
        b->scanned = entry.position;
        n++;
    }
    if (r < 0)
        pause_scan(b, r);
    else
        note_success(b);
    if (n == SCAN_BUDGET)
        scan_wake(b);
}

static void scan_on_loop(struct loop_message *m)
{
    struct broker_core *b = container_of(m, struct broker_core, scan_wanted);
    atomic_store(&b->scan_posted, false);
    scan_log(b);
    if (!list_empty(&b->tails))
        tail_pump_all(b);
}

void scan_wake(struct broker_core *b)
{
    if (!atomic_exchange(&b->scan_posted, true))
        loop_post(b->loop, &b->scan_wanted);
}

/* Log thread. */
static void log_synced(void *ctx, uint64_t synced)
{
    struct broker_core *b = ctx;
    if (atomic_load_explicit(&b->listeners, memory_order_relaxed) > 0)
        scan_wake(b);
}

static size_t length(const struct list *head)
{
    size_t n = 0;
    list_for_each (node, head)
        n++;
    return n;
}

/* Each in its turn, so that many of them do not make the loop's turn long. True: there is more. */
static bool read_behind(struct broker_core *b, unsigned *left)
{
    bool more = false;
    size_t n = length(&b->behind);
    for (; n > 0 && *left > 0 && !list_empty(&b->behind); n--) {
        struct list *node = list_shift(&b->behind);
        list_append(&b->behind, node);
        more = trigger_catch_up(list_entry(node, struct trigger, behind_link), left) || more;
    }
    return n > 0 || more;
}

static bool sweep_lanes(struct broker_core *b, unsigned *left)
{
    bool more = false;
    size_t n = length(&b->sweeping);
    for (; n > 0 && *left > 0 && !list_empty(&b->sweeping); n--) {
        struct list *node = list_shift(&b->sweeping);
        list_append(&b->sweeping, node);
        more = lane_sweep(list_entry(node, struct trigger, lanes.link), left) || more;
    }
    return n > 0 || more;
}

static void end_of_turn(void *ctx)
{
    struct broker_core *b = ctx;
    if (!b->running || b->quiet)
        return;
    unsigned behind = READ_BUDGET, lanes = READ_BUDGET;
    bool more = dedup_turn(b);
    more = read_behind(b, &behind) || more;
    if (sweep_lanes(b, &lanes) || more)
        scan_wake(b);
}

/* Nobody wanted what came meanwhile: the scan need not read it. */
static void skip_unwanted(struct broker_core *b)
{
    uint64_t synced = store_synced(b->store);
    if (atomic_load(&b->listeners) > 0 || b->scanned >= synced)
        return;
    struct store_reader *ahead = store_reader_new(b->store, synced + 1);
    if (ahead == NULL)
        return;
    store_reader_free(b->scan);
    b->scan = ahead;
    b->scanned = synced;
    dedup_skipped(b);
}

/* With a new reader: the old one may hold the damaged bytes in memory. */
static void scan_again(struct broker_core *b)
{
    struct store_reader *fresh = store_reader_new(b->store, b->scanned + 1);
    if (fresh == NULL)
        return;
    store_reader_free(b->scan);
    b->scan = fresh;
    b->scan_paused = false;
    scan_log(b);
}

void scan_tend(struct broker_core *b)
{
    skip_unwanted(b);
    tail_tend_all(b);
    if (b->scan_paused)
        scan_again(b);
}

void scan_init(struct broker_core *b)
{
    b->scan_wanted.receive = scan_on_loop;
    cursor_load_scan(b);
    loop_set_end_of_turn(b->loop, end_of_turn, b);
    store_set_synced_notify(b->store, log_synced, b);
}

int scan_start(struct broker_core *b)
{
    b->scan = store_reader_new(b->store, b->scanned + 1);
    return b->scan != NULL ? 0 : -ENOMEM;
}

void scan_stop(struct broker_core *b)
{
    store_reader_free(STEAL(b->scan));
}

void scan_done(struct broker_core *b)
{
    loop_set_end_of_turn(b->loop, NULL, NULL);
}
