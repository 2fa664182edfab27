/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/position_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int position_set_add(struct position_set *s, uint64_t position)
{
    if (s->len == s->cap) {
        size_t cap = s->cap == 0 ? 16 : s->cap * 2;
        uint64_t *grown = realloc(s->positions, cap * sizeof(*grown));
        if (grown == NULL)
            return -ENOMEM;
        s->positions = grown;
        s->cap = cap;
    }
    size_t at = s->len++;
    while (at > s->first && s->positions[at - 1] > position) {
        s->positions[at] = s->positions[at - 1];
        at--;
    }
    s->positions[at] = position;
    return 0;
}

/* The first that is not less. */
static size_t lower_bound(const struct position_set *s, uint64_t position)
{
    size_t low = s->first, high = s->len;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (s->positions[middle] < position)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool position_set_has(const struct position_set *s, uint64_t position)
{
    size_t low = lower_bound(s, position);
    return low < s->len && s->positions[low] == position;
}

bool position_set_take(struct position_set *s, uint64_t position)
{
    size_t low = lower_bound(s, position);
    if (low == s->len || s->positions[low] != position)
        return false;
    if (low == s->first) { /* the usual case: they are taken in order */
        if (++s->first == s->len) {
            free(s->positions);
            *s = (struct position_set){0};
        }
        return true;
    }
    memmove(&s->positions[low], &s->positions[low + 1], (s->len - low - 1) * sizeof(uint64_t));
    s->len--;
    return true;
}

void position_set_drop_below(struct position_set *s, uint64_t position)
{
    while (s->first < s->len && s->positions[s->first] < position)
        s->first++;
    if (s->first == s->len) {
        free(s->positions);
        *s = (struct position_set){0};
    }
}
