/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include "base/random.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

static uint64_t seed[2];
static pthread_once_t seed_once = PTHREAD_ONCE_INIT;

static void seed_fill(void)
{
    random_bytes(seed, sizeof(seed));
}

static inline uint64_t rotate(uint64_t x, int by)
{
    return (x << by) | (x >> (64 - by));
}

struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v2 = rotate(s->v2, 32);
}

/* SipHash-1-3 (Aumasson and Bernstein): callers choose the keys, so the hash must not be guessable.
 */
uint64_t map_hash(const void *bytes, size_t len)
{
    pthread_once(&seed_once, seed_fill);
    struct sip s = {seed[0] ^ 0x736f6d6570736575, seed[1] ^ 0x646f72616e646f6d,
                    seed[0] ^ 0x6c7967656e657261, seed[1] ^ 0x7465646279746573};
    const unsigned char *p = bytes;
    size_t whole = len & ~(size_t)7;
    for (size_t i = 0; i < whole; i += 8) {
        uint64_t word;
        memcpy(&word, p + i, 8);
        s.v3 ^= word;
        sip_round(&s);
        s.v0 ^= word;
    }
    uint64_t last = (uint64_t)len << 56;
    if (len > whole)
        memcpy(&last, p + whole, len - whole);
    last |= (uint64_t)len << 56;
    s.v3 ^= last;
    sip_round(&s);
    s.v0 ^= last;
    s.v2 ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

void map_done(struct map *m)
{
    for (size_t i = 0; i < m->cap; i++)
        free(m->entries[i].key);
    free(m->entries);
    *m = (struct map)MAP_INIT;
}

/* The entry of the key, or the free entry where it would go. cap > 0. */
static struct map_entry *map_find(const struct map *m, struct slice key, uint64_t hash)
{
    size_t at = hash & (m->cap - 1);
    for (;; at = (at + 1) & (m->cap - 1)) {
        struct map_entry *e = &m->entries[at];
        if (e->key == NULL)
            return e;
        if (e->hash == hash && slice_equal(slice_of(e->key, e->key_len), key))
            return e;
    }
}

void *map_get(const struct map *m, struct slice key)
{
    if (m->len == 0)
        return NULL;
    struct map_entry *e = map_find(m, key, map_hash(key.ptr, key.len));
    return e->key != NULL ? e->value : NULL;
}

static int map_grow(struct map *m)
{
    size_t cap = m->cap == 0 ? 16 : m->cap * 2;
    struct map grown = {calloc(cap, sizeof(struct map_entry)), cap, m->len};
    if (grown.entries == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < m->cap; i++) {
        struct map_entry *e = &m->entries[i];
        if (e->key != NULL)
            *map_find(&grown, slice_of(e->key, e->key_len), e->hash) = *e;
    }
    free(m->entries);
    *m = grown;
    return 0;
}

int map_put(struct map *m, struct slice key, void *value)
{
    if ((m->len + 1) * 4 > m->cap * 3) {
        int r = map_grow(m);
        if (r < 0)
            return r;
    }
    uint64_t hash = map_hash(key.ptr, key.len);
    struct map_entry *e = map_find(m, key, hash);
    if (e->key == NULL) {
        char *copy = slice_dup(key);
        if (copy == NULL)
            return -ENOMEM;
        *e = (struct map_entry){copy, key.len, hash, NULL};
        m->len++;
    }
    e->value = value;
    return 0;
}

/* Moves later entries of the run into the hole, so that no run is broken. */
static void map_close_hole(struct map *m, size_t hole)
{
    size_t at = hole;
    for (;;) {
        at = (at + 1) & (m->cap - 1);
        struct map_entry *e = &m->entries[at];
        if (e->key == NULL)
            break;
        size_t home = e->hash & (m->cap - 1);
        if (((at - home) & (m->cap - 1)) >= ((at - hole) & (m->cap - 1))) {
            m->entries[hole] = *e;
            hole = at;
        }
    }
    m->entries[hole] = (struct map_entry){0};
}

void *map_remove(struct map *m, struct slice key)
{
    if (m->len == 0)
        return NULL;
    struct map_entry *e = map_find(m, key, map_hash(key.ptr, key.len));
    if (e->key == NULL)
        return NULL;
    void *value = e->value;
    free(e->key);
    m->len--;
    map_close_hole(m, (size_t)(e - m->entries));
    return value;
}

bool map_next(const struct map *m, size_t *at, struct slice *ret_key, void **ret_value)
{
    while (*at < m->cap) {
        struct map_entry *e = &m->entries[(*at)++];
        if (e->key == NULL)
            continue;
        if (ret_key != NULL)
            *ret_key = slice_of(e->key, e->key_len);
        if (ret_value != NULL)
            *ret_value = e->value;
        return true;
    }
    return false;
}
