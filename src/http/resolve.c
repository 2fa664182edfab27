/* SPDX-License-Identifier: Apache-2.0 */
#include "http/resolve.h"

#include "base/clock.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/must.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define KEPT_NS        (30 * CLOCK_SECOND)
#define KEPT_FAILED_NS CLOCK_SECOND
#define STALE_NS       (300 * CLOCK_SECOND) /* beyond: what it was is used while it is asked anew */
#define STACK_SIZE     (512 * 1024)

enum name_state { NAME_QUIET, NAME_QUEUED, NAME_ASKING };

struct name {
    char host[RESOLVE_HOST_MAX + 1];
    enum name_state state;
    bool known;
    uint64_t until; /* the answer is good until then */
    struct resolve_answer answer;
    struct list waiting;   /* struct resolve_wait */
    struct list link;      /* in resolver->queue */
    struct errand *errand; /* QUEUED: what will be sent */
};

/* What a thread may touch; outlives the resolver when one is still asking. */
struct office {
    pthread_mutex_t mutex; /* closed, references */
    struct loop *loop;
    struct resolver *resolver; /* NULL: closed */
    unsigned references;
    resolve_lookup_fn *lookup;
};

struct resolver {
    struct loop *loop;
    struct office *office;
    struct map names;
    struct list queue; /* names that wait for a thread */
    unsigned running;
};

/* One look-up on its thread, then on its way back. */
struct errand {
    struct loop_message message;
    struct office *office;
    char host[RESOLVE_HOST_MAX + 1];
    struct resolve_answer answer;
};

void resolve_by_system(const char *host, struct resolve_answer *ret)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *found = NULL;
    ret->count = 0;
    ret->error = getaddrinfo(host, NULL, &hints, &found);
    for (const struct addrinfo *a = found; a != NULL; a = a->ai_next) {
        if (ret->count == RESOLVE_ADDRESSES_MAX || a->ai_addrlen > sizeof(ret->addresses[0]))
            continue;
        memcpy(&ret->addresses[ret->count++], a->ai_addr, a->ai_addrlen);
    }
    if (found != NULL)
        freeaddrinfo(found);
    if (ret->count == 0 && ret->error == 0)
        ret->error = EAI_NONAME;
}

/* ---- the office ---- */

static void office_leave(struct office *o)
{
    pthread_mutex_lock(&o->mutex);
    bool last = --o->references == 0;
    pthread_mutex_unlock(&o->mutex);
    if (!last)
        return;
    pthread_mutex_destroy(&o->mutex);
    free(o);
}

static void errand_free(struct errand *e)
{
    office_leave(e->office);
    free(e);
}

static void *errand_run(void *arg)
{
    struct errand *e = arg;
    e->office->lookup(e->host, &e->answer);
    pthread_mutex_lock(&e->office->mutex);
    bool wanted = e->office->resolver != NULL;
    if (wanted) /* under the lock: the loop is there as long as the resolver is */
        loop_post(e->office->loop, &e->message);
    pthread_mutex_unlock(&e->office->mutex);
    if (!wanted)
        errand_free(e);
    return NULL;
}

static int start_thread(struct errand *e)
{
    pthread_attr_t attributes;
    pthread_t thread;
    if (pthread_attr_init(&attributes) != 0)
        return -ENOMEM;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    int error = pthread_create(&thread, &attributes, errand_run, e);
    pthread_attr_destroy(&attributes);
    return -error;
}

/* ---- names ---- */

/* There are addresses, if old ones. */
static bool is_usable(const struct name *n, uint64_t now)
{
    return n->known && n->answer.count > 0 && now < n->until + STALE_NS;
}

static void name_answered(struct resolver *r, struct name *n, const struct resolve_answer *answer)
{
    struct list waiting;
    uint64_t now = loop_now(r->loop);
    n->state = NAME_QUIET;
    if (answer->error == EAI_AGAIN && is_usable(n, now)) {
        n->until = now + KEPT_FAILED_NS; /* nobody who could tell can be reached */
    } else {
        n->known = true;
        n->answer = *answer;
        n->until = now + (answer->count > 0 ? KEPT_NS : KEPT_FAILED_NS);
    }
    list_init(&waiting);
    while (!list_empty(&n->waiting)) {
        struct list *first = list_shift(&n->waiting);
        list_append(&waiting, first);
    }
    /* From here on the name may be forgotten, and who waits may go away. */
    while (!list_empty(&waiting)) {
        struct resolve_wait *w = list_entry(list_shift(&waiting), struct resolve_wait, link);
        w->done(w);
    }
}

static void serve_queue(struct resolver *r);

static void errand_back(struct loop_message *m)
{
    struct errand *e = container_of(m, struct errand, message);
    struct resolver *r = e->office->resolver; /* closed on this thread only */
    if (r != NULL) {
        struct name *n = map_get(&r->names, slice_text(e->host));
        r->running--;
        if (n != NULL && n->state == NAME_ASKING)
            name_answered(r, n, &e->answer);
        serve_queue(r);
    }
    errand_free(e);
}

static struct errand *new_errand(struct resolver *r, const char *host)
{
    struct errand *e = calloc(1, sizeof(*e));
    if (e == NULL)
        return NULL;
    memcpy(e->host, host, strlen(host) + 1);
    e->message.receive = errand_back;
    e->office = r->office;
    pthread_mutex_lock(&r->office->mutex);
    r->office->references++;
    pthread_mutex_unlock(&r->office->mutex);
    return e;
}

static void ask(struct resolver *r, struct name *n)
{
    struct errand *e = STEAL(n->errand);
    n->state = NAME_ASKING;
    r->running++;
    if (start_thread(e) == 0)
        return;
    e->answer.error = EAI_AGAIN; /* no thread to be had: so it comes back at once */
    loop_post(r->loop, &e->message);
}

static void serve_queue(struct resolver *r)
{
    while (r->running < RESOLVE_THREADS_MAX && !list_empty(&r->queue)) {
        struct name *n = list_entry(list_shift(&r->queue), struct name, link);
        must(n->errand != NULL); /* as long as it is queued */
        if (!list_empty(&n->waiting) || n->known) {
            ask(r, n);
            continue;
        }
        n->state = NAME_QUIET; /* nobody waits any more */
        errand_free(STEAL(n->errand));
    }
}

static void forget_name(struct resolver *r, struct name *n)
{
    map_remove(&r->names, slice_text(n->host));
    list_remove(&n->link);
    free(n);
}

/* Makes room: one name that nobody waits for. */
static void forget_some(struct resolver *r)
{
    size_t at = 0;
    void *value;
    while (map_next(&r->names, &at, NULL, &value)) {
        struct name *n = value;
        if (n->state == NAME_QUIET) {
            forget_name(r, n);
            return;
        }
    }
}

static struct name *new_name(struct resolver *r, const char *host)
{
    if (r->names.len >= RESOLVE_NAMES_MAX)
        forget_some(r);
    if (r->names.len >= RESOLVE_NAMES_MAX)
        return NULL;
    struct name *n = calloc(1, sizeof(*n));
    if (n == NULL)
        return NULL;
    memcpy(n->host, host, strlen(host) + 1);
    list_init(&n->waiting);
    list_init(&n->link);
    if (map_put(&r->names, slice_text(host), n) < 0) {
        free(n);
        return NULL;
    }
    return n;
}

/* ---- the resolver ---- */

struct resolver *resolver_new(struct loop *l, resolve_lookup_fn *lookup)
{
    struct resolver *r = calloc(1, sizeof(*r));
    struct office *o = calloc(1, sizeof(*o));
    if (r == NULL || o == NULL) {
        free(r);
        free(o);
        return NULL;
    }
    pthread_mutex_init(&o->mutex, NULL);
    o->loop = l;
    o->resolver = r;
    o->references = 1;
    o->lookup = lookup;
    r->loop = l;
    r->office = o;
    list_init(&r->queue);
    return r;
}

void resolver_free(struct resolver *r)
{
    if (r == NULL)
        return;
    pthread_mutex_lock(&r->office->mutex);
    r->office->resolver = NULL;
    pthread_mutex_unlock(&r->office->mutex);
    size_t at = 0;
    void *value;
    while (map_next(&r->names, &at, NULL, &value)) {
        struct name *n = value;
        while (!list_empty(&n->waiting))
            (void)list_shift(&n->waiting);
        if (n->errand != NULL)
            errand_free(n->errand);
        free(n);
    }
    map_done(&r->names);
    office_leave(r->office);
    free(r);
}

void resolve_wait_init(struct resolve_wait *w, void (*done)(struct resolve_wait *w))
{
    list_init(&w->link);
    w->done = done;
}

void resolver_cancel(struct resolve_wait *w)
{
    list_remove(&w->link);
}

void resolver_forget(struct resolver *r, const char *host)
{
    struct name *n = map_get(&r->names, slice_text(host));
    if (n != NULL)
        n->known = false;
}

const char *resolver_problem(const struct resolver *r, const char *host)
{
    const struct name *n = map_get(&r->names, slice_text(host));
    if (n == NULL || !n->known || n->answer.count > 0)
        return NULL;
    return gai_strerror(n->answer.error);
}

static int start_asking(struct resolver *r, struct name *n)
{
    if ((n->errand = new_errand(r, n->host)) == NULL)
        return -ENOMEM;
    n->state = NAME_QUEUED;
    list_append(&r->queue, &n->link);
    return 0;
}

int resolver_find(struct resolver *r, const char *host, struct resolve_wait *w,
                  struct resolve_answer *ret)
{
    size_t len = strlen(host);
    if (len == 0 || len > RESOLVE_HOST_MAX)
        return -EINVAL;
    uint64_t now = loop_now(r->loop);
    struct name *n = map_get(&r->names, slice_text(host));
    if (n == NULL && (n = new_name(r, host)) == NULL)
        return -ENOMEM;
    bool fresh = n->known && now < n->until;
    if (!fresh && n->state == NAME_QUIET && start_asking(r, n) < 0)
        return -ENOMEM;
    if (fresh || is_usable(n, now)) {
        serve_queue(r);
        *ret = n->answer;
        return n->answer.count > 0 ? 0 : -EHOSTUNREACH;
    }
    if (list_empty(&w->link))
        list_append(&n->waiting, &w->link);
    serve_queue(r);
    return -EINPROGRESS;
}
