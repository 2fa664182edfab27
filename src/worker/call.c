/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a call: it runs in the guest; if its handler awaits something, it waits until an
 * operation of its own lets it run on; then it is answered and its instance is put back.
 *
 * With `isolation: event` the engine's memory holds the instance of one call at a time. That of a
 * waiting call stays in place until another call must run, and only then is it parked; so a call
 * that is alone is never copied. With `isolation: instance` all calls run in the one instance. */
#include "worker/metrics.h"
#include "worker/program.h"

#include "base/clock.h"
#include "base/must.h"

#include <errno.h>
#include <stdlib.h>

#define CALL_SPARE_MAX 8 /* kept for the next calls */

static struct call background = {.state = CALL_RUNS,
                                 .operations = {&background.operations, &background.operations}};
struct call *call = &background;

static struct call *running;  /* NULL: the guest does not run */
static struct call *in_place; /* isolation: event: whose instance the engine has */
static struct list waiting = {&waiting, &waiting};
static unsigned waiting_count;
static struct heap due_times; /* of those that wait */
static struct list spare = {&spare, &spare};
static unsigned spare_count;
static uint32_t last_number;
static bool answered_others; /* while the guest ran for another */

unsigned call_waiting_count(void)
{
    return waiting_count;
}

bool call_is_answered(void)
{
    return call->replied || call->failed;
}

/* ---- their memory ---- */

static void release_buffers(struct call *c)
{
    struct buf *const buffers[] = {&c->text, &c->head, &c->body, &c->origin};
    for (size_t i = 0; i < COUNT_OF(buffers); i++) {
        if (buffers[i]->cap > CALL_HEAD_MAX || buffers[i]->failed) {
            buf_done(buffers[i]);
            *buffers[i] = (struct buf)BUF_INIT;
        }
        buf_reset(buffers[i]);
    }
}

static void forget_outcome(struct call *c)
{
    c->replied = c->is_event_reply = c->failed = c->too_large = false;
    c->wants_module = c->module_ended = c->log_cut = c->interrupted = c->refused = false;
    c->ended = 0;
    c->fate = CALL_GOES_ON;
    c->log_bytes = 0;
}

struct call *call_new(struct http_request *request, uint64_t now)
{
    struct list *node = list_shift(&spare);
    struct call *c = node != NULL ? list_entry(node, struct call, node) : calloc(1, sizeof(*c));
    if (c == NULL)
        return NULL;
    if (node != NULL)
        spare_count--;
    else
        list_init(&c->operations);
    c->request = request;
    c->state = CALL_QUEUED;
    c->number = ++last_number != 0 ? last_number : ++last_number;
    c->has_event = false;
    c->event_id = slice_of(NULL, 0);
    c->event.count = 0;
    c->event.has_data = false;
    c->event.data = slice_of(NULL, 0);
    forget_outcome(c);
    c->begun = now;
    c->deadline = now + program.bundle->limits.timeout_ms * CLOCK_MILLISECOND;
    return c;
}

void call_free(struct call *c)
{
    must(list_empty(&c->operations) && c->parked == NULL);
    event_arena_done(&c->arena);
    c->arena = (struct event_arena){0};
    c->request = NULL;
    c->state = CALL_FREE;
    release_buffers(c);
    if (spare_count < CALL_SPARE_MAX) {
        list_prepend(&spare, &c->node);
        spare_count++;
        return;
    }
    buf_done(&c->text);
    buf_done(&c->head);
    buf_done(&c->body);
    buf_done(&c->origin);
    free(c);
}

/* ---- instances ---- */

static void restore_all(bool after_stop)
{
    snapshot_restore(engine_snapshot(), after_stop);
    if (program.module != NULL)
        snapshot_restore(module_snapshot(program.module), after_stop);
    engine_reseed();
}

static void finish(struct call *c);

static void end_waiting(struct call *c)
{
    heap_remove(&due_times, &c->due);
    list_remove(&c->node);
    waiting_count--;
    c->state = CALL_RUNS;
}

/* Ends a call that waits, for a reason from outside. */
static void end_early(struct call *c, enum call_fate fate)
{
    end_waiting(c);
    c->fate = fate;
    finish(c);
    call = &background;
}

/* Makes room for another instance. A module's is not needed any more by a call that waits. */
static void vacate(void)
{
    struct call *c = in_place;
    if (snapshot_park(engine_snapshot(), &c->parked) < 0) {
        end_early(c, CALL_NO_ROOM);
        return;
    }
    restore_all(false);
    in_place = NULL;
}

static void put_in_place(struct call *c)
{
    if (!program.bundle->isolate_events || in_place == c)
        return;
    if (in_place != NULL)
        vacate();
    if (c->parked != NULL)
        snapshot_unpark(engine_snapshot(), STEAL(c->parked));
    in_place = c;
}

/* The calls that shared the instance, and what went on behind them, end with it. */
static void lose_instance(void)
{
    operation_cancel_all(&background, true);
    list_for_each_safe (node, next, &waiting)
        end_early(list_entry(node, struct call, node), CALL_INSTANCE_LOST);
    operation_drop_stale(true);
}

/* Also with `isolation: instance` after anything that stopped the guest half-way. */
static void restore(struct call *c)
{
    if (c->parked != NULL)
        snapshot_discard(STEAL(c->parked));
    bool limited = c->interrupted || (c->failed && program.failure.out_of_memory);
    bool lost = c->ended != 0 || limited;
    if (lost || in_place == c)
        restore_all(c->ended != 0);
    if (in_place == c)
        in_place = NULL;
    if (lost && !program.bundle->isolate_events)
        lose_instance();
}

/* ---- running ---- */

/* The call fails, unless it has been answered or has failed: then false. */
static bool fail(struct engine_failure *failure)
{
    if (call_is_answered())
        return false;
    struct engine_failure before = program.failure;
    program.failure = *failure;
    *failure = before;
    call->failed = true;
    return true;
}

/* Node would end the process: here the call fails that is not answered yet. */
static void take_rejections(void)
{
    static struct engine_failure rejection;
    while (engine_take_rejection(&rejection)) {
        rejection.unhandled = true;
        if (!fail(&rejection))
            answer_log_failure(&rejection);
    }
}

/* threw: an exception is pending. */
void call_finish_entry(bool threw)
{
    static struct engine_failure failure;
    if (threw) {
        engine_take_failure(&failure);
        if (!fail(&failure))
            answer_log_failure(&failure);
    }
    if (engine_run_jobs(&failure) < 0)
        (void)fail(&failure);
    else
        take_rejections();
    operation_drop_stale(false);
}

/* Calls an entry of the prelude. */
static void enter(engine_value entry, uint32_t argc, engine_value argument)
{
    engine_value result = engine_call(entry, argc, &argument);
    call_finish_entry(engine_is_exception(result));
    if (program.bundle->isolate_events)
        return; /* the snapshot takes back more than freeing could */
    engine_drop(argument);
    engine_drop(result);
}

static void run_entry(void *ctx)
{
    if (call->page != SETTINGS_PAGE_COUNT) {
        enter(program.handle_health, 1,
              engine_string(call->page == SETTINGS_LIVENESS ? SLICE("liveness")
                                                            : SLICE("readiness")));
        return;
    }
    if (!call->has_event) {
        enter(program.handle_request, 0, 0);
        return;
    }
    enum engine_data form = request_data_form(&call->event);
    unsigned oddities = http_request_query(call->request).len > 0 ? ENGINE_EVENT_QUERY : 0;
    if (settings.has_cors && call->cors != CALL_CORS_NONE)
        oddities |= ENGINE_EVENT_ORIGIN;
    call_finish_entry(engine_call_event(program.handle_event, &call->event, form, oddities,
                                        program.bundle->isolate_events) < 0);
}

static void run_resume(void *ctx)
{
    enter(program.resume_wasm, 1, engine_string(buf_slice(&call->text)));
}

static void run_module(void)
{
    call->wants_module = false;
    call->ended = module_call_run(&call->text);
    if (call->ended != 0)
        call->module_ended = true;
    else
        call->ended = guard_run(run_resume, NULL);
}

/* What a handler leaves behind goes on in a shared instance, as in Node. */
static void end_operations(struct call *c)
{
    if (!program.bundle->isolate_events && c->fate == CALL_GOES_ON)
        operation_give(c, &background);
    else
        operation_cancel_all(c, false);
}

static void finish(struct call *c)
{
    call = c;
    if (c->request != NULL)
        answer_send();
    c->request = NULL;
    end_operations(c);
    restore(c);
    call = &background;
    call_free(c);
}

/* Nobody waits for an answer. */
static void finish_background(void)
{
    call = &background;
    if (background.ended != 0 || background.interrupted || background.failed)
        answer_report();
    restore(&background);
}

static void begin_waiting(struct call *c)
{
    if (heap_insert(&due_times, &c->due, c->deadline) < 0) {
        c->fate = CALL_NO_ROOM;
        finish(c);
        return;
    }
    c->state = CALL_WAITS;
    list_append(&waiting, &c->node);
    waiting_count++;
}

/* Those that were answered while the guest ran for another. */
static void free_answered(void)
{
    if (!answered_others)
        return;
    answered_others = false;
    list_for_each_safe (node, next, &waiting) {
        struct call *c = list_entry(node, struct call, node);
        if (c->request != NULL)
            continue;
        end_waiting(c);
        finish(c);
    }
}

/* Calls of a shared instance that nothing can let go on any more. */
static void end_stuck(void)
{
    if (waiting_count == 0 || program.bundle->isolate_events || operation_count() > 0)
        return;
    list_for_each_safe (node, next, &waiting)
        end_early(list_entry(node, struct call, node), CALL_GOES_ON);
}

static bool is_over(const struct call *c)
{
    if (c->ended != 0 || c->interrupted || c->replied || c->failed)
        return true;
    return program.bundle->isolate_events ? list_empty(&c->operations) : operation_count() == 0;
}

/* After the guest has run for it. */
static void conclude(struct call *c)
{
    call = &background;
    if (program.loading)
        return; /* program.c looks at what came of it */
    if (c == &background)
        finish_background();
    else if (is_over(c))
        finish(c);
    else
        begin_waiting(c);
    free_answered();
    end_stuck();
}

static void prepare_background(void)
{
    if (program.loading)
        return;
    forget_outcome(&background);
    background.deadline = clock_monotonic() + program.bundle->limits.timeout_ms * CLOCK_MILLISECOND;
}

void call_run(struct call *c, void (*fn)(void *ctx), void *ctx)
{
    must(running == NULL);
    if (c->state == CALL_WAITS)
        end_waiting(c);
    if (c == &background)
        prepare_background();
    put_in_place(c);
    call = running = c;
    engine_rejections_reset();
    engine_set_soft_deadline(c->deadline);
    guard_set_deadline(c->deadline + PROGRAM_GRACE_NS);
    c->ended = guard_run(fn, ctx);
    call = c;
    if (c->ended == 0 && c->wants_module && !call_is_answered())
        run_module();
    guard_set_deadline(0);
    c->interrupted = engine_interrupted();
    engine_set_soft_deadline(0);
    running = NULL;
    conclude(c);
}

void call_end_loading(void)
{
    if (program.bundle->isolate_events)
        operation_cancel_all(&background, false);
    in_place = NULL;
    program.loading = false;
}

const struct call *call_run_loading(void (*fn)(void *ctx), uint64_t deadline)
{
    program.loading = true;
    forget_outcome(&background);
    background.deadline = deadline;
    call_run(&background, fn, NULL);
    return &background;
}

/* ---- several calls in one instance ---- */

static struct call *find(uint32_t number)
{
    if (running != NULL && running->number == number)
        return running;
    list_for_each (node, &waiting) {
        struct call *c = list_entry(node, struct call, node);
        if (c->number == number && c->request != NULL)
            return c;
    }
    return NULL;
}

bool call_switch(uint32_t number)
{
    struct call *c = find(number);
    if (c != NULL)
        call = c;
    return c != NULL;
}

void call_switch_back(uint32_t number)
{
    struct call *left = call, *back = find(number);
    if (left != running && left->request != NULL && call_is_answered()) {
        answer_send();
        left->request = NULL;
        answered_others = true;
    }
    call = back != NULL ? back : running;
}

/* ---- requests and time ---- */

void call_start(struct call *c, uint64_t waited)
{
    struct error err = ERROR_INIT;
    int status = request_read(c, &err);
    if (c->page == SETTINGS_PAGE_COUNT)
        metrics_called(waited, http_request_body(c->request).len);
    if (status < 0) {
        http_respond_error(c->request, request_error_status(status), &err);
        call_free(c);
        return;
    }
    c->has_event = status == 1;
    if (c->has_event)
        c->event_id = event_get(&c->event, "id");
    c->state = CALL_RUNS;
    call_run(c, run_entry, NULL);
}

uint64_t call_next_due(void)
{
    const struct heap_node *first = heap_first(&due_times);
    return first != NULL ? first->key : UINT64_MAX;
}

void call_end_late(uint64_t now)
{
    struct heap_node *first;
    while ((first = heap_first(&due_times)) != NULL && first->key <= now)
        end_early(container_of(first, struct call, due), CALL_LATE);
    end_stuck();
}
