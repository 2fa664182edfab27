/* SPDX-License-Identifier: Apache-2.0 */
/* The contract of store.h, run over both twins. What only a disk can do (reopening) is at the end.
 */
#include "rig.h"

#include "unit.h"

#include <unistd.h>

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const bool on_disk = false, in_memory = true;

static int setup_twin(void **state)
{
    bool memory = *(const bool *)*state;
    struct rig *r = malloc(sizeof(*r));
    rig_init(r, memory, 0);
    assert_int_equal(rig_open(r), 0);
    *state = r;
    return 0;
}

static int teardown_twin(void **state)
{
    rig_done(*state);
    free(*state);
    return 0;
}

/* ---- appending and reading ---- */

static void positions_are_dense_from_one(void **state)
{
    struct rig *r = *state;
    char text[16];
    assert_int_equal(store_synced(r->store), 0);
    for (uint64_t i = 1; i <= 100; i++) {
        uint64_t position = 0;
        snprintf(text, sizeof(text), "event %" PRIu64, i);
        assert_int_equal(rig_event(r, text, &position), 0);
        assert_int_equal(position, i);
    }
    assert_int_equal(store_synced(r->store), 100);
    assert_int_equal(store_first(r->store), 1);
    rig_expect_event(r, 1, "event 1");
    rig_expect_event(r, 57, "event 57");
    rig_expect_event(r, 100, "event 100");
}

static void reader_gives_records_as_they_were_appended(void **state)
{
    struct rig *r = *state;
    struct store_group g;
    struct store_entry e;
    uint64_t position;
    store_group_init(&g);
    store_group_add(&g, STORE_RECORD_EVENT, 7, SLICE("k"), SLICE("payload"));
    store_group_begin(&g, STORE_RECORD_FINISH, 9, SLICE("12345678"));
    store_group_end(&g);
    store_group_begin(&g, STORE_RECORD_PUT, STORE_TABLE_DEAD, SLICE("a\0b"));
    buf_add_text(&g.bytes, "made in ");
    buf_add_text(&g.bytes, "place");
    store_group_end(&g);
    assert_int_equal(g.status, 0);
    assert_int_equal(g.records, 3);
    assert_int_equal(rig_append(r, &g, &position), 0);
    assert_int_equal(g.records, 0);

    struct store_reader *reader = store_reader_new(r->store, 1);
    assert_int_equal(store_reader_next(reader, &e), 1);
    assert_int_equal(e.position, position);
    assert_int_equal(e.type, STORE_RECORD_EVENT);
    assert_int_equal(e.scope, 7);
    assert_true(slice_is(e.key, "k"));
    assert_true(slice_is(e.value, "payload"));
    assert_true(e.time_ns > 0);
    assert_int_equal(store_reader_next(reader, &e), 1);
    assert_int_equal(e.type, STORE_RECORD_FINISH);
    assert_true(slice_is(e.key, "12345678"));
    assert_int_equal(e.value.len, 0);
    assert_int_equal(store_reader_next(reader, &e), 1);
    assert_int_equal(e.position, position + 2);
    assert_true(slice_equal(e.key, SLICE("a\0b")));
    assert_true(slice_is(e.value, "made in place"));
    assert_int_equal(store_reader_next(reader, &e), 0);
    assert_int_equal(store_reader_position(reader), position + 3);

    assert_int_equal(rig_event(r, "later", NULL), 0);
    assert_int_equal(store_reader_next(reader, &e), 1);
    assert_true(slice_is(e.value, "later"));
    store_reader_free(reader);
}

static void reader_begins_in_the_middle_of_a_group(void **state)
{
    struct rig *r = *state;
    struct store_group g;
    struct store_entry e;
    store_group_init(&g);
    for (uint32_t i = 0; i < 10; i++)
        store_group_add(&g, STORE_RECORD_EVENT, i, SLICE(""), SLICE("x"));
    assert_int_equal(rig_append(r, &g, NULL), 0);
    struct store_reader *reader = store_reader_new(r->store, 6);
    assert_int_equal(store_reader_position(reader), 6);
    assert_int_equal(store_reader_next(reader, &e), 1);
    assert_int_equal(e.position, 6);
    assert_int_equal(e.scope, 5);
    store_reader_free(reader);
}

static void large_and_empty_values_are_kept(void **state)
{
    struct rig *r = *state;
    struct store_group g;
    autobuf out = BUF_INIT;
    size_t len = 50000;
    char *bytes = malloc(len);
    uint32_t broker = 0;
    uint64_t time_ns = 0;
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)(i * 7);
    store_group_init(&g);
    store_group_add(&g, STORE_RECORD_EVENT, 3, SLICE(""), slice_of(bytes, len));
    store_group_add(&g, STORE_RECORD_EVENT, 4, SLICE(""), SLICE(""));
    assert_int_equal(rig_append(r, &g, NULL), 0);
    assert_int_equal(store_read_event(r->store, 1, &broker, &time_ns, &out), 0);
    assert_int_equal(broker, 3);
    assert_true(time_ns > 0);
    assert_true(slice_equal(buf_slice(&out), slice_of(bytes, len)));
    buf_reset(&out);
    assert_int_equal(store_read_event(r->store, 2, &broker, NULL, &out), 0);
    assert_int_equal(out.len, 0);
    free(bytes);
}

static void what_is_not_there_is_not_found(void **state)
{
    struct rig *r = *state;
    struct store_entry e;
    autobuf out = BUF_INIT;
    assert_int_equal(store_read_event(r->store, 1, NULL, NULL, &out), -ENOENT);
    assert_int_equal(rig_put(r, STORE_TABLE_RESOURCES, "a", "b"), 0);
    assert_int_equal(store_read_event(r->store, 1, NULL, NULL, &out), -ENOENT);
    assert_int_equal(store_read_event(r->store, 0, NULL, NULL, &out), -ENOENT);
    assert_int_equal(store_read_event(r->store, 2, NULL, NULL, &out), -ENOENT);
    struct store_reader *reader = store_reader_new(r->store, 1000);
    assert_int_equal(store_reader_next(reader, &e), 0);
    assert_int_equal(store_reader_position(reader), 1000);
    store_reader_free(reader);
}

/* ---- groups that are refused ---- */

static void refuse_and_check(struct rig *r, struct store_group *g, int error)
{
    uint64_t before = store_synced(r->store);
    assert_int_equal(rig_append(r, g, NULL), error);
    assert_int_equal(g->bytes.len, 0);
    assert_int_equal(store_synced(r->store), before);
}

static void bad_groups_are_refused_whole(void **state)
{
    struct rig *r = *state;
    struct store_group g;
    char key[STORE_KEY_MAX + 1];
    memset(key, 'k', sizeof(key));

    store_group_init(&g);
    refuse_and_check(r, &g, -EINVAL);
    store_group_add(&g, STORE_RECORD_EVENT, 1, SLICE(""), SLICE("good"));
    store_group_add(&g, STORE_RECORD_PUT, STORE_TABLE_DEAD, slice_of(key, sizeof(key)), SLICE(""));
    refuse_and_check(r, &g, -EINVAL);
    store_group_add(&g, STORE_RECORD_PUT, STORE_TABLE_COUNT, SLICE("k"), SLICE(""));
    refuse_and_check(r, &g, -EINVAL);
    store_group_add(&g, STORE_RECORD_DELETE, 0, SLICE("k"), SLICE(""));
    refuse_and_check(r, &g, -EINVAL);
    store_group_add(&g, STORE_RECORD_PUT, STORE_TABLE_DEAD, slice_of(key, STORE_KEY_MAX),
                    SLICE("fits"));
    assert_int_equal(rig_append(r, &g, NULL), 0);
}

static void groups_beyond_the_limit_are_refused(void **state)
{
    struct rig *r = *state;
    struct store_group g;
    char *bytes = calloc(1, STORE_GROUP_MAX);
    store_group_init(&g);
    store_group_add(&g, STORE_RECORD_EVENT, 1, SLICE(""), slice_of(bytes, STORE_GROUP_MAX));
    refuse_and_check(r, &g, -EMSGSIZE);
    free(bytes);
}

/* ---- tables ---- */

static void tables_show_what_was_acknowledged(void **state)
{
    struct rig *r = *state;
    rig_expect_row(r, STORE_TABLE_RESOURCES, "a", NULL);
    assert_int_equal(rig_put(r, STORE_TABLE_RESOURCES, "a", "one"), 0);
    rig_expect_row(r, STORE_TABLE_RESOURCES, "a", "one");
    rig_expect_row(r, STORE_TABLE_DEAD, "a", NULL);
    assert_int_equal(rig_put(r, STORE_TABLE_RESOURCES, "a", "two"), 0);
    rig_expect_row(r, STORE_TABLE_RESOURCES, "a", "two");
    autobuf out = BUF_INIT;
    uint64_t position = 0;
    assert_int_equal(store_get(r->store, STORE_TABLE_RESOURCES, SLICE("a"), &out, &position), 0);
    assert_int_equal(position, 2);
    assert_int_equal(rig_delete(r, STORE_TABLE_RESOURCES, "a"), 0);
    rig_expect_row(r, STORE_TABLE_RESOURCES, "a", NULL);
    assert_int_equal(rig_delete(r, STORE_TABLE_RESOURCES, "never was"), 0);
}

static void later_records_of_a_group_win(void **state)
{
    struct rig *r = *state;
    struct store_group g;
    store_group_init(&g);
    store_group_add(&g, STORE_RECORD_PUT, STORE_TABLE_DEAD, SLICE("k"), SLICE("first"));
    store_group_add(&g, STORE_RECORD_DELETE, STORE_TABLE_DEAD, SLICE("k"), SLICE(""));
    store_group_add(&g, STORE_RECORD_PUT, STORE_TABLE_DEAD, SLICE("k"), SLICE("last"));
    store_group_add(&g, STORE_RECORD_PUT, STORE_TABLE_DEAD, SLICE("l"), SLICE("x"));
    store_group_add(&g, STORE_RECORD_DELETE, STORE_TABLE_DEAD, SLICE("l"), SLICE(""));
    assert_int_equal(rig_append(r, &g, NULL), 0);
    rig_expect_row(r, STORE_TABLE_DEAD, "k", "last");
    rig_expect_row(r, STORE_TABLE_DEAD, "l", NULL);
}

static void expect_scan(struct rig *r, struct slice from, struct slice to, const char *expected)
{
    struct slice key, value;
    uint64_t position;
    autobuf got = BUF_INIT;
    struct store_scan *scan = store_scan_new(r->store, STORE_TABLE_RETRIES, from, to);
    assert_non_null(scan);
    while (store_scan_next(scan, &key, &value, &position) == 1)
        buf_printf(&got, SLICE_FMT "=" SLICE_FMT " ", SLICE_ARG(key), SLICE_ARG(value));
    store_scan_free(scan);
    assert_string_equal(got.ptr != NULL ? got.ptr : "", expected);
}

static void scans_are_ordered_and_bounded(void **state)
{
    struct rig *r = *state;
    const struct slice whole = {NULL, 0};
    static const char *const keys[] = {"d", "a", "c", "bb", "b", "ca"};
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(rig_put(r, STORE_TABLE_RETRIES, keys[i], keys[i]), 0);
    assert_int_equal(rig_put(r, STORE_TABLE_CURSORS, "b", "other table"), 0);
    assert_int_equal(rig_put(r, STORE_TABLE_DEAD, "b", "other table"), 0);
    expect_scan(r, SLICE(""), whole, "a=a b=b bb=bb c=c ca=ca d=d ");
    expect_scan(r, SLICE("b"), SLICE("c"), "b=b bb=bb ");
    expect_scan(r, SLICE("ba"), SLICE("cb"), "bb=bb c=c ca=ca ");
    expect_scan(r, SLICE("x"), whole, "");
    expect_scan(r, SLICE(""), SLICE("a"), "");
}

static void scans_merge_log_and_checkpoint(void **state)
{
    struct rig *r = *state;
    const struct slice whole = {NULL, 0};
    assert_int_equal(rig_put(r, STORE_TABLE_RETRIES, "a", "old"), 0);
    assert_int_equal(rig_put(r, STORE_TABLE_RETRIES, "c", "old"), 0);
    assert_int_equal(rig_put(r, STORE_TABLE_RETRIES, "e", "old"), 0);
    assert_int_equal(rig_checkpoint(r, 3, NULL), 0);
    expect_scan(r, SLICE(""), whole, "a=old c=old e=old ");
    assert_int_equal(rig_put(r, STORE_TABLE_RETRIES, "b", "new"), 0);
    assert_int_equal(rig_put(r, STORE_TABLE_RETRIES, "c", "new"), 0);
    assert_int_equal(rig_delete(r, STORE_TABLE_RETRIES, "e"), 0);
    expect_scan(r, SLICE(""), whole, "a=old b=new c=new ");
    expect_scan(r, SLICE("b"), SLICE("c"), "b=new ");
    assert_int_equal(rig_checkpoint(r, 6, NULL), 0);
    expect_scan(r, SLICE(""), whole, "a=old b=new c=new ");
}

static void an_open_scan_outlives_a_checkpoint(void **state)
{
    struct rig *r = *state;
    struct slice key, value;
    const struct slice whole = {NULL, 0};
    static const char *const keys[] = {"a", "b", "c", "d"};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(rig_put(r, STORE_TABLE_RETRIES, keys[i], "v"), 0);
    struct store_scan *scan = store_scan_new(r->store, STORE_TABLE_RETRIES, SLICE(""), whole);
    assert_int_equal(store_scan_next(scan, &key, &value, NULL), 1);
    assert_int_equal(rig_checkpoint(r, 4, NULL), 0);
    for (size_t i = 1; i < 4; i++) {
        assert_int_equal(store_scan_next(scan, &key, &value, NULL), 1);
        assert_true(slice_is(key, keys[i]));
    }
    assert_int_equal(store_scan_next(scan, &key, &value, NULL), 0);
    store_scan_free(scan);
}

/* ---- checkpoints, time, retention ---- */

static void checkpoint_takes_rows_that_are_not_logged(void **state)
{
    struct rig *r = *state;
    struct store_group rows;
    assert_int_equal(rig_put(r, STORE_TABLE_CURSORS, "gone", "x"), 0);
    assert_int_equal(rig_event(r, "e", NULL), 0);
    store_group_init(&rows);
    store_group_add(&rows, STORE_RECORD_PUT, STORE_TABLE_CURSORS, SLICE("t"), SLICE("cursor"));
    store_group_add(&rows, STORE_RECORD_DELETE, STORE_TABLE_CURSORS, SLICE("gone"), SLICE(""));
    assert_int_equal(rig_checkpoint(r, 2, &rows), 0);
    assert_int_equal(rows.bytes.len, 0);
    rig_expect_row(r, STORE_TABLE_CURSORS, "t", "cursor");
    rig_expect_row(r, STORE_TABLE_CURSORS, "gone", NULL);
    assert_int_equal(store_synced(r->store), 2);
    struct store_stats stats;
    store_stats(r->store, &stats);
    assert_int_equal(stats.checkpoint, 2);
}

static void checkpoint_rows_give_way_to_newer_records(void **state)
{
    struct rig *r = *state;
    struct store_group rows;
    assert_int_equal(rig_event(r, "e", NULL), 0);
    assert_int_equal(rig_put(r, STORE_TABLE_CURSORS, "t", "newer"), 0);
    store_group_init(&rows);
    store_group_add(&rows, STORE_RECORD_PUT, STORE_TABLE_CURSORS, SLICE("t"), SLICE("older"));
    assert_int_equal(rig_checkpoint(r, 1, &rows), 0);
    rig_expect_row(r, STORE_TABLE_CURSORS, "t", "newer");
}

static void checkpoint_beyond_the_log_or_backwards_is_refused(void **state)
{
    struct rig *r = *state;
    assert_int_equal(rig_event(r, "e", NULL), 0);
    assert_int_equal(rig_event(r, "e", NULL), 0);
    assert_int_equal(rig_checkpoint(r, 3, NULL), -EINVAL);
    assert_int_equal(rig_checkpoint(r, 2, NULL), 0);
    assert_int_equal(rig_checkpoint(r, 1, NULL), -EINVAL);
}

static uint64_t fake_now(void *ctx)
{
    return *(_Atomic uint64_t *)ctx;
}

static void time_never_goes_backwards_and_is_found(void **state)
{
    struct rig *r = *state;
    struct store_entry e;
    _Atomic uint64_t now = 1000;
    rig_close(r);
    r->options.now = fake_now;
    r->options.now_ctx = &now;
    assert_int_equal(rig_open(r), 0);
    static const uint64_t times[] = {1000, 2000, 1500, 3000, 3000, 10};
    static const uint64_t kept[] = {1000, 2000, 2000, 3000, 3000, 3000};
    for (size_t i = 0; i < 6; i++) {
        now = times[i];
        assert_int_equal(rig_event(r, "e", NULL), 0);
    }
    struct store_reader *reader = store_reader_new(r->store, 1);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(store_reader_next(reader, &e), 1);
        assert_int_equal(e.time_ns, kept[i]);
    }
    store_reader_free(reader);
    assert_int_equal(store_find_time(r->store, 0), 1);
    assert_int_equal(store_find_time(r->store, 1000), 1);
    assert_int_equal(store_find_time(r->store, 1001), 2);
    assert_int_equal(store_find_time(r->store, 2000), 2);
    assert_int_equal(store_find_time(r->store, 2001), 4);
    assert_int_equal(store_find_time(r->store, 3001), 7);
    rig_close(r);
    r->options.now = NULL;
    assert_int_equal(rig_open(r), 0);
}

static void fill(struct rig *r, int count)
{
    static char text[4000];
    memset(text, 'x', sizeof(text) - 1);
    for (int i = 0; i < count; i++)
        assert_int_equal(rig_event(r, text, NULL), 0);
}

static void retention_keeps_what_is_needed(void **state)
{
    struct rig *r = *state;
    struct store_entry e;
    fill(r, 100);
    store_retain(r->store, 101, 0);
    assert_int_equal(store_first(r->store), 1); /* no checkpoint yet */
    assert_int_equal(rig_checkpoint(r, 100, NULL), 0);
    store_retain(r->store, 1, 0);
    assert_int_equal(store_first(r->store), 1); /* all needed */
    store_retain(r->store, 101, 1);
    assert_int_equal(store_first(r->store), 1); /* all young */
    store_retain(r->store, 60, 0);
    uint64_t first = store_first(r->store);
    assert_true(first > 1 && first <= 60);
    autobuf out = BUF_INIT;
    assert_int_equal(store_read_event(r->store, first - 1, NULL, NULL, &out), -ENOENT);
    assert_int_equal(store_read_event(r->store, first, NULL, NULL, &out), 0);
    struct store_reader *reader = store_reader_new(r->store, 1);
    for (uint64_t i = first; i <= 100; i++) {
        assert_int_equal(store_reader_next(reader, &e), 1);
        assert_int_equal(e.position, i);
    }
    assert_int_equal(store_reader_next(reader, &e), 0);
    store_reader_free(reader);
}

static void a_reader_in_a_retired_part_goes_on_behind_it(void **state)
{
    struct rig *r = *state;
    struct store_entry e;
    fill(r, 50);
    struct store_reader *reader = store_reader_new(r->store, 1);
    assert_int_equal(store_reader_next(reader, &e), 1);
    fill(r, 50);
    assert_int_equal(rig_checkpoint(r, 100, NULL), 0);
    store_retain(r->store, 90, 0);
    fill(r, 100);
    uint64_t last = 1;
    int n;
    while ((n = store_reader_next(reader, &e)) == 1) {
        assert_true(e.position > last);
        last = e.position;
    }
    assert_int_equal(n, 0);
    assert_int_equal(last, 200);
    store_reader_free(reader);
}

/* ---- many appenders ---- */

#define THREADS 8
#define GROUPS  500

struct appender {
    struct rig *rig;
    uint32_t number;
    pthread_t thread;
    _Atomic uint32_t answered;
    uint64_t last;
};

static void counted(void *ctx, int error, uint64_t position)
{
    struct appender *a = ctx;
    assert_int_equal(error, 0);
    assert_true(position > a->last);
    a->last = position;
    a->answered++;
}

static void *append_many(void *ctx)
{
    struct appender *a = ctx;
    for (uint32_t i = 0; i < GROUPS; i++) {
        struct store_group g;
        char key[32];
        snprintf(key, sizeof(key), "%u/%05u", a->number, i);
        store_group_init(&g);
        store_group_add(&g, STORE_RECORD_EVENT, a->number, SLICE(""), slice_of(&i, sizeof(i)));
        store_group_add(&g, STORE_RECORD_PUT, STORE_TABLE_DEDUP, slice_text(key), SLICE("v"));
        g.held = a->number <= 1; /* the first flushes each, and the second some at a time */
        store_append(a->rig->store, &g, counted, a);
        if (a->number == 0 || (a->number == 1 && (i % 7 == 6 || i + 1 == GROUPS)))
            store_flush(a->rig->store);
        while (a->number == 0 && a->answered <= i)
            ;
    }
    return NULL;
}

static void read_all(struct rig *r, uint32_t seen[THREADS])
{
    struct store_reader *reader = store_reader_new(r->store, 1);
    struct store_entry e;
    uint64_t expected = 1;
    while (expected <= 2 * THREADS * GROUPS) {
        int n = store_reader_next(reader, &e);
        assert_true(n >= 0);
        if (n == 0)
            continue;
        assert_int_equal(e.position, expected);
        expected++;
        if (e.type != STORE_RECORD_EVENT)
            continue;
        uint32_t i;
        memcpy(&i, e.value.ptr, sizeof(i));
        assert_int_equal(i, seen[e.scope]); /* each appender's order is kept */
        seen[e.scope]++;
    }
    store_reader_free(reader);
}

static void concurrent_appenders_keep_their_order(void **state)
{
    struct rig *r = *state;
    struct appender appenders[THREADS] = {0};
    uint32_t seen[THREADS] = {0};
    for (uint32_t i = 0; i < THREADS; i++) {
        appenders[i].rig = r;
        appenders[i].number = i;
        assert_int_equal(pthread_create(&appenders[i].thread, NULL, append_many, &appenders[i]), 0);
    }
    read_all(r, seen); /* while they write */
    for (uint32_t i = 0; i < THREADS; i++) {
        pthread_join(appenders[i].thread, NULL);
        while (appenders[i].answered < GROUPS)
            ;
        assert_int_equal(seen[i], GROUPS);
    }
    struct store_scan *scan =
        store_scan_new(r->store, STORE_TABLE_DEDUP, SLICE(""), (struct slice){NULL, 0});
    struct slice key, value;
    int rows = 0;
    while (store_scan_next(scan, &key, &value, NULL) == 1)
        rows++;
    store_scan_free(scan);
    assert_int_equal(rows, THREADS * GROUPS);
    struct store_stats stats;
    store_stats(r->store, &stats);
    assert_int_equal(stats.appended_groups, THREADS * GROUPS);
    assert_int_equal(stats.appended_records, 2 * THREADS * GROUPS);
    assert_int_equal(stats.condition, 0);
}

static void notified(void *ctx, uint64_t synced)
{
    *(_Atomic uint64_t *)ctx = synced;
}

static void notify_comes_after_each_answer(void **state)
{
    struct rig *r = *state;
    static _Atomic uint64_t last; /* outlives the log thread */
    last = 0;
    store_set_synced_notify(r->store, notified, &last);
    for (uint64_t i = 1; i <= 20; i++) {
        assert_int_equal(rig_event(r, "e", NULL), 0);
        for (int wait = 0; last < i && wait < 10000; wait++)
            usleep(1000);
        assert_int_equal(last, i);
    }
}

static void closing_answers_what_is_queued(void **state)
{
    struct rig *r = *state;
    struct appender a = {.rig = r, .number = 1};
    append_many(&a);
    rig_close(r);
    assert_int_equal(a.answered, GROUPS);
    assert_int_equal(rig_open(r), 0);
}

#define BOTH(test)                                                                                 \
    {#test " (disk)", test, setup_twin, teardown_twin, (void *)(uintptr_t)&on_disk},               \
    {                                                                                              \
#test " (memory)", test, setup_twin, teardown_twin, (void *)(uintptr_t)&in_memory          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(positions_are_dense_from_one),
        BOTH(reader_gives_records_as_they_were_appended),
        BOTH(reader_begins_in_the_middle_of_a_group),
        BOTH(large_and_empty_values_are_kept),
        BOTH(what_is_not_there_is_not_found),
        BOTH(bad_groups_are_refused_whole),
        BOTH(groups_beyond_the_limit_are_refused),
        BOTH(tables_show_what_was_acknowledged),
        BOTH(later_records_of_a_group_win),
        BOTH(scans_are_ordered_and_bounded),
        BOTH(scans_merge_log_and_checkpoint),
        BOTH(an_open_scan_outlives_a_checkpoint),
        BOTH(checkpoint_takes_rows_that_are_not_logged),
        BOTH(checkpoint_rows_give_way_to_newer_records),
        BOTH(checkpoint_beyond_the_log_or_backwards_is_refused),
        BOTH(time_never_goes_backwards_and_is_found),
        BOTH(retention_keeps_what_is_needed),
        BOTH(a_reader_in_a_retired_part_goes_on_behind_it),
        BOTH(concurrent_appenders_keep_their_order),
        BOTH(notify_comes_after_each_answer),
        BOTH(closing_answers_what_is_queued),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
