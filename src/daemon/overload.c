/* SPDX-License-Identifier: Apache-2.0 */
/* Is there room for another call of a function? Not when the loop is behind, and not when the
 * process holds too much memory: whoever calls is told to come again, and what is under way is
 * finished first. Events are not refused here: they wait on disk. */
#include "daemon/daemon_internal.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define LOOP_DELAY_MAX (2 * CLOCK_SECOND)
#define LOOK_AGAIN     (200 * CLOCK_MILLISECOND)

/* Pages of our own: resident ones that are no file's. 0 when it cannot be read. */
static uint64_t memory_in_use(void)
{
    char text[128];
    unsigned long long size, resident, shared;
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    if (sscanf(text, "%llu %llu %llu", &size, &resident, &shared) != 3 || shared > resident)
        return 0;
    return (resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t memory_default(void)
{
    struct sysinfo info;
    return sysinfo(&info) == 0 ? (uint64_t)info.totalram * info.mem_unit / 2 : UINT64_MAX;
}

int overload_check(struct overload *o, uint64_t memory_max, uint64_t waited_ns, struct error *err)
{
    uint64_t now = clock_monotonic();
    if (o->memory_max == 0)
        o->memory_max = memory_max != 0 ? memory_max : memory_default();
    if (now - o->looked_at > LOOK_AGAIN) {
        o->looked_at = now;
        o->memory = memory_in_use();
    }
    if (waited_ns > LOOP_DELAY_MAX)
        return error_set(err, -EAGAIN, "the server is %.1f s behind",
                         (double)waited_ns / CLOCK_SECOND);
    if (o->memory > o->memory_max)
        return error_set(err, -EAGAIN, "the server uses %llu MiB of memory, more than it may",
                         (unsigned long long)(o->memory >> 20));
    return 0;
}
