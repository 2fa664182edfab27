/* SPDX-License-Identifier: Apache-2.0 */
/* poll_oneoff: sleeping, and waiting for input that is always there. The worker sleeps with the
 * guest; its time limit ends that. */
#include "worker/wasi.h"

#include "base/clock.h"

#include <poll.h>
#include <time.h>

#define POLL_MAX          1024
#define SUBSCRIPTION_SIZE 48
#define EVENT_SIZE        32
#define CLOCK_ABSOLUTE    1
#define HANGUP            1

enum poll_kind { POLL_CLOCK, POLL_READ, POLL_WRITE };

/* As they lie in the guest's memory. */
struct subscription {
    uint64_t user_data;
    uint8_t kind;
    uint32_t id; /* of the clock, or the descriptor */
    uint64_t timeout;
    uint16_t flags;
};

struct poll {
    const char *from; /* a copy: the events may overlap what is read */
    uint32_t count;
    char *to;
    uint32_t events;
};

static struct subscription subscription_at(const struct poll *p, uint32_t i)
{
    const char *at = p->from + (size_t)i * SUBSCRIPTION_SIZE;
    struct subscription s = {.user_data = wasi_get_u64(at),
                             .kind = (uint8_t)at[8],
                             .id = wasi_get_u32(at + 16),
                             .timeout = wasi_get_u64(at + 24)};
    memcpy(&s.flags, at + 40, sizeof(s.flags));
    return s;
}

static void add_event(struct poll *p, const struct subscription *s, uint16_t status, uint64_t bytes,
                      uint16_t flags)
{
    char *to = p->to + (size_t)p->events++ * EVENT_SIZE;
    memset(to, 0, EVENT_SIZE);
    memcpy(to, &s->user_data, sizeof(s->user_data));
    memcpy(to + 8, &status, sizeof(status));
    to[10] = (char)s->kind;
    memcpy(to + 16, &bytes, sizeof(bytes));
    memcpy(to + 24, &flags, sizeof(flags));
}

/* Descriptors never keep anybody waiting. */
static void check_descriptor(struct poll *p, const struct subscription *s)
{
    const struct wasi_descriptor *d = wasi_descriptor(s->id);
    bool reads = s->kind == POLL_READ;
    if (d == NULL || reads != (d->stream == 0)) {
        add_event(p, s, WASI_BADF, 0, 0);
        return;
    }
    uint64_t bytes = reads           ? wasi.input.len - wasi.input_at
                     : d->stream > 1 ? UINT16_MAX
                                     : wasi.output_max - wasi.output.len;
    add_event(p, s, WASI_SUCCESS, bytes, reads && bytes == 0 ? HANGUP : 0);
}

/* When the clock is due, in its own time. */
static uint64_t due_time(const struct subscription *s, uint64_t started)
{
    if ((s->flags & CLOCK_ABSOLUTE) != 0)
        return s->timeout;
    return s->timeout > UINT64_MAX - started ? UINT64_MAX : started + s->timeout;
}

/* Adds what is ready. The nanoseconds until the first clock is due, when nothing was; starts: of
 * the four clocks. UINT64_MAX: never. */
static uint64_t check_all(struct poll *p, const uint64_t *starts)
{
    uint64_t wait = UINT64_MAX;
    for (uint32_t i = 0; i < p->count; i++) {
        struct subscription s = subscription_at(p, i);
        uint64_t now = 0;
        if (s.kind != POLL_CLOCK) {
            if (s.kind > POLL_WRITE)
                add_event(p, &s, WASI_INVAL, 0, 0);
            else
                check_descriptor(p, &s);
            continue;
        }
        if (wasi_clock(s.id, &now) != WASI_SUCCESS) {
            add_event(p, &s, WASI_INVAL, 0, 0);
            continue;
        }
        uint64_t due = due_time(&s, starts[s.id]);
        if (now >= due)
            add_event(p, &s, WASI_SUCCESS, 0, 0);
        else if (due - now < wait)
            wait = due - now;
    }
    return p->events > 0 ? 0 : wait;
}

/* The guard's ticks interrupt it. */
static void sleep_ns(uint64_t ns)
{
    if (ns > CLOCK_SECOND)
        ns = CLOCK_SECOND;
    struct timespec t = {.tv_sec = (time_t)(ns / CLOCK_SECOND),
                         .tv_nsec = (long)(ns % CLOCK_SECOND)};
    (void)ppoll(NULL, 0, &t, NULL);
}

uint32_t wasi_poll_oneoff(uint32_t from, uint32_t to, uint32_t count, uint32_t ret)
{
    static char copy[POLL_MAX * SUBSCRIPTION_SIZE];
    if (count == 0 || count > POLL_MAX)
        return WASI_INVAL;
    const char *subscriptions = wasi_at(from, (uint64_t)count * SUBSCRIPTION_SIZE);
    struct poll p = {.from = copy, .count = count, .to = wasi_at(to, (uint64_t)count * EVENT_SIZE)};
    if (subscriptions == NULL || p.to == NULL || wasi_at(ret, sizeof(uint32_t)) == NULL)
        return WASI_FAULT;
    memcpy(copy, subscriptions, (size_t)count * SUBSCRIPTION_SIZE);
    uint64_t starts[4];
    for (uint32_t i = 0; i < 4; i++)
        (void)wasi_clock(i, &starts[i]);
    for (;;) {
        uint64_t wait = check_all(&p, starts);
        if (p.events > 0 || guard_time_is_up())
            return wasi_put_u32(ret, p.events);
        sleep_ns(wait);
    }
}
