/* SPDX-License-Identifier: Apache-2.0 */
/* Kept as one number, when the bucket would be full again but for what may be saved up: it moves by
 * one interval for each token taken. */
#include "broker/rate.h"

void rate_set(struct rate *r, uint64_t count, uint64_t period_ns)
{
    if (r->count != count || r->period_ns != period_ns)
        *r = (struct rate){.count = count, .period_ns = period_ns};
}

/* How far next_ns may be ahead for one more to be taken. */
static uint64_t ahead_max(const struct rate *r)
{
    uint64_t interval = r->period_ns / r->count;
    return interval < RATE_SAVED_NS ? RATE_SAVED_NS - interval : 0;
}

uint64_t rate_wait(const struct rate *r, uint64_t now_ns)
{
    if (r->count == 0 || r->next_ns <= now_ns + ahead_max(r))
        return 0;
    return r->next_ns - ahead_max(r);
}

void rate_take(struct rate *r, uint64_t now_ns)
{
    if (r->count == 0)
        return;
    if (r->next_ns < now_ns) {
        r->next_ns = now_ns;
        r->rest = 0;
    }
    r->next_ns += (r->period_ns + r->rest) / r->count;
    r->rest = (r->period_ns + r->rest) % r->count;
}
