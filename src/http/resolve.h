/* SPDX-License-Identifier: Apache-2.0 */
/* Names of hosts to addresses by the C library (getaddrinfo: hosts file, DNS), which blocks: each
 * look-up has a thread for itself, few at a time, and what it finds is kept for a while, then asked
 * anew while the old answer is still used. Everything here is called on the loop's thread. */
#ifndef SLUICE_HTTP_RESOLVE_H
#define SLUICE_HTTP_RESOLVE_H

#include "base/list.h"
#include "base/loop.h"

#include <netinet/in.h>

#define RESOLVE_ADDRESSES_MAX 4
#define RESOLVE_THREADS_MAX   4
#define RESOLVE_NAMES_MAX     1024 /* kept */
#define RESOLVE_HOST_MAX      253  /* RFC 1035 §3.1, as text */

union resolve_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* In the order in which they should be tried (RFC 6724); ports are 0. */
struct resolve_answer {
    union resolve_address addresses[RESOLVE_ADDRESSES_MAX];
    unsigned count;
    int error; /* of getaddrinfo (EAI_NONAME…), 0 when there are addresses */
};

/* Blocks; runs on a thread of its own. */
typedef void resolve_lookup_fn(const char *host, struct resolve_answer *ret);
resolve_lookup_fn resolve_by_system;

struct resolver;
/* NULL: out of memory. */
struct resolver *resolver_new(struct loop *l, resolve_lookup_fn *lookup);
/* Who waits is not told. Look-ups under way end by themselves, unheard. */
void resolver_free(struct resolver *r);

/* Embedded in whoever waits. */
struct resolve_wait {
    struct list link;
    void (*done)(struct resolve_wait *w); /* resolver_find() knows it now */
};
void resolve_wait_init(struct resolve_wait *w, void (*done)(struct resolve_wait *w));

/* What is known of the name: 0 and the addresses; -EHOSTUNREACH: it has none (kept for a second);
 * -EINPROGRESS: w->done() will be called, once, in a later turn, unless it waits already; -ENOMEM,
 * also for too many names at once; -EINVAL: no name. */
int resolver_find(struct resolver *r, const char *host, struct resolve_wait *w,
                  struct resolve_answer *ret);
void resolver_cancel(struct resolve_wait *w);
/* The addresses led nowhere: ask anew next time. */
void resolver_forget(struct resolver *r, const char *host);
/* Why the last look-up found nothing, or NULL. */
const char *resolver_problem(const struct resolver *r, const char *host);

#endif
