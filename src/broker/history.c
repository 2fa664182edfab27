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

#define GROUP_SPAN 8u /* records of one outcome stand no further apart */

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

/* Room for one more; the array may move. */
static bool grow(void **array, uint32_t count, uint32_t *cap, size_t size)
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
    bool room = grow(&deliveries, e->count, &e->cap, sizeof(*e->deliveries));
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

static struct history_step *add_step(struct history *h, struct history_delivery *d,
                                     const struct store_entry *entry, enum history_kind kind)
{
    if (h->steps >= HISTORY_STEPS_MAX) {
        h->cut = true;
        return NULL;
    }
    void *steps = d->steps;
    bool room = grow(&steps, d->count, &d->cap, sizeof(*d->steps));
    d->steps = steps;
    if (!room) {
        h->out_of_memory = true;
        return NULL;
    }
    h->steps++;
    struct history_step *s = &d->steps[d->count++];
    *s =
        (struct history_step){.kind = kind, .position = entry->position, .time_ns = entry->time_ns};
    return s;
}

/* The last step, when it is of the group that the record is of. */
static struct history_step *step_of_group(const struct history_delivery *d,
                                          const struct store_entry *entry)
{
    struct history_step *s = d->count > 0 ? &d->steps[d->count - 1] : NULL;
    return s != NULL && entry->position - s->position <= GROUP_SPAN ? s : NULL;
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
    bool room = grow(&events, h->count, &h->cap, sizeof(*h->events));
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

static void add_reply(struct history *h, struct inspect_job *job, uint64_t position, uint32_t depth)
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

/* ---- records ---- */

static enum history_state state_after(const struct attempt *a)
{
    switch (a->end) {
    case ATTEMPT_DONE:
        return a->stage == STAGE_DEAD_LETTER ? HISTORY_DEAD_LETTER_SENT : HISTORY_DELIVERED;
    case ATTEMPT_RETRY:
        return HISTORY_RETRYING;
    case ATTEMPT_DEAD:
        return HISTORY_DEAD;
    case ATTEMPT_DELAYED:
        return HISTORY_DELAYED;
    case ATTEMPT_DROPPED:
        return HISTORY_DROPPED;
    case ATTEMPT_EXPIRED:
        return HISTORY_EXPIRED;
    case ATTEMPT_UNKNOWN:
    case ATTEMPT_END_COUNT:
        break;
    }
    return HISTORY_UNKNOWN;
}

struct record {
    struct history *h;
    struct inspect_job *job;
    const struct store_entry *entry;
    uint64_t event; /* that it speaks of */
    uint32_t trigger;
    struct history_event *at;
};

static bool find_delivery(const struct record *r, struct history_delivery **ret)
{
    *ret = r->at != NULL ? history_delivery(r->h, r->at, r->trigger) : NULL;
    return *ret != NULL;
}

/* FINISH, or DELETE of a row in RETRIES. */
static void take_end(const struct record *r)
{
    struct history_delivery *d;
    struct attempt facts;
    if (!find_delivery(r, &d))
        return;
    const struct history_step *before = step_of_group(d, r->entry);
    bool undecodable = attempt_read(r->entry->value, &facts) < 0;
    if (!undecodable && facts.end == ATTEMPT_UNKNOWN && before != NULL &&
        before->facts.end == ATTEMPT_DEAD)
        return; /* an older version's: the row in DEAD came first */
    if (undecodable)
        facts = (struct attempt){.end = ATTEMPT_UNKNOWN};
    struct history_step *s = add_step(r->h, d, r->entry, HISTORY_ATTEMPT);
    if (s == NULL)
        return;
    s->facts = facts;
    if (undecodable)
        buf_add_text(&s->error, "the record of this end cannot be read");
    d->state = state_after(&facts);
    d->due_ns = 0;
    if (facts.time_ns == 0)
        s->facts.time_ns = r->entry->time_ns;
    if (!facts.reply)
        return;
    s->reply = r->entry->position - 1;
    add_reply(r->h, r->job, s->reply, r->at->depth + 1);
}

/* A row without an attempt: a dead letter on its way to its sink, or what is to be tried (again)
 * though nothing failed. */
static void take_schedule(const struct record *r, struct history_delivery *d,
                          const struct retry_row *row)
{
    d->due_ns = row->due_ns;
    if (row->stage == STAGE_DEAD_LETTER) {
        d->state = HISTORY_DEAD_LETTER_WAITING;
        return;
    }
    struct history_step *s = step_of_group(d, r->entry);
    if (s != NULL && s->kind == HISTORY_REMOVED)
        s->kind = HISTORY_REDRIVEN;
    else if (s != NULL && s->kind == HISTORY_ATTEMPT && s->facts.number == 0)
        s->kind = HISTORY_SCHEDULED;
    else
        s = add_step(r->h, d, r->entry, HISTORY_SCHEDULED);
    if (s != NULL)
        s->due_ns = row->due_ns;
    d->state = s != NULL && s->facts.end == ATTEMPT_DELAYED ? HISTORY_DELAYED : HISTORY_RETRYING;
}

/* The facts of older versions' attempts are in their rows only. */
static void fill_from_row(struct history_step *s, uint32_t attempts, uint32_t code,
                          enum attempt_end end)
{
    if (s->facts.end != ATTEMPT_UNKNOWN)
        return;
    s->facts.number = attempts;
    s->facts.code = (uint16_t)code;
    s->facts.end = end;
}

static void take_retry(const struct record *r, struct slice key)
{
    struct retry_row row;
    struct history_delivery *d;
    if (row_retry_read(key, r->entry->value, &row) < 0 || !find_delivery(r, &d))
        return;
    if (row.attempts == 0) {
        take_schedule(r, d, &row);
        return;
    }
    struct history_step *s = step_of_group(d, r->entry);
    if (s != NULL && s->kind == HISTORY_REMOVED) /* an older version's old row */
        s->kind = HISTORY_ATTEMPT;
    if (s == NULL || s->kind != HISTORY_ATTEMPT)
        s = add_step(r->h, d, r->entry, HISTORY_ATTEMPT);
    if (s == NULL)
        return;
    fill_from_row(s, row.attempts, row.code, ATTEMPT_RETRY);
    s->due_ns = d->due_ns = row.due_ns;
    buf_add_slice(&s->error, row.error);
    buf_add_slice(&s->body, row.body);
    d->state = HISTORY_RETRYING;
}

static void take_dead(const struct record *r)
{
    struct dead_row row;
    struct history_delivery *d;
    if (row_dead_read(r->entry->key, r->entry->value, &row) < 0 || !find_delivery(r, &d))
        return;
    struct history_step *s = step_of_group(d, r->entry);
    if (s == NULL || s->kind != HISTORY_ATTEMPT || s->error.len > 0)
        s = add_step(r->h, d, r->entry, HISTORY_ATTEMPT);
    if (s == NULL)
        return;
    fill_from_row(s, row.attempts, row.code, ATTEMPT_DEAD);
    buf_add_slice(&s->error, row.error);
    buf_add_slice(&s->body, row.body);
    d->state = HISTORY_DEAD;
    d->due_ns = 0;
}

static void take_removal(const struct record *r)
{
    struct history_delivery *d;
    if (!find_delivery(r, &d))
        return;
    add_step(r->h, d, r->entry, HISTORY_REMOVED);
    d->state = HISTORY_GONE;
    d->due_ns = 0;
}

/* A row of RETRIES that goes without a word is an older version's, or goes with its trigger. */
static void take_retry_gone(const struct record *r)
{
    struct history_delivery *d;
    if (r->entry->value.len > 0) {
        take_end(r);
        return;
    }
    const struct history_step *before = find_delivery(r, &d) ? step_of_group(d, r->entry) : NULL;
    if (before == NULL || before->facts.end != ATTEMPT_DEAD)
        take_removal(r);
}

static void take_table_record(struct record *r)
{
    const struct store_entry *e = r->entry;
    struct retry_row row;
    bool put = e->type == STORE_RECORD_PUT;
    if (e->scope == STORE_TABLE_RETRIES && row_retry_read_key(e->key, &row) == 0) {
        r->trigger = row.trigger;
        r->event = row.position;
    } else if (e->scope != STORE_TABLE_DEAD ||
               row_object_read(e->key, &r->trigger, &r->event) < 0) {
        return;
    }
    r->at = history_find(r->h, r->event);
    if (r->at == NULL)
        return;
    if (e->scope == STORE_TABLE_RETRIES && put)
        take_retry(r, e->key);
    else if (e->scope == STORE_TABLE_RETRIES)
        take_retry_gone(r);
    else if (put)
        take_dead(r);
    else
        take_removal(r);
}

static void take_record(struct history *h, struct inspect_job *job, const struct store_entry *e)
{
    struct record r = {.h = h, .job = job, .entry = e, .trigger = e->scope};
    if (e->type == STORE_RECORD_FINISH && e->key.len == sizeof(uint64_t)) {
        r.event = bytes_le64(e->key.ptr);
        r.at = history_find(h, r.event);
        if (r.at != NULL)
            take_end(&r);
    } else if (e->type == STORE_RECORD_PUT || e->type == STORE_RECORD_DELETE) {
        take_table_record(&r);
    }
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
            take_record(h, job, &e);
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
