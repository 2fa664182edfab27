/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of an index: filters by exact values of some attributes, or by a prefix or suffix of
 * one. Used by index.c only. */
#ifndef SLUICE_BROKER_INDEX_TABLE_H
#define SLUICE_BROKER_INDEX_TABLE_H

#include "base/buf.h"
#include "base/map.h"
#include "broker/index_path.h"
#include "event/event.h"

struct index_group;

enum index_table_kind { INDEX_VALUES, INDEX_PREFIXES, INDEX_SUFFIXES };

struct index_name {
    char *text;
    size_t len;
    bool exact; /* the value is part of the key; else the attribute must be there */
};

struct index_length {
    size_t len;
    size_t keys;
};

/* Under which attributes a table's key is made, in the order of their names. */
struct index_table {
    enum index_table_kind kind;
    struct index_name *names;
    size_t count, exact;          /* names, and how many are part of the key */
    struct index_length *lengths; /* of prefixes or suffixes that are there, ascending */
    size_t length_count;
    struct map buckets; /* key → struct index_bucket */
};

struct index_bucket {
    struct index_table *table;
    struct index_group **groups;
    size_t count, cap;
};

/* A table for the conditions that have the kind: all values of attributes in the path
 * (index_is_value), or the one that is given: a prefix, a suffix, or the value of a term. NULL: out
 * of memory. */
struct index_table *index_table_new(enum index_table_kind kind, const struct index_path *path,
                                    const struct need *one);
void index_table_free(struct index_table *t);
bool index_table_fits(const struct index_table *t, enum index_table_kind kind,
                      const struct index_path *path, const struct need *one);
/* The key of such conditions. */
struct slice index_table_key(const struct index_path *path, const struct need *one,
                             struct buf *room);
struct index_bucket *index_table_find(const struct index_table *t, struct slice key);
/* 0 or -ENOMEM. */
int index_table_add(struct index_table *t, struct slice key, struct index_group *g);
void index_table_remove(struct index_table *t, struct slice key, const struct index_group *g);

/* Calls each for the buckets that an event's attributes lead to. value: of the table's first name.
 */
void index_table_match(const struct index_table *t, const struct event *e, struct slice value,
                       struct buf *room, void (*each)(void *ctx, const struct index_bucket *b),
                       void *ctx);

#endif
