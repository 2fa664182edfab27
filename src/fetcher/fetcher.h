/* SPDX-License-Identifier: Apache-2.0 */
/* The fetcher's own parts, lowest first: destination and allow (where a URL leads, and whether that
 * may be), location (where an answer sends on to), job (one request over all its hops), session
 * (the worker's socket), confine. One thread, besides those of name look-ups. */
#ifndef SLUICE_FETCHER_FETCHER_H
#define SLUICE_FETCHER_FETCHER_H

#include "base/error.h"
#include "base/list.h"
#include "base/loop.h"
#include "fetcher/protocol.h"
#include "http/client.h"

#include <netinet/in.h>

/* ---- destination: where a URL leads. Pure. ---- */

#define DESTINATION_HOST_MAX 253
#define DESTINATION_SIZE     (DESTINATION_HOST_MAX + 10)

enum destination_form {
    DESTINATION_NAME,
    DESTINATION_IPV4,
    DESTINATION_IPV6,
    DESTINATION_FORM_COUNT,
};

struct destination {
    enum destination_form form;
    char host[DESTINATION_HOST_MAX + 1]; /* lower case, no dot at the end, no brackets; addresses in
                                            their shortest form */
    uint16_t port;
    bool secure;
};

/* The host of a URL or of an entry, without brackets. 0, or -EINVAL: no name of letters, digits,
 * hyphens, underscores and dots, and no address in its full form. */
int destination_set_host(struct destination *d, struct slice host, bool bracketed);
/* Where the URL leads. url gets it anew from its checked parts, without fragment, so that nobody
 * reads it in another way than this. 0, -EINVAL, -ENOMEM. */
int destination_of(struct slice text, struct destination *ret, struct buf *url, struct error *err);
/* "host:port", for people. */
void destination_show(const struct destination *d, char text[DESTINATION_SIZE]);
bool destination_same_origin(const struct destination *a, const struct destination *b);

/* ---- allow: network.allow ---- */

struct allow_entry {
    struct destination to;
    bool below; /* *.host: all names that end in it, but not itself */
};

struct allow_list {
    struct allow_entry *entries;
    size_t count;
};

/* 0, -EINVAL for what is no HOST:PORT, -ENOMEM. */
int allow_add(struct allow_list *l, struct slice entry);
void allow_done(struct allow_list *l);
bool allow_has(const struct allow_list *l, const struct destination *d);

/* ---- location ---- */

/* What a reference means in a page at base, an absolute URL (RFC 3986 §5.2). out is replaced. 0,
 * -EINVAL or -ENOMEM. */
int location_resolve(struct slice base, struct slice reference, struct buf *out);

/* ---- session: the socket, and the jobs that came over it ---- */

struct session;
/* trusted: as for http_client_trust(), or NULL. NULL: out of memory. */
struct session *session_new(struct loop *l, int socket, const char *trusted);
void session_free(struct session *s);
/* Reads the allow-list, which the process needs before it is confined. Blocks. */
int session_read_allow(struct session *s, struct error *err);
const struct allow_list *session_allow(const struct session *s);
struct http_client *session_client(struct session *s);
struct loop *session_loop(struct session *s);
/* Begins to serve; the loop is stopped when the worker is gone. */
int session_serve(struct session *s);
/* For jobs: queues a frame, which is taken over. */
void session_send(struct session *s, struct buf *frame);

/* ---- job: one request ---- */

struct job {
    struct list link;
    struct session *session;
    uint64_t id, deadline_ns;
    struct buf payload; /* what request points into */
    struct fetcher_request request;
    struct destination to;
    struct buf url; /* of the hop that runs */
    struct http_call *call;
    unsigned redirects;
};

/* Takes the payload of a request over; it answers by session_send() and goes away. In jobs while it
 * runs. */
void job_start(struct session *s, struct list *jobs, uint64_t id, struct slice payload);
void job_refuse(struct session *s, uint64_t id, enum fetcher_problem problem, const char *message);
void job_cancel(struct job *j);

/* ---- confine ---- */

/* Where certificates are that confinement would hide: a name that stays readable, from
 * SSL_CERT_FILE. NULL when it is not set; err is set when it cannot be read. */
const char *confine_trusted(struct error *err);
/* From here on the process can talk to the listed ports and name servers, read certificates, what
 * the resolver reads, and libraries, and no more. */
int confine_self(const struct allow_list *allow, struct error *err);

#endif
