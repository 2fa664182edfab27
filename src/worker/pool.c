/* SPDX-License-Identifier: Apache-2.0 */
/* Several workers behind one port, for a standalone function server on more than one core: each
 * process has a listening socket of its own (SO_REUSEPORT spreads the connections) and its own
 * instances. The first process only keeps them alive. */
#include "worker/worker_internal.h"

#include "base/clock.h"
#include "base/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define POOL_BACKLOG       512
#define POOL_CRASH_FIRST   (100 * CLOCK_MILLISECOND)
#define POOL_CRASH_LONGEST (10 * CLOCK_SECOND)
#define POOL_STEADY        (30 * CLOCK_SECOND) /* a worker that lived so long has not crashed at once */
#define POOL_LOAD_FAILED   2 /* exit status of a worker whose function cannot be loaded */

struct pool_worker {
    pid_t pid;
    int listen_fd;
    uint64_t started_ns, delay_ns;
};

struct pool {
    struct pool_worker workers[POOL_WORKERS_MAX];
    unsigned count;
    char address[128];
    struct slice bundle;
    int module_fd;
};

static int open_socket(const struct sockaddr *address, socklen_t len)
{
    int yes = 1;
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof(yes)) == 0 &&
        bind(fd, address, len) == 0 && listen(fd, POOL_BACKLOG) == 0)
        return fd;
    int error = errno;
    close(fd);
    return -error;
}

/* HOST:PORT to its first address. */
static int resolve(const char *listen, struct sockaddr_storage *ret, socklen_t *ret_len,
                   struct error *err)
{
    char host[128];
    const char *colon = strrchr(listen, ':');
    size_t len = colon != NULL ? (size_t)(colon - listen) : 0;
    if (colon == NULL || len >= sizeof(host))
        return error_set(err, -EINVAL, "\"%.100s\" is no HOST:PORT to listen on", listen);
    bool bracketed = len >= 2 && listen[0] == '[' && listen[len - 1] == ']';
    snprintf(host, sizeof(host), "%.*s", (int)(bracketed ? len - 2 : len), listen + bracketed);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found = NULL;
    int failed = getaddrinfo(len > 0 ? host : NULL, colon + 1, &hints, &found);
    if (failed != 0)
        return error_set(err, -EINVAL, "cannot listen on %s: %s", listen, gai_strerror(failed));
    memcpy(ret, found->ai_addr, found->ai_addrlen);
    *ret_len = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

static void write_address(struct pool *p, const struct sockaddr_storage *address, socklen_t len)
{
    char host[64], port[8];
    if (getnameinfo((const struct sockaddr *)address, len, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return;
    bool v6 = address->ss_family == AF_INET6;
    snprintf(p->address, sizeof(p->address), v6 ? "[%s]:%s" : "%s:%s", host, port);
}

/* One socket for each worker, all on the port that the first one got. */
static int open_sockets(struct pool *p, const char *listen, struct error *err)
{
    struct sockaddr_storage address = {0};
    socklen_t len = 0;
    int r = resolve(listen, &address, &len, err);
    if (r < 0)
        return r;
    for (unsigned i = 0; i < p->count; i++) {
        p->workers[i].listen_fd = open_socket((struct sockaddr *)&address, len);
        if (p->workers[i].listen_fd < 0)
            return error_set(err, p->workers[i].listen_fd, "cannot listen on %s: %s", listen,
                             strerror(-p->workers[i].listen_fd));
        getsockname(p->workers[i].listen_fd, (struct sockaddr *)&address, &len);
    }
    write_address(p, &address, len);
    return 0;
}

static void start_worker(struct pool *p, struct pool_worker *w, pid_t parent)
{
    w->started_ns = clock_monotonic();
    w->pid = fork();
    if (w->pid < 0)
        log_error("a worker could not be started: %s", strerror(errno));
    if (w->pid != 0)
        return;
    if (prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0) != 0 || getppid() != parent)
        _exit(EXIT_FAILURE);
    for (unsigned i = 0; i < p->count; i++)
        if (&p->workers[i] != w)
            close(p->workers[i].listen_fd);
    struct serve_options options = {.listen_fd = w->listen_fd,
                                    .address = p->address,
                                    .alone = true,
                                    .standalone = w == &p->workers[0]};
    serve_catch_signals();
    _exit(serve_run(p->bundle, p->module_fd, &options));
}

static void signal_all(const struct pool *p, int signal)
{
    for (unsigned i = 0; i < p->count; i++)
        if (p->workers[i].pid > 0)
            kill(p->workers[i].pid, signal);
}

/* Back-off for a worker that ended by itself. */
static void note_crash(struct pool_worker *w, int status)
{
    bool steady = clock_monotonic() - w->started_ns > POOL_STEADY;
    w->delay_ns = steady || w->delay_ns == 0 ? POOL_CRASH_FIRST : w->delay_ns * 2;
    if (w->delay_ns > POOL_CRASH_LONGEST)
        w->delay_ns = POOL_CRASH_LONGEST;
    log_warn("a worker ended (%s %d); it starts again in %llu ms",
             WIFSIGNALED(status) ? "signal" : "status",
             WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
             (unsigned long long)(w->delay_ns / CLOCK_MILLISECOND));
}

/* Reaps what ended. The exit status that ends the pool, or -1. */
static int reap(struct pool *p)
{
    int status;
    for (pid_t pid = waitpid(-1, &status, WNOHANG); pid > 0; pid = waitpid(-1, &status, WNOHANG)) {
        for (unsigned i = 0; i < p->count; i++) {
            struct pool_worker *w = &p->workers[i];
            if (w->pid != pid)
                continue;
            w->pid = -1;
            if (WIFEXITED(status) && WEXITSTATUS(status) == POOL_LOAD_FAILED)
                return POOL_LOAD_FAILED; /* it said why */
            note_crash(w, status);
        }
    }
    return -1;
}

/* Starts workers whose time has come; returns how long to wait for the next one. */
static struct timespec restart_due(struct pool *p, pid_t self)
{
    uint64_t now = clock_monotonic(), wait = 60 * CLOCK_SECOND;
    for (unsigned i = 0; i < p->count; i++) {
        struct pool_worker *w = &p->workers[i];
        if (w->pid > 0)
            continue;
        uint64_t due = w->started_ns + w->delay_ns;
        if (due <= now)
            start_worker(p, w, self);
        else if (due - now < wait)
            wait = due - now;
    }
    return (struct timespec){(time_t)(wait / CLOCK_SECOND), (long)(wait % CLOCK_SECOND)};
}

static int watch(struct pool *p)
{
    sigset_t awaited;
    sigemptyset(&awaited);
    sigaddset(&awaited, SIGTERM);
    sigaddset(&awaited, SIGINT);
    sigaddset(&awaited, SIGCHLD);
    sigprocmask(SIG_BLOCK, &awaited, NULL);
    pid_t self = getpid();
    int end = -1;
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); /* for the fetchers of workers that ended */
    while (end < 0) {
        struct timespec wait = restart_due(p, self);
        int signal = sigtimedwait(&awaited, NULL, &wait);
        if (signal == SIGTERM || signal == SIGINT)
            end = EXIT_SUCCESS;
        else
            end = reap(p);
    }
    signal_all(p, SIGTERM);
    while (waitpid(-1, NULL, 0) > 0)
        ;
    return end;
}

int pool_run(const char *listen, unsigned count, struct slice bundle, int module_fd,
             struct error *err)
{
    static struct pool pool;
    pool.count = count;
    pool.bundle = bundle;
    pool.module_fd = module_fd;
    int r = open_sockets(&pool, listen, err);
    return r < 0 ? r : watch(&pool);
}
