/* SPDX-License-Identifier: Apache-2.0 */
/* A page of what the log holds, oldest or newest first, and where the next one goes on. What an
 * item is, is the kind's business. */
#ifndef SLUICE_BROKER_PAGE_H
#define SLUICE_BROKER_PAGE_H

#include "base/error.h"
#include "broker/attempt.h"
#include "broker/walk.h"

#define PAGE_ITEMS_MAX     1000
#define PAGE_ITEMS_DEFAULT 100
#define PAGE_BYTES_MAX     (1u << 20) /* of items; one may be more */

struct page_item {
    uint64_t position, time_ns;
    uint32_t scope;         /* broker or trigger */
    struct buf bytes, body; /* an encoded event; or an error, and the head of an answer */
    size_t charged;         /* bytes that count for PAGE_BYTES_MAX */
    /* of attempts */
    uint64_t event, due_ns;
    struct attempt attempt;
};

struct page;

struct page_kind {
    const char *items; /* what they are, for messages */
    unsigned behind;   /* records behind an item that may belong to it */
    /* The inspector's thread: 1: the record is an item, which is filled; 0: it is none. Records
     * that belong to the item before may be put into it. -ENOMEM. */
    int (*take)(struct page *p, const struct store_entry *entry, bool behind_the_end,
                struct page_item *before, struct page_item *ret);
    /* Loop thread. */
    bool (*prepare)(struct inspect_job *job);
    void (*write)(const struct page *p, const struct page_item *item, struct buf *out);
    void (*done)(struct page *p);
};

struct page {
    struct inspect_job job;
    const struct page_kind *kind;
    uint64_t from, to, limit;    /* positions, both included */
    uint64_t since_ns, until_ns; /* 0: any */
    bool descending;
    const struct store_search *search;
    struct page_item *items; /* in the order in which they are shown */
    size_t count, bytes;
    uint64_t next; /* the next page begins here (or ends here, descending); 0: there is none */
    bool out_of_memory;
};

/* Reads limit, continue, order, from, to, since and until of the query. -EINVAL. */
int page_read_query(struct page *p, struct http_request *request, bool descending_by_default,
                    struct error *err);
/* p is the first member of a malloc'ed struct; HTTP thread. */
void page_request(struct page *p, struct broker_core *core, struct http_request *request,
                  const struct page_kind *kind);

#endif
