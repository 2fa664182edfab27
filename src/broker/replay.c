/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/replay.h"

#include "base/clock.h"
#include "base/log.h"
#include "broker/requeue.h"
#include "broker/start.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define TURN_RECORDS 2000   /* read in one turn */
#define SAVE_RECORDS 100000 /* passed over without a match, before the row says so */
#define AGAIN_NS     CLOCK_SECOND

static void save(struct replay *r, struct requeue *q);

uint64_t replay_limit(const struct trigger *t)
{
    return t->behind != 0 ? t->behind - 1 : t->core->scanned;
}

static void wake_at(struct replay *r, uint64_t due_ns)
{
    loop_timer_set(r->core->loop, &r->timer, due_ns);
}

static void wake(struct replay *r, uint64_t in_ns)
{
    wake_at(r, loop_now(r->core->loop) + in_ns);
}

static void end(struct replay *r, enum replay_state state, const char *message)
{
    const struct resource *resource = r->trigger->resource;
    r->state = state;
    snprintf(r->message, sizeof(r->message), "%s", message);
    r->ended_ns = loop_realtime(r->core->loop);
    store_reader_free(STEAL(r->reader));
    log_info("trigger %s/%s: the replay is %s at position %llu, %llu events%s%s",
             resource->namespace_name, resource->name, replay_state_name(state),
             (unsigned long long)r->at, (unsigned long long)r->matched,
             *message != '\0' ? ": " : "", message);
}

/* ---- one event ---- */

static bool is_sought(const struct replay *r, const char *which, const struct event *e)
{
    struct annotation_place place;
    const char *text = json_string_value(json_object_get(r->request, which));
    return text != NULL && annotation_parse_place(slice_text(text), &place) == 0 &&
           place.kind == ANNOTATION_ID && start_is_event(place.id, e);
}

/* Sets where the replay begins and ends as it meets these events. */
static bool in_range(struct replay *r, uint64_t position, const struct event *e)
{
    if (r->seeks_from && is_sought(r, "from", e)) {
        r->seeks_from = false;
        r->from = position;
    }
    if (r->seeks_to && !r->seeks_from && is_sought(r, "to", e)) {
        r->seeks_to = false;
        r->to = position;
    }
    return !r->seeks_from;
}

static bool is_wanted(const struct replay *r, const struct event *e)
{
    return filter_matches(r->trigger->filter, e) &&
           (r->filter == NULL || filter_matches(r->filter, e));
}

/* False: not now; it is read again. */
static bool take(struct replay *r, struct requeue *q, const struct store_entry *entry)
{
    struct event event = {0};
    struct trigger *t = r->trigger;
    if (entry->type != STORE_RECORD_EVENT || entry->scope != t->broker->number ||
        event_decode(entry->value, &event) < 0 || !in_range(r, entry->position, &event) ||
        !is_wanted(r, &event))
        return true;
    uint64_t now = loop_now(r->core->loop), until = rate_wait(&r->rate, now);
    if (until != 0) {
        wake_at(r, until);
        return false;
    }
    if (lane_will_read(t, &event, entry->position) ||
        !requeue_event(q, t, entry->position, entry->time_ns, entry->value)) {
        r->passed++;
        return true;
    }
    rate_take(&r->rate, now);
    r->matched++;
    return true;
}

/* ---- a turn ---- */

/* The log cannot be read there now: that may pass. */
static void pause_reading(struct replay *r, int error)
{
    log_error("trigger %s/%s: the replay cannot read the log at position %llu (%s): it tries again",
              r->trigger->resource->namespace_name, r->trigger->resource->name,
              (unsigned long long)r->at, strerror(-error));
    store_reader_free(STEAL(r->reader));
    wake(r, AGAIN_NS);
}

/* Leaves the timer set where there is more to do before the row is written. */
static void read_some(struct replay *r, struct requeue *q, unsigned room)
{
    uint64_t limit = replay_limit(r->trigger);
    unsigned n = 0;
    for (; r->at <= r->to && n < TURN_RECORDS && !requeue_is_full(q) && requeue_count(q) < room;
         n++) {
        struct store_entry entry;
        int status = r->at > limit ? 0 : store_reader_next(r->reader, &entry);
        if (status < 0) {
            pause_reading(r, status);
            return;
        }
        if (status == 0 || entry.position > limit) { /* the trigger itself has not come so far */
            store_reader_free(STEAL(r->reader));
            wake(r, AGAIN_NS);
            return;
        }
        if (entry.position > r->to) {
            r->at = r->to + 1;
            return;
        }
        if (!take(r, q, &entry)) {
            store_reader_free(STEAL(r->reader));
            return;
        }
        r->at = entry.position + 1;
    }
    wake(r, 1);
}

static void end_if_read(struct replay *r)
{
    if (r->state != REPLAY_READING || r->at <= r->to)
        return;
    if (r->seeks_from)
        end(r, REPLAY_FAILED, "there is no event of the id in `from`");
    else
        end(r, REPLAY_DONE, "");
}

/* Why nothing can be read now; true: the timer, or what ends, goes on. */
static bool must_wait(struct replay *r)
{
    const struct trigger *t = r->trigger;
    if (t->filter == NULL) {
        wake(r, AGAIN_NS);
        return true;
    }
    return r->unfinished > REPLAY_WINDOW / 2;
}

static void turn(struct replay *r)
{
    if (!r->core->running || r->core->quiet || r->writing || r->state != REPLAY_READING ||
        must_wait(r))
        return;
    if (r->reader == NULL)
        r->reader = store_reader_new(r->core->store, r->at);
    struct requeue *q = r->reader != NULL ? requeue_new(r->core, RETRY_REPLAYED) : NULL;
    if (q == NULL) {
        wake(r, AGAIN_NS);
        return;
    }
    read_some(r, q, REPLAY_WINDOW - r->unfinished);
    end_if_read(r);
    if (requeue_count(q) > 0 || r->state != REPLAY_READING || r->at - r->saved.at >= SAVE_RECORDS ||
        r->seeks_from != r->saved.seeks_from)
        save(r, q);
    else
        requeue_free(q);
}

static void due(struct loop_timer *timer)
{
    struct replay *r = timer->ctx;
    if (r->changed && !r->writing)
        save(r, NULL);
    else
        turn(r);
}

/* ---- the row ---- */

static void note_saved(struct replay *r)
{
    r->saved.at = r->at;
    r->saved.matched = r->matched;
    r->saved.passed = r->passed;
    r->saved.seeks_from = r->seeks_from;
    r->saved.seeks_to = r->seeks_to;
    r->saved.from = r->from;
    r->saved.to = r->to;
}

/* What was read since the row was written is read again. */
static void back_to_saved(struct replay *r)
{
    r->at = r->saved.at;
    r->matched = r->saved.matched;
    r->passed = r->saved.passed;
    r->seeks_from = r->saved.seeks_from;
    r->seeks_to = r->saved.seeks_to;
    r->from = r->saved.from;
    r->to = r->saved.to;
    store_reader_free(STEAL(r->reader));
}

static void answer(struct replay *r, int error)
{
    struct http_request *request = STEAL(r->asked);
    if (request == NULL)
        return;
    if (error == 0)
        replay_answer(request, r->state == REPLAY_READING ? 202 : 200, r);
    else
        http_respond_errorf(request, 503, "the store took no write: %s", strerror(-error));
}

/* A job that never was in the log is none. */
static void drop(struct replay *r)
{
    r->trigger->replay = NULL;
    replay_free(r);
}

/* Tried again, after a moment. */
static void not_saved(struct replay *r)
{
    if (r->state == REPLAY_DONE)
        r->state = REPLAY_READING;
    if (r->state == REPLAY_READING)
        back_to_saved(r);
    else
        r->changed = true;
    wake(r, AGAIN_NS);
}

static void saved(void *ctx, int error, unsigned count)
{
    struct replay *r = ctx;
    r->writing = false;
    if (r->trigger == NULL) {
        if (r->asked != NULL)
            http_respond_errorf(r->asked, 404, "the trigger was deleted meanwhile");
        replay_free(r);
        return;
    }
    bool begun = r->saved.at != 0;
    if (error == 0) {
        note_saved(r);
        r->unfinished += count;
    }
    if (!r->changed || !begun)
        answer(r, error);
    if (error != 0 && !begun)
        drop(r);
    else if (error != 0)
        not_saved(r);
    else if (r->changed)
        save(r, NULL);
    else
        wake(r, 0);
}

/* The deliveries of q, and how far the job is with them, are one step. Takes q. */
static void save(struct replay *r, struct requeue *q)
{
    autobuf key = BUF_INIT;
    autobuf value = BUF_INIT;
    if (q == NULL)
        q = requeue_new(r->core, RETRY_REPLAYED);
    start_key('r', r->trigger->number, &key);
    replay_write_row(r, &value);
    if (q == NULL || !buf_ok(&key) || !buf_ok(&value)) {
        requeue_free(q);
        saved(r, -ENOMEM, 0);
        return;
    }
    r->writing = true;
    r->changed = false;
    store_group_add(requeue_group(q), STORE_RECORD_PUT, STORE_TABLE_CURSORS, buf_slice(&key),
                    buf_slice(&value));
    requeue_append(q, saved, r);
}

static void save_soon(struct replay *r)
{
    r->changed = true;
    if (!r->writing)
        save(r, NULL);
}

/* ---- life ---- */

static void enter(struct replay *r, struct trigger *t)
{
    r->trigger = t;
    r->timer.due = due;
    r->timer.ctx = r;
    list_append(&r->core->replays, &r->link);
    t->replay = r;
}

void replay_start(struct trigger *t, struct replay *r, struct http_request *asked)
{
    if (t->replay != NULL) { /* one that is over, but for deliveries */
        r->unfinished = t->replay->unfinished;
        replay_free(STEAL(t->replay));
    }
    enter(r, t);
    r->asked = asked;
    r->started_ns = loop_realtime(r->core->loop);
    end_if_read(r);
    save(r, NULL);
}

void replay_cancel(struct replay *r, struct http_request *asked)
{
    r->asked = asked;
    end(r, REPLAY_CANCELLED, "");
    save_soon(r);
}

void replay_ended(struct trigger *t)
{
    struct replay *r = t->replay;
    if (r == NULL || r->unfinished == 0)
        return;
    r->unfinished--;
    if (r->state == REPLAY_READING && r->unfinished == REPLAY_WINDOW / 2)
        wake(r, 0);
}

/* What it had queued went with the broker. */
void replay_broker_gone(struct trigger *t)
{
    struct replay *r = t->replay;
    if (r == NULL)
        return;
    r->unfinished = 0;
    if (r->state != REPLAY_READING)
        return;
    end(r, REPLAY_FAILED, "the broker was deleted");
    save_soon(r);
}

uint64_t replay_needed(const struct trigger *t)
{
    const struct replay *r = t->replay;
    return r != NULL && r->state == REPLAY_READING ? r->saved.at : UINT64_MAX;
}

void replay_release_log(struct trigger *t)
{
    if (t->replay != NULL)
        store_reader_free(STEAL(t->replay->reader));
}

void replay_leave(struct trigger *t)
{
    struct replay *r = STEAL(t->replay);
    if (r == NULL)
        return;
    r->trigger = NULL;
    loop_timer_cancel(r->core->loop, &r->timer);
    store_reader_free(STEAL(r->reader));
    if (!r->writing || r->core->closed)
        replay_free(r);
}

void replay_free_all(struct broker_core *b)
{
    while (!list_empty(&b->replays))
        replay_free(list_entry(b->replays.next, struct replay, link));
}

/* ---- at start ---- */

/* Those that have not ended, also of earlier replays. */
static unsigned count_unfinished(const struct trigger *t)
{
    autobuf from = BUF_INIT;
    autobuf to = BUF_INIT;
    unsigned n = 0;
    row_retry_key(t->number, RETRY_NEW, 0, 0, &from);
    row_retry_key(t->number, RETRY_SINK, 0, 0, &to);
    struct store_scan *scan =
        store_scan_new(t->core->store, STORE_TABLE_RETRIES, buf_slice(&from), buf_slice(&to));
    struct slice key, value;
    struct retry_row row;
    while (scan != NULL && store_scan_next(scan, &key, &value, NULL) == 1)
        n += row_retry_read(key, value, &row) == 0 && row.origin == RETRY_REPLAYED;
    store_scan_free(scan);
    return n;
}

static int load_row(struct trigger *t, struct slice value)
{
    struct replay *r = replay_new(t->core);
    if (r == NULL)
        return -ENOMEM;
    int status = replay_read_row(r, value);
    if (status < 0) {
        log_error("trigger %s/%s: the replay that was under way cannot be read: it is given up",
                  t->resource->namespace_name, t->resource->name);
        replay_free(r);
        return status == -ENOMEM ? status : 0;
    }
    enter(r, t);
    note_saved(r);
    r->unfinished = count_unfinished(t);
    if (r->state == REPLAY_READING)
        wake(r, 0);
    return 0;
}

int replay_load(struct broker_core *b)
{
    int status = 0;
    for (uint32_t i = 0; status == 0 && i < b->number_cap; i++) {
        struct trigger *t = trigger_by_number(b, i);
        autobuf key = BUF_INIT;
        autobuf value = BUF_INIT;
        if (t == NULL)
            continue;
        start_key('r', t->number, &key);
        if (store_get(b->store, STORE_TABLE_CURSORS, buf_slice(&key), &value, NULL) == 0)
            status = load_row(t, buf_slice(&value));
        if (status == 0 && t->broker == NULL)
            replay_broker_gone(t);
    }
    return status;
}
