/* SPDX-License-Identifier: Apache-2.0 */
/* What a segment that is full is about, in a file beside it (FORMAT.md, "Digest"), so that who
 * looks for an event need not read it: hashes of its events' ids with their positions, and ranges
 * of the earlier events that its records speak of. Made by the first who looks; one that is
 * missing, or cannot be read, costs time and nothing else. */
#include "store/digest.h"

#include "base/crc32c.h"
#include "store/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_DIGITS 16
#define NAME_SUFFIX ".digest"

static char *digest_path(const struct disk *d, uint64_t number, const char *suffix)
{
    char *path;
    return asprintf(&path, "%s/%0*" PRIx64 NAME_SUFFIX "%s", d->folder, NAME_DIGITS, number,
                    suffix) < 0
               ? NULL
               : path;
}

/* ---- making one ---- */

struct keys {
    uint64_t *list; /* upper half of the key, then the place in the segment */
    size_t len, cap;
};

static bool keys_add(struct keys *k, uint64_t key, uint64_t place)
{
    if (k->len == k->cap) {
        size_t cap = k->cap == 0 ? 4096 : k->cap * 2;
        uint64_t *list = realloc(k->list, cap * sizeof(*list));
        if (list == NULL)
            return false;
        k->list = list;
        k->cap = cap;
    }
    k->list[k->len++] = (key & DIGEST_KEY_MASK) | place;
    return true;
}

static int compare_keys(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

/* Ranges nearer to each other than so many positions are one. */
static void ranges_join(struct digest_ranges *r)
{
    size_t to = 0;
    for (size_t i = 1; i < r->len; i++) {
        if (r->list[i].first - r->list[to].last <= r->gap)
            r->list[to].last = r->list[i].last;
        else
            r->list[++to] = r->list[i];
    }
    r->len = r->len > 0 ? to + 1 : 0;
}

/* The first range that ends at position or behind it. */
static size_t ranges_find(const struct digest_ranges *r, uint64_t position)
{
    size_t low = 0, high = r->len;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (r->list[middle].last < position)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void digest_ranges_add(struct digest_ranges *r, uint64_t position)
{
    size_t at = ranges_find(r, position);
    if (at < r->len && r->list[at].first <= position)
        return;
    if (at > 0 && position - r->list[at - 1].last <= r->gap) {
        r->list[at - 1].last = position;
        return;
    }
    if (at < r->len && r->list[at].first - position <= r->gap) {
        r->list[at].first = position;
        return;
    }
    memmove(&r->list[at + 1], &r->list[at], (r->len - at) * sizeof(r->list[0]));
    r->list[at] = (struct digest_range){position, position};
    r->len++;
    while (r->len == DIGEST_RANGES_MAX) {
        r->gap *= 2;
        ranges_join(r);
    }
}

bool digest_ranges_have(const struct digest_ranges *r, uint64_t position)
{
    size_t at = ranges_find(r, position);
    return at < r->len && r->list[at].first <= position;
}

static bool gather(struct store *s, struct digest_header *h, store_topic_fn *topic,
                   struct keys *keys, struct digest_ranges *ranges, uint64_t *ret_bytes)
{
    struct store_reader *reader = store_reader_new(s, h->first);
    struct store_entry e;
    bool good = reader != NULL;
    uint64_t position = h->first;
    while (good && position < h->following) {
        struct store_topic t = {0};
        good = store_reader_next(reader, &e) == 1 && e.position == position;
        if (!good)
            break;
        *ret_bytes += e.value.len + sizeof(struct record_header);
        topic(&e, &t);
        if (t.has_key)
            good = keys_add(keys, t.key, position - h->first);
        if (t.about != 0 && t.about < h->first)
            digest_ranges_add(ranges, t.about);
        position++;
    }
    store_reader_free(reader);
    return good;
}

static void add_block(struct buf *out, const uint64_t *keys, size_t count)
{
    struct digest_block block = {.count = (uint32_t)count};
    memcpy(block.keys, keys, count * sizeof(*keys));
    block.crc = crc32c(0, &block.count, sizeof(block) - offsetof(struct digest_block, count));
    buf_add(out, &block, sizeof(block));
}

static void encode(struct digest_header *h, struct keys *keys, const struct digest_ranges *ranges,
                   struct buf *out)
{
    if (keys->len > 0)
        qsort(keys->list, keys->len, sizeof(*keys->list), compare_keys);
    h->magic = DIGEST_MAGIC;
    h->version = DIGEST_VERSION;
    h->ranges = (uint32_t)ranges->len;
    h->blocks = (uint32_t)((keys->len + DIGEST_BLOCK_KEYS - 1) / DIGEST_BLOCK_KEYS);
    h->ranges_crc = crc32c(0, ranges->list, ranges->len * sizeof(ranges->list[0]));
    h->crc = crc32c(0, h, offsetof(struct digest_header, crc));
    buf_add(out, h, sizeof(*h));
    buf_add(out, ranges->list, ranges->len * sizeof(ranges->list[0]));
    for (size_t at = 0; at < keys->len; at += DIGEST_BLOCK_KEYS)
        add_block(out, keys->list + at,
                  keys->len - at < DIGEST_BLOCK_KEYS ? keys->len - at : DIGEST_BLOCK_KEYS);
}

static int write_file(const struct disk *d, const char *path, const struct buf *bytes)
{
    int fd = d->io->open(d->io->ctx, path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return fd;
    size_t at = 0;
    int64_t n = 1;
    while (n > 0 && at < bytes->len) {
        n = d->io->pwrite(d->io->ctx, fd, bytes->ptr + at, bytes->len - at, at);
        at += n > 0 ? (size_t)n : 0;
    }
    d->io->close(d->io->ctx, fd);
    return at == bytes->len ? 0 : n < 0 ? (int)n : -EIO;
}

/* Under its name only when it is whole. Not synced: what a power cut leaves of it has a wrong CRC,
 * and is made again. */
static void keep(const struct disk *d, uint64_t number, const struct buf *bytes)
{
    if (atomic_load(&d->counters.full)) /* what room there is, is for the log */
        return;
    char *path = digest_path(d, number, ""), *fresh = digest_path(d, number, ".new");
    if (path != NULL && fresh != NULL) {
        if (write_file(d, fresh, bytes) < 0 || d->io->rename(d->io->ctx, fresh, path) < 0)
            d->io->unlink(d->io->ctx, fresh);
    }
    free(path);
    free(fresh);
}

/* Reads the segment. What cannot be kept is made again by the next who looks. */
static void make(struct disk *d, struct digest_header *h, store_topic_fn *topic,
                 uint64_t *ret_bytes)
{
    autobuf bytes = BUF_INIT;
    struct keys keys = {0};
    struct digest_ranges *ranges = calloc(1, sizeof(*ranges));
    if (ranges != NULL) {
        ranges->gap = DIGEST_GAP;
        if (gather(&d->base, h, topic, &keys, ranges, ret_bytes)) {
            encode(h, &keys, ranges, &bytes);
            if (buf_ok(&bytes))
                keep(d, h->number, &bytes);
        }
    }
    free(ranges);
    free(keys.list);
}

/* ---- looking into one ---- */

static bool read_at(const struct disk *d, int fd, void *to, size_t len, uint64_t offset)
{
    size_t at = 0;
    while (at < len) {
        int64_t n = d->io->pread(d->io->ctx, fd, (char *)to + at, len - at, offset + at);
        if (n <= 0)
            return false;
        at += (size_t)n;
    }
    return true;
}

/* True when it is that segment's. */
static bool read_header(const struct disk *d, int fd, const struct digest_header *wanted,
                        struct digest_header *ret)
{
    return read_at(d, fd, ret, sizeof(*ret), 0) && ret->magic == DIGEST_MAGIC &&
           ret->version == DIGEST_VERSION &&
           ret->crc == crc32c(0, ret, offsetof(struct digest_header, crc)) &&
           ret->number == wanted->number && ret->salt == wanted->salt &&
           ret->first == wanted->first && ret->following == wanted->following &&
           ret->ranges <= DIGEST_RANGES_MAX;
}

/* -1: it cannot be told. */
static int has_about(const struct disk *d, int fd, const struct digest_header *h,
                     const struct store_search *search)
{
    for (size_t i = 0; i < search->about_count; i++)
        if (search->about[i] >= h->first && search->about[i] < h->following)
            return 1;
    struct digest_ranges *ranges = calloc(1, sizeof(*ranges));
    if (ranges == NULL)
        return -1;
    ranges->len = h->ranges;
    size_t len = h->ranges * sizeof(ranges->list[0]);
    int found = -1;
    if (read_at(d, fd, ranges->list, len, sizeof(*h)) &&
        crc32c(0, ranges->list, len) == h->ranges_crc) {
        found = 0;
        for (size_t i = 0; i < search->about_count && found == 0; i++)
            found = digest_ranges_have(ranges, search->about[i]);
    }
    free(ranges);
    return found;
}

static bool read_block(const struct disk *d, int fd, const struct digest_header *h, uint32_t index,
                       struct digest_block *ret)
{
    uint64_t offset =
        sizeof(*h) + h->ranges * sizeof(struct digest_range) + (uint64_t)index * sizeof(*ret);
    return read_at(d, fd, ret, sizeof(*ret), offset) && ret->count > 0 &&
           ret->count <= DIGEST_BLOCK_KEYS &&
           ret->crc == crc32c(0, &ret->count, sizeof(*ret) - offsetof(struct digest_block, count));
}

/* The first key that is not below the wanted one. 1: *ret_place; 0: there is none; -1: it cannot be
 * told. */
static int find_key(const struct disk *d, int fd, const struct digest_header *h, uint64_t wanted,
                    uint64_t *ret_place)
{
    struct digest_block block;
    uint32_t low = 0, high = h->blocks; /* the first block whose last key is not below it */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (!read_block(d, fd, h, middle, &block))
            return -1;
        if (block.keys[block.count - 1] < wanted)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == h->blocks)
        return 0;
    if (!read_block(d, fd, h, low, &block))
        return -1;
    for (uint32_t i = 0; i < block.count; i++) {
        if (block.keys[i] < wanted)
            continue;
        *ret_place = block.keys[i] & ~DIGEST_KEY_MASK;
        return (block.keys[i] & DIGEST_KEY_MASK) == (wanted & DIGEST_KEY_MASK);
    }
    return 0;
}

/* False: the digest does not help. */
static bool look(const struct disk *d, int fd, const struct digest_header *h,
                 const struct store_search *search, struct store_found *ret)
{
    int found;
    if (search->by_key) {
        uint64_t place = ret->begin > h->first ? ret->begin - h->first : 0;
        found = find_key(d, fd, h, (search->key & DIGEST_KEY_MASK) | place, &place);
        if (found == 1) {
            ret->begin = h->first + place;
            ret->end = ret->begin + 1;
        }
    } else {
        found = has_about(d, fd, h, search);
    }
    if (found == 0)
        ret->begin = ret->end;
    return found >= 0;
}

static bool look_into(const struct disk *d, const struct digest_header *wanted,
                      const struct store_search *search, struct store_found *ret)
{
    struct digest_header h;
    char *path = digest_path(d, wanted->number, "");
    int fd = path != NULL ? d->io->open(d->io->ctx, path, O_RDWR | O_CLOEXEC, 0) : -ENOMEM;
    free(path);
    if (fd < 0)
        return false;
    bool good = read_header(d, fd, wanted, &h) && look(d, fd, &h, search, ret);
    d->io->close(d->io->ctx, fd);
    return good;
}

static struct digest_header header_of(const struct segment *g)
{
    return (struct digest_header){.number = g->number,
                                  .salt = g->salt,
                                  .first = g->first,
                                  .following = atomic_load(&g->following)};
}

void disk_find(struct store *s, uint64_t position, const struct store_search *search,
               store_topic_fn *topic, struct store_found *ret)
{
    struct disk *d = disk_of(s);
    struct segment *g;
    if (segments_acquire(&d->segments, position, &g) < 0)
        return;
    struct digest_header h = header_of(g);
    segments_release(&d->segments, g);
    if (h.following == 0 || h.following <= position ||
        h.following - h.first > ~DIGEST_KEY_MASK) /* written to, or gone meanwhile */
        return;
    if (position < h.first)
        ret->begin = h.first;
    ret->end = h.following;
    if (look_into(d, &h, search, ret))
        return;
    make(d, &h, topic, &ret->bytes_read);
    (void)look_into(d, &h, search, ret);
}

/* ---- before anybody looks ---- */

/* The newest full one without; acquired. NULL: there is none. */
static struct segment *next_undigested(struct segments *s)
{
    uint64_t first = 0;
    struct segment *found;
    pthread_mutex_lock(&s->lock);
    for (size_t i = s->len; i > 1 && first == 0; i--)
        if (!atomic_load(&s->list[i - 2]->digested))
            first = s->list[i - 2]->first;
    pthread_mutex_unlock(&s->lock);
    return first != 0 && segments_acquire(s, first, &found) == 0 ? found : NULL;
}

static bool is_whole(const struct disk *d, const struct digest_header *wanted)
{
    struct digest_header h;
    char *path = digest_path(d, wanted->number, "");
    int fd = path != NULL ? d->io->open(d->io->ctx, path, O_RDWR | O_CLOEXEC, 0) : -ENOMEM;
    free(path);
    if (fd < 0)
        return false;
    bool whole = read_header(d, fd, wanted, &h);
    d->io->close(d->io->ctx, fd);
    return whole;
}

bool disk_digest(struct store *s, store_topic_fn *topic)
{
    struct disk *d = disk_of(s);
    struct segment *g = next_undigested(&d->segments);
    uint64_t bytes = 0;
    if (g == NULL)
        return false;
    struct digest_header h = header_of(g);
    if (h.following != 0 && !is_whole(d, &h)) /* 0: all others went meanwhile */
        make(d, &h, topic, &bytes);
    atomic_store(&g->digested, h.following != 0);
    segments_release(&d->segments, g);
    return true;
}

/* ---- those of segments that are gone ---- */

void digest_forget(struct disk *d, uint64_t number)
{
    char *path = digest_path(d, number, "");
    if (path != NULL)
        d->io->unlink(d->io->ctx, path);
    free(path);
}

static bool is_kept(struct disk *d, uint64_t number)
{
    bool kept = false;
    pthread_mutex_lock(&d->segments.lock);
    for (size_t i = 0; i < d->segments.len && !kept; i++)
        kept = d->segments.list[i]->number == number;
    pthread_mutex_unlock(&d->segments.lock);
    return kept;
}

static int sweep_one(void *ctx, const char *name)
{
    struct disk *d = ctx;
    const char *suffix = strstr(name, NAME_SUFFIX);
    if (suffix == NULL || suffix - name != NAME_DIGITS ||
        strspn(name, "0123456789abcdef") != NAME_DIGITS)
        return 0;
    bool whole = strcmp(suffix, NAME_SUFFIX) == 0;
    if (whole && is_kept(d, strtoull(name, NULL, 16)))
        return 0;
    char *path;
    if (asprintf(&path, "%s/%s", d->folder, name) >= 0) {
        d->io->unlink(d->io->ctx, path);
        free(path);
    }
    return 0;
}

void digest_sweep(struct disk *d)
{
    (void)d->io->list(d->io->ctx, d->folder, sweep_one, d);
}
