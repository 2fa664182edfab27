/* SPDX-License-Identifier: Apache-2.0 */
/* Power cuts, and kills, at random points. SLUICE_POWER_CUTS: how many (1,000); SLUICE_SEED: where
 * to begin. */
#include "history.h"
#include "power_disk.h"
#include "rig.h"

#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

#define LIVES 4

static uint64_t last_seed;

struct run {
    struct rig rig;
    struct power_disk *disk;
    struct history history;
    uint64_t random;
};

static uint64_t number_from(const char *variable, uint64_t otherwise)
{
    const char *text = getenv(variable);
    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

static uint64_t choose(struct run *r, uint64_t below)
{
    r->random = r->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (r->random >> 33) % below;
}

static void ignore_done(void *ctx, int error, uint64_t position)
{
}

/* Only what the history has seen may go, and of that half of the log. */
static void checkpoint_and_retain(struct run *r)
{
    struct store *s = r->rig.store;
    uint64_t seen = r->history.seen_upto, half = store_synced(s) / 2;
    store_checkpoint(s, store_synced(s), NULL, ignore_done, NULL);
    if (choose(r, 2) == 0)
        store_retain(s, seen < half ? seen + 1 : half + 1, 0);
}

/* Writes until the power fails, or long enough. */
static void live(struct run *r)
{
    for (uint64_t i = choose(r, 60); i > 0 && !power_disk_is_off(r->disk); i--) {
        for (uint64_t n = choose(r, 6); n > 0; n--)
            history_append(&r->history, r->rig.store,
                           16 + choose(r, choose(r, 8) == 0 ? 9000 : 300), choose(r, 4) == 0);
        if (choose(r, 2) == 0)
            history_wait(&r->history);
        if (choose(r, 12) == 0)
            checkpoint_and_retain(r);
    }
    history_wait(&r->history);
}

static void start(struct run *r)
{
    int n = rig_open(&r->rig);
    if (n != 0)
        fail_msg("open: %d %s", n, r->rig.error.message);
    history_check(&r->history, r->rig.store);
}

static void cut_once(uint64_t seed)
{
    struct run r = {.random = seed};
    rig_init(&r.rig, false, 0);
    r.disk = power_disk_new(seed);
    r.rig.options.io = power_disk_io(r.disk);
    history_init(&r.history);
    for (int i = 0; i < LIVES; i++) {
        /* Some cuts fall into the recovery itself. */
        power_disk_arm(r.disk, 1 + choose(&r, choose(&r, 4) == 0 ? 12 : 150));
        if (rig_open(&r.rig) == 0) {
            if (!power_disk_is_off(r.disk))
                history_check(&r.history, r.rig.store);
            live(&r);
            rig_close(&r.rig);
        }
        if (choose(&r, 3) == 0)
            power_disk_revive(r.disk);
        else
            power_disk_restart(r.disk);
        if (choose(&r, 2) == 0)
            continue; /* the next life is cut off too before anybody looks */
        start(&r);
        history_append(&r.history, r.rig.store, 100, false);
        assert_int_equal(history_wait(&r.history), 0);
        rig_close(&r.rig);
    }
    power_disk_restart(r.disk);
    start(&r);
    rig_close(&r.rig);
    history_done(&r.history);
    power_disk_free(r.disk);
    rig_done(&r.rig);
}

static void nothing_acknowledged_is_lost(void **state)
{
    uint64_t seed = number_from("SLUICE_SEED", 1), count = number_from("SLUICE_POWER_CUTS", 1000);
    for (uint64_t cuts = 0; cuts < count; cuts += LIVES, seed++) {
        last_seed = seed;
        cut_once(seed);
    }
}

static int print_seed(void **state)
{
    printf("last seed: %llu\n", (unsigned long long)last_seed);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(nothing_acknowledged_is_lost, print_seed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
