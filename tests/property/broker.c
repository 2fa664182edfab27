/* SPDX-License-Identifier: Apache-2.0 */
/* Random events, triggers, failures, updates, checkpoints, stops, crashes and power cuts against a
 * model that knows only which trigger wants which event. In the end each trigger's function has
 * taken each of its events, or the event is a dead letter; none came that was not wanted; what was
 * finished durably was not delivered again, unless it was redriven or replayed; what was replayed
 * was taken once more; ordered triggers got the events of each key in order; and nothing came
 * before its time, after it, or a second time when the broker passes over duplicates. */
#include "world.h"

#include "unit.h"

#include "broker/replay.h"
#include "broker/requeue.h"
#include "broker/row.h"

#include "power_disk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RUNS_DEFAULT 500
#define STEPS        60
#define TRIGGERS_MAX 4
#define EVENTS_MAX   4000
#define KEYS_MAX     6

struct model_event {
    unsigned type, key; /* key 0: none */
    uint64_t due_ns;    /* not to be delivered before; realtime */
    bool expired;
    uint64_t position;
    bool again[TRIGGERS_MAX]; /* a replay may deliver it, too, whatever there was */
    bool wanted[TRIGGERS_MAX];
    bool taken[TRIGGERS_MAX];    /* answered with success */
    bool finished[TRIGGERS_MAX]; /* and that was synced */
};

struct model {
    struct world world;
    struct power_disk *disk;
    uint64_t random;
    bool exists[TRIGGERS_MAX]; /* trigger i wants type i, trigger 0 all */
    unsigned life[TRIGGERS_MAX];
    struct model_event events[EVENTS_MAX];
    bool ordered[TRIGGERS_MAX];
    bool dedup;                            /* the broker passes over duplicates */
    unsigned last[TRIGGERS_MAX][KEYS_MAX]; /* event that came last, and 1; 0: none */
    unsigned count, failing;               /* of 100 calls */
    bool waiting[TRIGGERS_MAX];
    bool mixed[TRIGGERS_MAX]; /* older events came again: there is no order to expect */
};

static unsigned pick(struct model *m, unsigned below)
{
    m->random = m->random * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(m->random >> 33) % below;
}

static struct model *model_of(struct world *w)
{
    return w->more;
}

/* "f2-7": function of trigger 2 in its seventh life. */
static bool is_current(const struct model *m, const char *to, unsigned *ret_trigger)
{
    unsigned life;
    return sscanf(to, "f%u-%u", ret_trigger, &life) == 2 && m->life[*ret_trigger] == life &&
           m->exists[*ret_trigger];
}

/* Of an ordered trigger, events of a key come one after the other, whatever happens. */
static void expect_order(struct model *m, unsigned trigger, unsigned event)
{
    unsigned key = m->events[event].key, *last = &m->last[trigger][key];
    if (!m->ordered[trigger] || m->mixed[trigger] || key == 0)
        return;
    if (*last > event + 1)
        fail_msg("e%u of key %u was delivered to trigger %u after e%u", event, key, trigger,
                 *last - 1);
    *last = event + 1;
}

static void plan(struct world *w, struct fake_call *c)
{
    struct model *m = model_of(w);
    unsigned trigger, event;
    assert_int_equal(sscanf(c->id, "e%u", &event), 1);
    if (is_current(m, c->to, &trigger)) {
        if (!m->events[event].wanted[trigger])
            fail_msg("%s was delivered to %s, which does not want it%s%s", c->id, c->to,
                     m->events[event].expired ? ", expired" : "",
                     m->dedup ? ", without duplicates" : "");
        if (m->events[event].finished[trigger] && !m->events[event].again[trigger])
            fail_msg("%s was delivered to %s again", c->id, c->to);
        if (m->events[event].due_ns > world_realtime(w))
            fail_msg("%s was delivered to %s too early", c->id, c->to);
        expect_order(m, trigger, event);
    }
    if (pick(m, 100) < m->failing)
        c->status = pick(m, 10) == 0 ? 400 : 503;
    c->delay_ns = pick(m, 4) * CLOCK_MILLISECOND / 2;
}

static enum sink_state state_of(struct world *w, const char *name)
{
    unsigned trigger;
    const struct model *m = model_of(w);
    return is_current(m, name, &trigger) && m->waiting[trigger] ? SINK_WAITING : SINK_READY;
}

static void name_of(const struct model *m, unsigned i, char *trigger, char *function)
{
    snprintf(trigger, 32, "t%u-%u", i, m->life[i]);
    snprintf(function, 32, "f%u-%u", i, m->life[i]);
}

/* ---- steps ---- */

enum kind { PLAIN, LATER, EXPIRED, MORTAL, DUPLICATE };

static enum kind pick_kind(struct model *m)
{
    unsigned n = pick(m, 24);
    return n < 2 ? LATER : n == 2 ? EXPIRED : n == 3 ? MORTAL : n < 6 ? DUPLICATE : PLAIN;
}

/* One that was sent before, and says nothing of its time: a replay delivers both, and the second
 * would not say it. */
static void send_again(struct model *m)
{
    unsigned e = m->count > 0 ? pick(m, m->count) : 0;
    char id[16], text[16];
    if (!m->dedup || m->count == 0 || m->events[e].expired || m->events[e].due_ns != 0)
        return;
    snprintf(id, sizeof(id), "e%u", e);
    snprintf(text, sizeof(text), "type%u", m->events[e].type);
    m->world.partitionkey = NULL;
    assert_true(world_send(&m->world, id, text) > 0);
}

/* With its partitionkey; one that comes later has none, as it leaves the order. */
static void send_new(struct model *m, struct model_event *e, const char *id, enum kind kind)
{
    char text[16], key[16], time[CLOCK_RFC3339_SIZE];
    int64_t in_ns = kind == LATER     ? (int64_t)(pick(m, 30) * CLOCK_MILLISECOND)
                    : kind == EXPIRED ? -(int64_t)CLOCK_SECOND
                                      : (int64_t)(3600 * CLOCK_SECOND);
    const char *name = kind == PLAIN ? NULL : kind == LATER ? "deliverytime" : "expirytime";
    snprintf(text, sizeof(text), "type%u", e->type);
    snprintf(key, sizeof(key), "key%u", e->key);
    m->world.partitionkey = e->key != 0 ? key : NULL;
    if (kind == LATER)
        e->due_ns = world_realtime(&m->world) + (uint64_t)in_ns;
    int64_t position =
        world_send_with(&m->world, id, text, name, world_time(&m->world, in_ns, time));
    assert_true(position > 0);
    e->position = (uint64_t)position;
}

static void send_events(struct model *m)
{
    unsigned type = pick(m, TRIGGERS_MAX), count = 1 + pick(m, pick(m, 4) == 0 ? 400 : 20);
    for (unsigned n = 0; n < count && m->count < EVENTS_MAX; n++) {
        struct model_event *e = &m->events[m->count];
        char id[16];
        enum kind kind = pick_kind(m);
        if (kind == DUPLICATE) {
            send_again(m);
            continue;
        }
        snprintf(id, sizeof(id), "e%u", m->count++);
        *e = (struct model_event){.type = type, .key = kind == LATER ? 0 : pick(m, KEYS_MAX)};
        for (unsigned i = 0; i < TRIGGERS_MAX; i++)
            e->wanted[i] = m->exists[i] && (i == 0 || i == type) && kind != EXPIRED;
        e->expired = kind == EXPIRED;
        send_new(m, e, id, kind);
    }
    m->world.partitionkey = NULL;
}

/* Whatever they say, nothing may be lost. calm: nothing that stops it. */
static void annotations_of(struct model *m, unsigned i, bool calm, char out[256])
{
    snprintf(out, 256,
             "\"sluice.dev/order\":\"%s\",\"sluice.dev/concurrency\":\"%u\","
             "\"sluice.dev/circuit-breaker\":\"%s\",\"sluice.dev/paused\":\"%s\"",
             m->ordered[i] ? "ordered" : "unordered", pick(m, 2) == 0 ? 1 + pick(m, 5) : 48,
             !calm && pick(m, 4) == 0 ? "2" : "off", !calm && pick(m, 8) == 0 ? "true" : "false");
}

static void apply_trigger(struct model *m, unsigned i, bool calm)
{
    char trigger[32], function[32], more[256], annotations[256], filter[80] = "";
    name_of(m, i, trigger, function);
    annotations_of(m, i, calm, annotations);
    if (i != 0)
        snprintf(filter, sizeof(filter), ",\"filter\":{\"attributes\":{\"type\":\"type%u\"}}", i);
    snprintf(more, sizeof(more),
             "%s,\"delivery\":{\"retry\":%u,\"backoffDelay\":\"PT0.00%uS\",\"backoffPolicy\":"
             "\"linear\"}",
             filter, 2 + pick(m, 5), 1 + pick(m, 9));
    world_trigger_annotated(&m->world, trigger, annotations, function, more);
}

static void put_trigger(struct model *m)
{
    unsigned i = pick(m, TRIGGERS_MAX);
    if (!m->exists[i]) {
        m->exists[i] = true;
        m->ordered[i] = pick(m, 2) == 0;
        memset(m->last[i], 0, sizeof(m->last[i]));
        m->life[i]++;
        m->mixed[i] = false;
        for (unsigned e = 0; e < m->count; e++)
            m->events[e].wanted[i] = m->events[e].taken[i] = m->events[e].finished[i] =
                m->events[e].again[i] = false;
    }
    apply_trigger(m, i, false);
}

static void delete_trigger(struct model *m)
{
    unsigned i = pick(m, TRIGGERS_MAX);
    char trigger[32], function[32];
    if (!m->exists[i] || pick(m, 3) != 0)
        return;
    name_of(m, i, trigger, function);
    world_delete(&m->world, &resource_kind_trigger, trigger);
    m->exists[i] = false;
}

static void change_readiness(struct model *m)
{
    unsigned i = pick(m, TRIGGERS_MAX);
    char trigger[32], function[32];
    m->waiting[i] = !m->waiting[i];
    name_of(m, i, trigger, function);
    broker_core_sink_changed(m->world.core, "default", function);
}

static void turns(struct model *m)
{
    for (unsigned n = pick(m, 30); n > 0; n--)
        world_step(&m->world);
}

static void checkpoint(struct model *m)
{
    broker_core_checkpoint(m->world.core);
}

static void change_failing(struct model *m)
{
    m->failing = pick(m, 2) * pick(m, 60);
}

static void note_taken(struct model *m, bool synced)
{
    for (size_t n = 0; n < m->world.seen_count; n++) {
        const struct seen *s = &m->world.seen[n];
        unsigned trigger;
        if (!s->finished || !is_current(m, s->to, &trigger))
            continue;
        struct model_event *e = &m->events[strtoul(s->id + 1, NULL, 10)];
        e->taken[trigger] = true;
        e->finished[trigger] = e->finished[trigger] || synced;
    }
}

/* A moment at which all outcomes are synced: what was answered well must not come again. */
static void note_finished(struct model *m)
{
    WORLD_UNTIL(&m->world, m->world.core->settling == 0);
    note_taken(m, true);
}

/* A trigger of the model that may take older events again. */
static struct trigger *pick_trigger(struct model *m, unsigned *ret_i)
{
    unsigned i = pick(m, TRIGGERS_MAX);
    char trigger[32], function[32];
    if (!m->exists[i] || (m->ordered[i] && pick(m, 4) != 0))
        return NULL;
    name_of(m, i, trigger, function);
    m->mixed[i] = true;
    *ret_i = i;
    return world_trigger_find(&m->world, trigger);
}

static void redriven(void *ctx, int error, unsigned count)
{
    (void)ctx;
    (void)error;
    (void)count;
}

static void redrive(struct model *m)
{
    unsigned i, left = 1 + pick(m, 50);
    struct trigger *t = pick_trigger(m, &i);
    if (t == NULL)
        return;
    autobuf from = BUF_INIT;
    row_object_key(t->number, 0, &from);
    struct requeue *q = requeue_new(m->world.core, RETRY_REDRIVEN);
    struct store_scan *scan =
        store_scan_new(m->world.store, STORE_TABLE_DEAD, buf_slice(&from), slice_of(NULL, 0));
    struct slice key, value;
    struct dead_row row;
    while (left-- > 0 && store_scan_next(scan, &key, &value, NULL) == 1 &&
           row_dead_read(key, value, &row) == 0 && row.trigger == t->number)
        (void)requeue_dead(q, t, &row);
    store_scan_free(scan);
    if (requeue_count(q) > 0)
        requeue_append(q, redriven, NULL);
    else
        requeue_free(q);
}

/* They are noted; what is under way is not. */
static void forget_finished(struct world *w)
{
    size_t kept = 0;
    for (size_t i = 0; i < w->seen_count; i++)
        if (!w->seen[i].finished)
            w->seen[kept++] = w->seen[i];
    w->seen_count = kept;
}

/* All that the trigger could want comes once more, also what came before it was made. */
static void replay(struct model *m)
{
    unsigned i;
    struct error err = ERROR_INIT;
    struct trigger *t = pick_trigger(m, &i);
    if (t == NULL || (t->replay != NULL && t->replay->state == REPLAY_READING))
        return;
    note_finished(m);
    forget_finished(&m->world);
    struct replay *r = replay_new(m->world.core);
    r->request = json_pack("{s:s}", "from", "earliest");
    assert_int_equal(replay_compile(r, &err), 0);
    assert_int_equal(replay_resolve(r, t, &err), 0);
    for (unsigned n = 0; n < m->count; n++) {
        struct model_event *e = &m->events[n];
        if (e->position > r->to || (i != 0 && e->type != i) || e->expired)
            continue;
        e->wanted[i] = e->again[i] = true;
        e->taken[i] = false;
    }
    replay_start(t, r, NULL);
    WORLD_UNTIL(&m->world, r->saved.at != 0);
}

static void stop_and_start(struct model *m)
{
    note_finished(m);
    world_stop(&m->world);
    world_open(&m->world);
}

static void crash(struct model *m)
{
    note_finished(m);
    world_abandon(&m->world);
    world_open(&m->world);
}

/* Outcomes may be on their way to the disk, and be lost there. */
static void power_cut(struct model *m)
{
    note_finished(m);
    turns(m);
    power_disk_arm(m->disk, 1);
    world_abandon(&m->world);
    power_disk_restart(m->disk);
    note_taken(m, false); /* what was answered since may be forgotten */
    m->world.seen_count = 0;
    world_open(&m->world);
}

static const struct {
    void (*step)(struct model *m);
    unsigned weight;
} steps[] = {{send_events, 30},     {put_trigger, 10},   {delete_trigger, 4}, {turns, 30},
             {change_readiness, 6}, {redrive, 3},        {replay, 1},         {change_failing, 6},
             {checkpoint, 6},       {stop_and_start, 2}, {crash, 3},          {power_cut, 3}};

static void random_step(struct model *m)
{
    unsigned total = 0, at = 0;
    for (size_t i = 0; i < COUNT_OF(steps); i++)
        total += steps[i].weight;
    unsigned chosen = pick(m, total);
    while (chosen >= steps[at].weight)
        chosen -= steps[at++].weight;
    steps[at].step(m);
}

/* ---- the end ---- */

static bool at_rest(struct model *m)
{
    struct world *w = &m->world;
    bool rest = w->core->settling == 0 && w->in_flight == 0;
    for (unsigned i = 0; i < TRIGGERS_MAX && rest; i++) {
        char trigger[32], function[32];
        if (!m->exists[i])
            continue;
        name_of(m, i, trigger, function);
        const struct trigger *t = world_trigger_find(w, trigger);
        rest = w->core->scanned == store_synced(w->store) && t->behind == 0 &&
               lanes_first(t) == UINT64_MAX && /* nothing that lanes are still to read */
               list_empty(&t->outstanding) && list_empty(&t->retrying) &&
               (t->replay == NULL || t->replay->state != REPLAY_READING);
    }
    return rest && world_rows(w, STORE_TABLE_RETRIES) == 0;
}

static bool is_dead(struct model *m, unsigned trigger, const char *id)
{
    char name[32], function[32];
    name_of(m, trigger, name, function);
    autobuf from = BUF_INIT;
    autobuf to = BUF_INIT;
    uint32_t number = world_trigger_find(&m->world, name)->number;
    row_object_key(number, 0, &from);
    row_object_key(number + 1, 0, &to);
    struct store_scan *scan =
        store_scan_new(m->world.store, STORE_TABLE_PAYLOADS, buf_slice(&from), buf_slice(&to));
    struct slice key, value;
    bool found = false;
    while (!found && store_scan_next(scan, &key, &value, NULL) == 1) {
        struct event e = {0};
        found = event_decode(value, &e) == 0 && slice_is(event_get(&e, "id"), id);
    }
    store_scan_free(scan);
    return found;
}

static void expect_all_taken(struct model *m)
{
    for (unsigned e = 0; e < m->count; e++) {
        for (unsigned i = 0; i < TRIGGERS_MAX; i++) {
            char id[16];
            snprintf(id, sizeof(id), "e%u", e);
            if (m->exists[i] && m->events[e].wanted[i] && !m->events[e].taken[i] &&
                !is_dead(m, i, id))
                fail_msg("%s never came to trigger %u%s%s%s", id, i,
                         m->ordered[i] ? ", ordered" : "", m->dedup ? ", without duplicates" : "",
                         m->events[e].again[i] ? ", replayed" : "");
        }
    }
}

static void put_broker(struct model *m)
{
    m->dedup = pick(m, 2) == 0;
    if (!m->dedup)
        world_broker(&m->world, "b");
    else
        world_apply(&m->world,
                    "{\"apiVersion\":\"eventing.knative.dev/v1\",\"kind\":\"Broker\",\"metadata\":"
                    "{\"name\":\"b\",\"annotations\":{\"sluice.dev/dedup\":\"PT1H\"}}}");
}

static void run(struct model *m, uint64_t seed)
{
    *m = (struct model){.random = seed * 2 + 1, .disk = power_disk_new(seed)};
    world_init(&m->world, false);
    m->world.options.segment_bytes = 256 << 10;
    m->world.options.io = power_disk_io(m->disk);
    m->world.more = m;
    m->world.plan = plan;
    m->world.state = state_of;
    world_open(&m->world);
    put_broker(m);
    for (unsigned n = 0; n < STEPS; n++)
        random_step(m);
    m->failing = 0;
    memset(m->waiting, 0, sizeof(m->waiting));
    crash(m);
    for (unsigned i = 0; i < TRIGGERS_MAX; i++)
        if (m->exists[i])
            apply_trigger(m, i, true);
    WORLD_UNTIL_BY(world_step, &m->world, at_rest(m));
    note_finished(m);
    expect_all_taken(m);
    world_done(&m->world);
    power_disk_free(m->disk);
}

static uint64_t number_of(const char *variable, uint64_t fallback)
{
    const char *text = getenv(variable);
    return text != NULL ? strtoull(text, NULL, 10) : fallback;
}

static void random_histories_lose_nothing(void **state)
{
    static struct model m;
    uint64_t runs = number_of("SLUICE_PROPERTY_RUNS", RUNS_DEFAULT);
    uint64_t first = number_of("SLUICE_PROPERTY_SEED", 1);
    for (uint64_t seed = first; seed < first + runs; seed++) {
        if (getenv("SLUICE_PROPERTY_VERBOSE") != NULL)
            print_message("seed %llu\n", (unsigned long long)seed);
        run(&m, seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_histories_lose_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
