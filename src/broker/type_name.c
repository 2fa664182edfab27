/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/type_name.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#define SLOTS     (2 * TYPE_NAMES_MAX)
#define PROBES    16 /* then it is one of the others: nobody can make look-ups slow */
#define OTHER     "other"
#define HASH_SEED UINT64_C(0x9e3779b97f4a7c15)

struct type_name {
    uint64_t hash;
    size_t len;
    char text[];
};

struct type_names {
    _Atomic(struct type_name *) slots[SLOTS];
    atomic_uint count;
};

struct type_names *type_names_new(void)
{
    return calloc(1, sizeof(struct type_names));
}

void type_names_free(struct type_names *t)
{
    for (size_t i = 0; t != NULL && i < SLOTS; i++)
        free(atomic_load(&t->slots[i]));
    free(t);
}

static uint64_t hash_of(struct slice s)
{
    uint64_t h = HASH_SEED ^ s.len, word;
    for (; s.len >= sizeof(word); s = slice_of(s.ptr + sizeof(word), s.len - sizeof(word))) {
        memcpy(&word, s.ptr, sizeof(word));
        h = (h ^ word) * HASH_SEED;
        h ^= h >> 29;
    }
    word = 0;
    memcpy(&word, s.ptr, s.len);
    h = (h ^ word) * HASH_SEED;
    return h ^ (h >> 32);
}

static bool is_name(const struct type_name *n, struct slice type, uint64_t hash)
{
    return n->hash == hash && n->len == type.len && memcmp(n->text, type.ptr, type.len) == 0;
}

/* Puts it into a slot that was free. What is there then: it, what another thread put there
 * meanwhile, or NULL: there is no room. */
static struct type_name *put(struct type_names *t, _Atomic(struct type_name *) *slot,
                             struct slice type, uint64_t hash)
{
    if (atomic_fetch_add(&t->count, 1) >= TYPE_NAMES_MAX) {
        atomic_fetch_sub(&t->count, 1);
        return NULL;
    }
    struct type_name *there = NULL, *n = malloc(sizeof(*n) + type.len);
    if (n != NULL) {
        n->hash = hash;
        n->len = type.len;
        memcpy(n->text, type.ptr, type.len);
        if (atomic_compare_exchange_strong(slot, &there, n))
            return n;
        free(n);
    }
    atomic_fetch_sub(&t->count, 1);
    return there;
}

const struct type_name *type_names_find(struct type_names *t, struct slice type)
{
    if (type.len == 0 || type.len > TYPE_NAME_MAX || slice_is(type, OTHER))
        return NULL;
    uint64_t hash = hash_of(type);
    for (unsigned i = 0; i < PROBES; i++) {
        _Atomic(struct type_name *) *slot = &t->slots[(hash + i) % SLOTS];
        struct type_name *n = atomic_load_explicit(slot, memory_order_acquire);
        if (n == NULL)
            n = put(t, slot, type, hash);
        if (n == NULL || is_name(n, type, hash))
            return n;
    }
    return NULL;
}

struct slice type_name_text(const struct type_name *n)
{
    return n != NULL ? slice_of(n->text, n->len) : SLICE(OTHER);
}
