/* SPDX-License-Identifier: Apache-2.0 */
/* The Nth call fails: disk full on allocation and on writing, errors of syncs, of writes, of
 * opening and renaming. After each run the power is cut, so that only what was really synced
 * counts. */
#include "history.h"
#include "power_disk.h"
#include "rig.h"

#include "unit.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

struct run {
    struct rig rig;
    struct power_disk *disk;
    struct history history;
    struct store_stats stats; /* before closing */
    bool opened;
};

static void init(struct run *r, uint64_t seed)
{
    *r = (struct run){.opened = false};
    rig_init(&r->rig, false, 0);
    r->disk = power_disk_new(seed);
    r->rig.options.io = power_disk_io(r->disk);
    history_init(&r->history);
}

static void done(struct run *r)
{
    rig_close(&r->rig);
    assert_int_equal(power_disk_synced_again(r->disk), 0);
    history_done(&r->history);
    power_disk_free(r->disk);
    rig_done(&r->rig);
}

static void open_now(struct run *r)
{
    int n = rig_open(&r->rig);
    if (n != 0)
        fail_msg("open: %d %s", n, r->rig.error.message);
    history_check(&r->history, r->rig.store);
}

static void append(struct run *r, int groups, size_t size, bool internal)
{
    for (int i = 0; i < groups; i++)
        history_append(&r->history, r->rig.store, size, internal);
}

/* Some segments full of groups, alone and together, with a checkpoint and a retention. */
static void work(struct run *r)
{
    for (int i = 0; i < 12; i++) {
        append(r, 1 + i % 5, 2500, i % 3 == 0);
        history_wait(&r->history);
        if (i == 7) {
            uint64_t seen = r->history.seen_upto;
            assert_int_equal(rig_checkpoint(&r->rig, store_synced(r->rig.store), NULL), 0);
            store_retain(r->rig.store, seen + 1, 0);
        }
    }
}

/* Well again: takes groups, after at most some time. */
static void expect_service(struct run *r)
{
    for (int i = 0; i < 500; i++) {
        append(r, 1, 100, false);
        if (history_wait(&r->history) == 0)
            return;
        usleep(10000);
    }
    fail_msg("the store does not resume");
}

/* One life with a first part that works, and the failure in it or in its start. */
static void live_with_failure(struct run *r, enum power_call call, uint64_t nth, int error)
{
    open_now(r);
    append(r, 30, 2500, false);
    assert_int_equal(history_wait(&r->history), 0);
    rig_close(&r->rig);
    open_now(r);
    rig_close(&r->rig);
    power_disk_fail(r->disk, call, nth, 1, error);
    int n = rig_open(&r->rig);
    r->opened = n == 0;
    if (n < 0) {
        assert_int_not_equal(n, -EBADMSG);
        assert_true(r->rig.error.message[0] != '\0');
        return;
    }
    work(r);
    store_stats(r->rig.store, &r->stats);
    if (!r->stats.stopped)
        expect_service(r);
    rig_close(&r->rig);
}

/* Every place that a call has in one life, until the life passes without the failure; returns how
 * many there were. */
static uint64_t sweep(enum power_call call, int error, void (*check)(struct run *r))
{
    uint64_t failures = 1, nth = 1;
    for (; failures > 0; nth++) {
        struct run r;
        init(&r, nth);
        live_with_failure(&r, call, nth, error);
        failures = power_disk_failures(r.disk);
        power_disk_fail(r.disk, call, 0, 0, 0);
        if (check != NULL && r.opened && failures > 0)
            check(&r);
        assert_int_equal(power_disk_synced_again(r.disk), 0);
        if (nth % 2 == 0) { /* the process dies first, with its pages as they are */
            power_disk_revive(r.disk);
            open_now(&r);
            rig_close(&r.rig);
        }
        power_disk_restart(r.disk);
        open_now(&r);
        expect_service(&r);
        done(&r);
        assert_true(nth < 500);
    }
    return nth - 2;
}

static void goes_on_and_says_so(struct run *r)
{
    /* The sync of a spare that is being made is no sync of the log. */
    assert_false(r->stats.stopped);
    if (r->stats.sync_failures > 0)
        assert_int_equal(r->stats.condition, -EIO);
}

static void failed_syncs(void **state)
{
    assert_true(sweep(POWER_SYNC, -EIO, goes_on_and_says_so) > 0);
}

static void syncs_that_find_no_room(void **state)
{
    assert_true(sweep(POWER_SYNC, -ENOSPC, goes_on_and_says_so) > 0);
}

static void failed_writes(void **state)
{
    assert_true(sweep(POWER_PWRITE, -EIO, goes_on_and_says_so) > 0);
}

static void refuses_only(struct run *r)
{
    assert_false(r->stats.stopped);
    assert_int_equal(r->stats.sync_failures, 0);
}

static void writes_without_room(void **state)
{
    assert_true(sweep(POWER_PWRITE, -ENOSPC, refuses_only) > 0);
}

static void allocations_without_room(void **state)
{
    assert_true(sweep(POWER_ALLOCATE, -ENOSPC, refuses_only) > 0);
}

static void failed_opens(void **state)
{
    assert_true(sweep(POWER_OPEN, -EMFILE, refuses_only) > 0);
}

static void failed_folder_syncs(void **state)
{
    assert_true(sweep(POWER_SYNC_FOLDER, -EIO, refuses_only) > 0);
}

static void failed_removals(void **state)
{
    /* A retired file is renamed or removed, as spares are wanted or not. */
    assert_true(sweep(POWER_UNLINK, -EACCES, NULL) + sweep(POWER_RENAME, -EACCES, NULL) > 0);
}

/* ---- the disk stays full ---- */

static void full_disk_keeps_room_for_internal_groups(void **state)
{
    struct run r;
    init(&r, 1);
    open_now(&r);
    expect_service(&r);
    usleep(50000); /* the spares are made */
    power_disk_fail(r.disk, POWER_ALLOCATE, 1, UINT64_MAX, -ENOSPC);
    int refused = 0;
    for (int i = 0; i < 100 && refused == 0; i++) {
        append(&r, 1, 4000, false);
        refused = history_wait(&r.history);
    }
    assert_int_equal(refused, -ENOSPC);
    rig_expect_condition(&r.rig, -ENOSPC);
    uint64_t before = store_synced(r.rig.store);
    for (int i = 0; i < 2; i++) { /* more than what is left of the segment */
        append(&r, 1, 7000, true);
        assert_int_equal(history_wait(&r.history), 0);
    }
    assert_true(store_synced(r.rig.store) > before);
    for (int i = 0; i < 5; i++) { /* in the reserve, only they go on */
        append(&r, 1, 100, false);
        assert_int_equal(history_wait(&r.history), -ENOSPC);
        append(&r, 1, 100, true);
        assert_int_equal(history_wait(&r.history), 0);
    }
    store_stats(r.rig.store, &r.stats);
    assert_int_equal(r.stats.condition, -ENOSPC);
    assert_true(r.stats.refused_full >= 6);
    assert_false(r.stats.stopped);

    power_disk_fail(r.disk, POWER_ALLOCATE, 0, 0, 0);
    rig_expect_condition(&r.rig, 0); /* with nobody asking */
    append(&r, 20, 4000, false);
    assert_int_equal(history_wait(&r.history), 0);
    rig_close(&r.rig);
    power_disk_restart(r.disk);
    open_now(&r);
    done(&r);
}

static void count_told(void *ctx)
{
    atomic_fetch_add((atomic_uint *)ctx, 1);
}

/* Until it is refused, and so after retention has become due. */
static void fill(struct run *r)
{
    int refused = 0;
    for (int i = 0; i < 200 && refused == 0; i++) {
        append(r, 1, 4000, false);
        refused = history_wait(&r->history);
    }
    assert_int_equal(refused, -ENOSPC);
    assert_true(store_retain_due(r->rig.store));
}

static void retention_gives_room_below_the_size_limit(void **state)
{
    struct run r;
    atomic_uint told = 0;
    init(&r, 1);
    r.rig.options.size_max = 5 * (64 << 10);
    open_now(&r);
    store_set_retain_notify(r.rig.store, count_told, &told);
    assert_false(store_retain_due(r.rig.store));
    fill(&r);
    assert_int_equal(told, 1);
    store_retain(r.rig.store, 1, 1); /* not enough: it is told no more */
    append(&r, 1, 4000, true);
    assert_int_equal(history_wait(&r.history), 0);
    assert_int_equal(told, 1);
    rig_expect_condition(&r.rig, -ENOSPC);
    store_stats(r.rig.store, &r.stats);
    assert_true(r.stats.log_bytes <= r.rig.options.size_max);
    uint64_t synced = store_synced(r.rig.store);
    assert_int_equal(rig_checkpoint(&r.rig, synced, NULL), 0);
    store_retain(r.rig.store, synced + 1, 1); /* over the limit age does not protect */
    rig_expect_condition(&r.rig, 0);
    assert_true(store_first(r.rig.store) > 1);
    assert_false(store_retain_due(r.rig.store));
    expect_service(&r);
    fill(&r);
    assert_int_equal(told, 2);
    done(&r);
}

/* A batch is refused after the nth write that it takes; what an earlier one may have left behind it
 * has to be erased too. */
static void refuse_after(struct run *r, uint64_t nth, bool cut)
{
    open_now(r);
    expect_service(r);
    power_disk_fail(r->disk, POWER_PWRITE, 1, 1, -ENOSPC);
    append(r, 1, 2500, true);
    assert_int_equal(history_wait(&r->history), -ENOSPC);
    power_disk_fail(r->disk, POWER_PWRITE, nth, UINT64_MAX, -ENOSPC);
    append(r, 1, 16, true); /* shorter */
    assert_int_equal(history_wait(&r->history), -ENOSPC);
    power_disk_fail(r->disk, POWER_PWRITE, 0, 0, 0);
    rig_close(&r->rig);
    if (cut)
        power_disk_restart(r->disk);
    else
        power_disk_revive(r->disk);
    open_now(r);
    expect_service(r);
}

static void a_refused_batch_never_comes_back(void **state)
{
    for (uint64_t seed = 1; seed <= 32; seed++) {
        struct run r;
        init(&r, seed);
        refuse_after(&r, 1 + seed % 2, seed % 4 < 2);
        done(&r);
    }
}

/* The write ends early, and what it did not write is as the file is: zeros. */
static void a_refused_batch_that_ends_in_zeros_never_comes_back(void **state)
{
    static const char zeros[4000];
    int refused = 0;
    for (uint64_t seed = 1; seed <= 64; seed++) {
        struct run r;
        struct store_group g;
        init(&r, seed);
        open_now(&r);
        expect_service(&r);
        uint64_t synced = store_synced(r.rig.store);
        store_group_init(&g);
        g.internal = true;
        store_group_add(&g, STORE_RECORD_EVENT, 1, SLICE(""), slice_of(zeros, sizeof(zeros)));
        power_disk_fail(r.disk, POWER_PWRITE, 2, 1, -ENOSPC);
        int error = rig_append(&r.rig, &g, NULL);
        power_disk_fail(r.disk, POWER_PWRITE, 0, 0, 0);
        refused += error == -ENOSPC;
        rig_close(&r.rig);
        power_disk_revive(r.disk);
        assert_int_equal(rig_open(&r.rig), 0);
        assert_int_equal(store_synced(r.rig.store), error == 0 ? synced + 1 : synced);
        done(&r);
    }
    assert_true(refused > 0);
}

/* ---- syncs keep failing ---- */

static void two_failed_syncs_stop_the_store(void **state)
{
    for (uint64_t kill = 0; kill < 2; kill++) {
        struct run r;
        init(&r, 1);
        open_now(&r);
        expect_service(&r);
        usleep(50000);
        power_disk_fail(r.disk, POWER_SYNC, 1, UINT64_MAX, -EIO);
        append(&r, 1, 4000, true);
        assert_int_equal(history_wait(&r.history), -EIO);
        append(&r, 1, 100, true);
        assert_int_equal(history_wait(&r.history), -EIO);
        store_stats(r.rig.store, &r.stats);
        assert_true(r.stats.stopped);
        assert_int_equal(r.stats.condition, -EIO);
        assert_int_equal(r.stats.sync_failures, 2);
        assert_int_equal(power_disk_synced_again(r.disk), 0);
        power_disk_fail(r.disk, POWER_SYNC, 0, 0, 0);
        rig_close(&r.rig);
        if (kill)
            power_disk_revive(r.disk);
        else
            power_disk_restart(r.disk);
        assert_int_equal(rig_open(&r.rig), 0);
        history_check(&r.history, r.rig.store);
        append(&r, 3, 100, false);
        assert_int_equal(history_wait(&r.history), 0);
        rig_close(&r.rig);
        power_disk_restart(r.disk);
        open_now(&r);
        rig_close(&r.rig);
        history_done(&r.history);
        power_disk_free(r.disk);
        rig_done(&r.rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failed_syncs),
        cmocka_unit_test(syncs_that_find_no_room),
        cmocka_unit_test(failed_writes),
        cmocka_unit_test(writes_without_room),
        cmocka_unit_test(allocations_without_room),
        cmocka_unit_test(failed_opens),
        cmocka_unit_test(failed_folder_syncs),
        cmocka_unit_test(failed_removals),
        cmocka_unit_test(full_disk_keeps_room_for_internal_groups),
        cmocka_unit_test(retention_gives_room_below_the_size_limit),
        cmocka_unit_test(a_refused_batch_never_comes_back),
        cmocka_unit_test(a_refused_batch_that_ends_in_zeros_never_comes_back),
        cmocka_unit_test(two_failed_syncs_stop_the_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
