/* SPDX-License-Identifier: Apache-2.0 */
#include "store/segment.h"

#include "base/must.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_DIGITS 16
#define NAME_SUFFIX ".log"

void segments_init(struct segments *s, const struct store_io *io, const char *folder)
{
    *s = (struct segments){.io = io, .folder = folder};
    pthread_mutex_init(&s->lock, NULL);
}

void segments_done(struct segments *s)
{
    for (size_t i = 0; i < s->len; i++) {
        must(s->list[i]->users == 0);
        segment_free(s, s->list[i]);
    }
    free(s->list);
    s->list = NULL;
    s->len = 0;
    pthread_mutex_destroy(&s->lock);
}

char *segments_path(const struct segments *s, uint64_t number)
{
    char *path;
    return asprintf(&path, "%s/%0*" PRIx64 NAME_SUFFIX, s->folder, NAME_DIGITS, number) < 0 ? NULL
                                                                                            : path;
}

bool segment_parse_name(const char *name, uint64_t *ret_number)
{
    if (strlen(name) != NAME_DIGITS + strlen(NAME_SUFFIX) ||
        strcmp(name + NAME_DIGITS, NAME_SUFFIX) != 0 ||
        strspn(name, "0123456789abcdef") != NAME_DIGITS)
        return false;
    *ret_number = strtoull(name, NULL, 16);
    return true;
}

struct segment *segment_new(const struct segment_header *h, uint32_t chain, int fd)
{
    struct segment *g = calloc(1, sizeof(*g));
    if (g == NULL)
        return NULL;
    g->number = h->number;
    g->bytes = h->bytes;
    g->first = h->first;
    atomic_init(&g->time_ns, h->time_ns);
    g->salt = h->salt;
    g->chain = chain;
    g->fd = fd;
    atomic_init(&g->end, h->bytes);
    return g;
}

void segment_free(struct segments *s, struct segment *g)
{
    if (g->fd >= 0)
        s->io->close(s->io->ctx, g->fd);
    free(g->marks);
    free(g);
}

int segments_append(struct segments *s, struct segment *g)
{
    int r = 0;
    pthread_mutex_lock(&s->lock);
    if (s->len == s->cap) {
        size_t cap = s->cap > 0 ? s->cap * 2 : 8;
        struct segment **list = realloc(s->list, cap * sizeof(struct segment *));
        if (list == NULL)
            r = -ENOMEM;
        else {
            s->list = list;
            s->cap = cap;
        }
    }
    if (r == 0) {
        if (s->len > 0)
            atomic_store(&s->list[s->len - 1]->following, g->first);
        else
            atomic_store(&s->first, g->first);
        s->list[s->len++] = g;
    }
    pthread_mutex_unlock(&s->lock);
    return r;
}

static int open_locked(struct segments *s, struct segment *g)
{
    if (g->fd >= 0)
        return 0;
    char *path = segments_path(s, g->number);
    if (path == NULL)
        return -ENOMEM;
    int fd = s->io->open(s->io->ctx, path, O_RDWR | O_CLOEXEC, 0);
    free(path);
    if (fd < 0)
        return fd;
    g->fd = fd;
    return 0;
}

static int acquire_locked(struct segments *s, struct segment *g, struct segment **ret)
{
    int r = open_locked(s, g);
    if (r < 0)
        return r;
    g->users++;
    *ret = g;
    return 0;
}

int segments_acquire(struct segments *s, uint64_t position, struct segment **ret)
{
    int r = -ENOENT;
    pthread_mutex_lock(&s->lock);
    size_t low = 0, high = s->len;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (s->list[middle]->first <= position)
            low = middle;
        else
            high = middle;
    }
    if (s->len > 0)
        r = acquire_locked(s, s->list[low], ret);
    pthread_mutex_unlock(&s->lock);
    return r;
}

int segments_acquire_time(struct segments *s, uint64_t time_ns, struct segment **ret)
{
    int r = -ENOENT;
    pthread_mutex_lock(&s->lock);
    size_t i = s->len;
    while (i > 1 && atomic_load(&s->list[i - 1]->time_ns) >= time_ns)
        i--;
    if (s->len > 0)
        r = acquire_locked(s, s->list[i - 1], ret);
    pthread_mutex_unlock(&s->lock);
    return r;
}

int segments_hold(struct segments *s, struct segment *g)
{
    struct segment *held;
    pthread_mutex_lock(&s->lock);
    int r = acquire_locked(s, g, &held);
    pthread_mutex_unlock(&s->lock);
    return r;
}

void segments_release(struct segments *s, struct segment *g)
{
    int fd = -1;
    bool last = false;
    pthread_mutex_lock(&s->lock);
    if (--g->users == 0) {
        last = atomic_load(&g->retired);
        if (!last) {
            fd = g->fd;
            g->fd = -1;
        }
    }
    pthread_mutex_unlock(&s->lock);
    if (last)
        segment_free(s, g);
    else if (fd >= 0)
        s->io->close(s->io->ctx, fd);
}

void segments_note(struct segments *s, struct segment *g, const struct batch_header *h,
                   uint64_t offset)
{
    pthread_mutex_lock(&s->lock);
    uint64_t last = g->marks_len > 0 ? g->marks[g->marks_len - 1].offset : SEGMENT_HEADER_BYTES;
    if (offset >= last + SEGMENT_MARK_BYTES) {
        if (g->marks_len == g->marks_cap) {
            uint32_t cap = g->marks_cap > 0 ? g->marks_cap * 2 : 8;
            struct segment_mark *marks = realloc(g->marks, cap * sizeof(*marks));
            if (marks != NULL) {
                g->marks = marks;
                g->marks_cap = cap;
            }
        }
        /* Without memory the way to look is longer, that is all. */
        if (g->marks_len < g->marks_cap)
            g->marks[g->marks_len++] = (struct segment_mark){h->first, h->time_ns, offset};
    }
    pthread_mutex_unlock(&s->lock);
}

uint64_t segments_mark_position(struct segments *s, struct segment *g, uint64_t position)
{
    uint64_t offset = SEGMENT_HEADER_BYTES;
    pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < g->marks_len && g->marks[i].first <= position; i++)
        offset = g->marks[i].offset;
    pthread_mutex_unlock(&s->lock);
    return offset;
}

uint64_t segments_mark_time(struct segments *s, struct segment *g, uint64_t time_ns)
{
    uint64_t offset = SEGMENT_HEADER_BYTES;
    pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < g->marks_len && g->marks[i].time_ns < time_ns; i++)
        offset = g->marks[i].offset;
    pthread_mutex_unlock(&s->lock);
    return offset;
}
