/* SPDX-License-Identifier: Apache-2.0 */
/* A trigger's lanes by the hash of their key. */
#include "broker/lane.h"

#include <stdlib.h>

#define BUCKETS_MIN 64

static struct lane **bucket_of(const struct lanes *l, uint64_t id)
{
    uint64_t mixed = (id ^ id >> 32) * UINT64_C(0x9e3779b97f4a7c15);
    return &l->buckets[(mixed >> 32) & (l->bucket_count - 1)];
}

struct lane *lane_find(const struct lanes *l, uint64_t id)
{
    struct lane *lane = l->count > 0 ? *bucket_of(l, id) : NULL;
    while (lane != NULL && lane->id != id)
        lane = lane->next;
    return lane;
}

static bool make_room(struct lanes *l)
{
    if (l->count < l->bucket_count)
        return true;
    struct lanes grown = {.bucket_count = l->bucket_count > 0 ? l->bucket_count * 2 : BUCKETS_MIN};
    grown.buckets = calloc(grown.bucket_count, sizeof(struct lane *));
    if (grown.buckets == NULL)
        return l->bucket_count > 0; /* longer chains */
    for (size_t i = 0; i < l->bucket_count; i++)
        for (struct lane *lane = l->buckets[i], *next; lane != NULL; lane = next) {
            struct lane **bucket = bucket_of(&grown, lane->id);
            next = lane->next;
            lane->next = *bucket;
            *bucket = lane;
        }
    free(l->buckets);
    l->buckets = grown.buckets;
    l->bucket_count = grown.bucket_count;
    return true;
}

struct lane *lane_make(struct lanes *l, uint64_t id)
{
    struct lane *lane = lane_find(l, id);
    if (lane != NULL || !make_room(l))
        return lane;
    lane = l->spare != NULL ? STEAL(l->spare) : malloc(sizeof(*lane));
    if (lane == NULL)
        return NULL;
    *lane = (struct lane){.id = id};
    list_init(&lane->queue);
    list_init(&lane->due);
    list_init(&lane->starving);
    struct lane **bucket = bucket_of(l, id);
    lane->next = *bucket;
    *bucket = lane;
    l->count++;
    return lane;
}

void lane_free(struct lanes *l, struct lane *lane)
{
    struct lane **at = bucket_of(l, lane->id);
    while (*at != lane)
        at = &(*at)->next;
    *at = lane->next;
    list_remove(&lane->starving);
    if (l->spare == NULL)
        l->spare = lane;
    else
        free(lane);
    l->count--;
}

static struct lane *first_from_bucket(const struct lanes *l, size_t *at)
{
    while (*at < l->bucket_count && l->buckets[*at] == NULL)
        ++*at;
    return *at < l->bucket_count ? l->buckets[*at] : NULL;
}

struct lane *lane_first(const struct lanes *l, size_t *at)
{
    *at = 0;
    return first_from_bucket(l, at);
}

struct lane *lane_following(const struct lanes *l, const struct lane *lane, size_t *at)
{
    if (lane->next != NULL)
        return lane->next;
    ++*at;
    return first_from_bucket(l, at);
}

void lane_table_done(struct lanes *l)
{
    free(STEAL(l->buckets));
    free(STEAL(l->spare));
}
