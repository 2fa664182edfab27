/* SPDX-License-Identifier: Apache-2.0 */
/* A crew of threads, each with a connection of its own, takes the items in their order. Namespaces
 * and brokers go alone, since what follows may need them (or make them, as a trigger makes the
 * default broker), and an object that stands in the manifest twice is applied in that order. The
 * calling thread shows the results. */
#include "cli/apply_items.h"

#include "base/memory.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define CREW_MAX 32
#define IDLE     SIZE_MAX

/* ---- one item ---- */

/* GET asks for the item, POST creates it, PUT replaces it. *ret is what is stored now. */
static int ask(struct remote *r, const struct manifest_item *item, const char *method, json_t **ret,
               struct error *err)
{
    autobuf path = BUF_INIT;
    autofree char *body = NULL;
    struct remote_reply reply = {0};
    struct remote_request request = {.method = method, .accept = "application/json"};
    remote_resource_path(item->kind, item->namespace_name,
                         strcmp(method, "POST") == 0 ? NULL : item->name, &path);
    if (strcmp(method, "GET") != 0) {
        body = json_dumps(item->object, JSON_COMPACT);
        request.content_type = "application/json";
        request.body = slice_text(body);
        request.has_body = true;
    }
    if (!buf_ok(&path) || (request.has_body && body == NULL))
        return error_set(err, -ENOMEM, "out of memory");
    request.path = path.ptr;
    int status = remote_call(r, &request, &reply, err);
    if (status < 0)
        return status;
    *ret = json_loadb(reply.body.ptr, reply.body.len, JSON_DECODE_INT_AS_REAL, NULL);
    remote_reply_done(&reply);
    return *ret != NULL ? 0 : error_set(err, -EBADMSG, "the server's answer is no JSON");
}

/* Whether both are the same but for what the server itself writes while time passes. */
static bool same(json_t *before, json_t *after)
{
    json_t *objects[] = {before, after};
    for (size_t i = 0; i < COUNT_OF(objects); i++) {
        json_object_del(objects[i], "status");
        json_object_del(json_object_get(objects[i], "metadata"), "resourceVersion");
    }
    return json_equal(before, after);
}

static int apply_item(struct remote *r, const struct manifest_item *item, const char **ret_outcome,
                      struct error *err)
{
    json_t *before = NULL, *after = NULL;
    const char *outcome = "created";
    int status = ask(r, item, "GET", &before, err);
    if (status == -ENOENT) {
        status = ask(r, item, "POST", &after, err);
    } else if (status == 0) {
        status = ask(r, item, "PUT", &after, err);
        if (status == 0)
            outcome = same(before, after) ? "unchanged" : "configured";
    }
    json_decref(before);
    json_decref(after);
    *ret_outcome = outcome;
    return status;
}

/* ---- the crew ---- */

struct crew {
    const struct manifest *manifest;
    struct apply_result *results; /* of each item */
    bool *done;
    pthread_mutex_t lock; /* all that follows, and done */
    pthread_cond_t changed;
    size_t taken; /* items that were begun */
    bool ended;   /* no further one is */
    size_t size, busy;
    struct member {
        struct crew *crew;
        pthread_t thread;
        struct remote *remote;
        size_t item; /* that it applies, or IDLE */
    } members[CREW_MAX];
};

static bool goes_alone(const struct manifest_item *item)
{
    return item->kind == &resource_kind_namespace || item->kind == &resource_kind_broker;
}

static bool is_same_object(const struct manifest_item *a, const struct manifest_item *b)
{
    return a->kind == b->kind && strcmp(a->name, b->name) == 0 &&
           strcmp(a->namespace_name, b->namespace_name) == 0;
}

/* Whether the next item may be begun beside those that are under way. */
static bool may_begin(const struct crew *c)
{
    const struct manifest_item *items = c->manifest->items, *next = &items[c->taken];
    if (c->busy > 0 && goes_alone(next))
        return false;
    for (size_t i = 0; i < c->size && c->busy > 0; i++) {
        size_t item = c->members[i].item;
        if (item != IDLE && (goes_alone(&items[item]) || is_same_object(&items[item], next)))
            return false;
    }
    return true;
}

/* Under the lock. False: there is nothing more to do. */
static bool take(struct member *member)
{
    struct crew *c = member->crew;
    while (!c->ended && c->taken < c->manifest->count && !may_begin(c))
        pthread_cond_wait(&c->changed, &c->lock);
    if (c->ended || c->taken == c->manifest->count)
        return false;
    member->item = c->taken++;
    c->busy++;
    return true;
}

static void *work(void *ctx)
{
    struct member *member = ctx;
    struct crew *c = member->crew;
    pthread_mutex_lock(&c->lock);
    while (take(member)) {
        pthread_mutex_unlock(&c->lock);
        struct apply_result result = {.err = ERROR_INIT};
        result.status = apply_item(member->remote, &c->manifest->items[member->item],
                                   &result.outcome, &result.err);
        pthread_mutex_lock(&c->lock);
        c->results[member->item] = result;
        c->done[member->item] = true;
        if (result.status == -ECONNREFUSED)
            c->ended = true;
        member->item = IDLE;
        c->busy--;
        pthread_cond_broadcast(&c->changed);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

static void show_all(struct crew *c,
                     bool (*show)(void *ctx, size_t index, const struct apply_result *result),
                     void *ctx)
{
    bool going = true;
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < c->manifest->count; i++) {
        while (!c->done[i] && !(c->ended && i >= c->taken))
            pthread_cond_wait(&c->changed, &c->lock);
        if (!c->done[i])
            break;
        pthread_mutex_unlock(&c->lock);
        if (going || c->results[i].status == 0)
            going = show(ctx, i, &c->results[i]) && going;
        pthread_mutex_lock(&c->lock);
        c->ended = c->ended || !going;
    }
    pthread_mutex_unlock(&c->lock);
}

/* As many as there are items, up to a limit, and as the system gives; at least one. */
static int crew_start(struct crew *c, const struct cli_call *call)
{
    size_t wanted = c->manifest->count < CREW_MAX ? c->manifest->count : CREW_MAX;
    pthread_mutex_lock(&c->lock); /* nobody looks at the others before all are there */
    while (c->size < wanted) {
        struct member *member = &c->members[c->size];
        *member = (struct member){.crew = c, .item = IDLE, .remote = remote_new(call)};
        if (member->remote == NULL || pthread_create(&member->thread, NULL, work, member) != 0) {
            remote_free(member->remote);
            break;
        }
        c->size++;
    }
    pthread_mutex_unlock(&c->lock);
    return c->size > 0 ? 0 : -ENOMEM;
}

static void crew_end(struct crew *c)
{
    for (size_t i = 0; i < c->size; i++) {
        pthread_join(c->members[i].thread, NULL);
        remote_free(c->members[i].remote);
    }
    pthread_cond_destroy(&c->changed);
    pthread_mutex_destroy(&c->lock);
    free(c->results);
    free(c->done);
}

int apply_items(const struct cli_call *call, const struct manifest *m,
                bool (*show)(void *ctx, size_t index, const struct apply_result *result), void *ctx)
{
    struct crew c = {.manifest = m};
    pthread_mutex_init(&c.lock, NULL);
    pthread_cond_init(&c.changed, NULL);
    c.results = calloc(m->count, sizeof(*c.results));
    c.done = calloc(m->count, sizeof(*c.done));
    int r = c.results != NULL && c.done != NULL ? crew_start(&c, call) : -ENOMEM;
    if (r == 0)
        show_all(&c, show, ctx);
    else
        terminal_error("out of memory");
    crew_end(&c);
    return r;
}
