/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/timing.h"

#include "base/must.h"
#include "broker/delivery.h"
#include "broker/retry.h"

#include <errno.h>

#define DELIVERY_MAX (TIMING_DAYS_MAX * UINT64_C(86400) * CLOCK_SECOND)
#define NEVER        UINT64_MAX
#define LAST_YEAR    "2261" /* that nanoseconds reach */

bool timing_is_given(const struct event *e)
{
    for (unsigned i = 0; i < e->count; i++) {
        struct slice name = e->attributes[i].name;
        if ((name.len == sizeof(TIMING_DELIVERY) - 1 && slice_is(name, TIMING_DELIVERY)) ||
            (name.len == sizeof(TIMING_EXPIRY) - 1 && slice_is(name, TIMING_EXPIRY)))
            return true;
    }
    return false;
}

/* 1: *ret_ns; 0: the attribute is not there; -EINVAL: it is no time. */
static int read_time(const struct event *e, const char *name, uint64_t *ret_ns)
{
    struct slice text = event_get(e, name);
    if (text.ptr == NULL)
        return 0;
    if (!event_time_valid(text))
        return -EINVAL;
    if (clock_parse_rfc3339(text, ret_ns) < 0) /* before 1970, or in the year 9999 */
        *ret_ns = memcmp(text.ptr, LAST_YEAR, 4) > 0 ? NEVER : 0;
    return 1;
}

static int refuse(const char *name, struct error *err)
{
    return error_field(err, -EINVAL, name,
                       "%s must be an RFC 3339 time such as 2026-11-21T08:00:00Z", name);
}

int timing_check(const struct event *e, uint64_t now_ns, struct error *err)
{
    uint64_t ns = 0;
    if (read_time(e, TIMING_EXPIRY, &ns) < 0)
        return refuse(TIMING_EXPIRY, err);
    int r = read_time(e, TIMING_DELIVERY, &ns);
    if (r < 0)
        return refuse(TIMING_DELIVERY, err);
    if (r > 0 && ns > now_ns && ns - now_ns > DELIVERY_MAX)
        return error_field(err, -EINVAL, TIMING_DELIVERY,
                           TIMING_DELIVERY
                           " must be at most %d days from now: no event is put off for longer",
                           TIMING_DAYS_MAX);
    return 0;
}

enum timing timing_of(const struct event *e, uint64_t now_ns, uint64_t *ret_due_ns)
{
    uint64_t ns;
    if (read_time(e, TIMING_EXPIRY, &ns) > 0 && ns <= now_ns)
        return TIMING_EXPIRED;
    if (read_time(e, TIMING_DELIVERY, &ns) <= 0 || ns <= now_ns)
        return TIMING_NOW;
    *ret_due_ns = ns - now_ns > DELIVERY_MAX ? now_ns + DELIVERY_MAX : ns;
    return TIMING_LATER;
}

static void read_event(const struct delivery *d, struct event *out)
{
    *out = (struct event){0};
    must(event_decode(slice_of(d->event->bytes, d->event->len), out) == 0);
}

bool timing_set_aside(struct delivery *d)
{
    if (!d->timed || d->stage != STAGE_SUBSCRIBER)
        return false;
    struct event event;
    struct counters *c = &d->core->counters;
    read_event(d, &event);
    enum timing what = timing_of(&event, loop_realtime(d->core->loop), &d->next_due_ns);
    if (what == TIMING_NOW || (what == TIMING_LATER && d->attempts > 0)) /* it has been put off */
        return false;
    trigger_measure_count(d->trigger, what == TIMING_EXPIRED ? TRIGGER_EXPIRED : TRIGGER_DELAYED);
    atomic_fetch_add_explicit(what == TIMING_EXPIRED ? &c->expired : &c->delayed, 1,
                              memory_order_relaxed);
    d->outcome = what == TIMING_EXPIRED ? OUTCOME_EXPIRED : OUTCOME_DELAYED;
    d->aside = true;
    d->trigger->aside++;
    outcome_append(d);
    return true;
}

void timing_settled(struct delivery *d)
{
    if (d->aside && d->trigger != NULL)
        d->trigger->aside--;
    d->aside = false;
}

void timing_shorten(struct delivery *d)
{
    struct event event;
    uint64_t expiry, now = loop_realtime(d->core->loop);
    if (!d->timed || d->stage != STAGE_SUBSCRIBER)
        return;
    read_event(d, &event);
    if (read_time(&event, TIMING_EXPIRY, &expiry) <= 0)
        return;
    uint64_t left = (expiry > now ? expiry - now : 0) + CLOCK_MILLISECOND;
    if (left < d->next_delay_ns)
        d->next_due_ns -= d->next_delay_ns - left;
}
