/* SPDX-License-Identifier: Apache-2.0 */
/* /-/replay/{namespace}/{trigger}: a replay is asked for, watched, cancelled. */
#include "broker/replay.h"
#include "broker/start.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct ask {
    struct loop_message message;
    struct broker_core *core;
    struct http_request *request;
    void (*act)(struct ask *a, struct trigger *t);
    struct slice namespace_name, trigger;
    struct replay *replay; /* of POST: what was asked for */
};

/* The request's memory goes with the answer. */
static void refuse(struct ask *a, unsigned status, const struct error *err)
{
    struct http_request *request = a->request;
    replay_free(STEAL(a->replay));
    http_respond_error(request, status, err);
}

__attribute__((format(printf, 3, 4))) static void refuse_text(struct ask *a, unsigned status,
                                                              const char *format, ...)
{
    struct error err = ERROR_INIT;
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    error_set(&err, -EINVAL, "%s", text);
    refuse(a, status, &err);
}

void replay_answer(struct http_request *request, unsigned status, const struct replay *r)
{
    autobuf out = BUF_INIT;
    replay_write(r, &out);
    if (buf_ok(&out))
        http_respond(request, &(struct http_response){.status = status,
                                                      .content_type = "application/json",
                                                      .body = buf_slice(&out)});
    else
        http_respond_errorf(request, 503, "out of memory");
}

/* ---- what is asked for ---- */

static const char *const members[] = {"from", "to", "filter", "rate"};

static bool is_member(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(members); i++)
        if (strcmp(name, members[i]) == 0)
            return true;
    return false;
}

static int check_place(const json_t *request, const char *name, struct error *err)
{
    const json_t *value = json_object_get(request, name);
    struct annotation_place place;
    if (value == NULL && strcmp(name, "to") == 0)
        return 0;
    const char *text = json_string_value(value);
    if (text != NULL && annotation_parse_place(slice_text(text), &place) == 0)
        return 0;
    return error_field(err, -EINVAL, name, "must be " ANNOTATION_PLACE_TEXT);
}

static int read_request(struct http_request *request, struct replay *r, struct error *err)
{
    struct slice body = http_request_body(request);
    json_error_t where;
    const char *name;
    json_t *value;
    r->request = json_loadb(body.ptr, body.len, JSON_REJECT_DUPLICATES, &where);
    if (!json_is_object(r->request))
        return error_set(err, -EINVAL,
                         "the body must be a JSON object with from, to, filter, rate");
    json_object_foreach(r->request, name, value)
    {
        if (!is_member(name))
            return error_field(err, -EINVAL, name, "unknown: from, to, filter and rate are known");
    }
    value = json_object_get(r->request, "rate");
    if (value != NULL && !json_is_string(value))
        return error_field(err, -EINVAL, "rate", "must be as 100/s, 30/m or 5/h");
    int status = check_place(r->request, "from", err);
    if (status == 0)
        status = check_place(r->request, "to", err);
    return status == 0 ? replay_compile(r, err) : status;
}

/* ---- loop thread ---- */

static void post(struct ask *a, struct trigger *t)
{
    struct error err = ERROR_INIT;
    const struct replay *before = t->replay;
    if (t->broker == NULL)
        refuse_text(a, 409, "the trigger has no broker");
    else if (t->search != NULL)
        refuse_text(a, 409, "the trigger has not found where it starts");
    else if (before != NULL &&
             (before->state == REPLAY_READING || before->writing || before->changed))
        refuse_text(a, 409,
                    "a replay of this trigger is under way, at position %llu of %llu: wait for its "
                    "end, or cancel it",
                    (unsigned long long)(before->at < before->to ? before->at : before->to),
                    (unsigned long long)before->to);
    else if (replay_resolve(a->replay, t, &err) < 0)
        refuse(a, 422, &err);
    else
        replay_start(t, STEAL(a->replay), a->request);
}

static void get(struct ask *a, struct trigger *t)
{
    if (t->replay == NULL)
        refuse_text(a, 404, "the trigger has had no replay");
    else
        replay_answer(a->request, 200, t->replay);
}

static void cancel(struct ask *a, struct trigger *t)
{
    if (t->replay == NULL || t->replay->state != REPLAY_READING)
        refuse_text(a, 404, "no replay of this trigger is under way");
    else if (t->replay->asked != NULL)
        refuse_text(a, 409, "the replay is about to begin: try again");
    else
        replay_cancel(t->replay, a->request);
}

static void on_loop(struct loop_message *m)
{
    struct ask *a = container_of(m, struct ask, message);
    char space[256], name[256];
    snprintf(space, sizeof(space), SLICE_FMT, SLICE_ARG(a->namespace_name));
    snprintf(name, sizeof(name), SLICE_FMT, SLICE_ARG(a->trigger));
    const struct resource *r =
        registry_find(a->core->registry, &resource_kind_trigger, space, name);
    if (r == NULL || r->controller == NULL)
        refuse_text(a, 404, "there is no trigger %.100s in namespace %.100s", name, space);
    else
        a->act(a, r->controller);
}

/* ---- HTTP threads ---- */

static struct ask *begin(struct http_request *request, void *ctx,
                         void (*act)(struct ask *a, struct trigger *t))
{
    struct ask *a = http_request_alloc(request, sizeof(*a));
    if (a == NULL) {
        http_respond_errorf(request, 503, "out of memory");
        return NULL;
    }
    *a = (struct ask){.core = ctx,
                      .request = request,
                      .act = act,
                      .namespace_name = http_request_param(request, "namespace"),
                      .trigger = http_request_param(request, "trigger")};
    a->message.receive = on_loop;
    return a;
}

void replay_post(struct http_request *request, void *ctx)
{
    struct error err = ERROR_INIT;
    struct ask *a = begin(request, ctx, post);
    if (a == NULL)
        return;
    a->replay = replay_new(ctx);
    if (a->replay == NULL)
        http_respond_errorf(request, 503, "out of memory");
    else if (read_request(request, a->replay, &err) < 0)
        refuse(a, 400, &err);
    else
        loop_post(a->core->loop, &a->message);
}

static void serve(struct http_request *request, void *ctx,
                  void (*act)(struct ask *a, struct trigger *t))
{
    struct ask *a = begin(request, ctx, act);
    if (a != NULL)
        loop_post(a->core->loop, &a->message);
}

void replay_get(struct http_request *request, void *ctx)
{
    serve(request, ctx, get);
}

void replay_delete(struct http_request *request, void *ctx)
{
    serve(request, ctx, cancel);
}
