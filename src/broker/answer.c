/* SPDX-License-Identifier: Apache-2.0 */
/* What the answer to a delivery means (Knative delivery contract, data plane). */
#include "broker/answer.h"

#include "base/clock.h"
#include "base/must.h"
#include "broker/reply.h"
#include "http/retry_after.h"

#include <errno.h>
#include <stdio.h>

static bool retriable(unsigned status)
{
    return status == 404 || status == 408 || status == 409 || status == 429 || status >= 500;
}

/* What Retry-After asks for with 429 and 503, the longest when there are several, at most what the
 * policy allows; 0 when there is none. */
static uint64_t retry_after(const struct delivery *d, const struct http_call_result *result)
{
    uint64_t longest = 0, now = loop_realtime(d->core->loop), wait;
    if (result->status != 429 && result->status != 503)
        return 0;
    for (unsigned i = 0; i < result->header_count; i++)
        if (slice_is_nocase(result->headers[i].name, "retry-after") &&
            retry_after_parse(result->headers[i].value, now, &wait) == 0 && wait > longest)
            longest = wait;
    uint64_t max = d->trigger->policy.retry_after_max_ns;
    return longest < max ? longest : max;
}

void answer_received(void *ctx, const struct http_call_result *result)
{
    struct delivery *d = must_be((struct delivery *)ctx, DELIVERY_MAGIC);
    d->call = NULL;
    d->next_delay_ns = 0;
    d->answered = result->error == 0 ? result->status : 0;
    d->silent = result->error != 0 || result->status == 429 || result->status >= 500;
    if (result->error == -ECANCELED)
        return; /* the broker stops: the delivery stays unfinished */
    if (result->error != 0) {
        delivery_fail(d, 0, result->error_text, (struct slice){"", 0});
        delivery_conclude(d, OUTCOME_RETRY);
    } else if (result->status >= 200 && result->status < 300) {
        if (result->status == 202 || d->stage == STAGE_DEAD_LETTER)
            delivery_conclude(d, OUTCOME_DONE); /* a 202 body is never a reply */
        else
            reply_take(d, result);
    } else {
        char text[64];
        snprintf(text, sizeof(text), DELIVERY_ANSWERED "%u %s", result->status,
                 http_status_text(result->status));
        delivery_fail(d, result->status, text, result->body);
        d->next_delay_ns = retry_after(d, result);
        delivery_conclude(d, retriable(result->status) ? OUTCOME_RETRY : OUTCOME_DEAD);
    }
}
