/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include "unit.h"

#include "base/fdio.h"

#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct answer {
    sem_t done;
    int error;
    uint64_t position;
};

void rig_init(struct rig *r, bool memory, uint64_t segment_bytes)
{
    *r = (struct rig){.store = NULL};
    r->options.segment_bytes = segment_bytes > 0 ? segment_bytes : 64 << 10;
    if (memory)
        return;
    const char *parent = getenv("TMPDIR");
    snprintf(r->dir, sizeof(r->dir), "%s/sluice-store-XXXXXX", parent != NULL ? parent : "/tmp");
    assert_non_null(mkdtemp(r->dir));
    r->options.dir = r->dir;
}

void rig_done(struct rig *r)
{
    rig_close(r);
    if (r->dir[0] != '\0')
        assert_int_equal(fdio_remove_tree(r->dir), 0);
}

static int count_replayed(void *ctx, const struct store_entry *entry)
{
    struct rig *r = ctx;
    if (r->replayed++ == 0)
        r->replayed_first = entry->position;
    r->replayed_last = entry->position;
    return 0;
}

int rig_open(struct rig *r)
{
    r->replayed = r->replayed_first = r->replayed_last = 0;
    r->error = (struct error)ERROR_INIT;
    return store_open(&r->options, count_replayed, r, &r->store, &r->error);
}

void rig_close(struct rig *r)
{
    store_close(r->store);
    r->store = NULL;
}

static void answered(void *ctx, int error, uint64_t position)
{
    struct answer *a = ctx;
    a->error = error;
    a->position = position;
    sem_post(&a->done);
}

static int wait_for(struct answer *a, uint64_t *ret_position)
{
    while (sem_wait(&a->done) != 0)
        ;
    sem_destroy(&a->done);
    if (a->error == 0 && ret_position != NULL)
        *ret_position = a->position;
    return a->error;
}

int rig_append(struct rig *r, struct store_group *g, uint64_t *ret_position)
{
    struct answer a;
    sem_init(&a.done, 0, 0);
    store_append(r->store, g, answered, &a);
    return wait_for(&a, ret_position);
}

static int append_one(struct rig *r, enum store_record_type type, uint32_t scope, const char *key,
                      const char *value, uint64_t *ret_position)
{
    struct store_group g;
    store_group_init(&g);
    store_group_add(&g, type, scope, slice_text(key), slice_text(value));
    return rig_append(r, &g, ret_position);
}

int rig_event(struct rig *r, const char *text, uint64_t *ret_position)
{
    return append_one(r, STORE_RECORD_EVENT, 1, "", text, ret_position);
}

int rig_put(struct rig *r, enum store_table t, const char *key, const char *value)
{
    return append_one(r, STORE_RECORD_PUT, t, key, value, NULL);
}

int rig_delete(struct rig *r, enum store_table t, const char *key)
{
    return append_one(r, STORE_RECORD_DELETE, t, key, "", NULL);
}

int rig_checkpoint(struct rig *r, uint64_t upto, struct store_group *rows)
{
    struct answer a;
    sem_init(&a.done, 0, 0);
    store_checkpoint(r->store, upto, rows, answered, &a);
    return wait_for(&a, NULL);
}

void rig_expect_row(struct rig *r, enum store_table t, const char *key, const char *value)
{
    autobuf out = BUF_INIT;
    int n = store_get(r->store, t, slice_text(key), &out, NULL);
    if (value == NULL) {
        assert_int_equal(n, -ENOENT);
        return;
    }
    assert_int_equal(n, 0);
    assert_true(slice_is(buf_slice(&out), value));
}

void rig_expect_event(struct rig *r, uint64_t position, const char *text)
{
    autobuf out = BUF_INIT;
    assert_int_equal(store_read_event(r->store, position, NULL, NULL, &out), 0);
    assert_true(slice_is(buf_slice(&out), text));
}

void rig_expect_condition(struct rig *r, int condition)
{
    struct store_stats stats;
    for (int i = 0; i < 1000; i++) {
        store_stats(r->store, &stats);
        if (stats.condition == condition)
            return;
        usleep(10000);
    }
    fail_msg("condition is %d, not %d", stats.condition, condition);
}
