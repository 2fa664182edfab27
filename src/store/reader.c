/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the log from a position, batch by batch, up to what is synced. A reader belongs to one
 * thread; it holds the segment that it stands in. */
#include "store/disk.h"
#include "store/window.h"

#include <errno.h>
#include <stdlib.h>

struct disk_reader {
    struct store_reader base;
    struct disk *disk;
    uint64_t position; /* wanted next */
    struct segment *segment;
    uint64_t offset; /* of the batch that follows the loaded one */
    struct window window;
    const char *payload; /* of the loaded batch; NULL: none */
    size_t payload_len, at;
    uint64_t batch_position; /* of the record at `at` */
    uint64_t time_ns;
};

static struct disk_reader *reader_of(struct store_reader *r)
{
    return (struct disk_reader *)(void *)r;
}

struct store_reader *disk_reader_new(struct store *s, uint64_t position)
{
    struct disk_reader *r = calloc(1, sizeof(*r));
    if (r == NULL)
        return NULL;
    r->base.store = s;
    r->disk = disk_of(s);
    r->position = position;
    window_init(&r->window, r->disk->io);
    return &r->base;
}

static void leave(struct disk_reader *r)
{
    if (r->segment != NULL)
        segments_release(&r->disk->segments, r->segment);
    r->segment = NULL;
    r->payload = NULL;
    window_reset(&r->window);
}

void disk_reader_free(struct store_reader *base)
{
    struct disk_reader *r = reader_of(base);
    leave(r);
    window_done(&r->window);
    free(r);
}

uint64_t disk_reader_position(const struct store_reader *base)
{
    return ((const struct disk_reader *)(const void *)base)->position;
}

static uint64_t end_of(const struct segment *g)
{
    return atomic_load_explicit(&g->end, memory_order_acquire);
}

/* Finds the segment and, by the index and the headers after it, the batch that holds position. */
static int seek(struct disk_reader *r)
{
    struct segments *s = &r->disk->segments;
    int n = segments_acquire(s, r->position, &r->segment);
    if (n < 0)
        return n;
    struct segment *g = r->segment;
    if (r->position < g->first)
        r->position = g->first;
    r->offset = segments_mark_position(s, g, r->position);
    struct batch_header h;
    while ((n = window_header(&r->window, g, r->offset, end_of(g), &h)) == 1 &&
           h.first + h.records <= r->position) {
        segments_note(s, g, &h, r->offset);
        r->offset = batch_end(r->offset, &h);
    }
    return n < 0 ? n : 0;
}

/* True when the reader must find its place anew: the segment is over, or gone. */
static bool is_over(const struct disk_reader *r)
{
    uint64_t following = atomic_load(&r->segment->following);
    return atomic_load(&r->segment->retired) || (following != 0 && r->position >= following);
}

/* 1: the batch with the wanted position is loaded. */
static int load(struct disk_reader *r)
{
    struct batch_header h;
    if (r->segment != NULL && is_over(r))
        leave(r);
    if (r->segment == NULL) {
        int n = seek(r);
        if (n < 0) {
            leave(r);
            return n;
        }
    }
    int n = window_batch(&r->window, r->segment, r->offset, end_of(r->segment), &h, &r->payload);
    if (n == 1) {
        r->payload_len = h.length;
        r->at = 0;
        r->batch_position = h.first;
        r->time_ns = h.time_ns;
        r->offset = batch_end(r->offset, &h);
        return 1;
    }
    r->payload = NULL;
    if (n < 0)
        return n;
    /* Retired between the look and the read: the file may be another by now. */
    return is_over(r) ? 0 : -EBADMSG;
}

static int next_of_batch(struct disk_reader *r, struct store_entry *ret)
{
    int n;
    while ((n = record_next(r->payload, r->payload_len, &r->at, ret)) == 1) {
        uint64_t position = r->batch_position++;
        if (position < r->position)
            continue;
        ret->position = position;
        ret->time_ns = r->time_ns;
        r->position = position + 1;
        return 1;
    }
    r->payload = NULL;
    return n;
}

int disk_reader_next(struct store_reader *base, struct store_entry *ret_entry)
{
    struct disk_reader *r = reader_of(base);
    for (;;) {
        if (r->payload != NULL) {
            int n = next_of_batch(r, ret_entry);
            if (n != 0)
                return n;
        }
        if (r->position > store_synced(base->store))
            return 0;
        int n = load(r);
        if (n < 0)
            return n;
    }
}

uint64_t disk_find_time(struct store *base, uint64_t time_ns)
{
    struct disk *d = disk_of(base);
    struct segment *g;
    struct window w;
    struct batch_header h;
    uint64_t synced = store_synced(base), position = synced + 1;
    if (segments_acquire_time(&d->segments, time_ns, &g) < 0)
        return position;
    uint64_t following = atomic_load(&g->following);
    if (following != 0 && following < position)
        position = following;
    uint64_t offset = segments_mark_time(&d->segments, g, time_ns);
    window_init(&w, d->io);
    while (window_header(&w, g, offset, end_of(g), &h) == 1 && h.first < position) {
        segments_note(&d->segments, g, &h, offset);
        if (h.time_ns >= time_ns) {
            position = h.first;
            break;
        }
        offset = batch_end(offset, &h);
    }
    window_done(&w);
    segments_release(&d->segments, g);
    return position;
}
