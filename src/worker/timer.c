/* SPDX-License-Identifier: Apache-2.0 */
/* setTimeout, setInterval and setImmediate: the times are here, the callbacks in
 * runtimes/js/timers.js, under the number that a timer gets here. */
#include "worker/program.h"

#include "base/clock.h"
#include "base/must.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TIMER_SLOT_BITS 17
#define TIMER_DELAY_MAX 2147483647.0 /* ms */

_Static_assert(OPERATION_MAX < 1u << TIMER_SLOT_BITS, "each timer has a slot");

struct timer {
    struct operation operation;
    struct heap_node due;
    struct list node; /* of those that are due in this turn */
    uint64_t interval;
    uint64_t number;
    bool repeats;
};

/* A timer's number is its slot and how often that was used before. */
struct slot {
    struct timer *timer;
    uint32_t uses;
};

static struct slot *slots;
static uint32_t slot_count, slot_room;
static uint32_t *free_slots;
static uint32_t free_count;
static struct heap due_times;
static uint64_t last_now;

static int grow_slots(void)
{
    uint32_t room = slot_room == 0 ? 16 : 2 * slot_room;
    struct slot *more = realloc(slots, room * sizeof(*more));
    if (more == NULL)
        return -ENOMEM;
    slots = more;
    uint32_t *more_free = realloc(free_slots, room * sizeof(*more_free));
    if (more_free == NULL)
        return -ENOMEM;
    free_slots = more_free;
    memset(slots + slot_room, 0, (room - slot_room) * sizeof(*slots));
    slot_room = room;
    return 0;
}

static int take_slot(struct timer *t)
{
    if (free_count == 0 && slot_count == slot_room && grow_slots() < 0)
        return -ENOMEM;
    uint32_t at = free_count > 0 ? free_slots[--free_count] : slot_count++;
    slots[at].timer = t;
    t->number = (uint64_t)slots[at].uses << TIMER_SLOT_BITS | at;
    return 0;
}

static void timer_free(struct timer *t)
{
    uint32_t at = (uint32_t)(t->number & ((1u << TIMER_SLOT_BITS) - 1));
    slots[at].timer = NULL;
    slots[at].uses++;
    free_slots[free_count++] = at;
    if (heap_contains(&t->due))
        heap_remove(&due_times, &t->due);
    list_remove(&t->node);
    free(t);
}

static struct timer *find(double number)
{
    if (!(number >= 0 && number < 9e15))
        return NULL;
    uint64_t whole = (uint64_t)number;
    uint32_t at = (uint32_t)(whole & ((1u << TIMER_SLOT_BITS) - 1));
    struct timer *t = at < slot_count ? slots[at].timer : NULL;
    if (t == NULL || t->number != whole)
        return NULL;
    return program.bundle->isolate_events && t->operation.call != call ? NULL : t;
}

/* Timers of the same delay run in the order in which they were set: no two begin at the same time.
 */
static uint64_t distinct_now(void)
{
    uint64_t now = clock_monotonic();
    last_now = now > last_now ? now : last_now + 1;
    return last_now;
}

static void on_cancel(struct operation *op)
{
    timer_free(container_of(op, struct timer, operation));
}

static int start(struct timer *t, uint64_t delay)
{
    list_init(&t->node);
    int status = take_slot(t);
    if (status < 0) {
        free(t);
        return status;
    }
    status = heap_insert(&due_times, &t->due, distinct_now() + delay);
    if (status == 0)
        status = operation_add(&t->operation, on_cancel);
    if (status < 0)
        timer_free(t);
    return status;
}

/* startTimer(milliseconds, repeats): its number. */
static engine_value host_start_timer(uint32_t argc, const engine_value *argv)
{
    double delay = argc > 0 ? engine_number(argv[0]) : 0;
    if (!(delay >= 0 && delay <= TIMER_DELAY_MAX))
        return engine_throw("a timer's delay must be from 0 to 2147483647 ms");
    struct timer *t = calloc(1, sizeof(*t));
    if (t == NULL)
        return engine_throw("no memory for a timer");
    t->interval = (uint64_t)(delay * (double)CLOCK_MILLISECOND);
    t->repeats = argc > 1 && engine_is_true(argv[1]);
    int status = start(t, t->interval);
    if (status < 0)
        return engine_throw(status == -EAGAIN ? "too many timers are set"
                                              : "no memory for a timer");
    return engine_new_number((double)t->number);
}

/* stopTimer(number) */
static engine_value host_stop_timer(uint32_t argc, const engine_value *argv)
{
    struct timer *t = argc > 0 ? find(engine_number(argv[0])) : NULL;
    if (t != NULL) {
        operation_end(&t->operation);
        timer_free(t);
    }
    return engine_undefined();
}

const struct engine_function timer_functions[] = {
    {"startTimer", host_start_timer},
    {"stopTimer", host_stop_timer},
};
const size_t timer_function_count = COUNT_OF(timer_functions);

/* ---- running ---- */

uint64_t timer_next_due(void)
{
    const struct heap_node *first = heap_first(&due_times);
    return first != NULL ? first->key : UINT64_MAX;
}

static void run_callback(void *ctx)
{
    engine_value number = engine_new_number((double)*(const uint64_t *)ctx);
    engine_value result = engine_call(program.fire_timer, 1, &number);
    call_finish_entry(engine_is_exception(result));
    engine_drop(number);
    engine_drop(result);
}

static void fire(struct timer *t, uint64_t now)
{
    struct call *c = t->operation.call;
    uint64_t number = t->number;
    if (!t->repeats || heap_insert(&due_times, &t->due, now + t->interval) < 0) {
        operation_end(&t->operation);
        timer_free(t);
    }
    call_run(c, run_callback, &number);
}

/* Instances are changed as rarely as can be: all timers of one call, then those of the next. */
static void take_batch(struct list *due, struct list *batch)
{
    const struct call *first = list_entry(due->next, struct timer, node)->operation.call;
    list_for_each_safe (node, next, due) {
        if (program.bundle->isolate_events &&
            list_entry(node, struct timer, node)->operation.call != first)
            continue;
        list_remove(node);
        list_append(batch, node);
    }
}

/* Those that are set meanwhile wait for the next turn, so that requests have theirs. */
void timer_run_due(uint64_t now)
{
    struct list due, batch;
    list_init(&due);
    list_init(&batch);
    for (struct heap_node *first; (first = heap_first(&due_times)) != NULL && first->key <= now;) {
        heap_remove(&due_times, first);
        list_append(&due, &container_of(first, struct timer, due)->node);
    }
    while (!list_empty(&due)) {
        take_batch(&due, &batch);
        for (struct list *node; (node = list_shift(&batch)) != NULL;)
            fire(list_entry(node, struct timer, node), now);
    }
}
