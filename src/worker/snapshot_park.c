/* SPDX-License-Identifier: Apache-2.0 */
/* Takes an instance out of its place and puts it back, so that several can share one memory.
 *
 * Of the pages that it wrote, the pieces that differ from the snapshot are kept: 64 bytes each, 64
 * of which make a page and one word that says which. A typical waiting call writes 30 pages and
 * changes 6 KiB. Memory that was grown is not copied: its pages move to another address and back.
 */
#include "worker/snapshot.h"

#include "base/buf.h"
#include "base/must.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PIECE       64u
#define PIECES      (SNAPSHOT_PAGE / PIECE) /* as many as a word has bits */
#define SCRATCH_MAX (1024u * 1024)          /* kept for the next one */

struct page_head {
    uint64_t pieces; /* a bit for each that follows */
    uint64_t page;
};

struct snapshot_parked {
    uint8_t *tail; /* memory behind the snapshot's; NULL: it has not grown */
    size_t tail_size;
    size_t size; /* of bytes */
    /* The instance struct, the tables' contents, then page heads and their pieces. */
    uint8_t bytes[];
};

static size_t parked_bytes, parked_limit = SIZE_MAX;

size_t snapshot_parked_bytes(void)
{
    return parked_bytes;
}

void snapshot_limit_parked(size_t bytes)
{
    parked_limit = bytes;
}

/* ---- what differs ---- */

static bool piece_differs(const uint8_t *a, const uint8_t *b)
{
    uint64_t x[PIECE / 8], y[PIECE / 8], differ = 0;
    memcpy(x, a, PIECE);
    memcpy(y, b, PIECE);
    for (unsigned i = 0; i < PIECE / 8; i++)
        differ |= x[i] ^ y[i];
    return differ != 0;
}

static void add_page(const struct snapshot *s, size_t page, struct buf *out)
{
    const uint8_t *now = s->base + page * SNAPSHOT_PAGE;
    const uint8_t *original = s->originals + page * SNAPSHOT_PAGE;
    char *to = buf_reserve(out, sizeof(struct page_head) + SNAPSHOT_PAGE);
    if (to == NULL)
        return;
    struct page_head head = {0, page};
    size_t len = sizeof(head);
    for (unsigned i = 0; i < PIECES; i++)
        if (piece_differs(now + i * PIECE, original + i * PIECE)) {
            head.pieces |= (uint64_t)1 << i;
            memcpy(to + len, now + i * PIECE, PIECE);
            len += PIECE;
        }
    if (head.pieces == 0)
        return;
    memcpy(to, &head, sizeof(head));
    out->len += len;
}

static size_t table_bytes(const struct snapshot *s, unsigned table)
{
    return s->tables[table]->size * sizeof(wasm_rt_funcref_t);
}

static void write_all(const struct snapshot *s, struct buf *out)
{
    buf_add(out, s->instance, s->instance_size);
    for (unsigned i = 0; i < s->table_count; i++)
        buf_add(out, s->tables[i]->data, table_bytes(s, i));
    for (uint32_t i = 0; i < s->written_count; i++)
        add_page(s, s->written[i], out);
}

/* ---- memory that was grown ---- */

/* A range may consist of several mappings, of which the kernel moves one at a time; the guest grows
 * by whole pages of its own. */
static bool move(uint8_t *from, uint8_t *to, size_t len)
{
    if (mremap(from, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, to) != MAP_FAILED)
        return true;
    size_t half = len / 2 / SNAPSHOT_WASM_PAGE * SNAPSHOT_WASM_PAGE;
    return errno == EFAULT && half > 0 && move(from, to, half) &&
           move(from + half, to + half, len - half);
}

static size_t tail_size(const struct snapshot *s)
{
    size_t now = s->memory != NULL ? (size_t)s->memory->pages * SNAPSHOT_WASM_PAGE : 0;
    return now > s->size ? now - s->size : 0;
}

/* Nothing else maps memory meanwhile, and snapshot_restore() maps the place anew at once. */
static int park_tail(const struct snapshot *s, struct snapshot_parked *p)
{
    p->tail_size = tail_size(s);
    if (p->tail_size == 0)
        return 0;
    uint8_t *place =
        mmap(NULL, p->tail_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (place == MAP_FAILED)
        return -ENOMEM;
    if (!move(s->base + s->size, place, p->tail_size))
        abort(); /* a part may have moved */
    p->tail = place;
    return 0;
}

/* ---- parking ---- */

int snapshot_park(struct snapshot *s, struct snapshot_parked **ret)
{
    static struct buf scratch;
    buf_reset(&scratch);
    write_all(s, &scratch);
    size_t bytes = sizeof(struct snapshot_parked) + scratch.len;
    struct snapshot_parked *p = NULL;
    if (buf_ok(&scratch) && parked_bytes + bytes + tail_size(s) <= parked_limit)
        p = malloc(bytes);
    if (p != NULL) {
        *p = (struct snapshot_parked){.size = scratch.len};
        memcpy(p->bytes, scratch.ptr, scratch.len);
    }
    if (scratch.cap > SCRATCH_MAX || !buf_ok(&scratch)) {
        buf_done(&scratch);
        scratch = (struct buf)BUF_INIT;
    }
    if (p == NULL || park_tail(s, p) < 0) {
        free(p);
        return -ENOMEM;
    }
    parked_bytes += bytes + p->tail_size;
    *ret = p;
    return 0;
}

static void put_pages(struct snapshot *s, const uint8_t *from, const uint8_t *end)
{
    while (from < end) {
        struct page_head head;
        memcpy(&head, from, sizeof(head));
        from += sizeof(head);
        snapshot_make_writable(s, head.page);
        uint8_t *to = s->base + head.page * SNAPSHOT_PAGE;
        for (uint64_t left = head.pieces; left != 0; left &= left - 1) {
            memcpy(to + (unsigned)__builtin_ctzll(left) * PIECE, from, PIECE);
            from += PIECE;
        }
    }
}

/* The struct says how large a table was; its place may have changed since. */
static const uint8_t *put_instance(struct snapshot *s, const uint8_t *from)
{
    wasm_rt_funcref_t *places[SNAPSHOT_TABLES_MAX];
    for (unsigned i = 0; i < s->table_count; i++)
        places[i] = s->tables[i]->data;
    memcpy(s->instance, from, s->instance_size);
    from += s->instance_size;
    for (unsigned i = 0; i < s->table_count; i++) {
        size_t bytes = table_bytes(s, i);
        s->tables[i]->data = bytes > 0 ? realloc(places[i], bytes) : places[i];
        if (bytes > 0 && s->tables[i]->data == NULL)
            abort(); /* the instance is neither one nor the other */
        memcpy(s->tables[i]->data, from, bytes);
        from += bytes;
    }
    return from;
}

static void forget(struct snapshot_parked *p)
{
    parked_bytes -= sizeof(*p) + p->size + p->tail_size;
    free(p);
}

void snapshot_unpark(struct snapshot *s, struct snapshot_parked *p)
{
    const uint8_t *pages = put_instance(s, p->bytes);
    put_pages(s, pages, p->bytes + p->size);
    if (p->tail != NULL && !move(p->tail, s->base + s->size, p->tail_size))
        abort();
    forget(p);
}

void snapshot_discard(struct snapshot_parked *p)
{
    if (p->tail != NULL)
        munmap(p->tail, p->tail_size);
    forget(p);
}
