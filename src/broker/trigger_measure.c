/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/trigger_measure.h"

#include "broker/delivery.h"
#include "broker/ingress_measure.h"
#include "broker/retry.h"

#include <stdlib.h>

#define CLASS_LAST 5 /* codes up to it are classes, or no answer */

struct code_series {
    unsigned code;
    struct histogram took;
};

struct trigger_series {
    struct trigger_series *next;
    const struct type_name *type; /* NULL: others */
    struct histogram waited;
    struct code_series *codes;
    unsigned code_count;
};

void trigger_measure_count(struct trigger *t, enum trigger_count what)
{
    t->measure.counts[what]++;
}

/* Each trigger has room for one of each; more only while all together are not too many. */
static bool has_room(struct trigger *t, bool first)
{
    if (!first && t->core->trigger_series >= TRIGGER_SERIES_MAX)
        return false;
    t->core->trigger_series++;
    return true;
}

static bool is_counted(const struct code_series *c)
{
    return c->code > CLASS_LAST;
}

void trigger_measure_done(struct trigger *t)
{
    struct trigger_measure *m = &t->measure;
    t->core->trigger_series -= m->types;
    while (m->series != NULL) {
        struct trigger_series *s = m->series;
        m->series = s->next;
        for (unsigned i = 0; i < s->code_count; i++)
            t->core->trigger_series -= is_counted(&s->codes[i]);
        free(s->codes);
        free(s);
    }
}

/* To the front: most events are of the type of the one before. */
static struct trigger_series *find_type(struct trigger_measure *m, const struct type_name *type)
{
    struct trigger_series **at = &m->series;
    while (*at != NULL && (*at)->type != type)
        at = &(*at)->next;
    struct trigger_series *s = *at;
    if (s != NULL) {
        *at = s->next;
        s->next = m->series;
        m->series = s;
    }
    return s;
}

/* NULL: out of memory. */
static struct trigger_series *series_of(struct trigger *t, const struct type_name *type)
{
    struct trigger_measure *m = &t->measure;
    struct trigger_series *s = find_type(m, type);
    if (s != NULL)
        return s;
    if (type != NULL && (m->types >= TRIGGER_TYPES_MAX || !has_room(t, m->types == 0)))
        return series_of(t, NULL);
    s = calloc(1, sizeof(*s));
    if (s == NULL)
        return NULL;
    s->type = type;
    s->next = m->series;
    m->series = s;
    m->types += type != NULL;
    return s;
}

static struct histogram *took_of(struct trigger *t, struct trigger_series *s, unsigned code)
{
    for (unsigned i = 0; i < s->code_count; i++)
        if (s->codes[i].code == code)
            return &s->codes[i].took;
    if (code > CLASS_LAST &&
        (s->code_count >= TRIGGER_CODES_MAX || !has_room(t, s->code_count == 0)))
        return took_of(t, s, code / 100);
    struct code_series *grown = realloc(s->codes, (s->code_count + 1) * sizeof(*grown));
    if (grown == NULL)
        return NULL;
    s->codes = grown;
    grown[s->code_count] = (struct code_series){.code = code};
    return &grown[s->code_count++].took;
}

/* Since the event could have been sent: it arrived, or was due again. */
static uint64_t waited(const struct delivery *d)
{
    const struct broker_core *b = d->core;
    uint64_t now = d->in_tables ? retry_now(b, d->row_class) : loop_realtime(b->loop);
    uint64_t since = d->in_tables ? d->due_ns : d->time_ns;
    return now > since ? now - since : 0;
}

void trigger_measure_began(struct delivery *d, const struct event *e)
{
    if (d->stage != STAGE_SUBSCRIBER)
        return;
    struct type_names *names = ingress_measures_names(d->core->ingress_measures);
    d->type = type_names_find(names, event_get(e, "type"));
    struct trigger_series *s = series_of(d->trigger, d->type);
    if (s != NULL)
        histogram_observe_own_time(&s->waited, waited(d));
}

void trigger_measure_ended(struct delivery *d, unsigned code)
{
    if (d->stage != STAGE_SUBSCRIBER || d->began_ns == 0)
        return;
    struct trigger_series *s = series_of(d->trigger, d->type);
    struct histogram *h =
        s != NULL ? took_of(d->trigger, s, code >= 100 && code < 600 ? code : 0) : NULL;
    if (h != NULL)
        histogram_observe_own_time(h, d->took_ns);
}

void trigger_measure_concluded(const struct delivery *d)
{
    uint64_t *counts = d->trigger->measure.counts;
    bool done = d->outcome == OUTCOME_DONE;
    if (d->stage != STAGE_SUBSCRIBER) {
        counts[done ? TRIGGER_SINK_DELIVERED : TRIGGER_SINK_FAILED]++;
        return;
    }
    counts[done                          ? TRIGGER_DELIVERED
           : d->outcome == OUTCOME_RETRY ? TRIGGER_RETRIED
                                         : TRIGGER_DEAD]++;
    counts[TRIGGER_FAILED] += !done;
    counts[TRIGGER_REPLIES] += d->reply.len > 0;
}

/* ---- what is shown ---- */

static const struct trigger_series *step(const struct trigger_measure *m,
                                         struct trigger_measure_place *at)
{
    at->series = at->begun ? at->series->next : m->series;
    at->begun = true;
    at->code = 0;
    return at->series;
}

bool trigger_measure_next_attempts(const struct trigger_measure *m,
                                   struct trigger_measure_place *at, struct trigger_attempts *ret)
{
    while (!at->begun || at->code >= at->series->code_count)
        if (step(m, at) == NULL)
            return false;
    const struct code_series *c = &at->series->codes[at->code++];
    *ret = (struct trigger_attempts){.type = type_name_text(at->series->type), .code = c->code};
    histogram_add(&ret->took, &c->took);
    return true;
}

bool trigger_measure_next_waits(const struct trigger_measure *m, struct trigger_measure_place *at,
                                struct trigger_waits *ret)
{
    if (step(m, at) == NULL)
        return false;
    *ret = (struct trigger_waits){.type = type_name_text(at->series->type)};
    histogram_add(&ret->took, &at->series->waited);
    return true;
}
