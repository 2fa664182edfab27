/* SPDX-License-Identifier: Apache-2.0 */
/* How many groups a second the store makes durable, and what the bare sync costs beside it.
 *
 * One thread keeps a number of groups outstanding, as the HTTP threads' connections do; the done
 * callback hands each answer back. Prints one line a run, and the same with plain pwrite +
 * fdatasync of what the store wrote on average. */
#include "base/clock.h"
#include "base/fdio.h"
#include "store/store.h"

#include <fcntl.h>
#include <inttypes.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char event[] =
    "{\"specversion\":\"1.0\",\"id\":\"0123456789\",\"source\":\"/bench\",\"type\":\"bench\"} "
    "{\"msg\":\"0123456789012345678901234\"}";

static sem_t room;

static void answered(void *ctx, int error, uint64_t position)
{
    if (error != 0)
        ++*(_Atomic uint64_t *)ctx;
    sem_post(&room);
}

static void append(struct store *s, _Atomic uint64_t *failed)
{
    struct store_group g;
    store_group_init(&g);
    store_group_add(&g, STORE_RECORD_EVENT, 1, SLICE(""), slice_of(event, sizeof(event) - 1));
    while (sem_wait(&room) != 0)
        ;
    store_append(s, &g, answered, failed);
}

static uint64_t run(struct store *s, unsigned outstanding, double seconds)
{
    _Atomic uint64_t failed = 0;
    uint64_t groups = 0, began = clock_monotonic();
    uint64_t end = began + (uint64_t)(seconds * (double)CLOCK_SECOND);
    struct store_stats before, after;
    store_stats(s, &before);
    sem_init(&room, 0, outstanding);
    while (clock_monotonic() < end) {
        append(s, &failed);
        groups++;
    }
    for (unsigned i = 0; i < outstanding; i++)
        while (sem_wait(&room) != 0)
            ;
    double took = (double)(clock_monotonic() - began) / (double)CLOCK_SECOND;
    sem_destroy(&room);
    store_stats(s, &after);
    uint64_t syncs = after.syncs - before.syncs;
    uint64_t bytes = syncs > 0 ? (after.appended_bytes - before.appended_bytes) / syncs : 0;
    printf("outstanding %4u: %8.0f groups/s, %6.1f a sync, %7.0f syncs/s of %" PRIu64
           " bytes, sync %.0f us, worst %.1f ms, failed %" PRIu64 "\n",
           outstanding, (double)groups / took, (double)groups / (double)syncs, (double)syncs / took,
           bytes, (double)(after.sync_ns_total - before.sync_ns_total) / (double)syncs / 1e3,
           (double)after.sync_ns_max / 1e6, (uint64_t)failed);
    return bytes;
}

static void raw(const char *dir, uint64_t bytes, double seconds)
{
    char path[256];
    static char zeros[1 << 20];
    snprintf(path, sizeof(path), "%s/raw", dir);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    for (int i = 0; i < 64 && fd >= 0; i++)
        if (pwrite(fd, zeros, sizeof(zeros), (off_t)i << 20) < 0)
            break;
    if (fd < 0 || fsync(fd) < 0 || bytes > sizeof(zeros)) {
        fprintf(stderr, "cannot measure the bare sync\n");
        exit(1);
    }
    memset(zeros, 'x', sizeof(zeros));
    uint64_t syncs = 0, began = clock_monotonic();
    uint64_t end = began + (uint64_t)(seconds * (double)CLOCK_SECOND), offset = 0;
    while (clock_monotonic() < end) {
        if (pwrite(fd, zeros, bytes, (off_t)offset) < 0 || fdatasync(fd) < 0)
            exit(1);
        offset = (offset + bytes) % (63u << 20);
        syncs++;
    }
    double took = (double)(clock_monotonic() - began) / (double)CLOCK_SECOND;
    printf("        bare:  %7.0f syncs/s of %" PRIu64 " bytes, sync %.0f us\n",
           (double)syncs / took, bytes, took * 1e6 / (double)syncs);
    close(fd);
}

int main(int argc, char **argv)
{
    static const unsigned outstanding[] = {1, 16, 64, 256};
    char dir[128];
    double seconds = argc > 2 ? strtod(argv[2], NULL) : 3;
    struct store *s;
    struct error err = ERROR_INIT;
    snprintf(dir, sizeof(dir), "%s/store-append-XXXXXX", argc > 1 ? argv[1] : "/tmp");
    if (mkdtemp(dir) == NULL ||
        store_open(&(struct store_options){.dir = dir}, NULL, NULL, &s, &err) < 0) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    usleep(1000000); /* let the spare segments be made */
    for (size_t i = 0; i < sizeof(outstanding) / sizeof(outstanding[0]); i++)
        raw(dir, run(s, outstanding[i], seconds), seconds / 3);
    store_close(s);
    return fdio_remove_tree(dir) < 0;
}
