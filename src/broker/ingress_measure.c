/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/ingress_measure.h"

#include "base/memory.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define SHARES     4 /* HTTP threads, log thread, loop thread */
#define SLOTS      (2 * INGRESS_TYPES_MAX)
#define CACHE_LINE 64

/* What one thread writes; more threads than shares is no harm but time. */
struct share {
    _Alignas(CACHE_LINE) struct histogram accepted;
    atomic_uint_fast64_t answers[INGRESS_ANSWER_COUNT];
};

struct ingress_series {
    struct share shares[SHARES];
    _Atomic(const struct type_name *) type; /* NULL: others */
    struct ingress_series *next, *next_unused;
};

struct ingress_measure {
    uint32_t broker;
    struct ingress_measures *core;
    struct ingress_measure *next, *next_unused;
    atomic_uint types;
    _Atomic(struct ingress_series *) slots[SLOTS];
    atomic_uint_fast64_t refused[INGRESS_ANSWER_COUNT]; /* requests */
    atomic_uint_fast64_t replies;
    struct ingress_series others;
};

struct ingress_measures {
    struct type_names *names;
    struct ingress_measure *all, *unused;
    pthread_mutex_t lock; /* of the series; only a type that is new needs one */
    struct ingress_series *series, *unused_series;
};

static const unsigned statuses[INGRESS_ANSWER_COUNT] = {202, 400, 413, 415, 503};

unsigned ingress_answer_status(enum ingress_answer a)
{
    return statuses[a];
}

enum ingress_answer ingress_answer_of(unsigned status)
{
    enum ingress_answer a = INGRESS_202;
    while (a < INGRESS_ANSWER_COUNT - 1 && statuses[a] != status)
        a++;
    return a;
}

/* ---- life ---- */

struct ingress_measures *ingress_measures_new(void)
{
    struct ingress_measures *all = calloc(1, sizeof(*all));
    if (all == NULL)
        return NULL;
    pthread_mutex_init(&all->lock, NULL);
    all->names = type_names_new();
    if (all->names != NULL)
        return all;
    free(all);
    return NULL;
}

void ingress_measures_free(struct ingress_measures *all)
{
    if (all == NULL)
        return;
    for (struct ingress_measure *m = all->all; m != NULL;) {
        struct ingress_measure *next = m->next;
        free(m);
        m = next;
    }
    for (struct ingress_series *s = all->series; s != NULL;) {
        struct ingress_series *next = s->next;
        free(s);
        s = next;
    }
    type_names_free(all->names);
    pthread_mutex_destroy(&all->lock);
    free(all);
}

struct type_names *ingress_measures_names(struct ingress_measures *all)
{
    return all->names;
}

static void clear_series(struct ingress_series *s)
{
    for (unsigned i = 0; i < SHARES; i++) {
        struct share *h = &s->shares[i];
        for (unsigned n = 0; n < HISTOGRAM_CELLS; n++)
            atomic_store_explicit(&h->accepted.cells[n], 0, memory_order_relaxed);
        atomic_store_explicit(&h->accepted.sum, 0, memory_order_relaxed);
        for (unsigned n = 0; n < INGRESS_ANSWER_COUNT; n++)
            atomic_store_explicit(&h->answers[n], 0, memory_order_relaxed);
    }
}

static void clear(struct ingress_measure *m)
{
    clear_series(&m->others);
    for (unsigned i = 0; i < INGRESS_ANSWER_COUNT; i++)
        atomic_store_explicit(&m->refused[i], 0, memory_order_relaxed);
    atomic_store_explicit(&m->replies, 0, memory_order_relaxed);
}

static void *alloc_lines(size_t size)
{
    void *p = aligned_alloc(CACHE_LINE, (size + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE);
    if (p != NULL)
        memset(p, 0, size);
    return p;
}

static struct ingress_measure *make(struct ingress_measures *all)
{
    struct ingress_measure *m = alloc_lines(sizeof(*m));
    if (m == NULL)
        return NULL;
    m->core = all;
    m->next = all->all;
    all->all = m;
    return m;
}

struct ingress_measure *ingress_measure_new(struct ingress_measures *all, uint32_t broker)
{
    struct ingress_measure *m = all->unused;
    if (m != NULL) {
        all->unused = m->next_unused;
        clear(m);
    } else {
        m = make(all);
    }
    if (m != NULL)
        m->broker = broker;
    return m;
}

void ingress_measure_release(struct ingress_measures *all, struct ingress_measure *m)
{
    pthread_mutex_lock(&all->lock);
    for (unsigned i = 0; i < SLOTS; i++) {
        struct ingress_series *s = atomic_exchange(&m->slots[i], NULL);
        if (s == NULL)
            continue;
        s->next_unused = all->unused_series;
        all->unused_series = s;
    }
    pthread_mutex_unlock(&all->lock);
    atomic_store(&m->types, 0);
    m->next_unused = all->unused;
    all->unused = m;
}

uint32_t ingress_measure_broker(const struct ingress_measure *m)
{
    return m->broker;
}

/* ---- counting ---- */

static struct ingress_series *series_take(struct ingress_measures *all)
{
    pthread_mutex_lock(&all->lock);
    struct ingress_series *s = all->unused_series;
    if (s != NULL) {
        all->unused_series = s->next_unused;
        clear_series(s);
    } else if ((s = alloc_lines(sizeof(*s))) != NULL) {
        s->next = all->series;
        all->series = s;
    }
    pthread_mutex_unlock(&all->lock);
    return s;
}

static void series_give_back(struct ingress_measures *all, struct ingress_series *s)
{
    pthread_mutex_lock(&all->lock);
    s->next_unused = all->unused_series;
    all->unused_series = s;
    pthread_mutex_unlock(&all->lock);
}

/* The first event of a type. What is in the slot then; NULL: the type is one of the others. */
static struct ingress_series *series_new(struct ingress_measure *m,
                                         _Atomic(struct ingress_series *) *slot,
                                         const struct type_name *type)
{
    struct ingress_series *s = NULL, *there = NULL;
    if (atomic_fetch_add(&m->types, 1) < INGRESS_TYPES_MAX && (s = series_take(m->core)) != NULL) {
        atomic_store(&s->type, type);
        if (atomic_compare_exchange_strong(slot, &there, s))
            return s;
        series_give_back(m->core, s); /* another thread was there first */
    }
    atomic_fetch_sub(&m->types, 1);
    return there;
}

static struct ingress_series *series_of(struct ingress_measure *m, const struct type_name *type)
{
    uintptr_t hash = (uintptr_t)type >> 4;
    for (unsigned i = 0; type != NULL && i < SLOTS; i++) {
        _Atomic(struct ingress_series *) *slot = &m->slots[(hash + i) % SLOTS];
        struct ingress_series *s = atomic_load_explicit(slot, memory_order_acquire);
        if (s == NULL && (s = series_new(m, slot, type)) == NULL)
            break;
        if (atomic_load_explicit(&s->type, memory_order_relaxed) == type)
            return s;
    }
    return &m->others;
}

static struct share *my_share(struct ingress_series *s)
{
    static atomic_uint threads;
    static _Thread_local unsigned mine; /* counted from 1 */
    if (mine == 0)
        mine = atomic_fetch_add(&threads, 1) % SHARES + 1;
    return &s->shares[mine - 1];
}

static void count(atomic_uint_fast64_t *number, uint64_t n)
{
    atomic_fetch_add_explicit(number, n, memory_order_relaxed);
}

void ingress_tally_add(struct ingress_tally *t, struct ingress_measure *m, struct slice type)
{
    struct ingress_series *s = series_of(m, type_names_find(m->core->names, type));
    unsigned i = 0;
    while (i < t->count && t->rows[i].series != s)
        i++;
    if (i == INGRESS_TALLY_MAX) /* the last row is the others' */
        i--;
    else if (i == t->count) {
        t->count++;
        t->rows[i].series = t->count < INGRESS_TALLY_MAX ? s : &m->others;
        t->rows[i].events = 0;
    }
    t->rows[i].events++;
}

static void accepted(struct ingress_series *s, uint64_t events, uint64_t took_ns)
{
    struct share *h = my_share(s);
    count(&h->accepted.cells[histogram_time_cell(took_ns)], events);
    count(&h->accepted.sum, events * took_ns);
}

void ingress_tally_accepted(const struct ingress_tally *t, uint64_t took_ns)
{
    for (unsigned i = 0; i < t->count; i++)
        accepted(t->rows[i].series, t->rows[i].events, took_ns);
}

void ingress_tally_refused(const struct ingress_tally *t, unsigned status)
{
    enum ingress_answer a = ingress_answer_of(status);
    for (unsigned i = 0; i < t->count; i++)
        count(&my_share(t->rows[i].series)->answers[a], t->rows[i].events);
}

void ingress_request_refused(struct ingress_measure *m, unsigned status)
{
    count(&m->refused[ingress_answer_of(status)], 1);
}

void ingress_replied(struct ingress_measure *m, const struct type_name *type, uint64_t took_ns)
{
    accepted(series_of(m, type), 1, took_ns);
    count(&m->replies, 1);
}

/* ---- what is shown ---- */

static void add_up(const struct ingress_series *s, struct ingress_view *ret)
{
    *ret = (struct ingress_view){.type = type_name_text(atomic_load(&s->type))};
    for (unsigned i = 0; i < SHARES; i++) {
        histogram_add(&ret->accepted, &s->shares[i].accepted);
        for (unsigned a = 0; a < INGRESS_ANSWER_COUNT; a++)
            ret->answers[a] += atomic_load_explicit(&s->shares[i].answers[a], memory_order_relaxed);
    }
    ret->answers[INGRESS_202] = histogram_count(&ret->accepted);
}

static bool is_empty(const struct ingress_view *v)
{
    uint64_t all = 0;
    for (unsigned a = 0; a < INGRESS_ANSWER_COUNT; a++)
        all += v->answers[a];
    return all == 0;
}

bool ingress_measure_next(const struct ingress_measure *m, unsigned *at, struct ingress_view *ret)
{
    while (*at <= SLOTS) {
        unsigned i = (*at)++;
        const struct ingress_series *s =
            i < SLOTS ? atomic_load_explicit(&m->slots[i], memory_order_acquire) : &m->others;
        if (s == NULL)
            continue;
        add_up(s, ret);
        if (!is_empty(ret))
            return true;
    }
    return false;
}

uint64_t ingress_measure_refused(const struct ingress_measure *m, enum ingress_answer a)
{
    return atomic_load_explicit(&m->refused[a], memory_order_relaxed);
}

uint64_t ingress_measure_replies(const struct ingress_measure *m)
{
    return atomic_load_explicit(&m->replies, memory_order_relaxed);
}
