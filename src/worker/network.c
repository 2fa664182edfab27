/* SPDX-License-Identifier: Apache-2.0 */
/* Workers have a network namespace with nothing in it, where the kernel lets us: the filter forbids
 * sockets anyway. Only the fetchers of workers are started in the network that was left. Root can
 * go back there for a moment; for others the porter does it, a process that stayed. */
#include "worker/worker_internal.h"

#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define NETWORK_OWN "/proc/self/ns/net"

static int outside = -1; /* the network that was left */
static int porter = -1;  /* socket to the process that stayed there */

union one_descriptor {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
};

/* ---- the porter ---- */

/* A descriptor, -1 for a message without one, or -EPIPE: nobody is left who might ask. */
static int receive_descriptor(int socket)
{
    union one_descriptor control;
    char byte;
    int fd = -1;
    struct iovec part = {&byte, 1};
    struct msghdr m = {.msg_iov = &part,
                       .msg_iovlen = 1,
                       .msg_control = control.bytes,
                       .msg_controllen = sizeof(control.bytes)};
    ssize_t n;
    do
        n = recvmsg(socket, &m, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return -EPIPE;
    const struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    if (c != NULL && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(fd)))
        memcpy(&fd, CMSG_DATA(c), sizeof(fd));
    return fd;
}

static _Noreturn void porter_main(int socket, pid_t zygote, int (*act)(int fd))
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || getppid() != zygote)
        _exit(EXIT_FAILURE);
    confine_close_others(&socket, 1);
    signal(SIGCHLD, SIG_IGN);
    for (int fd = receive_descriptor(socket); fd != -EPIPE; fd = receive_descriptor(socket))
        if (fd >= 0) {
            (void)act(fd); /* the worker sees that its socket is closed */
            close(fd);
        }
    _exit(EXIT_SUCCESS);
}

static int start_porter(int (*act)(int fd))
{
    int ends[2];
    pid_t zygote = getpid();
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return -errno;
    pid_t pid = fork();
    if (pid == 0)
        porter_main(ends[1], zygote, act);
    close(ends[1]);
    if (pid < 0) {
        int error = errno;
        close(ends[0]);
        return -error;
    }
    porter = ends[0];
    return 0;
}

static int ask_porter(int fd)
{
    union one_descriptor control = {.bytes = {0}};
    char byte = 0;
    struct iovec part = {&byte, 1};
    struct msghdr m = {.msg_iov = &part,
                       .msg_iovlen = 1,
                       .msg_control = control.bytes,
                       .msg_controllen = sizeof(control.bytes)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    *c = (struct cmsghdr){
        .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(fd))};
    memcpy(CMSG_DATA(c), &fd, sizeof(fd));
    ssize_t n;
    do
        n = sendmsg(porter, &m, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

/* ---- there and back ---- */

static int visit(int (*act)(int fd), int fd)
{
    autoclose int inside = open(NETWORK_OWN, O_RDONLY | O_CLOEXEC);
    if (inside < 0 || setns(outside, CLONE_NEWNET) != 0)
        return -errno;
    int r = act(fd);
    if (setns(inside, CLONE_NEWNET) != 0) /* and the worker must not go on out here */
        return -errno;
    return r;
}

void network_leave(int (*act)(int fd))
{
    outside = open(NETWORK_OWN, O_RDONLY | O_CLOEXEC);
    if (outside >= 0 && unshare(CLONE_NEWNET) == 0)
        return;
    network_forget();
    if (start_porter(act) == 0)
        (void)!unshare(CLONE_NEWUSER | CLONE_NEWNET);
}

int network_descriptor(void)
{
    return outside >= 0 ? outside : porter;
}

int network_act(int (*act)(int fd), int fd)
{
    return outside >= 0 ? visit(act, fd) : porter >= 0 ? ask_porter(fd) : act(fd);
}

void network_forget(void)
{
    if (outside >= 0)
        close(STEAL_FD(outside));
    if (porter >= 0)
        close(STEAL_FD(porter));
}
