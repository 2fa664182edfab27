/* SPDX-License-Identifier: Apache-2.0 */
/* Workers have a network namespace with nothing in it, where the kernel lets us: the filter forbids
 * sockets anyway. Only a worker's fetcher is started in the network that was left. */
#include "worker/worker_internal.h"

#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#define NETWORK_OWN "/proc/self/ns/net"

static int outside = -1; /* the network that was left */
static bool each_worker; /* leaves it for itself: nobody who did could go back */

void network_leave(void)
{
    outside = open(NETWORK_OWN, O_RDONLY | O_CLOEXEC);
    if (outside >= 0 && unshare(CLONE_NEWNET) == 0)
        return;
    each_worker = true;
    network_forget();
}

int network_descriptor(void)
{
    return outside;
}

void network_forget(void)
{
    if (outside >= 0)
        close(STEAL_FD(outside));
}

void network_leave_for_good(void)
{
    network_forget();
    if (each_worker)
        (void)!unshare(CLONE_NEWUSER | CLONE_NEWNET);
}

int network_visit(int (*act)(void *ctx), void *ctx)
{
    if (outside < 0)
        return act(ctx);
    autoclose int inside = open(NETWORK_OWN, O_RDONLY | O_CLOEXEC);
    if (inside < 0 || setns(outside, CLONE_NEWNET) != 0)
        return -errno;
    int r = act(ctx);
    if (setns(inside, CLONE_NEWNET) != 0) /* and the worker must not go on out here */
        return -errno;
    return r;
}
