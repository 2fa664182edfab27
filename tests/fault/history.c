/* SPDX-License-Identifier: Apache-2.0 */
#include "history.h"

#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The value of each record: group, place in the group, records of the group; then filling. */
struct stamp {
    uint32_t group, index, records;
};

struct pending {
    struct history *history;
    uint32_t group;
};

void history_init(struct history *h)
{
    *h = (struct history){.len = 1}; /* group 0 is none */
    h->cap = 1024;
    h->groups = calloc(h->cap, sizeof(*h->groups));
    assert_non_null(h->groups);
    sem_init(&h->answered, 0, 0);
}

void history_done(struct history *h)
{
    sem_destroy(&h->answered);
    free(h->groups);
}

/* Log thread. The groups are not moved while answers are out: append waits before it grows. */
static void answered(void *ctx, int error, uint64_t position)
{
    struct pending *p = ctx;
    struct history_group *g = &p->history->groups[p->group];
    p->history->last_error = error;
    g->position = position;
    if (error == 0)
        g->fate = HISTORY_ACKNOWLEDGED;
    else if (error == -ENOSPC)
        g->fate = HISTORY_LOST;
    sem_post(&p->history->answered);
    free(p);
}

static uint32_t new_group(struct history *h)
{
    if (h->len == h->cap) {
        history_wait(h);
        h->cap *= 2;
        h->groups = realloc(h->groups, h->cap * sizeof(*h->groups));
        assert_non_null(h->groups);
    }
    h->groups[h->len] = (struct history_group){.records = 1 + h->len % 4};
    return h->len++;
}

static void add_record(struct store_group *g, const struct stamp *stamp, size_t size)
{
    char key[8] = "";
    bool row = stamp->index == 0;
    if (row)
        snprintf(key, sizeof(key), "k%u", stamp->group % HISTORY_KEYS);
    store_group_begin(g, row ? STORE_RECORD_PUT : STORE_RECORD_EVENT, row ? STORE_TABLE_DEAD : 1,
                      slice_text(key));
    buf_add(&g->bytes, stamp, sizeof(*stamp));
    for (size_t i = sizeof(*stamp); i < size; i++)
        buf_add_byte(&g->bytes, (char)(stamp->group + i));
    store_group_end(g);
}

void history_append(struct history *h, struct store *s, size_t size, bool internal)
{
    uint32_t number = new_group(h);
    struct stamp stamp = {.group = number, .records = h->groups[number].records};
    struct pending *p = malloc(sizeof(*p));
    struct store_group g;
    assert_non_null(p);
    *p = (struct pending){h, number};
    store_group_init(&g);
    g.internal = internal;
    for (; stamp.index < stamp.records; stamp.index++)
        add_record(&g, &stamp, size);
    assert_int_equal(g.status, 0);
    h->outstanding++;
    store_append(s, &g, answered, p);
}

int history_wait(struct history *h)
{
    for (; h->outstanding > 0; h->outstanding--)
        while (sem_wait(&h->answered) != 0)
            ;
    return h->last_error;
}

static void check_group_start(struct history *h, const struct stamp *stamp, uint64_t position)
{
    assert_true(stamp->group > 0 && stamp->group < h->len);
    struct history_group *g = &h->groups[stamp->group];
    assert_int_equal(stamp->index, 0);
    assert_int_equal(stamp->records, g->records);
    assert_int_not_equal(g->fate, HISTORY_LOST);
    if (g->fate == HISTORY_ACKNOWLEDGED)
        assert_int_equal(g->position, position);
    else
        assert_true(g->position == 0 || g->position == position);
    g->fate = HISTORY_ACKNOWLEDGED; /* who was read once must be there for ever */
    g->position = position;
}

/* Reads the log from the first position that was not checked before, or from its beginning. */
static void check_log(struct history *h, struct store *s, uint64_t from)
{
    struct store_reader *reader = store_reader_new(s, from);
    struct store_entry e;
    struct stamp stamp = {.index = 0}, expected = {.index = 0};
    uint64_t position = from;
    int n;
    while ((n = store_reader_next(reader, &e)) == 1) {
        assert_int_equal(e.position, position);
        position++;
        assert_true(e.value.len >= sizeof(stamp));
        memcpy(&stamp, e.value.ptr, sizeof(stamp));
        if (expected.index == 0) {
            check_group_start(h, &stamp, e.position);
            expected = stamp;
        }
        assert_memory_equal(&stamp, &expected, sizeof(stamp));
        for (size_t i = sizeof(stamp); i < e.value.len; i++)
            assert_int_equal(e.value.ptr[i], (char)(stamp.group + i));
        if (e.type == STORE_RECORD_PUT && e.position > h->seen_upto)
            h->rows[stamp.group % HISTORY_KEYS] = stamp.group;
        expected.index = stamp.index + 1 < stamp.records ? stamp.index + 1 : 0;
    }
    assert_int_equal(n, 0);
    assert_int_equal(expected.index, 0); /* the last group is whole */
    assert_int_equal(position, store_synced(s) + 1);
    store_reader_free(reader);
}

static void check_rows(struct history *h, struct store *s)
{
    for (uint32_t i = 0; i < HISTORY_KEYS; i++) {
        char key[8];
        autobuf value = BUF_INIT;
        struct stamp stamp;
        snprintf(key, sizeof(key), "k%u", i);
        int r = store_get(s, STORE_TABLE_DEAD, slice_text(key), &value, NULL);
        if (h->rows[i] == 0) {
            assert_int_equal(r, -ENOENT);
            continue;
        }
        assert_int_equal(r, 0);
        memcpy(&stamp, value.ptr, sizeof(stamp));
        assert_int_equal(stamp.group, h->rows[i]);
    }
}

void history_check(struct history *h, struct store *s)
{
    struct store_stats stats;
    store_stats(s, &stats);
    assert_true(stats.epoch > h->epoch);
    h->epoch = stats.epoch;
    check_log(h, s, stats.first);
    uint64_t synced = store_synced(s);
    for (uint32_t i = 1; i < h->len; i++) {
        struct history_group *g = &h->groups[i];
        if (g->fate == HISTORY_ACKNOWLEDGED)
            assert_true(g->position + g->records - 1 <= synced);
        else
            g->fate = HISTORY_LOST;
    }
    h->seen_upto = synced;
    check_rows(h, s);
}
