/* SPDX-License-Identifier: Apache-2.0 */
/* Puts a guest instance back to what it was, at the cost of the pages that a call writes.
 *
 * All pages of the memory are write-protected; the first write to one is caught by the guard's
 * fault handler, which keeps the page's original here and makes the page writable. Written pages
 * stay writable: at a restore they are copied back (0.1 µs each, against 4 µs for a fault), whether
 * changed or not. What a call wrote is hardly known to differ from call to call; to drop pages that
 * only some odd call wrote, everything is protected anew once in SNAPSHOT_EPOCH restores.
 *
 * Nothing is copied at take, so a worker's private memory is twice the pages that it writes, and
 * the rest stays shared with the zygote. */
#include "worker/worker_internal.h"

#include "base/must.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE            SNAPSHOT_PAGE
#define WASM_PAGE       SNAPSHOT_WASM_PAGE
#define GUEST_RESERVED  0x200000000UL /* of address space for each memory, by wasm2c's runtime */
#define SNAPSHOT_EPOCH  512
#define SNAPSHOT_STEADY 128 /* written pages up to which nothing needs to be dropped */

#define PAGE_SAVED   1
#define PAGE_WRITTEN 2

static struct snapshot *registered[SNAPSHOT_MAX];
static unsigned registered_count;

void snapshot_register(struct snapshot *s)
{
    for (unsigned i = 0; i < registered_count; i++)
        if (registered[i] == s)
            return;
    if (registered_count < SNAPSHOT_MAX)
        registered[registered_count++] = s;
}

bool snapshot_contains(const void *address)
{
    for (unsigned i = 0; i < registered_count; i++) {
        const wasm_rt_memory_t *memory = registered[i]->memory;
        const uint8_t *at = address;
        if (memory != NULL && at >= memory->data && at < memory->data + GUEST_RESERVED)
            return true;
    }
    return false;
}

static void save_page(struct snapshot *s, size_t page)
{
    if (s->page_flags[page] & PAGE_SAVED)
        return;
    memcpy(s->originals + page * PAGE, s->base + page * PAGE, PAGE);
    s->page_flags[page] |= PAGE_SAVED;
}

static void note_written(struct snapshot *s, size_t page)
{
    save_page(s, page);
    if (!(s->page_flags[page] & PAGE_WRITTEN)) {
        s->page_flags[page] |= PAGE_WRITTEN;
        s->written[s->written_count++] = (uint32_t)page;
    }
}

/* The kernel has no more mappings to split for single pages: all become writable and are copied
 * back from now on. */
static bool give_up_protection(struct snapshot *s)
{
    for (size_t page = 0; page < s->page_count; page++)
        note_written(s, page);
    return mprotect(s->base, s->size, PROT_READ | PROT_WRITE) == 0;
}

bool snapshot_fault(void *address)
{
    const uint8_t *at = address;
    for (unsigned i = 0; i < registered_count; i++) {
        struct snapshot *s = registered[i];
        if (!s->taken || s->base == NULL || at < s->base || at >= s->base + s->size)
            continue;
        size_t page = (size_t)(at - s->base) / PAGE;
        if (s->page_flags[page] & PAGE_WRITTEN)
            return false;
        note_written(s, page);
        return mprotect(s->base + page * PAGE, PAGE, PROT_READ | PROT_WRITE) == 0 ||
               give_up_protection(s);
    }
    return false;
}

void snapshot_make_writable(struct snapshot *s, size_t page)
{
    if (s->page_flags[page] & PAGE_WRITTEN)
        return;
    note_written(s, page);
    if (mprotect(s->base + page * PAGE, PAGE, PROT_READ | PROT_WRITE) != 0 &&
        !give_up_protection(s))
        abort(); /* the instance would be half of one and half of another */
}

static void *map_zeroed(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static int take_memory(struct snapshot *s)
{
    if (s->memory == NULL)
        return 0;
    s->base = s->memory->data;
    s->size = (size_t)s->memory->pages * WASM_PAGE;
    s->page_count = s->size / PAGE;
    if (s->size == 0)
        return 0;
    s->originals = map_zeroed(s->size);
    s->page_flags = calloc(s->page_count, 1);
    s->written = map_zeroed(s->page_count * sizeof(*s->written));
    if (s->originals == NULL || s->page_flags == NULL || s->written == NULL)
        return -ENOMEM;
    return 0;
}

static int take_tables(struct snapshot *s)
{
    for (unsigned i = 0; i < s->table_count; i++) {
        size_t bytes = s->tables[i]->size * sizeof(wasm_rt_funcref_t);
        s->table_copies[i] = malloc(bytes > 0 ? bytes : 1);
        if (s->table_copies[i] == NULL)
            return -ENOMEM;
        if (bytes > 0)
            memcpy(s->table_copies[i], s->tables[i]->data, bytes);
    }
    return 0;
}

int snapshot_take(struct snapshot *s, struct error *err)
{
    s->instance_copy = malloc(s->instance_size);
    int status = s->instance_copy != NULL ? take_memory(s) : -ENOMEM;
    if (status == 0)
        status = take_tables(s);
    if (status < 0)
        return error_set(err, status, "no memory for the snapshot");
    memcpy(s->instance_copy, s->instance, s->instance_size);
    snapshot_register(s);
    s->taken = true;
    if (s->size > 0 && mprotect(s->base, s->size, PROT_READ) != 0)
        return error_set(err, -errno, "cannot write-protect the snapshot");
    return 0;
}

/* Pages of a grown memory become unreadable and empty again: whatever grows next starts with zeros
 * as the specification demands. */
static void shrink_memory(struct snapshot *s, bool after_stop)
{
    size_t now = (size_t)s->memory->pages * WASM_PAGE;
    if (after_stop)
        now = (size_t)s->memory->max_pages * WASM_PAGE;
    if (now <= s->size)
        return;
    void *tail = mmap(s->base + s->size, now - s->size, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
    if (tail == MAP_FAILED)
        abort(); /* going on would leak one event's data into the next */
}

/* Not by qsort(): for more than 1 KiB glibc asks the kernel how much memory there is, which the
 * filter of system calls ends the process for. */
static void sort_written(struct snapshot *s)
{
    uint32_t count = 0;
    for (size_t page = 0; page < s->page_count; page++)
        if (s->page_flags[page] & PAGE_WRITTEN)
            s->written[count++] = (uint32_t)page;
    must(count == s->written_count);
    s->sorted_count = count;
}

/* Neighbours are copied at once, in the order of their addresses, which the processor likes. */
static void copy_back(struct snapshot *s)
{
    if (s->sorted_count != s->written_count)
        sort_written(s);
    for (uint32_t i = 0, next; i < s->written_count; i = next) {
        size_t at = s->written[i] * PAGE;
        next = i + 1;
        while (next < s->written_count && s->written[next] == s->written[next - 1] + 1)
            next++;
        memcpy(s->base + at, s->originals + at, (next - i) * PAGE);
    }
}

static void restore_pages(struct snapshot *s)
{
    copy_back(s);
    if (++s->restores % SNAPSHOT_EPOCH != 0 || s->written_count <= SNAPSHOT_STEADY)
        return;
    for (uint32_t i = 0; i < s->written_count; i++)
        s->page_flags[s->written[i]] &= (uint8_t)~PAGE_WRITTEN;
    s->written_count = s->sorted_count = 0;
    if (mprotect(s->base, s->size, PROT_READ) != 0)
        give_up_protection(s);
}

/* A table that grew was reallocated: its place stays, contents and size are put back. */
static void restore_instance(struct snapshot *s)
{
    wasm_rt_funcref_t *places[SNAPSHOT_TABLES_MAX];
    for (unsigned i = 0; i < s->table_count; i++)
        places[i] = s->tables[i]->data;
    memcpy(s->instance, s->instance_copy, s->instance_size);
    for (unsigned i = 0; i < s->table_count; i++) {
        s->tables[i]->data = places[i];
        if (s->tables[i]->size > 0)
            memcpy(places[i], s->table_copies[i], s->tables[i]->size * sizeof(wasm_rt_funcref_t));
    }
}

void snapshot_restore(struct snapshot *s, bool after_stop)
{
    if (s->memory != NULL)
        shrink_memory(s, after_stop);
    restore_pages(s);
    restore_instance(s);
}

void snapshot_release(struct snapshot *s)
{
    if (s->size > 0) {
        mprotect(s->base, s->size, PROT_READ | PROT_WRITE);
        munmap(s->originals, s->size);
        munmap(s->written, s->page_count * sizeof(*s->written));
    }
    free(s->page_flags);
    free(s->instance_copy);
    for (unsigned i = 0; i < s->table_count; i++)
        free(s->table_copies[i]);
    s->taken = false;
    for (unsigned i = 0; i < registered_count; i++)
        if (registered[i] == s)
            registered[i] = registered[--registered_count];
}
