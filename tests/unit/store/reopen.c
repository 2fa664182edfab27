/* SPDX-License-Identifier: Apache-2.0 */
/* The disk twin over several lives: replay, checkpoints, segments, and the committed fixture. */
#include "rig.h"

#include "unit.h"

#include "base/clock.h"
#include "base/fdio.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int setup(void **state)
{
    struct rig *r = malloc(sizeof(*r));
    rig_init(r, false, 0);
    assert_int_equal(rig_open(r), 0);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    rig_done(*state);
    free(*state);
    return 0;
}

static void reopen(struct rig *r)
{
    rig_close(r);
    int n = rig_open(r);
    if (n != 0)
        fail_msg("open: %d %s", n, r->error.message);
}

static void replay_begins_after_the_checkpoint(void **state)
{
    struct rig *r = *state;
    assert_int_equal(rig_put(r, STORE_TABLE_DEAD, "a", "1"), 0);
    assert_int_equal(rig_event(r, "two", NULL), 0);
    assert_int_equal(rig_put(r, STORE_TABLE_DEAD, "b", "3"), 0);
    reopen(r);
    assert_int_equal(r->replayed, 3);
    assert_int_equal(r->replayed_first, 1);
    rig_expect_row(r, STORE_TABLE_DEAD, "a", "1");
    assert_int_equal(rig_checkpoint(r, 2, NULL), 0);
    reopen(r);
    assert_int_equal(r->replayed, 1);
    assert_int_equal(r->replayed_first, 3);
    rig_expect_row(r, STORE_TABLE_DEAD, "a", "1");
    rig_expect_row(r, STORE_TABLE_DEAD, "b", "3");
    rig_expect_event(r, 2, "two");
    assert_int_equal(rig_delete(r, STORE_TABLE_DEAD, "a"), 0);
    assert_int_equal(rig_checkpoint(r, 4, NULL), 0);
    reopen(r);
    assert_int_equal(r->replayed, 0);
    rig_expect_row(r, STORE_TABLE_DEAD, "a", NULL);
    struct store_stats stats;
    store_stats(r->store, &stats);
    assert_int_equal(stats.epoch, 4);
    assert_int_equal(stats.checkpoint, 4);
    assert_int_equal(stats.overlay_rows, 0);
}

static void many_segments_are_read_and_found_again(void **state)
{
    struct rig *r = *state;
    char text[1000];
    for (uint64_t i = 1; i <= 1000; i++) {
        memset(text, 'a' + (int)(i % 26), sizeof(text));
        snprintf(text + 900, 100, "%" PRIu64, i);
        assert_int_equal(rig_event(r, text, NULL), 0);
    }
    struct store_stats stats;
    store_stats(r->store, &stats);
    assert_true(stats.segments > 10);
    for (int life = 0; life < 2; life++) {
        for (uint64_t i = 1; i <= 1000; i += 37) {
            autobuf out = BUF_INIT;
            assert_int_equal(store_read_event(r->store, i, NULL, NULL, &out), 0);
            assert_int_equal(strtoull(out.ptr + 900, NULL, 10), i);
        }
        assert_int_equal(rig_checkpoint(r, 1000, NULL), 0);
        reopen(r);
    }
    store_retain(r->store, 500, 0);
    uint64_t first = store_first(r->store);
    assert_true(first > 400 && first <= 500);
    reopen(r);
    assert_int_equal(store_first(r->store), first);
    uint64_t position = 0;
    assert_int_equal(rig_event(r, "next", &position), 0);
    assert_int_equal(position, 1001);
}

static void files_are_recycled(void **state)
{
    struct rig *r = *state;
    static char text[8000];
    memset(text, 'x', sizeof(text) - 1);
    for (uint64_t i = 1; i <= 400; i++) {
        assert_int_equal(rig_event(r, text, NULL), 0);
        if (i % 20 == 0) {
            assert_int_equal(rig_checkpoint(r, i, NULL), 0);
            store_retain(r->store, i + 1, 0);
        }
        if (i % 130 == 0)
            reopen(r);
    }
    struct store_stats stats;
    store_stats(r->store, &stats);
    assert_true(stats.segments <= 4);
    rig_expect_event(r, 400, text);
    reopen(r);
    rig_expect_event(r, 400, text);
}

static int refuse_replay(void *ctx, const struct store_entry *entry)
{
    return -EINVAL;
}

static void a_replay_that_fails_ends_the_opening(void **state)
{
    struct rig *r = *state;
    struct error err = ERROR_INIT;
    struct store *s;
    assert_int_equal(rig_event(r, "x", NULL), 0);
    rig_close(r);
    assert_int_equal(store_open(&r->options, refuse_replay, NULL, &s, &err), -EINVAL);
    assert_non_null(strstr(err.message, "position 1"));
    assert_int_equal(rig_open(r), 0);
}

static void posted(void *ctx, int error, uint64_t position)
{
    sem_post(ctx);
}

struct getter {
    struct store *store;
    atomic_uint gets;
    atomic_bool stop;
};

static void get_none(struct store *s)
{
    autobuf out = BUF_INIT;
    assert_int_equal(store_get(s, STORE_TABLE_DEAD, SLICE("none"), &out, NULL), -ENOENT);
}

static void *get_on(void *ctx)
{
    struct getter *g = ctx;
    while (!atomic_load(&g->stop)) {
        get_none(g->store);
        atomic_fetch_add(&g->gets, 1);
        usleep(100);
    }
    return NULL;
}

/* Gets on this thread, until the other one has stood still for a while: the map is to grow, and
 * waits for this thread's scan. */
static void get_until_the_other_stands_still(struct getter *g)
{
    unsigned seen = 0, still = 0;
    for (int i = 0; i < 10000 && still < 100; i++) {
        get_none(g->store);
        unsigned gets = atomic_load(&g->gets);
        still = gets == seen ? still + 1 : 0;
        seen = gets;
        usleep(1000);
    }
    assert_int_equal(still, 100);
}

static void tables_grow_though_a_scan_is_open_that_gets(void **state)
{
    struct rig *r = *state;
    static char value[64 << 10];
    struct store_group rows;
    rig_close(r);
    r->options.map_bytes = 1 << 20;
    assert_int_equal(rig_open(r), 0);
    assert_int_equal(rig_event(r, "x", NULL), 0);
    store_group_init(&rows);
    for (int i = 0; i < 50; i++) {
        char key[8];
        snprintf(key, sizeof(key), "%d", i);
        store_group_add(&rows, STORE_RECORD_PUT, STORE_TABLE_PAYLOADS, slice_text(key),
                        slice_of(value, sizeof(value)));
    }
    struct store_scan *scan =
        store_scan_new(r->store, STORE_TABLE_DEAD, SLICE(""), slice_of(NULL, 0));
    struct getter other = {.store = r->store};
    pthread_t thread;
    sem_t written;
    sem_init(&written, 0, 0);
    alarm(60); /* a get that waits for the map would never come back */
    assert_int_equal(pthread_create(&thread, NULL, get_on, &other), 0);
    store_checkpoint(r->store, 1, &rows, posted, &written);
    get_until_the_other_stands_still(&other);
    assert_int_equal(sem_trywait(&written), -1);
    store_scan_free(scan);
    while (sem_wait(&written) != 0)
        ;
    atomic_store(&other.stop, true);
    pthread_join(thread, NULL);
    alarm(0);
    sem_destroy(&written);
    autobuf out = BUF_INIT;
    assert_int_equal(store_get(r->store, STORE_TABLE_PAYLOADS, SLICE("49"), &out, NULL), 0);
    assert_int_equal(out.len, sizeof(value));
}

/* DESIGN §4: replay of a million small records takes less than 2 s even without a checkpoint. */
static void a_million_events_start_in_time(void **state)
{
    struct rig *r = *state;
    enum { COUNT = 1000000, GROUP = 100 };
    sem_t answered;
    rig_close(r);
    rig_done(r);
    rig_init(r, false, 16 << 20);
    assert_int_equal(rig_open(r), 0);
    sem_init(&answered, 0, 0);
    for (int i = 0; i < COUNT / GROUP; i++) {
        struct store_group g;
        store_group_init(&g);
        for (int n = 0; n < GROUP; n++)
            store_group_add(&g, STORE_RECORD_EVENT, 1, SLICE(""),
                            SLICE("{\"msg\":\"0123456789012345678901234567890\"}"));
        store_append(r->store, &g, posted, &answered);
    }
    for (int i = 0; i < COUNT / GROUP; i++)
        while (sem_wait(&answered) != 0)
            ;
    sem_destroy(&answered);
    rig_close(r);
    uint64_t began = clock_monotonic();
    assert_int_equal(rig_open(r), 0);
    uint64_t took = clock_monotonic() - began;
    printf("start after 1,000,000 events: %.0f ms\n", (double)took / 1e6);
    assert_int_equal(r->replayed, COUNT);
    assert_true(took < 2 * CLOCK_SECOND);
}

static void copy(const char *from, const char *to, const char *name)
{
    char source[512], target[512];
    autobuf bytes = BUF_INIT;
    snprintf(source, sizeof(source), "%s/%s", from, name);
    snprintf(target, sizeof(target), "%s/%s", to, name);
    assert_int_equal(fdio_read_file(source, 1 << 20, &bytes), 0);
    assert_int_equal(fdio_replace_file(target, bytes.ptr, bytes.len, 0600), 0);
}

/* Format version 1, as it was written by the version that introduced it. tests/fixtures/store-v1
 * says what is in it. */
static void format_version_1_is_read(void **state)
{
    struct rig *r = *state;
    char folder[128];
    const char *fixture = getenv("SLUICE_FIXTURES");
    assert_non_null(fixture);
    rig_close(r);
    rig_done(r);
    rig_init(r, false, 0);
    snprintf(folder, sizeof(folder), "%s/log", r->dir);
    assert_int_equal(fdio_make_folders(folder, 0700), 0);
    snprintf(folder, sizeof(folder), "%s/tables", r->dir);
    assert_int_equal(fdio_make_folders(folder, 0700), 0);
    copy(fixture, r->dir, "log/0000000000000001.log");
    copy(fixture, r->dir, "log/0000000000000002.log");
    copy(fixture, r->dir, "tables/data.mdb");
    reopen(r);
    assert_int_equal(r->replayed, 2);
    assert_int_equal(r->replayed_first, 24);
    assert_int_equal(store_synced(r->store), 25);
    rig_expect_event(r, 1, "the first event of format version 1");
    rig_expect_event(r, 24, "the last event");
    rig_expect_row(r, STORE_TABLE_RESOURCES, "kept", "by the checkpoint");
    rig_expect_row(r, STORE_TABLE_RESOURCES, "gone", NULL);
    rig_expect_row(r, STORE_TABLE_CURSORS, "cursor", "of the checkpoint's rows");
    rig_expect_row(r, STORE_TABLE_DEAD, "logged", "after the checkpoint");
    assert_int_equal(rig_event(r, "goes on", NULL), 0);
}

/* Writes the fixture's contents into the folder; its spares are not kept. */
static int write_fixture(const char *dir)
{
    struct rig r;
    struct store_group rows;
    static char text[4000];
    memset(text, 'f', sizeof(text) - 1);
    rig_init(&r, false, 0);
    r.options.dir = dir;
    assert_int_equal(rig_open(&r), 0);
    assert_int_equal(rig_event(&r, "the first event of format version 1", NULL), 0);
    assert_int_equal(rig_put(&r, STORE_TABLE_RESOURCES, "kept", "by the checkpoint"), 0);
    assert_int_equal(rig_put(&r, STORE_TABLE_RESOURCES, "gone", "soon"), 0);
    assert_int_equal(rig_delete(&r, STORE_TABLE_RESOURCES, "gone"), 0);
    for (int i = 0; i < 19; i++)
        assert_int_equal(rig_event(&r, text, NULL), 0);
    store_group_init(&rows);
    store_group_add(&rows, STORE_RECORD_PUT, STORE_TABLE_CURSORS, SLICE("cursor"),
                    SLICE("of the checkpoint's rows"));
    assert_int_equal(rig_checkpoint(&r, 23, &rows), 0);
    assert_int_equal(rig_event(&r, "the last event", NULL), 0);
    assert_int_equal(rig_put(&r, STORE_TABLE_DEAD, "logged", "after the checkpoint"), 0);
    rig_close(&r);
    return fdio_remove_tree(r.dir);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "write-fixture") == 0)
        return write_fixture(argv[2]) < 0;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(replay_begins_after_the_checkpoint, setup, teardown),
        cmocka_unit_test_setup_teardown(many_segments_are_read_and_found_again, setup, teardown),
        cmocka_unit_test_setup_teardown(files_are_recycled, setup, teardown),
        cmocka_unit_test_setup_teardown(a_replay_that_fails_ends_the_opening, setup, teardown),
        cmocka_unit_test_setup_teardown(tables_grow_though_a_scan_is_open_that_gets, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_million_events_start_in_time, setup, teardown),
        cmocka_unit_test_setup_teardown(format_version_1_is_read, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
