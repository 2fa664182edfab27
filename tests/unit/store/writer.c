/* SPDX-License-Identifier: Apache-2.0 */
/* What a refused write costs: its remains are erased once. */
#include "power_disk.h"
#include "rig.h"

#include "unit.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define LARGE 200000
#define AFTER 20

/* The store is full until it has looked for room again. */
static void append_until_taken(struct rig *r)
{
    int error = -ENOSPC;
    for (unsigned i = 0; i < 10000 && error == -ENOSPC; i++) {
        error = rig_event(r, "small", NULL);
        if (error != 0)
            usleep(1000);
    }
    assert_int_equal(error, 0);
}

static void what_a_refused_write_left_is_erased_once(void **state)
{
    static char large[LARGE];
    struct rig r;
    struct power_disk *disk = power_disk_new(1);
    rig_init(&r, false, 1 << 20);
    r.options.io = power_disk_io(disk);
    assert_int_equal(rig_open(&r), 0);
    append_until_taken(&r);
    memset(large, 'x', sizeof(large) - 1);
    power_disk_fail(disk, POWER_PWRITE, 1, 1, -ENOSPC);
    assert_int_equal(rig_event(&r, large, NULL), -ENOSPC);
    uint64_t before = power_disk_calls(disk, POWER_PWRITE);
    append_until_taken(&r);
    uint64_t first = power_disk_calls(disk, POWER_PWRITE);
    assert_true(first - before > LARGE / 4096);
    for (unsigned i = 0; i < AFTER; i++)
        assert_int_equal(rig_event(&r, "small", NULL), 0);
    assert_in_range(power_disk_calls(disk, POWER_PWRITE) - first, AFTER, 2 * AFTER);
    rig_done(&r);
    power_disk_free(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_refused_write_left_is_erased_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
