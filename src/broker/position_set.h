/* SPDX-License-Identifier: Apache-2.0 */
/* A sorted set of positions in the log, from which the lowest are taken first. */
#ifndef SLUICE_BROKER_POSITION_SET_H
#define SLUICE_BROKER_POSITION_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct position_set {
    uint64_t *positions;
    size_t first, len, cap; /* positions[first] to positions[len - 1] */
};

/* 0 or -ENOMEM. */
int position_set_add(struct position_set *s, uint64_t position);
bool position_set_has(const struct position_set *s, uint64_t position);
/* Removes it; false when it is not there. */
bool position_set_take(struct position_set *s, uint64_t position);
void position_set_drop_below(struct position_set *s, uint64_t position);

#endif
