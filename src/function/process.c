/* SPDX-License-Identifier: Apache-2.0 */
#include "function/function_internal.h"

#include "base/must.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>

extern char **environ;

static void process_reap(struct process *p, int *ret_status)
{
    while (waitpid(p->pid, ret_status, 0) < 0 && errno == EINTR)
        ;
    loop_unwatch(p->loop, &p->watch);
    close(p->watch.fd);
    p->pid = 0;
}

static void process_on_exit(struct loop_watch *w, uint32_t events)
{
    struct process *p = w->ctx;
    int status = 0;
    process_reap(p, &status);
    p->exited(p, status);
}

static int add_actions(posix_spawn_file_actions_t *actions,
                       const struct process_descriptor *descriptors, size_t count)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < count; i++)
        r = posix_spawn_file_actions_adddup2(actions, descriptors[i].from, descriptors[i].to);
    return -r;
}

/* The broker blocks signals and ignores SIGPIPE; a new program starts with a clean slate. */
static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int r = posix_spawnattr_setsigmask(attributes, &none);
    if (r == 0)
        r = posix_spawnattr_setsigdefault(attributes, &all);
    if (r == 0)
        r = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                                     POSIX_SPAWN_SETSID);
    return -r;
}

static int spawn(pid_t *ret_pid, const char *const *argv,
                 const struct process_descriptor *descriptors, size_t count)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int r = -posix_spawn_file_actions_init(&actions);
    if (r < 0)
        return r;
    r = -posix_spawnattr_init(&attributes);
    if (r < 0) {
        posix_spawn_file_actions_destroy(&actions);
        return r;
    }
    union { /* posix_spawn takes no const, and changes nothing */
        const char *const *given;
        char *const *wanted;
    } words = {.given = argv};
    r = add_actions(&actions, descriptors, count);
    if (r == 0)
        r = set_attributes(&attributes);
    if (r == 0)
        r = -posix_spawn(ret_pid, argv[0], &actions, &attributes, words.wanted, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return r;
}

int process_spawn(struct process *p, struct loop *loop, const char *const *argv,
                  const struct process_descriptor *descriptors, size_t count)
{
    must(p->pid == 0);
    pid_t pid = 0;
    int r = spawn(&pid, argv, descriptors, count);
    if (r < 0)
        return r;
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    r = fd < 0 ? -errno : 0;
    p->loop = loop;
    p->watch = (struct loop_watch){.ready = process_on_exit, .ctx = p};
    if (r == 0)
        r = loop_watch(loop, &p->watch, fd, EPOLLIN);
    if (r < 0) {
        int status;
        kill(pid, SIGKILL);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
        if (fd >= 0)
            close(fd);
        return r;
    }
    p->pid = pid;
    return 0;
}

void process_kill(struct process *p, int signal_number)
{
    if (p->pid > 0)
        kill(p->pid, signal_number);
}

static void process_finish(struct process *p, int signal_number)
{
    if (p->pid == 0)
        return;
    int status;
    kill(p->pid, signal_number);
    process_reap(p, &status);
}

void process_stop(struct process *p)
{
    process_finish(p, SIGTERM);
}

void process_end(struct process *p)
{
    process_finish(p, SIGKILL);
}
