/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/breaker.h"

void breaker_set(struct breaker *b, unsigned threshold)
{
    if (threshold == 0)
        *b = (struct breaker){0};
    b->threshold = threshold;
}

uint64_t breaker_wait(const struct breaker *b, uint64_t now_ns)
{
    if (!b->open)
        return 0;
    if (b->probing)
        return UINT64_MAX;
    return b->probe_ns <= now_ns ? 0 : b->probe_ns;
}

bool breaker_start(struct breaker *b)
{
    b->probing = b->probing || b->open;
    return b->open;
}

static void pause_for(struct breaker *b, uint64_t pause_ns, uint64_t now_ns)
{
    b->pause_ns = pause_ns < BREAKER_PAUSE_MAX ? pause_ns : BREAKER_PAUSE_MAX;
    b->probe_ns = now_ns + b->pause_ns;
}

static bool failed(struct breaker *b, bool probe, uint64_t now_ns)
{
    b->failures++;
    if (b->open && probe) {
        b->probing = false;
        pause_for(b, b->pause_ns * 2, now_ns);
        return true;
    }
    if (b->open || b->failures < b->threshold)
        return false;
    b->open = true;
    pause_for(b, BREAKER_PAUSE_MIN, now_ns);
    return true;
}

bool breaker_end(struct breaker *b, bool probe, bool alive, uint64_t now_ns)
{
    if (b->threshold == 0)
        return false;
    if (!alive)
        return failed(b, probe, now_ns);
    bool was_open = b->open;
    *b = (struct breaker){.threshold = b->threshold};
    return was_open;
}

void breaker_forget_probe(struct breaker *b)
{
    b->probing = false;
}
