/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/flow.h"

#include "base/log.h"
#include "base/must.h"
#include "broker/delivery.h"
#include "resource/annotation.h"

#include <stdio.h>
#include <sys/resource.h>

static void count(atomic_uint_fast64_t *counter, int64_t n)
{
    atomic_fetch_add_explicit(counter, (uint64_t)n, memory_order_relaxed);
}

static void wake(struct loop_timer *timer)
{
    trigger_pump(must_be((struct trigger *)timer->ctx, TRIGGER_MAGIC));
}

static void show(struct loop_timer *timer)
{
    trigger_refresh(must_be((struct trigger *)timer->ctx, TRIGGER_MAGIC));
}

void flow_init(struct trigger *t)
{
    t->flow.window = TRIGGER_WINDOW;
    t->flow.wake.due = wake;
    t->flow.wake.ctx = t;
    t->flow.show.due = show;
    t->flow.show.ctx = t;
}

/* What the gauges say of the trigger. */
static void set_gauges(struct trigger *t, bool paused, bool open)
{
    count(&t->core->counters.paused, (int64_t)paused - (int64_t)t->flow.paused);
    count(&t->core->counters.breakers_open, (int64_t)open - (int64_t)t->flow.breaker.open);
}

void flow_done(struct trigger *t)
{
    set_gauges(t, false, false);
    loop_timer_cancel(t->core->loop, &t->flow.wake);
    loop_timer_cancel(t->core->loop, &t->flow.show);
}

static unsigned threshold_of(const json_t *object)
{
    return (unsigned)annotation_number(object, ANNOTATION_CIRCUIT_BREAKER, 0); /* off: no number */
}

static void read_rate(struct rate *r, const json_t *object)
{
    struct annotation_rate limit = {0, 0};
    const char *text = annotation_text(object, ANNOTATION_RATE_LIMIT);
    if (text == NULL || annotation_parse_rate(slice_text(text), &limit) < 0)
        limit.count = 0;
    rate_set(r, limit.count, limit.period_ns);
}

void flow_read(struct trigger *t)
{
    const json_t *object = t->resource->object;
    struct flow *f = &t->flow;
    bool paused = annotation_is_true(object, ANNOTATION_PAUSED);
    unsigned threshold = threshold_of(object);
    set_gauges(t, paused, f->breaker.open && threshold > 0);
    f->paused = paused;
    f->window = (unsigned)annotation_number(object, ANNOTATION_CONCURRENCY, TRIGGER_WINDOW);
    read_rate(&f->rate, object);
    breaker_set(&f->breaker, threshold);
}

/* ---- may one start? ---- */

uint64_t flow_requests_max(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
        return UINT64_MAX;
    return limit.rlim_cur / FLOW_DESCRIPTORS_SHARE;
}

static bool has_its_share(const struct trigger *t)
{
    const struct broker_core *b = t->core;
    if (t->in_flight == 0 ||
        atomic_load_explicit(&b->counters.in_flight, memory_order_relaxed) < b->requests_max)
        return false;
    return t->in_flight >=
           b->requests_max / atomic_load_explicit(&b->listeners, memory_order_relaxed);
}

bool flow_allows(struct trigger *t)
{
    struct flow *f = &t->flow;
    if (f->in_flight >= f->window || (f->in_flight > 0 && f->bytes >= FLOW_BYTES_MAX) ||
        has_its_share(t))
        return false;
    uint64_t now = loop_now(t->core->loop);
    uint64_t until = breaker_wait(&f->breaker, now);
    if (until == 0)
        until = rate_wait(&f->rate, now);
    if (until != 0 && until != UINT64_MAX)
        loop_timer_set(t->core->loop, &f->wake, until);
    return until == 0;
}

bool flow_allows_sink(const struct trigger *t)
{
    return t->flow.to_sink < TRIGGER_WINDOW && !has_its_share(t);
}

/* ---- those that are under way ---- */

void flow_start(struct trigger *t, struct delivery *d)
{
    struct flow *f = &t->flow;
    t->in_flight++;
    count(&t->core->counters.in_flight, 1);
    if (d->stage == STAGE_DEAD_LETTER) {
        f->to_sink++;
        return;
    }
    f->in_flight++;
    f->bytes += d->event->len;
    d->silent = false;
    d->probe = breaker_start(&f->breaker);
    if (d->probe)
        count(&t->core->counters.probes, 1);
    rate_take(&f->rate, loop_now(t->core->loop));
}

static void leave(struct trigger *t, const struct delivery *d)
{
    struct flow *f = &t->flow;
    t->in_flight--;
    count(&t->core->counters.in_flight, -1);
    if (d->stage == STAGE_DEAD_LETTER) {
        f->to_sink--;
        return;
    }
    f->in_flight--;
    f->bytes -= d->event->len;
}

static void tell(struct trigger *t, bool was_open)
{
    const struct flow *f = &t->flow;
    if (f->breaker.open && !was_open) {
        count(&t->core->counters.breakers_open, 1);
        t->flow.open_since_ns = loop_realtime(t->core->loop);
        log_warn("trigger %s/%s: the subscriber failed %u times in a row: it is left alone, and "
                 "probed now and then",
                 t->resource->namespace_name, t->resource->name, f->breaker.failures);
    } else if (!f->breaker.open && was_open) {
        count(&t->core->counters.breakers_open, -1);
        log_info("trigger %s/%s: the subscriber answers again", t->resource->namespace_name,
                 t->resource->name);
    }
    loop_timer_set(t->core->loop, &t->flow.show, loop_now(t->core->loop));
}

bool flow_end(struct trigger *t, struct delivery *d)
{
    struct flow *f = &t->flow;
    leave(t, d);
    if (d->stage == STAGE_DEAD_LETTER)
        return false;
    bool was_open = f->breaker.open, probe = d->probe;
    d->probe = false;
    if (breaker_end(&f->breaker, probe, !d->silent, loop_now(t->core->loop)))
        tell(t, was_open);
    return probe && d->silent;
}

void flow_cut(struct trigger *t, struct delivery *d)
{
    leave(t, d);
    if (d->probe)
        breaker_forget_probe(&t->flow.breaker);
    d->probe = false;
}

/* ---- status ---- */

static void add_health(const struct trigger *t, json_t *conditions)
{
    const struct breaker *b = &t->flow.breaker;
    char message[256] = "", since[CLOCK_RFC3339_SIZE], probe[CLOCK_RFC3339_SIZE];
    if (b->open) {
        uint64_t now = loop_now(t->core->loop);
        uint64_t wait = b->probe_ns > now ? b->probe_ns - now : 0;
        clock_format_rfc3339(t->flow.open_since_ns, 0, since);
        clock_format_rfc3339(loop_realtime(t->core->loop) + wait, 0, probe);
        snprintf(message, sizeof(message),
                 "the subscriber has failed %u times in a row: nothing is delivered since %s; the "
                 "next probe is at %s",
                 b->failures, since, probe);
    }
    json_array_append_new(conditions,
                          registry_condition("SubscriberHealthy", b->open ? "False" : "True",
                                             b->open ? "CircuitOpen" : "", message));
}

void flow_add_conditions(const struct trigger *t, json_t *conditions)
{
    if (t->flow.breaker.threshold > 0)
        add_health(t, conditions);
    if (t->flow.paused)
        json_array_append_new(
            conditions,
            registry_condition("Paused", "True", "Paused",
                               "nothing is delivered until the annotation " ANNOTATION_PAUSED
                               " is gone: sluice resume"));
}

const char *flow_ready_reason(const struct trigger *t)
{
    return t->flow.paused ? "Paused" : t->flow.breaker.open ? "CircuitOpen" : "";
}
