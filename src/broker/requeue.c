/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/requeue.h"

#include "base/must.h"
#include "broker/dead_retain.h"
#include "broker/drop.h"
#include "broker/retry.h"
#include "broker/unfinished.h"

#include <errno.h>

struct entry {
    uint32_t trigger;
    uint64_t position;
    bool claimed; /* as a dead letter */
    bool undead;  /* a row leaves DEAD */
    bool queued;  /* one comes into RETRIES */
};

struct requeue {
    struct list link; /* in core->requeues, while it is on its way */
    struct loop_message message;
    struct broker_core *core;
    enum retry_origin origin;
    uint64_t due_ns;
    struct unfinished unfinished;
    struct store_group group;
    struct entry entries[REQUEUE_MAX];
    unsigned count;
    size_t bytes;
    uint32_t records;
    requeue_done_fn *done;
    void *ctx;
    int error;
    uint64_t position;
};

struct requeue *requeue_new(struct broker_core *b, enum retry_origin origin)
{
    struct requeue *q = calloc(1, sizeof(*q));
    if (q == NULL)
        return NULL;
    q->core = b;
    q->origin = origin;
    q->due_ns = retry_now(b, RETRY_NEW);
    list_init(&q->link);
    store_group_init(&q->group);
    q->group.internal = true;
    return q;
}

static void release(struct requeue *q)
{
    autobuf key = BUF_INIT;
    for (unsigned i = 0; i < q->count; i++) {
        row_object_key(q->entries[i].trigger, q->entries[i].position, &key);
        if (q->entries[i].claimed)
            requeue_release(q->core, buf_slice(&key));
    }
}

static void destroy(struct requeue *q)
{
    list_remove(&q->link);
    store_group_done(&q->group);
    unfinished_done(&q->unfinished);
    free(q);
}

void requeue_free(struct requeue *q)
{
    if (q == NULL)
        return;
    release(q);
    destroy(q);
}

void requeue_free_all(struct broker_core *b)
{
    while (!list_empty(&b->requeues))
        destroy(list_entry(b->requeues.next, struct requeue, link));
    map_done(&b->dead_claims);
}

void requeue_look_again(struct requeue *q)
{
    unfinished_done(&q->unfinished);
}

bool requeue_is_full(const struct requeue *q)
{
    return q->count == REQUEUE_MAX || q->bytes >= REQUEUE_BYTES_MAX;
}

unsigned requeue_count(const struct requeue *q)
{
    return q->count;
}

struct store_group *requeue_group(struct requeue *q)
{
    return &q->group;
}

/* ---- claims ---- */

bool requeue_claim(struct broker_core *b, struct slice key)
{
    return map_get(&b->dead_claims, key) == NULL && map_put(&b->dead_claims, key, b) == 0;
}

void requeue_release(struct broker_core *b, struct slice key)
{
    map_remove(&b->dead_claims, key);
}

/* ---- records ---- */

static void add_delete(struct requeue *q, enum store_table table, const struct buf *key)
{
    store_group_add(&q->group, STORE_RECORD_DELETE, table, buf_slice(key), SLICE(""));
}

static void add_retry(struct requeue *q, const struct entry *e, uint64_t event_time_ns)
{
    autobuf key = BUF_INIT;
    autobuf value = BUF_INIT;
    row_retry_key(e->trigger, RETRY_NEW, q->due_ns, e->position, &key);
    row_retry_value(&(struct retry_row){.origin = q->origin, .time_ns = event_time_ns}, &value);
    store_group_add(&q->group, STORE_RECORD_PUT, STORE_TABLE_RETRIES, buf_slice(&key),
                    buf_slice(&value));
    q->bytes += value.len;
}

static struct entry *add_entry(struct requeue *q, const struct trigger *t, uint64_t position)
{
    struct entry *e = &q->entries[q->count++];
    *e = (struct entry){.trigger = t->number, .position = position};
    return e;
}

/* NULL: it must not be touched now. */
static struct entry *claim(struct requeue *q, const struct trigger *t, uint64_t position,
                           struct buf *key)
{
    row_object_key(t->number, position, key);
    if (!buf_ok(key) || unfinished_has(&q->unfinished, t, position) ||
        !requeue_claim(q->core, buf_slice(key)))
        return NULL;
    struct entry *e = add_entry(q, t, position);
    e->claimed = true;
    return e;
}

bool requeue_dead(struct requeue *q, struct trigger *t, const struct dead_row *row)
{
    autobuf key = BUF_INIT;
    struct entry *e = claim(q, t, row->position, &key);
    if (e == NULL)
        return false;
    e->undead = e->queued = true;
    add_delete(q, STORE_TABLE_DEAD, &key);
    add_retry(q, e, row->event_time_ns);
    return true;
}

bool requeue_delete(struct requeue *q, struct trigger *t, uint64_t position)
{
    autobuf key = BUF_INIT;
    struct entry *e = claim(q, t, position, &key);
    if (e == NULL)
        return false;
    e->undead = true;
    add_delete(q, STORE_TABLE_DEAD, &key);
    add_delete(q, STORE_TABLE_PAYLOADS, &key);
    return true;
}

bool requeue_edit(struct requeue *q, struct trigger *t, uint64_t position, struct slice event)
{
    autobuf key = BUF_INIT;
    if (claim(q, t, position, &key) == NULL)
        return false;
    store_group_add(&q->group, STORE_RECORD_PUT, STORE_TABLE_PAYLOADS, buf_slice(&key), event);
    return true;
}

static bool has_row(struct requeue *q, enum store_table table, const struct buf *key)
{
    autobuf value = BUF_INIT;
    return store_get(q->core->store, table, buf_slice(key), &value, NULL) == 0;
}

/* Whatever stands in RETRIES or DEAD has a payload. */
bool requeue_event(struct requeue *q, struct trigger *t, uint64_t position, uint64_t time_ns,
                   struct slice event)
{
    autobuf key = BUF_INIT;
    row_object_key(t->number, position, &key);
    bool held = has_row(q, STORE_TABLE_PAYLOADS, &key);
    bool dead = t->dead_count > 0 && has_row(q, STORE_TABLE_DEAD, &key);
    if (held && !dead)
        return false;
    struct entry *e = claim(q, t, position, &key);
    if (e == NULL)
        return false;
    e->undead = dead;
    e->queued = true;
    if (dead)
        add_delete(q, STORE_TABLE_DEAD, &key);
    store_group_add(&q->group, STORE_RECORD_PUT, STORE_TABLE_PAYLOADS, buf_slice(&key), event);
    add_retry(q, e, time_ns);
    q->bytes += event.len;
    return true;
}

/* ---- on its way ---- */

/* Rows of a trigger that has lost its broker, or is gone, meanwhile. */
static void forget(struct requeue *q, const struct entry *e, struct store_group *g)
{
    autobuf key = BUF_INIT;
    row_retry_key(e->trigger, RETRY_NEW, q->due_ns, e->position, &key);
    retry_forget_row(q->core, buf_slice(&key), g);
}

static void count_anew(struct requeue *q)
{
    struct counters *c = &q->core->counters;
    uint64_t queued = 0;
    for (unsigned i = 0; i < q->count; i++)
        queued += q->entries[i].queued;
    atomic_fetch_add_explicit(q->origin == RETRY_REPLAYED ? &c->replayed : &c->redriven, queued,
                              memory_order_relaxed);
}

static void settle(struct requeue *q)
{
    struct store_group forgotten;
    retry_forget_begin(&forgotten);
    for (unsigned i = 0; i < q->count; i++) {
        const struct entry *e = &q->entries[i];
        struct trigger *t = trigger_by_number(q->core, e->trigger);
        if (t != NULL && e->undead)
            dead_retain_count(t, -1);
        if (t != NULL && t->broker != NULL && e->queued)
            retry_added(t, RETRY_NEW, q->due_ns, e->position);
        else if (e->queued)
            forget(q, e, &forgotten);
        if (t != NULL && t->broker == NULL && e->queued)
            drop_count(t, 1);
    }
    retry_forget_end(q->core, &forgotten);
}

/* Loop thread. */
static void came_back(struct loop_message *m)
{
    struct requeue *q = container_of(m, struct requeue, message);
    struct broker_core *b = q->core;
    b->settling--;
    uint64_t last = q->position + q->records - 1;
    if (q->error == 0 && last > b->settled_position)
        b->settled_position = last;
    release(q);
    if (q->error == 0) {
        count_anew(q);
        settle(q);
    }
    requeue_done_fn *done = q->done;
    void *ctx = q->ctx;
    int error = q->error;
    unsigned count = q->count;
    destroy(q);
    done(ctx, error, count);
}

/* The thread that committed, or the loop's when the store refuses at once. */
static void appended(void *ctx, int error, uint64_t position)
{
    struct requeue *q = ctx;
    q->error = error;
    q->position = position;
    loop_post(q->core->loop, &q->message);
}

void requeue_append(struct requeue *q, requeue_done_fn *done, void *ctx)
{
    q->done = done;
    q->ctx = ctx;
    q->message.receive = came_back;
    q->records = q->group.records;
    unfinished_done(&q->unfinished);
    list_append(&q->core->requeues, &q->link);
    q->core->settling++;
    store_append(q->core->store, &q->group, appended, q);
}
