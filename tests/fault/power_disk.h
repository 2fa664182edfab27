/* SPDX-License-Identifier: Apache-2.0 */
/* A file system in memory behind struct store_io that can lose power and can fail calls.
 *
 * What is written is volatile until it is synced. A cut keeps, of what was not synced, a random
 * subset of 512-byte blocks, and of the changes to the folder a random beginning. A sync that fails
 * leaves its pages clean, as the kernel does: they can be read, but no later sync will write them.
 *
 * LMDB is not behind this seam: its commits are taken to be atomic and durable, as it promises. A
 * commit that the store makes after the cut, before the test closes it, holds nothing that was not
 * synced before the cut, so it may as well have come first. */
#ifndef SLUICE_TESTS_POWER_DISK_H
#define SLUICE_TESTS_POWER_DISK_H

#include "store/store.h"

struct power_disk;

enum power_call {
    POWER_OPEN,
    POWER_PREAD,
    POWER_PWRITE,
    POWER_SYNC,
    POWER_ALLOCATE,
    POWER_RENAME,
    POWER_UNLINK,
    POWER_SYNC_FOLDER,
    POWER_CALL_COUNT,
};

struct power_disk *power_disk_new(uint64_t seed);
void power_disk_free(struct power_disk *d);
/* The calls; they live as long as the disk. */
const struct store_io *power_disk_io(struct power_disk *d);

/* The power fails within the nth changing call from now; 0: never. */
void power_disk_arm(struct power_disk *d, uint64_t nth);
bool power_disk_is_off(struct power_disk *d);
/* Makes of the files what a disk holds after the cut, and gives power again. All files must have
 * been closed. */
void power_disk_restart(struct power_disk *d);
/* The same when only the process died: the page cache is still there, unsynced as it was. */
void power_disk_revive(struct power_disk *d);

/* The nth call of that kind from now fails with error, and the following ones up to `times` in all.
 */
void power_disk_fail(struct power_disk *d, enum power_call call, uint64_t nth, uint64_t times,
                     int error);
/* How often the failure was given. */
uint64_t power_disk_failures(struct power_disk *d);
/* How often a file was synced after a sync of it had failed: must stay 0. */
uint64_t power_disk_synced_again(struct power_disk *d);
/* Calls of that kind so far. */
uint64_t power_disk_calls(struct power_disk *d, enum power_call call);

/* For damage: the bytes of the file whose name ends so (as they are in the page cache), or NULL. */
char *power_disk_bytes(struct power_disk *d, const char *name_end, uint64_t *ret_len);

#endif
