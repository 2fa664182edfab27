/* SPDX-License-Identifier: Apache-2.0 */
#include "base/loop.h"

#include "base/memory.h"
#include "base/must.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define EVENTS_A_TURN 64

struct loop {
    int epoll;
    int wake; /* eventfd that loop_post() writes when the loop may sleep */
    const struct clock_source *clock;
    uint64_t now;
    bool stopped;
    struct heap timers;
    /* Posted messages, newest first (a Treiber stack that only the loop empties). */
    _Atomic(struct loop_message *) posted;
    /* True while the loop is in, or about to go into, epoll_wait: posters must wake it. */
    atomic_bool sleeping;
    struct epoll_event ready[EVENTS_A_TURN];
    int ready_count;
    void (*end_of_turn)(void *ctx);
    void *end_of_turn_ctx;
};

struct loop *loop_new(void)
{
    struct loop *l = calloc(1, sizeof(*l));
    if (l == NULL)
        return NULL;
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    l->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
    if (l->epoll < 0 || l->wake < 0 || epoll_ctl(l->epoll, EPOLL_CTL_ADD, l->wake, &e) < 0) {
        loop_free(l);
        return NULL;
    }
    loop_set_clock(l, &clock_machine);
    return l;
}

void loop_free(struct loop *l)
{
    if (l == NULL)
        return;
    if (l->epoll >= 0)
        close(l->epoll);
    if (l->wake >= 0)
        close(l->wake);
    heap_done(&l->timers);
    free(l);
}

uint64_t loop_now(const struct loop *l)
{
    return l->now;
}

uint64_t loop_realtime(const struct loop *l)
{
    return l->clock->realtime(l->clock->ctx);
}

uint64_t loop_monotonic(const struct loop *l)
{
    return l->clock->monotonic(l->clock->ctx);
}

static void read_clock(struct loop *l)
{
    l->now = loop_monotonic(l);
}

void loop_set_clock(struct loop *l, const struct clock_source *clock)
{
    l->clock = clock;
    read_clock(l);
}

uint64_t loop_first_due(const struct loop *l)
{
    const struct heap_node *first = heap_first(&l->timers);
    return first != NULL ? first->key : UINT64_MAX;
}

void loop_stop(struct loop *l)
{
    l->stopped = true;
}

void loop_set_end_of_turn(struct loop *l, void (*end)(void *ctx), void *ctx)
{
    l->end_of_turn = end;
    l->end_of_turn_ctx = ctx;
}

int loop_watch(struct loop *l, struct loop_watch *w, int fd, uint32_t events)
{
    must(!w->active);
    struct epoll_event e = {.events = events, .data.ptr = w};
    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &e) < 0)
        return -errno;
    w->fd = fd;
    w->events = events;
    w->active = true;
    return 0;
}

int loop_rewatch(struct loop *l, struct loop_watch *w, uint32_t events)
{
    must(w->active);
    if (w->events == events)
        return 0;
    struct epoll_event e = {.events = events, .data.ptr = w};
    if (epoll_ctl(l->epoll, EPOLL_CTL_MOD, w->fd, &e) < 0)
        return -errno;
    w->events = events;
    return 0;
}

void loop_unwatch(struct loop *l, struct loop_watch *w)
{
    if (!w->active)
        return;
    (void)epoll_ctl(l->epoll, EPOLL_CTL_DEL, w->fd, NULL);
    w->active = false;
    for (int i = 0; i < l->ready_count; i++) /* it may be freed while its event still waits */
        if (l->ready[i].data.ptr == w)
            l->ready[i].events = 0;
}

void loop_timer_set(struct loop *l, struct loop_timer *t, uint64_t due_ns)
{
    loop_timer_cancel(l, t);
    must(heap_insert(&l->timers, &t->node, due_ns) == 0);
}

void loop_timer_cancel(struct loop *l, struct loop_timer *t)
{
    if (heap_contains(&t->node))
        heap_remove(&l->timers, &t->node);
}

void loop_post(struct loop *l, struct loop_message *m)
{
    struct loop_message *head = atomic_load_explicit(&l->posted, memory_order_relaxed);
    do
        m->next = head;
    while (!atomic_compare_exchange_weak(&l->posted, &head, m));
    if (atomic_exchange(&l->sleeping, false)) {
        uint64_t one = 1;
        ssize_t n = write(l->wake, &one, sizeof(one));
        (void)n; /* a full counter wakes the loop as well */
    }
}

static void receive_posted(struct loop *l)
{
    struct loop_message *newest = atomic_exchange(&l->posted, NULL);
    struct loop_message *oldest = NULL;
    while (newest != NULL) {
        struct loop_message *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest != NULL) {
        struct loop_message *next = oldest->next;
        oldest->receive(oldest);
        oldest = next;
    }
}

static void run_timers(struct loop *l)
{
    for (struct heap_node *first = heap_first(&l->timers); first != NULL && first->key <= l->now;
         first = heap_first(&l->timers)) {
        heap_remove(&l->timers, first);
        struct loop_timer *t = container_of(first, struct loop_timer, node);
        t->due(t);
    }
}

static int wait_milliseconds(const struct loop *l, uint64_t max_wait_ns)
{
    uint64_t wait = max_wait_ns, due = loop_first_due(l);
    if (due != UINT64_MAX) {
        uint64_t until = due > l->now ? due - l->now : 0;
        wait = until < wait ? until : wait;
    }
    if (wait == UINT64_MAX)
        return -1;
    uint64_t ms = (wait + CLOCK_MILLISECOND - 1) / CLOCK_MILLISECOND;
    return ms > 60000 ? 60000 : (int)ms;
}

static void run_ready(struct loop *l)
{
    for (int i = 0; i < l->ready_count; i++) {
        struct epoll_event *e = &l->ready[i];
        if (e->data.ptr == NULL) {
            uint64_t drained;
            ssize_t n = read(l->wake, &drained, sizeof(drained));
            (void)n;
        } else if (e->events != 0) {
            struct loop_watch *w = e->data.ptr;
            w->ready(w, e->events);
        }
    }
    l->ready_count = 0;
}

void loop_turn(struct loop *l, uint64_t max_wait_ns)
{
    atomic_store(&l->sleeping, true);
    /* A message posted before `sleeping` was set did not wake us: do not sleep then. */
    int wait = atomic_load(&l->posted) != NULL ? 0 : wait_milliseconds(l, max_wait_ns);
    int n = epoll_wait(l->epoll, l->ready, EVENTS_A_TURN, wait);
    atomic_store(&l->sleeping, false);
    read_clock(l);
    l->ready_count = n > 0 ? n : 0;
    run_ready(l);
    receive_posted(l);
    run_timers(l);
    if (l->end_of_turn != NULL)
        l->end_of_turn(l->end_of_turn_ctx);
}

void loop_run(struct loop *l)
{
    l->stopped = false;
    read_clock(l);
    while (!l->stopped)
        loop_turn(l, UINT64_MAX);
}
