/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest instance looked like, and putting it back. */
#ifndef SLUICE_WORKER_SNAPSHOT_H
#define SLUICE_WORKER_SNAPSHOT_H

#include "base/error.h"
#include "worker/module_abi.h"

#include <stdbool.h>
#include <stdint.h>

#define SNAPSHOT_PAGE       4096UL
#define SNAPSHOT_WASM_PAGE  65536UL
#define SNAPSHOT_MAX        2 /* the engine, and a module */
#define SNAPSHOT_TABLES_MAX 8

struct snapshot {
    /* Set by the owner before snapshot_take(). */
    void *instance; /* the instance struct */
    size_t instance_size;
    wasm_rt_memory_t *memory; /* inside the instance struct; NULL: it has none */
    wasm_rt_funcref_table_t *tables[SNAPSHOT_TABLES_MAX]; /* those that the guest can change */
    unsigned table_count;

    /* Owned. */
    bool taken;
    uint8_t *base; /* the memory's pages at the time of the snapshot: base to base + size */
    size_t size;
    size_t page_count;
    uint8_t *originals; /* same layout; a page is valid here once PAGE_SAVED is set */
    uint8_t *page_flags;
    uint32_t *written; /* pages that are writable now, copied back at each restore */
    uint32_t written_count;
    uint32_t sorted_count; /* as many as when they were last put in order */
    void *instance_copy;
    wasm_rt_funcref_t *table_copies[SNAPSHOT_TABLES_MAX];
    uint64_t restores;
};

/* Remembers the instance as it is now and write-protects its memory; the original of a page is
 * copied when it is first written. 0 or a negative errno. */
int snapshot_take(struct snapshot *s, struct error *err);
/* Everything is as it was. after_stop: guest code was unwound, so growing may be half done. */
void snapshot_restore(struct snapshot *s, bool after_stop);

/* An instance that waits while another one is in its place. */
struct snapshot_parked;
/* Copies what differs from the snapshot aside, and moves memory that it grew; snapshot_restore()
 * must follow. 0 or -ENOMEM: nothing has changed. */
int snapshot_park(struct snapshot *s, struct snapshot_parked **ret);
/* Makes the instance, which must be as after snapshot_restore(), the parked one again. */
void snapshot_unpark(struct snapshot *s, struct snapshot_parked *p);
void snapshot_discard(struct snapshot_parked *p);
/* Bytes that all parked instances take, and what they may take. */
size_t snapshot_parked_bytes(void);
void snapshot_limit_parked(size_t bytes);

/* Called with the address of a fault: true when it was the first write to a protected page, which
 * is writable now. Async-signal-safe. */
bool snapshot_fault(void *address);
/* Whether the address lies in the 8 GiB that a guest memory reserves. */
bool snapshot_contains(const void *address);
/* For snapshot_park.c: as the first write to the page. */
void snapshot_make_writable(struct snapshot *s, size_t page);
/* Known from now on to snapshot_contains(), before it is taken. */
void snapshot_register(struct snapshot *s);
void snapshot_release(struct snapshot *s); /* for tests */

#endif
