/* SPDX-License-Identifier: Apache-2.0 */
/* A replay as its row has it, and as it is shown: JSON both. */
#include "base/clock.h"
#include "base/must.h"
#include "broker/replay.h"
#include "broker/start.h"
#include "resource/filter.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const names[] = {
    [REPLAY_READING] = "reading",
    [REPLAY_DONE] = "done",
    [REPLAY_CANCELLED] = "cancelled",
    [REPLAY_FAILED] = "failed",
};
static_assert(COUNT_OF(names) == REPLAY_STATE_COUNT, "each state has a name");

const char *replay_state_name(enum replay_state s)
{
    return names[s];
}

struct replay *replay_new(struct broker_core *b)
{
    struct replay *r = calloc(1, sizeof(*r));
    if (r == NULL)
        return NULL;
    r->core = b;
    list_init(&r->link);
    return r;
}

void replay_free(struct replay *r)
{
    if (r == NULL)
        return;
    list_remove(&r->link);
    loop_timer_cancel(r->core->loop, &r->timer);
    store_reader_free(r->reader);
    filter_free(r->filter);
    json_decref(r->request);
    free(r);
}

/* A filter of one dialect, or a list of them, as in a trigger's spec.filters. */
static int compile_filter(struct replay *r, struct error *err)
{
    json_t *given = json_object_get(r->request, "filter");
    if (given == NULL)
        return 0;
    json_t *spec = json_is_array(given) ? json_pack("{s:O}", "filters", given)
                                        : json_pack("{s:[O]}", "filters", given);
    int status = spec != NULL ? filter_compile(spec, &r->filter, err)
                              : error_set(err, -ENOMEM, "out of memory");
    json_decref(spec);
    if (status < 0 && err != NULL && slice_starts(slice_text(err->field), "spec.filters")) {
        char below[sizeof(err->field)];
        snprintf(below, sizeof(below), "%s", err->field + strlen("spec.filters"));
        snprintf(err->field, sizeof(err->field), "filter%s", below);
    }
    return status;
}

int replay_compile(struct replay *r, struct error *err)
{
    const char *rate = json_string_value(json_object_get(r->request, "rate"));
    struct annotation_rate limit = {0};
    if (rate != NULL && annotation_parse_rate(slice_text(rate), &limit) < 0)
        return error_field(err, -EINVAL, "rate", "must be as 100/s, 30/m or 5/h");
    if (rate != NULL)
        rate_set(&r->rate, limit.count, limit.period_ns);
    return compile_filter(r, err);
}

/* ---- where it begins and ends ---- */

static void parse(const struct replay *r, const char *name, struct annotation_place *ret)
{
    const char *text = json_string_value(json_object_get(r->request, name));
    *ret = (struct annotation_place){.kind = ANNOTATION_LATEST};
    if (text != NULL)
        (void)annotation_parse_place(slice_text(text), ret);
}

static int resolve_from(struct replay *r, struct error *err)
{
    struct annotation_place from;
    uint64_t before = store_first(r->core->store) - 1;
    parse(r, "from", &from);
    r->seeks_from = from.kind == ANNOTATION_ID;
    int status = r->seeks_from ? 0 : start_resolve(r->core, &from, &before, err);
    if (status < 0)
        return error_prefix(err, "from");
    r->at = before + 1;
    r->from = r->seeks_from ? 0 : r->at;
    return 0;
}

/* A position is included; at a time, what came before it. */
static int resolve_to(struct replay *r, const struct trigger *t, struct error *err)
{
    struct annotation_place to;
    uint64_t before, limit = replay_limit(t);
    parse(r, "to", &to);
    r->to = limit;
    r->seeks_to = to.kind == ANNOTATION_ID;
    if (r->seeks_to || to.kind == ANNOTATION_LATEST)
        return 0;
    int status = start_resolve(r->core, &to, &before, err);
    if (status < 0)
        return error_prefix(err, "to");
    if (to.kind != ANNOTATION_TIME)
        before++;
    r->to = before < limit ? before : limit;
    if (!r->seeks_from && before < r->from && to.kind != ANNOTATION_TIME)
        return error_field(err, -EINVAL, "to", "lies before `from`");
    return 0;
}

int replay_resolve(struct replay *r, const struct trigger *t, struct error *err)
{
    int status = resolve_from(r, err);
    return status == 0 ? resolve_to(r, t, err) : status;
}

static json_t *progress(const struct replay *r)
{
    json_t *o = json_object();
    json_object_set_new(o, "state", json_string(names[r->state]));
    json_object_set(o, "request", r->request);
    json_object_set_new(o, "from", r->seeks_from ? json_null() : json_integer((json_int_t)r->from));
    json_object_set_new(o, "to", json_integer((json_int_t)r->to));
    json_object_set_new(o, "at", json_integer((json_int_t)r->at));
    json_object_set_new(o, "matched", json_integer((json_int_t)r->matched));
    json_object_set_new(o, "skipped", json_integer((json_int_t)r->passed));
    if (r->message[0] != '\0')
        json_object_set_new(o, "message", json_string(r->message));
    return o;
}

static void write_json(json_t *o, struct buf *out)
{
    char *text = json_dumps(o, JSON_COMPACT);
    if (text != NULL)
        buf_add_text(out, text);
    else
        out->failed = true;
    free(text);
    json_decref(o);
}

void replay_write_row(const struct replay *r, struct buf *out)
{
    json_t *o = progress(r);
    json_object_set_new(o, "seeksTo", json_boolean(r->seeks_to));
    json_object_set_new(o, "started", json_integer((json_int_t)r->started_ns));
    json_object_set_new(o, "ended", json_integer((json_int_t)r->ended_ns));
    write_json(o, out);
}

static uint64_t number_at(const json_t *o, const char *name)
{
    json_int_t n = json_integer_value(json_object_get(o, name));
    return n > 0 ? (uint64_t)n : 0;
}

static int state_of(const json_t *o)
{
    const char *text = json_string_value(json_object_get(o, "state"));
    for (int i = 0; text != NULL && i < REPLAY_STATE_COUNT; i++)
        if (strcmp(text, names[i]) == 0)
            return i;
    return -EBADMSG;
}

int replay_read_row(struct replay *r, struct slice value)
{
    struct error err = ERROR_INIT;
    json_t *o = json_loadb(value.ptr, value.len, 0, NULL);
    int state = state_of(o);
    r->request = json_incref(json_object_get(o, "request"));
    r->from = number_at(o, "from");
    r->to = number_at(o, "to");
    r->at = number_at(o, "at");
    r->matched = number_at(o, "matched");
    r->passed = number_at(o, "skipped");
    r->started_ns = number_at(o, "started");
    r->ended_ns = number_at(o, "ended");
    r->seeks_from = json_is_null(json_object_get(o, "from"));
    r->seeks_to = json_is_true(json_object_get(o, "seeksTo"));
    const char *message = json_string_value(json_object_get(o, "message"));
    snprintf(r->message, sizeof(r->message), "%s", message != NULL ? message : "");
    json_decref(o);
    if (state < 0 || !json_is_object(r->request))
        return -EBADMSG;
    r->state = (enum replay_state)state;
    return replay_compile(r, &err);
}

static void add_time(json_t *o, const char *name, uint64_t time_ns)
{
    char text[CLOCK_RFC3339_SIZE];
    if (time_ns == 0)
        return;
    clock_format_rfc3339(time_ns, 3, text);
    json_object_set_new(o, name, json_string(text));
}

/* What is not in the log yet is not said. */
static struct replay as_saved(const struct replay *r)
{
    struct replay shown = *r;
    shown.at = r->saved.at;
    shown.matched = r->saved.matched;
    shown.passed = r->saved.passed;
    shown.seeks_from = r->saved.seeks_from;
    shown.from = r->saved.from;
    shown.to = r->saved.to;
    if (r->writing || r->changed)
        shown.state = REPLAY_READING;
    return shown;
}

void replay_write(const struct replay *job, struct buf *out)
{
    const struct replay shown = as_saved(job), *r = &shown;
    json_t *o = progress(r);
    const struct resource *resource = r->trigger->resource;
    uint64_t open = r->unfinished < r->matched ? r->unfinished : r->matched;
    json_object_set_new(o, "namespace", json_string(resource->namespace_name));
    json_object_set_new(o, "trigger", json_string(resource->name));
    json_object_set_new(o, "done", json_integer((json_int_t)(r->matched - open)));
    add_time(o, "started", r->started_ns);
    add_time(o, "ended", r->ended_ns);
    write_json(o, out);
    buf_add_text(out, "\n");
}
