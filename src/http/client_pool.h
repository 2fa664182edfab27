/* SPDX-License-Identifier: Apache-2.0 */
/* Connections of client_direct.c: opened, kept for the next call, closed when nobody wants them. A
 * peer is one address; it lives as long as it has connections or calls. */
#ifndef SLUICE_HTTP_CLIENT_POOL_H
#define SLUICE_HTTP_CLIENT_POOL_H

#include "base/list.h"
#include "base/loop.h"
#include "base/map.h"
#include "base/slice.h"
#include "http/resolve.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#define POOL_ADDRESSES_MAX RESOLVE_ADDRESSES_MAX
#define POOL_IDLE_MAX      512 /* connections of all peers; beyond, the oldest is closed */

struct pool_address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un local;
    };
    socklen_t len;
};

/* Where to connect to. */
struct pool_target {
    char *host; /* a name that is to be resolved, with its port; NULL: the addresses are known */
    uint16_t port;
    struct pool_address addresses[POOL_ADDRESSES_MAX]; /* tried in this order */
    unsigned count;
};

struct pool_peer;

struct pool {
    struct loop *loop;
    struct resolver *resolver;
    unsigned connections_max; /* of one peer */
    struct map peers;         /* name → struct pool_peer */
    uint64_t idle_ns;         /* a connection that is idle for so long is closed */
    uint64_t patience_ns;     /* with an address, before the next one is tried */
    struct list idle;         /* all idle connections, the one that is so longest first */
    unsigned idle_count;
    struct loop_timer sweep;
    /* Something happened on a connection that has a call. */
    void (*ready)(void *ctx, uint32_t events); /* ctx: the call */
    /* Its name is resolved, or cannot be: whatever waits may try again. */
    void (*resolved)(struct pool_peer *peer);
};

struct pool_peer {
    struct pool *pool;
    char *name; /* "http://127.0.0.1:8080", or a socket's path */
    struct pool_target target;
    struct list idle;    /* struct pool_connection, the last used at the end */
    struct list waiting; /* for the owner of the calls */
    struct resolve_wait lookup;
    unsigned connections, calls;
    unsigned idle_connections; /* of these */
};

struct pool_connection {
    struct pool_peer *peer;
    struct loop_watch watch;
    struct list link, all; /* in peer->idle and pool->idle */
    void *call;            /* NULL: idle */
    uint64_t idle_since;
    unsigned address; /* index of the one that is tried or connected */
    bool connecting;
    struct loop_timer patience; /* with an address that is not the last */
    bool impatient;
    unsigned left;    /* 1 + the first address that was left because it took long; 0: none */
    bool last_chance; /* it is tried again */
    bool reused;      /* a call ended well on it before */
};

/* The resolver is borrowed. Set ready and resolved before anything else. */
void pool_init(struct pool *p, struct loop *l, struct resolver *resolver,
               unsigned connections_per_peer_max, uint64_t idle_ns);
/* Closes what is idle; there are no calls any more. */
void pool_done(struct pool *p);

/* A Unix socket's path. 0 or -ENAMETOOLONG. */
int pool_target_unix(const char *path, struct pool_target *ret);
/* An IP address, localhost (RFC 6761 §6.3), or a name that will be resolved. 0, -EINVAL or -ENOMEM.
 */
int pool_target_tcp(struct slice host, uint16_t port, struct pool_target *ret);

/* The peer of that name, made when it is not there yet. Takes the target over. NULL: out of memory.
 */
struct pool_peer *pool_peer(struct pool *p, const char *name, struct pool_target *target);
void pool_peer_release_if_unused(struct pool_peer *peer);

/* Whether a call need not wait for others: a connection is idle, or may be opened. */
bool pool_has_room(const struct pool_peer *peer);
/* The idle connection that was used last, or NULL. */
struct pool_connection *pool_take(struct pool_peer *peer);
/* A new connection, perhaps still connecting. 0; -EINPROGRESS: its name is being resolved, and
 * resolved() will be called; -EAGAIN: the peer's backlog is full; -EHOSTUNREACH: the name has no
 * address, or no route leads there; or another errno of connect(). */
int pool_connect(struct pool_peer *peer, void *call, struct pool_connection **ret);
/* After an event while it was connecting: 0, it is connected; -EINPROGRESS; or why it cannot be. */
int pool_connected(struct pool_connection *n);
/* The call is over; the connection waits for the next, or is closed. */
void pool_give_back(struct pool_connection *n, bool reusable);
void pool_close(struct pool_connection *n);

#endif
