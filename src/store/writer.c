/* SPDX-License-Identifier: Apache-2.0 */
/* The writing end of the log: many groups, one batch, one write, one sync. Runs on the log thread.
 *
 * What fails here decides what is lost: a group is answered with 0 only after its batch is synced.
 * A file whose sync failed is never synced again, since the kernel may have dropped its pages and
 * would now call them clean; the batch goes into a new segment, or the store stops. */
#include "store/disk.h"

#include "base/clock.h"
#include "base/must.h"
#include "base/random.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_BYTES (1u << 20)   /* of a batch of more than one group */
#define BUFFER_KEEP (128u << 10) /* a larger buffer is given back after a quiet while */
#define QUIET_COUNT 256u
#define ZEROS       4096u

struct selection {
    struct log_group *first, *rest;
    size_t bytes;
    uint32_t records;
};

/* ---- segments ---- */

static int open_spare(struct disk *d, uint64_t number)
{
    char *path = segments_path(&d->segments, number);
    if (path == NULL)
        return -ENOMEM;
    int fd = d->io->open(d->io->ctx, path, O_RDWR | O_CLOEXEC, 0);
    free(path);
    return fd;
}

static void begin_segment(struct disk *d, struct segment *g, const struct segment_header *h)
{
    struct writer *w = &d->writer;
    struct segment *old = w->active;
    w->active = g;
    w->header = *h;
    w->header_pending = true;
    w->offset = SEGMENT_HEADER_BYTES;
    w->dirty = 0;
    if (old != NULL)
        segments_release(&d->segments, old);
}

/* Goes on in a file that is ready. */
static int begin_file(struct disk *d, uint64_t number, uint64_t bytes)
{
    struct writer *w = &d->writer;
    struct segment_header h = {.number = number,
                               .bytes = bytes,
                               .epoch = d->epoch,
                               .first = w->next,
                               .synced = w->next - 1,
                               .time_ns = w->time_ns,
                               .chain = w->chain};
    random_bytes(&h.salt, sizeof(h.salt));
    int fd = open_spare(d, number);
    if (fd < 0)
        return fd;
    struct segment *g = segment_new(&h, 0, fd);
    if (g == NULL) {
        d->io->close(d->io->ctx, fd);
        return -ENOMEM;
    }
    g->users = 1; /* the writer's */
    atomic_store(&g->end, SEGMENT_HEADER_BYTES);
    int r = segments_append(&d->segments, g);
    if (r < 0) {
        segment_free(&d->segments, g);
        return r;
    }
    spares_taken(d);
    if (disk_retain_due(&d->base))
        store_tell_retain_due(&d->base);
    begin_segment(d, g, &h);
    return 0;
}

static int roll(struct disk *d, bool internal)
{
    uint64_t number;
    int r = spares_take(d, internal, &number);
    return r < 0 ? r : begin_file(d, number, d->segment_bytes);
}

int writer_begin(struct disk *d, uint64_t bytes)
{
    return begin_file(d, d->spares.next, bytes);
}

/* ---- writing one batch ---- */

static int write_all(struct disk *d, const char *bytes, size_t len, uint64_t offset)
{
    while (len > 0) {
        int64_t n = d->io->pwrite(d->io->ctx, d->writer.active->fd, bytes, len, offset);
        if (n <= 0)
            return n < 0 ? (int)n : -EIO;
        bytes += n;
        len -= (size_t)n;
        offset += (uint64_t)n;
    }
    return 0;
}

static int write_zeros(struct disk *d, uint64_t from, uint64_t to)
{
    static const char zeros[ZEROS];
    int r = 0;
    while (from < to && r == 0) {
        size_t n = to - from < ZEROS ? (size_t)(to - from) : ZEROS;
        r = write_all(d, zeros, n, from);
        from += n;
    }
    return r;
}

static int write_header(struct disk *d, uint64_t time_ns)
{
    struct writer *w = &d->writer;
    char bytes[sizeof(struct segment_header)];
    w->header.time_ns = time_ns;
    atomic_store(&w->active->time_ns, time_ns);
    w->active->chain = segment_header_seal(&w->header, bytes);
    return write_all(d, bytes, sizeof(bytes), 0);
}

static int sync_active(struct disk *d)
{
    uint64_t began = clock_monotonic();
    int r = d->io->sync_data(d->io->ctx, d->writer.active->fd);
    uint64_t took = clock_monotonic() - began;
    struct counters *c = &d->counters;
    atomic_fetch_add_explicit(&c->syncs, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->sync_ns_total, took, memory_order_relaxed);
    histogram_observe_time(&c->sync_times, took);
    if (took > atomic_load_explicit(&c->sync_ns_max, memory_order_relaxed))
        atomic_store_explicit(&c->sync_ns_max, took, memory_order_relaxed);
    return r;
}

/* What a refused write left behind the batch is erased before the batch is there. */
static int write_batch(struct disk *d, struct batch_header *h, uint32_t *ret_chain)
{
    struct writer *w = &d->writer;
    uint64_t end = w->offset + w->batch.len;
    int r = w->header_pending ? write_header(d, h->time_ns) : 0;
    if (r == 0)
        r = write_zeros(d, end, w->dirty);
    if (r < 0)
        return r;
    if (w->dirty > end)
        w->dirty = end;
    h->segment = w->active->number;
    h->chain = w->offset == SEGMENT_HEADER_BYTES ? w->active->chain : w->chain;
    *ret_chain = batch_seal(h, w->active->salt, w->batch.ptr);
    r = write_all(d, w->batch.ptr, w->batch.len, w->offset);
    if (r < 0 && end > w->dirty)
        w->dirty = end;
    return r;
}

/* Nothing of the batch may be read again. Without a sync this can only be tried: after a power cut
 * it may still be there, and be replayed though it was refused. */
static void erase_batch(struct disk *d)
{
    (void)write_zeros(d, d->writer.offset, d->writer.offset + sizeof(struct batch_header));
}

/* Writes and syncs the batch in the buffer. *ret_chain: what the next one is chained to. -ENOSPC:
 * nothing happened. Other errors: the file is not to be used again. */
static int put_batch(struct disk *d, struct batch_header *h, uint32_t *ret_chain)
{
    int r = write_batch(d, h, ret_chain);
    if (r == -ENOSPC || r == -EDQUOT) {
        erase_batch(d); /* what is missing of it may be zeros, as the file is */
        return -ENOSPC;
    }
    if (r == 0)
        r = sync_active(d);
    return r < 0 ? -EIO : 0;
}

static int put_batch_safely(struct disk *d, struct batch_header *h, uint32_t *ret_chain)
{
    int r = put_batch(d, h, ret_chain);
    if (r == 0 || r == -ENOSPC)
        return r;
    for (int attempt = 0;; attempt++) {
        atomic_fetch_add(&d->counters.sync_failures, 1);
        atomic_store(&d->writer.active->poisoned, true);
        erase_batch(d);
        if (attempt == 1 || roll(d, true) < 0)
            break;
        r = put_batch(d, h, ret_chain);
        if (r == 0)
            return 0;
    }
    atomic_store(&d->counters.stopped, true);
    return -EIO;
}

/* ---- choosing groups ---- */

static void refuse(struct disk *d, struct log_group *g, int error)
{
    g->error = error;
    rows_discard(g);
    if (error == -ENOSPC)
        atomic_fetch_add_explicit(&d->counters.refused_full, 1, memory_order_relaxed);
}

static size_t batch_room(const struct disk *d)
{
    uint64_t room = d->segment_bytes - SEGMENT_HEADER_BYTES - sizeof(struct batch_header);
    return room < BATCH_BYTES ? (size_t)room : BATCH_BYTES;
}

/* As many groups as one batch takes, at least one; those that cannot be taken get their error. */
static struct selection choose(struct disk *d, struct log_group *first)
{
    struct selection s = {.first = first};
    size_t room = batch_room(d);
    int short_error = 0;
    bool is_short = spares_short(d, &short_error);
    struct log_group *g = first;
    for (; g != NULL; g = g->next) {
        if (s.bytes > 0 && s.bytes + g->length > room)
            break;
        if (atomic_load_explicit(&d->counters.stopped, memory_order_relaxed))
            refuse(d, g, -EIO);
        else if (is_short && !g->internal)
            refuse(d, g, short_error);
        else if (rows_prepare(g) < 0)
            refuse(d, g, -ENOMEM);
        else {
            s.bytes += g->length;
            s.records += g->records;
        }
    }
    s.rest = g;
    return s;
}

/* Takes groups out again: all, or all but the internal ones. */
static void drop(struct disk *d, struct selection *s, bool keep_internal, int error)
{
    for (struct log_group *g = s->first; g != s->rest; g = g->next) {
        if (g->error != 0 || (keep_internal && g->internal))
            continue;
        s->bytes -= g->length;
        s->records -= g->records;
        refuse(d, g, error);
    }
}

static bool fits(const struct disk *d, const struct selection *s)
{
    const struct writer *w = &d->writer;
    return w->offset + sizeof(struct batch_header) + s->bytes <= w->active->bytes;
}

/* Makes room for the selection; on a full disk only for what may use the reserve. */
static void make_room(struct disk *d, struct selection *s)
{
    if (s->bytes == 0 || fits(d, s))
        return;
    int r = roll(d, false);
    if (r == 0)
        return;
    drop(d, s, true, r);
    if (s->bytes == 0 || fits(d, s))
        return;
    r = roll(d, true);
    if (r < 0)
        drop(d, s, false, r);
}

static bool fill_buffer(struct disk *d, const struct selection *s)
{
    struct buf *b = &d->writer.batch;
    buf_reset(b);
    b->failed = false;
    if (buf_reserve(b, sizeof(struct batch_header) + s->bytes) == NULL) {
        b->failed = false;
        return false;
    }
    b->len = sizeof(struct batch_header);
    for (struct log_group *g = s->first; g != s->rest; g = g->next) {
        if (g->error == 0)
            buf_add(b, log_group_records(g), g->length);
    }
    return true;
}

static void shrink_buffer(struct writer *w)
{
    if (w->batch.cap <= BUFFER_KEEP || w->batch.len > w->batch.cap / 4)
        w->quiet = 0;
    else if (++w->quiet > QUIET_COUNT) {
        buf_done(&w->batch);
        w->quiet = 0;
    }
}

/* The batch is on disk: show it. */
static void accept(struct disk *d, const struct selection *s, const struct batch_header *h,
                   uint32_t chain)
{
    struct writer *w = &d->writer;
    struct counters *c = &d->counters;
    segments_note(&d->segments, w->active, h, w->offset);
    w->header_pending = false;
    w->chain = chain;
    w->offset += w->batch.len;
    if (w->dirty <= w->offset)
        w->dirty = 0;
    w->time_ns = h->time_ns;
    uint64_t groups = 0;
    for (struct log_group *g = s->first; g != s->rest; g = g->next) {
        if (g->error != 0)
            continue;
        g->position = w->next;
        w->next += g->records;
        rows_apply(&d->rows, g);
        groups++;
    }
    atomic_fetch_add_explicit(&c->groups, groups, memory_order_relaxed);
    histogram_observe_count(&c->batch_groups, groups);
    atomic_fetch_add_explicit(&c->records, s->records, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->bytes, w->batch.len, memory_order_relaxed);
    atomic_store_explicit(&w->active->end, w->offset, memory_order_release);
    log_publish(&d->base.log, w->next - 1);
}

struct log_group *writer_commit(void *ctx, struct log_group *first)
{
    struct disk *d = ctx;
    struct writer *w = &d->writer;
    struct selection s = choose(d, first);
    make_room(d, &s);
    if (s.bytes == 0)
        return s.rest;
    if (!fill_buffer(d, &s)) {
        drop(d, &s, false, -ENOMEM);
        return s.rest;
    }
    uint64_t now = d->now(d->now_ctx);
    struct batch_header h = {.length = (uint32_t)s.bytes,
                             .epoch = d->epoch,
                             .first = w->next,
                             .synced = w->next - 1,
                             .time_ns = now > w->time_ns ? now : w->time_ns,
                             .records = s.records};
    uint32_t chain;
    int r = put_batch_safely(d, &h, &chain);
    if (r < 0) {
        if (r == -ENOSPC)
            spares_set_full(d);
        drop(d, &s, false, r);
        return s.rest;
    }
    accept(d, &s, &h, chain);
    shrink_buffer(w);
    return s.rest;
}

void writer_done(struct disk *d)
{
    buf_done(&d->writer.batch);
    if (d->writer.active != NULL)
        segments_release(&d->segments, d->writer.active);
    d->writer.active = NULL;
}
