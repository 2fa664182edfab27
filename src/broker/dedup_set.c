/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/dedup_set.h"

#include "base/map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CAP_FIRST 1024

void dedup_set_done(struct dedup_set *s)
{
    free(s->ring);
    free(s->buckets);
    buf_done(&s->key);
    *s = (struct dedup_set){.max = s->max, .forgotten = s->forgotten, .key = BUF_INIT};
}

void dedup_set_clear(struct dedup_set *s)
{
    dedup_set_done(s);
}

static uint32_t *bucket_of(struct dedup_set *s, uint64_t hash)
{
    return &s->buckets[hash & (s->cap - 1)];
}

static struct dedup_seen *at(struct dedup_set *s, uint32_t n)
{
    return &s->ring[(s->first + n) & (s->cap - 1)];
}

static void link_in(struct dedup_set *s, struct dedup_seen *e)
{
    uint32_t *bucket = bucket_of(s, e->hash);
    e->next = *bucket;
    *bucket = (uint32_t)(e - s->ring) + 1;
}

static int grow(struct dedup_set *s)
{
    struct dedup_set grown = *s;
    grown.cap = s->cap == 0 ? CAP_FIRST : s->cap * 2;
    grown.ring = malloc(grown.cap * sizeof(*grown.ring));
    grown.buckets = calloc(grown.cap, sizeof(*grown.buckets));
    if (grown.ring == NULL || grown.buckets == NULL) {
        free(grown.ring);
        free(grown.buckets);
        return -ENOMEM;
    }
    grown.first = 0;
    for (uint32_t i = 0; i < s->len; i++) {
        grown.ring[i] = *at(s, i);
        link_in(&grown, &grown.ring[i]);
    }
    free(s->ring);
    free(s->buckets);
    *s = grown;
    return 0;
}

/* The oldest is the last of its bucket. */
static void drop_oldest(struct dedup_set *s)
{
    uint32_t place = s->first + 1, *link = bucket_of(s, s->ring[s->first].hash);
    while (*link != place)
        link = &s->ring[*link - 1].next;
    *link = 0;
    s->first = (s->first + 1) & (s->cap - 1);
    s->len--;
}

static bool is_in_window(const struct dedup_seen *e, uint64_t time_ns, uint64_t window_ns)
{
    return e->time_ns >= time_ns || time_ns - e->time_ns <= window_ns;
}

static void make_room(struct dedup_set *s, uint64_t time_ns, uint64_t window_ns)
{
    while (s->len > 0 && !is_in_window(at(s, 0), time_ns, window_ns))
        drop_oldest(s);
    if (s->len < s->max)
        return;
    drop_oldest(s);
    s->forgotten++;
}

static void hash_key(struct dedup_set *s, struct slice source, struct slice id,
                     struct dedup_seen *out)
{
    buf_reset(&s->key);
    buf_add_u32(&s->key, (uint32_t)source.len);
    buf_add_slice(&s->key, source);
    buf_add_slice(&s->key, id);
    out->hash = map_hash(s->key.ptr, s->key.len);
    buf_add_byte(&s->key, 'm');
    out->more_hash = buf_ok(&s->key) ? (uint32_t)map_hash(s->key.ptr, s->key.len) : 0;
}

static bool has(struct dedup_set *s, const struct dedup_seen *wanted)
{
    for (uint32_t i = *bucket_of(s, wanted->hash); i != 0; i = s->ring[i - 1].next)
        if (s->ring[i - 1].hash == wanted->hash && s->ring[i - 1].more_hash == wanted->more_hash)
            return true;
    return false;
}

int dedup_set_add(struct dedup_set *s, struct slice source, struct slice id, uint64_t time_ns,
                  uint64_t window_ns)
{
    struct dedup_seen seen = {.time_ns = time_ns};
    hash_key(s, source, id, &seen);
    if (!buf_ok(&s->key)) {
        buf_done(&s->key);
        return -ENOMEM;
    }
    make_room(s, time_ns, window_ns);
    if (s->len == s->cap && grow(s) < 0)
        return -ENOMEM;
    bool duplicate = has(s, &seen);
    struct dedup_seen *e = at(s, s->len++);
    *e = seen;
    link_in(s, e);
    return duplicate;
}
