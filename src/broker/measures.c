/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/measures.h"

#include "base/clock.h"
#include "base/must.h"
#include "broker/delivery.h"

#define BROKER_DEFAULT "default"
#define ANY_TYPE       "any" /* as Knative calls it */

static void *next_of(const struct broker_core *b, uint32_t *at, int kind)
{
    while (*at < b->number_cap) {
        uint32_t number = (*at)++;
        if (b->number_kind[number] == kind)
            return b->by_number[number];
    }
    return NULL;
}

const struct trigger *measures_next_trigger(const struct broker_core *b, uint32_t *at)
{
    return next_of(b, at, NUMBER_TRIGGER);
}

const struct broker *measures_next_broker(const struct broker_core *b, uint32_t *at)
{
    return next_of(b, at, NUMBER_BROKER);
}

static struct slice text_or(const char *text, const char *otherwise)
{
    return slice_text(text != NULL && text[0] != '\0' ? text : otherwise);
}

void measures_trigger_names(const struct trigger *t, struct measures_names *ret)
{
    const json_t *object = t->resource->object;
    *ret = (struct measures_names){
        .namespace_name = slice_text(t->resource->namespace_name),
        .broker = text_or(resource_text_at(object, "spec.broker"), BROKER_DEFAULT),
        .trigger = slice_text(t->resource->name),
        .filter_type = text_or(resource_text_at(object, "spec.filter.attributes.type"), ANY_TYPE),
    };
}

void measures_broker_names(const struct broker *broker, struct measures_names *ret)
{
    *ret = (struct measures_names){
        .namespace_name = slice_text(broker->resource->namespace_name),
        .broker = slice_text(broker->resource->name),
    };
}

static const struct delivery *oldest_outstanding(const struct trigger *t)
{
    /* They come from the log in its order, so the first is the oldest. */
    return list_empty(&t->outstanding)
               ? NULL
               : list_entry(t->outstanding.next, struct delivery, outstanding);
}

static uint64_t lag(const struct trigger *t)
{
    const struct delivery *oldest = oldest_outstanding(t);
    uint64_t next = t->behind != 0 ? t->behind : t->core->scanned + 1;
    uint64_t end = store_synced(t->core->store) + 1, passed = lanes_first(t);
    next = passed < next ? passed : next;
    if (oldest != NULL && oldest->position < next)
        next = oldest->position;
    return t->broker != NULL && end > next ? end - next : 0;
}

static uint64_t age_of_oldest(const struct trigger *t)
{
    const struct delivery *oldest = oldest_outstanding(t);
    uint64_t now = loop_realtime(t->core->loop), since = oldest != NULL ? oldest->time_ns : now;
    list_for_each (node, &t->retrying) {
        const struct delivery *d = list_entry(node, struct delivery, outstanding);
        if (d->row_class == RETRY_AGAIN && d->time_ns < since)
            since = d->time_ns;
    }
    return now > since ? now - since : 0;
}

double measures_trigger_gauge(const struct trigger *t, enum trigger_gauge which)
{
    switch (which) {
    case TRIGGER_READY:
        return t->ready;
    case TRIGGER_PAUSED:
        return t->flow.paused;
    case TRIGGER_BREAKER_OPEN:
        return t->flow.breaker.open;
    case TRIGGER_IN_FLIGHT:
        return t->in_flight;
    case TRIGGER_WAITING:
        return t->waiting_count;
    case TRIGGER_RETRYING:
        return t->retrying_count;
    case TRIGGER_DEAD_KEPT:
        return (double)t->dead_count;
    case TRIGGER_LAG:
        return (double)lag(t);
    case TRIGGER_OLDEST:
        return (double)age_of_oldest(t) / CLOCK_SECOND;
    case TRIGGER_GAUGES:
        break;
    }
    unreachable_code();
}

unsigned measures_trigger_retries(const struct trigger *t)
{
    return t->retrying_count;
}

const struct trigger_measure *measures_trigger(const struct trigger *t)
{
    return &t->measure;
}

const struct ingress_measure *measures_broker(const struct broker *broker)
{
    return broker->measure;
}

unsigned measures_broker_triggers(const struct broker *broker)
{
    unsigned n = 0;
    list_for_each (node, &broker->triggers)
        n++;
    return n;
}
