/* SPDX-License-Identifier: Apache-2.0 */
/* Start-up: which segments there are, replay from the checkpoint on, where the log ends, and a
 * clean end to append to. Runs before any thread does.
 *
 * A batch that cannot be read is a torn tail, unless something says that it was synced: the tables,
 * a segment that follows, or a later batch. Then it is corruption, and the broker must not start.
 */
#include "store/disk.h"

#include "base/must.h"
#include "store/window.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define TAIL_BLOCK (64u << 10)

struct found {
    uint64_t number;
    bool valid;
    struct segment_header header;
};

struct recovery {
    struct disk *d;
    store_replay_fn *replay;
    void *replay_ctx;
    struct error *err;
    struct found *list;
    size_t len, cap;
    struct table_state state;
    struct window window;
    /* The walk: */
    uint64_t next; /* position expected next */
    uint64_t offset, time_ns, epoch;
    uint32_t chain;
    uint64_t last_offset; /* of the last batch, or 0: where rewriting begins */
    bool dry;             /* only look */
};

static int corrupt(struct recovery *r, uint64_t number, uint64_t offset, const char *what)
{
    return error_set(r->err, -EBADMSG,
                     "%s/%016" PRIx64 ".log: offset %" PRIu64
                     ": %s; the log is damaged, restore it "
                     "from a backup",
                     r->d->folder, number, offset, what);
}

static int failed(struct recovery *r, int error, uint64_t number, const char *what)
{
    return error_set(r->err, error, "%s/%016" PRIx64 ".log: cannot %s: %s", r->d->folder, number,
                     what, strerror(-error));
}

static uint64_t known_synced(const struct recovery *r)
{
    return r->state.synced > r->state.checkpoint ? r->state.synced : r->state.checkpoint;
}

/* ---- finding the segments ---- */

static int note_name(void *ctx, const char *name)
{
    struct recovery *r = ctx;
    uint64_t number;
    if (!segment_parse_name(name, &number))
        return 0;
    if (r->len == r->cap) {
        size_t cap = r->cap > 0 ? r->cap * 2 : 16;
        struct found *list = realloc(r->list, cap * sizeof(*list));
        if (list == NULL)
            return -ENOMEM;
        r->list = list;
        r->cap = cap;
    }
    r->list[r->len++] = (struct found){.number = number};
    return 0;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = ((const struct found *)a)->number, y = ((const struct found *)b)->number;
    return (x > y) - (x < y);
}

static int open_file(struct recovery *r, uint64_t number)
{
    char *path = segments_path(&r->d->segments, number);
    if (path == NULL)
        return -ENOMEM;
    int fd = r->d->io->open(r->d->io->ctx, path, O_RDWR | O_CLOEXEC, 0);
    free(path);
    return fd;
}

static int remove_file(struct recovery *r, uint64_t number)
{
    char *path = segments_path(&r->d->segments, number);
    if (path == NULL)
        return -ENOMEM;
    int n = r->d->io->unlink(r->d->io->ctx, path);
    free(path);
    return n < 0 ? failed(r, n, number, "remove it") : 0;
}

static bool all_zeros(const char *bytes, size_t len)
{
    while (len > 0 && bytes[len - 1] == 0)
        len--;
    return len == 0;
}

static int read_header(struct recovery *r, struct found *f)
{
    const char *bytes;
    int fd = open_file(r, f->number);
    if (fd < 0)
        return failed(r, fd, f->number, "open it");
    window_reset(&r->window);
    int n = window_read(&r->window, fd, 0, sizeof(f->header), sizeof(f->header), &bytes);
    int64_t size = r->d->io->size(r->d->io->ctx, fd);
    r->d->io->close(r->d->io->ctx, fd);
    if (n < 0 && n != -ENODATA)
        return failed(r, n, f->number, "read it");
    int known = n == 0 ? segment_header_read(bytes, &f->header) : 0;
    if (known < 0)
        return error_set(r->err, known,
                         "%s/%016" PRIx64 ".log was written by a newer version; use that version",
                         r->d->folder, f->number);
    /* Headers are written into one sector: there is one, or an old one, or zeros. */
    if (known == 0 && n == 0 && !all_zeros(bytes, sizeof(f->header)))
        return corrupt(r, f->number, 0, "the header is damaged");
    f->valid = known == 1 && f->header.number == f->number;
    if (!f->valid)
        f->header.bytes = size > 0 ? (uint64_t)size : 0;
    return 0;
}

static int find_segments(struct recovery *r)
{
    int n = r->d->io->list(r->d->io->ctx, r->d->folder, note_name, r);
    if (n < 0)
        return error_set(r->err, n, "cannot list %s: %s", r->d->folder, strerror(-n));
    if (r->len > 0)
        qsort(r->list, r->len, sizeof(*r->list), by_number);
    for (size_t i = 0; i < r->len; i++) {
        n = read_header(r, &r->list[i]);
        if (n < 0)
            return n;
    }
    return 0;
}

/* ---- walking the log ---- */

static int replay_record(struct recovery *r, struct store_entry *e)
{
    int n = rows_replay(&r->d->rows, e);
    if (n == 0 && r->replay != NULL)
        n = r->replay(r->replay_ctx, e);
    if (n < 0 && (r->err == NULL || r->err->code == 0))
        return error_set(r->err, n, "cannot replay position %" PRIu64 ": %s", e->position,
                         strerror(-n));
    return n;
}

static int replay_batch(struct recovery *r, const struct segment *g, const struct batch_header *h,
                        const char *payload)
{
    struct store_entry e = {.time_ns = h->time_ns};
    size_t at = 0;
    uint32_t count = 0;
    int n;
    while ((n = record_next(payload, h->length, &at, &e)) == 1) {
        e.position = h->first + count++;
        if (e.position <= r->state.checkpoint)
            continue;
        int failed_replay = replay_record(r, &e);
        if (failed_replay < 0)
            return failed_replay;
    }
    if (n < 0 || count != h->records)
        return corrupt(r, g->number, r->offset, "the records of a batch are malformed");
    return 0;
}

/* Is the batch the one that comes next? The first one of a segment is chained to its header. */
static bool follows(const struct recovery *r, const struct segment *g, const struct batch_header *h)
{
    uint32_t chain = r->offset == SEGMENT_HEADER_BYTES ? g->chain : r->chain;
    uint64_t epoch = h->first >= r->state.begin ? r->state.epoch : 0;
    return h->first == r->next && h->chain == chain && h->epoch >= r->epoch && h->epoch >= epoch &&
           h->time_ns >= r->time_ns;
}

static void begin_walk(struct recovery *r, const struct segment_header *h)
{
    r->next = h->first;
    r->chain = h->chain;
    r->epoch = h->epoch;
    r->time_ns = h->time_ns;
    r->offset = SEGMENT_HEADER_BYTES;
    r->last_offset = 0;
    window_reset(&r->window);
}

/* Walks the batches of one segment as far as they are whole and follow from each other. */
static int walk_batches(struct recovery *r, struct segment *g, uint64_t until)
{
    struct batch_header h;
    const char *payload;
    int n;
    while ((until == 0 || r->next < until) &&
           (n = window_batch(&r->window, g, r->offset, g->bytes, &h, &payload)) != 0) {
        if (n < 0)
            return failed(r, n, g->number, "read it");
        if (!follows(r, g, &h))
            break;
        n = r->dry ? 0 : replay_batch(r, g, &h, payload);
        if (n < 0)
            return n;
        segments_note(&r->d->segments, g, &h, r->offset);
        r->last_offset = r->offset == SEGMENT_HEADER_BYTES ? 0 : r->offset;
        r->offset = batch_end(r->offset, &h);
        r->next = h.first + h.records;
        r->chain = h.crc;
        r->epoch = h.epoch;
        r->time_ns = h.time_ns;
    }
    return 0;
}

/* ---- which segments are the log ---- */

static int corrupt_missing(struct recovery *r, uint64_t number)
{
    return corrupt(r, number, 0, "this segment is missing, or its header cannot be read");
}

/* Numbers skip where a segment was given up after a failed sync of its first batch, or where a
 * crash lost the end of a retention. Then the chain decides: sets *ret to whether b goes on where a
 * ends. */
static int goes_on(struct recovery *r, const struct found *a, const struct found *b, bool *ret)
{
    struct segment *g = segment_new(&a->header, a->header.crc, open_file(r, a->number));
    if (g == NULL)
        return error_set(r->err, -ENOMEM, "out of memory");
    int n = g->fd < 0 ? failed(r, g->fd, a->number, "open it") : 0;
    if (n == 0) {
        begin_walk(r, &a->header);
        r->dry = true;
        n = walk_batches(r, g, b->header.first);
        r->dry = false;
        *ret = r->next == b->header.first && r->chain == b->header.chain;
    }
    segment_free(&r->d->segments, g);
    return n;
}

/* Sets *ret_from to the oldest segment that belongs to the log which ends before `to`. */
static int find_oldest(struct recovery *r, size_t to, size_t *ret_from)
{
    size_t from = to - 1;
    for (size_t i = from; i-- > 0;) {
        const struct found *a = &r->list[i], *b = &r->list[from];
        if (!a->valid)
            continue;
        bool joined = a->number + 1 == b->number;
        int n = joined ? 0 : goes_on(r, a, b, &joined);
        if (n < 0)
            return n;
        if (!joined && b->header.first > r->state.checkpoint + 1)
            return corrupt_missing(r, b->number - 1);
        if (!joined)
            break;
        if (b->header.first < a->header.first || b->header.epoch < a->header.epoch)
            return corrupt(r, b->number, 0, "the header does not follow from the segment before");
        from = i;
    }
    if (from > 0 && !r->list[from - 1].valid)
        return corrupt_missing(r, r->list[from - 1].number);
    if (r->list[from].header.first > r->state.checkpoint + 1)
        return corrupt_missing(r, r->list[from].number - 1);
    *ret_from = from;
    return 0;
}

/* Leaves in the list the segments of the log, oldest first, and what follows them: *ret_log is how
 * many are the log's. Files that do not belong to it go. */
static int choose_segments(struct recovery *r, size_t *ret_log)
{
    size_t to = r->len, from = 0, kept = 0;
    while (to > 0 && !r->list[to - 1].valid)
        to--;
    if (to == 0 && known_synced(r) > 0)
        return error_set(r->err, -EBADMSG,
                         "%s holds no log, but the tables are of position %" PRIu64
                         "; restore the log from a backup",
                         r->d->folder, known_synced(r));
    int n = to > 0 ? find_oldest(r, to, &from) : 0;
    for (size_t i = 0; i < to && n == 0; i++) {
        if (i >= from && r->list[i].valid)
            r->list[kept++] = r->list[i];
        else
            n = remove_file(r, r->list[i].number);
    }
    *ret_log = kept;
    for (size_t i = to; i < r->len; i++)
        r->list[kept++] = r->list[i];
    r->len = kept;
    return n;
}

/* What follows the last segment is spares: as many as stand in a row and have the right size are
 * used again, others removed. */
static int keep_spares(struct recovery *r, size_t from)
{
    struct spares *p = &r->d->spares;
    p->next = from > 0 ? r->list[from - 1].number + 1 : 1;
    for (size_t i = from; i < r->len; i++) {
        const struct found *f = &r->list[i];
        if (f->number == p->next + p->count && f->header.bytes == r->d->segment_bytes &&
            p->count < SPARES_WANTED) {
            p->count++;
            continue;
        }
        int n = remove_file(r, f->number);
        if (n < 0)
            return n;
    }
    return 0;
}

static int add_segments(struct recovery *r, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        const struct segment_header *h = &r->list[i].header;
        struct segment *g = segment_new(h, h->crc, -1);
        if (g == NULL || segments_append(&r->d->segments, g) < 0) {
            free(g);
            return error_set(r->err, -ENOMEM, "out of memory");
        }
    }
    r->d->spares.live = len;
    return 0;
}

/* until: first position of the next segment, 0 when this is the last. */
static int walk_segment(struct recovery *r, struct segment *g, const struct segment_header *h,
                        uint64_t until, bool first)
{
    if (!first && (h->first != r->next || h->chain != r->chain || h->epoch < r->epoch))
        return corrupt(r, g->number, 0, "the header does not follow from the segment before");
    begin_walk(r, h);
    int n = walk_batches(r, g, until);
    if (n < 0)
        return n;
    if (until != 0 && r->next != until)
        return corrupt(r, g->number, r->offset, "a batch that was synced cannot be read");
    atomic_store(&g->end, r->offset);
    return 0;
}

/* Walks from the segment that holds the first position to replay. */
static int walk_log(struct recovery *r, size_t len)
{
    size_t start = 0;
    while (start + 1 < len && r->list[start + 1].header.first <= r->state.checkpoint + 1)
        start++;
    for (size_t i = start; i < len; i++) {
        struct segment *g = r->d->segments.list[i];
        const struct segment_header *h = &r->list[i].header;
        int n = segments_hold(&r->d->segments, g);
        if (n < 0)
            return failed(r, n, h->number, "open it");
        n = walk_segment(r, g, h, i + 1 < len ? r->list[i + 1].header.first : 0, i == start);
        if (n < 0 || i + 1 < len)
            segments_release(&r->d->segments, g);
        else
            r->d->writer.active = g;
        if (n < 0)
            return n;
    }
    return 0;
}

/* ---- the end of the log ---- */

/* A header at `at` that knows of synced positions which could not be read says that the end is no
 * torn tail. */
static int check_lost(struct recovery *r, struct window *w, uint64_t at)
{
    struct segment *g = r->d->writer.active;
    struct batch_header h;
    int n = window_header(w, g, at, g->bytes, &h);
    if (n < 0)
        return failed(r, n, g->number, "read it");
    if (n == 1 && h.synced >= r->next)
        return corrupt(r, g->number, r->offset, "a batch that was synced cannot be read");
    return 0;
}

/* Looks through one block of the tail, all of which lies after the end of the log. */
static int scan_block(struct recovery *r, struct window *headers, uint64_t at, const char *bytes,
                      size_t len, uint64_t *ret_last)
{
    for (size_t i = 0; i + 8 <= len; i += 8) {
        uint64_t word;
        memcpy(&word, bytes + i, sizeof(word));
        if (word == 0)
            continue;
        *ret_last = at + i + 8;
        int n = (uint32_t)word == BATCH_MAGIC ? check_lost(r, headers, at + i) : 0;
        if (n < 0)
            return n;
    }
    return 0;
}

/* Sets *ret_last to the end of the last bytes that are not zero. */
static int scan_tail(struct recovery *r, uint64_t *ret_last)
{
    struct segment *g = r->d->writer.active;
    struct window headers;
    int64_t size = r->d->io->size(r->d->io->ctx, g->fd);
    if (size < 0)
        return failed(r, (int)size, g->number, "read it");
    uint64_t end = g->bytes < (uint64_t)size ? g->bytes : (uint64_t)size;
    int n = 0;
    window_init(&headers, r->d->io);
    *ret_last = r->offset;
    for (uint64_t at = r->offset; at < end && n == 0;) {
        size_t len = end - at < TAIL_BLOCK ? (size_t)(end - at) : TAIL_BLOCK;
        const char *bytes;
        n = window_read(&r->window, g->fd, at, len, end, &bytes);
        n = n < 0 ? failed(r, n, g->number, "read it")
                  : scan_block(r, &headers, at, bytes, len, ret_last);
        at += len;
    }
    window_done(&headers);
    return n;
}

static int write_at(struct recovery *r, const char *bytes, size_t len, uint64_t offset)
{
    struct segment *g = r->d->writer.active;
    while (len > 0) {
        int64_t n = r->d->io->pwrite(r->d->io->ctx, g->fd, bytes, len, offset);
        if (n <= 0)
            return failed(r, n < 0 ? (int)n : -EIO, g->number, "write it");
        bytes += n;
        len -= (size_t)n;
        offset += (uint64_t)n;
    }
    return 0;
}

/* Writes the bytes of the last batch once more: they may be in the page cache only, marked clean
 * after a sync that failed, and then a sync alone would not write them. */
static int rewrite_last(struct recovery *r)
{
    struct segment *g = r->d->writer.active;
    for (uint64_t at = r->last_offset; at < r->offset;) {
        const char *bytes;
        size_t len = r->offset - at < TAIL_BLOCK ? (size_t)(r->offset - at) : TAIL_BLOCK;
        int n = window_read(&r->window, g->fd, at, len, r->offset, &bytes);
        if (n < 0)
            return failed(r, n, g->number, "read it");
        n = write_at(r, bytes, len, at);
        if (n < 0)
            return n;
        at += len;
    }
    return 0;
}

/* Zeros over what a lost past left, so that nothing of it can ever come back. */
static int zero_tail(struct recovery *r, uint64_t last)
{
    static const char zeros[4096];
    for (uint64_t at = r->offset; at < last;) {
        size_t len = last - at < sizeof(zeros) ? (size_t)(last - at) : sizeof(zeros);
        int n = write_at(r, zeros, len, at);
        if (n < 0)
            return n;
        at += len;
    }
    return 0;
}

static int clean_end(struct recovery *r)
{
    struct segment *g = r->d->writer.active;
    uint64_t last = r->offset;
    if (known_synced(r) >= r->next)
        return corrupt(r, g->number, r->offset, "a batch that was synced cannot be read");
    int n = scan_tail(r, &last);
    if (n == 0)
        n = rewrite_last(r);
    if (n == 0)
        n = zero_tail(r, last);
    if (n < 0)
        return n;
    n = r->d->io->sync_data(r->d->io->ctx, g->fd);
    return n < 0 ? failed(r, n, g->number, "sync it") : 0;
}

static void hand_to_writer(struct recovery *r)
{
    struct writer *w = &r->d->writer;
    w->offset = r->offset;
    w->next = r->next;
    w->time_ns = r->time_ns;
    w->chain = r->chain;
    atomic_store(&r->d->base.log.synced, r->next - 1);
}

/* The epoch is durable before anything is appended in it. */
static int begin_epoch(struct recovery *r)
{
    struct disk *d = r->d;
    struct table_state state = r->state;
    state.begin = d->epoch_begin = r->next;
    d->epoch = (r->epoch > state.epoch ? r->epoch : state.epoch) + 1;
    state.epoch = d->epoch;
    state.synced = r->next - 1;
    int n = table_write(d->table, NULL, NULL, &state);
    if (n < 0)
        return error_set(r->err, n, "cannot write the tables in %s: %s", d->dir, strerror(-n));
    return 0;
}

static int begin_log(struct recovery *r)
{
    struct disk *d = r->d;
    uint64_t bytes = d->segment_bytes;
    int n = d->spares.count == 0 ? spares_make_first(d, &bytes) : 0;
    d->writer.next = 1;
    if (n == 0)
        n = writer_begin(d, bytes);
    return n < 0 ? failed(r, n, d->spares.next, "begin the log with it") : 0;
}

/* A process that died may have left names that are not on the disk yet. */
static int sync_names(struct recovery *r)
{
    int n = r->d->io->sync_folder(r->d->io->ctx, r->d->folder);
    return n < 0 ? error_set(r->err, n, "cannot sync %s: %s", r->d->folder, strerror(-n)) : 0;
}

static int recover_log(struct recovery *r)
{
    size_t len = 0;
    int n = find_segments(r);
    if (n == 0)
        n = choose_segments(r, &len);
    if (n == 0)
        n = add_segments(r, len);
    if (n == 0)
        n = keep_spares(r, len);
    if (n == 0)
        n = sync_names(r);
    if (n == 0)
        n = walk_log(r, len);
    if (n == 0 && len > 0)
        n = clean_end(r);
    if (n == 0 && len > 0)
        hand_to_writer(r);
    if (n == 0 && len == 0)
        r->next = 1;
    if (n == 0)
        n = begin_epoch(r);
    if (n == 0 && len == 0)
        n = begin_log(r);
    return n;
}

int recover(struct disk *d, store_replay_fn *replay, void *replay_ctx, struct error *err)
{
    struct recovery r = {.d = d, .replay = replay, .replay_ctx = replay_ctx, .err = err, .next = 1};
    window_init(&r.window, d->io);
    int n = table_state(d->table, &r.state);
    if (n < 0)
        n = error_set(err, n, "cannot read the tables in %s: %s", d->dir, strerror(-n));
    else
        n = recover_log(&r);
    atomic_store(&d->checkpoint.position, r.state.checkpoint);
    window_done(&r.window);
    free(r.list);
    return n;
}
