/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a request may run now, waits, or is refused. At most limits.concurrency calls wait for
 * their operations; what comes beyond waits here for its turn, unless there are too many, the
 * worker is late, or short of memory. A refused request has not run, so the client may send it
 * again. */
#include "worker/metrics.h"
#include "worker/native.h"
#include "worker/program.h"

#include "base/clock.h"

#include <stdio.h>

#define ADMISSION_MEASURE_SHARE                                                                    \
    20 /* times what measuring takes goes by before it is done again                               \
        */

static struct list queue = {&queue, &queue};
static uint64_t queue_len;

/* What the loop has done since it last looked for requests, and before that. */
static struct {
    uint64_t began; /* 0: nothing yet */
    uint64_t before_ns;
    uint64_t calls;
} turn;

struct admission_counts admission_counts;

/* How long a turn took matters only when there may be a queue. */
void admission_begin_turn(void)
{
    bool matters = turn.calls >= program.bundle->limits.concurrency || call_waiting_count() > 0;
    turn.before_ns = matters && turn.began != 0 ? clock_monotonic() - turn.began : 0;
    turn.began = turn.calls = 0;
}

/* A request that is looked at now may have come when the loop last began to work without pause. */
static uint64_t loop_delay(uint64_t now)
{
    return turn.before_ns + (now - turn.began);
}

/* ---- memory ---- */

/* Counting walks through the whole heap: it must not take more than a small part of the time,
 * unless the memory has grown meanwhile. */
static bool heap_is_short(uint64_t now)
{
    static uint64_t next;
    static uint32_t pages;
    static bool is_short;
    const wasm_rt_memory_t *memory = engine_snapshot()->memory;
    if (now >= next || pages != memory->pages) {
        pages = memory->pages;
        is_short = engine_heap_is_short();
        uint64_t after = clock_monotonic();
        next = after + ADMISSION_MEASURE_SHARE * (after - now);
    }
    return is_short;
}

/* Only calls that wait can give memory back. */
static bool is_short_of_memory(uint64_t now)
{
    if (call_waiting_count() == 0)
        return false;
    if (!program.bundle->isolate_events)
        return heap_is_short(now);
    return snapshot_parked_bytes() > program.bundle->limits.memory_bytes / 4 * 3;
}

/* ---- refusing ---- */

static const char *const reasons[] = {
    [ADMISSION_QUEUE] = "its queue of %llu requests is full (limits.queueLength)",
    [ADMISSION_DELAY] = "it is late by more than %llu ms (limits.loopDelayMs)",
    [ADMISSION_MEMORY] = "the calls that wait take nearly all of its %llu bytes of memory "
                         "(limits.memoryBytes)",
    [ADMISSION_TIME] = "the request waited for %llu ms, the time limit of a call "
                       "(limits.timeoutMs)",
};
_Static_assert(COUNT_OF(reasons) == ADMISSION_REASON_COUNT, "reasons");

static uint64_t limit_of(enum admission_reason reason)
{
    const struct bundle_limits *limits = &program.bundle->limits;
    switch (reason) {
    case ADMISSION_QUEUE:
        return limits->queue_length;
    case ADMISSION_DELAY:
        return limits->loop_delay_ms;
    case ADMISSION_MEMORY:
        return limits->memory_bytes;
    case ADMISSION_TIME:
    case ADMISSION_REASON_COUNT:
    default:
        return limits->timeout_ms;
    }
}

static void refuse(struct http_request *request, enum admission_reason reason)
{
    static const struct http_header headers[] = {
        {{"Retry-After", 11}, {"1", 1}},
        {{"Client-Retry", 12}, {"1", 1}},
    };
    char why[160], body[320];
    admission_counts.refused[reason]++;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(why, sizeof(why), reasons[reason], (unsigned long long)limit_of(reason));
#pragma GCC diagnostic pop
    int n = snprintf(body, sizeof(body),
                     "{\"error\":{\"status\":503,\"reason\":\"Service Unavailable\","
                     "\"kind\":\"overload\",\"message\":\"the function server is overloaded: "
                     "%s\"}}",
                     why);
    struct http_response response = {.status = 503,
                                     .content_type = "application/json",
                                     .headers = headers,
                                     .header_count = COUNT_OF(headers),
                                     .body = slice_of(body, (size_t)n)};
    http_respond(request, &response);
}

/* ---- the queue ---- */

static void start(struct http_request *request, uint64_t now)
{
    if (program.native) { /* it never waits */
        metrics_called(0, http_request_body(request).len);
        native_handle(request, NULL);
        metrics_answered(now);
        return;
    }
    struct call *c = call_new(request, now);
    if (c != NULL)
        call_start(c, 0);
    else
        refuse(request, ADMISSION_MEMORY);
}

static void enqueue(struct http_request *request, uint64_t now)
{
    struct call *c =
        queue_len < program.bundle->limits.queue_length ? call_new(request, now) : NULL;
    if (c == NULL) {
        refuse(request, ADMISSION_QUEUE);
        return;
    }
    list_append(&queue, &c->node);
    queue_len++;
}

/* There is a queue, or there was one in this turn, or calls wait. */
static void admit_slowly(struct http_request *request, uint64_t now)
{
    const struct bundle_limits *limits = &program.bundle->limits;
    bool is_full = call_waiting_count() >= limits->concurrency || queue_len > 0;
    bool has_queue = is_full || turn.calls >= limits->concurrency;
    if (is_short_of_memory(now))
        refuse(request, ADMISSION_MEMORY);
    else if (has_queue && loop_delay(now) > limits->loop_delay_ms * CLOCK_MILLISECOND)
        refuse(request, ADMISSION_DELAY);
    else if (is_full)
        enqueue(request, now);
    else
        start(request, now);
}

void call_handle(struct http_request *request, void *ctx)
{
    uint64_t now = clock_monotonic();
    if (turn.began == 0)
        turn.began = now;
    if (call_waiting_count() == 0 && turn.calls++ < program.bundle->limits.concurrency)
        start(request, now);
    else
        admit_slowly(request, now);
}

static struct call *first_queued(void)
{
    return queue_len > 0 ? list_entry(queue.next, struct call, node) : NULL;
}

static void dequeue(struct call *c)
{
    list_remove(&c->node);
    queue_len--;
}

uint64_t admission_next_due(void)
{
    const struct call *c = first_queued();
    if (c == NULL)
        return UINT64_MAX;
    return call_waiting_count() < program.bundle->limits.concurrency ? 0 : c->deadline;
}

void admission_run_queue(uint64_t now)
{
    for (struct call *c; (c = first_queued()) != NULL;) {
        if (c->deadline <= now) {
            dequeue(c);
            refuse(c->request, ADMISSION_TIME);
            call_free(c);
            continue;
        }
        if (call_waiting_count() >= program.bundle->limits.concurrency)
            return;
        dequeue(c);
        call_start(c, now - c->begun);
    }
}

bool admission_refuse_full(struct http_request *request)
{
    const struct bundle_limits *limits = &program.bundle->limits;
    if (call_waiting_count() < limits->concurrency || queue_len < limits->queue_length)
        return false;
    refuse(request, ADMISSION_QUEUE);
    return true;
}

bool admission_is_busy(void)
{
    return queue_len > 0 || call_waiting_count() > 0;
}
