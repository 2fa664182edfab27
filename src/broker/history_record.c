/* SPDX-License-Identifier: Apache-2.0 */
/* What the records of the log mean for a history: each attempt ends with one that says how it went,
 * and the rows of the same group add to it. See ROWS.md. */
#include "broker/history.h"

#include "base/bytes.h"
#include "broker/delivery.h"
#include "broker/row.h"

#include <assert.h>

#define GROUP_SPAN 8u /* records of one outcome stand no further apart */
#define DEAD_SPAN  2u /* its payload stands no further behind the end that wrote a dead letter */

/* ---- steps ---- */

static struct history_step *add_step(struct history *h, struct history_delivery *d,
                                     const struct store_entry *entry, enum history_kind kind)
{
    if (h->steps >= HISTORY_STEPS_MAX) {
        h->cut = true;
        return NULL;
    }
    void *steps = d->steps;
    bool room = history_grow(&steps, d->count, &d->cap, sizeof(*d->steps));
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
    history_add_reply(r->h, r->job, s->reply, r->at->depth + 1);
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
    static const enum history_kind kinds[] = {[RETRY_MATCHED] = HISTORY_SCHEDULED,
                                              [RETRY_REDRIVEN] = HISTORY_REDRIVEN,
                                              [RETRY_REPLAYED] = HISTORY_REPLAYED};
    static_assert(COUNT_OF(kinds) == RETRY_ORIGIN_COUNT, "each origin is a kind of step");
    struct history_step *s = step_of_group(d, r->entry);
    if (s != NULL && s->kind == HISTORY_REMOVED) /* it left the dead letters for this */
        s->kind = kinds[row->origin];
    else if (s != NULL && s->kind == HISTORY_ATTEMPT && s->facts.number == 0)
        s->kind = kinds[row->origin];
    else
        s = add_step(r->h, d, r->entry, kinds[row->origin]);
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

/* Errors are short; of many attempts the bodies are left out at some point. */
static void add_texts(struct history *h, struct history_step *s, struct slice error,
                      struct slice body)
{
    buf_add_slice(&s->error, error);
    if (h->bytes + body.len <= HISTORY_BYTES_MAX)
        buf_add_slice(&s->body, body);
    h->bytes += s->body.len;
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
    add_texts(r->h, s, row.error, row.body);
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
    add_texts(r->h, s, row.error, row.body);
    d->state = HISTORY_DEAD;
    d->due_ns = 0;
}

static void take_removal(const struct record *r)
{
    struct history_delivery *d;
    if (!find_delivery(r, &d))
        return;
    const struct history_step *before = step_of_group(d, r->entry);
    if (before != NULL && (before->kind == HISTORY_REDRIVEN || before->kind == HISTORY_REPLAYED))
        return; /* for that it left */
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

/* Another event for a dead letter. The first one is in the group that wrote the row in DEAD. */
static void take_payload(const struct record *r)
{
    struct history_delivery *d;
    if (!find_delivery(r, &d) || d->count == 0 || d->state != HISTORY_DEAD ||
        r->entry->position - d->steps[d->count - 1].position <= DEAD_SPAN)
        return;
    add_step(r->h, d, r->entry, HISTORY_EDITED);
}

static void take_row(const struct record *r)
{
    bool put = r->entry->type == STORE_RECORD_PUT;
    if (r->entry->scope == STORE_TABLE_PAYLOADS) {
        if (put)
            take_payload(r);
    } else if (r->entry->scope == STORE_TABLE_RETRIES) {
        if (put)
            take_retry(r, r->entry->key);
        else
            take_retry_gone(r);
    } else if (put) {
        take_dead(r);
    } else {
        take_removal(r);
    }
}

static void take_table_record(struct record *r)
{
    const struct store_entry *e = r->entry;
    struct retry_row row;
    if (e->scope == STORE_TABLE_RETRIES && row_retry_read_key(e->key, &row) == 0) {
        r->trigger = row.trigger;
        r->event = row.position;
    } else if ((e->scope != STORE_TABLE_DEAD && e->scope != STORE_TABLE_PAYLOADS) ||
               row_object_read(e->key, &r->trigger, &r->event) < 0) {
        return;
    }
    r->at = history_find(r->h, r->event);
    if (r->at != NULL)
        take_row(r);
}

void history_take(struct history *h, struct inspect_job *job, const struct store_entry *e)
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
