/* SPDX-License-Identifier: Apache-2.0 */
/* A control group for the memory of a function, version 1 or 2, where the runner may make one below
 * its own. */
#ifndef SLUICE_RUNNER_CGROUP_H
#define SLUICE_RUNNER_CGROUP_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct cgroup {
    char path[PATH_MAX]; /* empty: there is none */
    bool version2;
};

/* Makes it and puts the process in. 0 or a negative errno: then the path is empty. */
int cgroup_enter(struct cgroup *g, pid_t process, uint64_t memory_bytes);
/* How many processes were killed because the memory was used up. */
unsigned cgroup_kills(const struct cgroup *g);
/* All its processes have ended. */
void cgroup_remove(struct cgroup *g);

#endif
