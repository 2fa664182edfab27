/* SPDX-License-Identifier: Apache-2.0 */
/* The socket to the worker's fetcher (fetcher/protocol.h). The worker never waits on it: what the
 * socket does not take is queued, up to a limit. A fetcher that ended is not replaced, since a
 * confined worker cannot start one: the worker ends instead, once it has nothing under way. */
#include "worker/fetch.h"

#include "base/memory.h"
#include "worker/operation.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/socket.h>

#define PROGRAM_NAME "sluice-fetcher"
#define READS_MAX    16 /* of one turn */

struct frame_out {
    struct list node;
    struct buf bytes;
    size_t sent;
};

static struct {
    int fd; /* -1: there is no fetcher */
    bool was_there;
    struct fetcher_reader reader;
    struct list queue; /* struct frame_out */
    size_t queued, queue_max;
} fetcher = {.fd = -1};

extern char **environ;

/* ---- the end ---- */

static void frame_free(struct frame_out *f)
{
    list_remove(&f->node);
    buf_done(&f->bytes);
    free(f);
}

static void lose(void)
{
    worker_unwatch(fetcher.fd);
    close(STEAL_FD(fetcher.fd));
    while (!list_empty(&fetcher.queue))
        frame_free(list_entry(fetcher.queue.next, struct frame_out, node));
    fetcher.queued = 0;
    fetcher_reader_done(&fetcher.reader);
    report_log(REPORT_ERROR, slice_of(NULL, 0),
               SLICE("the process that does this function's requests has ended; this worker ends, "
                     "too, once nothing is under way"));
    wait_end_when_idle();
    fetch_lost();
}

/* ---- out ---- */

/* 0, or the errno that says that the fetcher is gone. */
static int send_queued(void)
{
    while (!list_empty(&fetcher.queue)) {
        struct frame_out *f = list_entry(fetcher.queue.next, struct frame_out, node);
        ssize_t n = send(fetcher.fd, f->bytes.ptr + f->sent, f->bytes.len - f->sent,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0)
            return -errno;
        f->sent += (size_t)n;
        fetcher.queued -= (size_t)n;
        if (f->sent == f->bytes.len)
            frame_free(f);
    }
    worker_watch_events(fetcher.fd, list_empty(&fetcher.queue) ? POLLIN : POLLIN | POLLOUT);
    return 0;
}

bool fetch_link_is_up(void)
{
    return fetcher.fd >= 0;
}

bool fetch_link_was_up(void)
{
    return fetcher.was_there;
}

/* What is cancelled is sent whether there is room or not. */
size_t fetch_link_room(void)
{
    return fetcher.queued < fetcher.queue_max ? fetcher.queue_max - fetcher.queued : 0;
}

int fetch_link_send(struct buf *frame)
{
    struct frame_out *f = buf_ok(frame) ? calloc(1, sizeof(*f)) : NULL;
    if (f == NULL) {
        buf_done(frame);
        return -ENOMEM;
    }
    f->bytes = *frame;
    list_append(&fetcher.queue, &f->node);
    fetcher.queued += f->bytes.len;
    /* That it is gone is seen by the loop, where calls can be told. */
    (void)send_queued();
    return 0;
}

/* ---- in ---- */

/* 1: something came; 0: nothing is there; or a negative errno. */
static int receive(void)
{
    size_t size = 0;
    char *room = fetcher_reader_room(&fetcher.reader, &size);
    if (room == NULL)
        return -ENOMEM;
    ssize_t n;
    do
        n = recv(fetcher.fd, room, size, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return 0;
    if (n <= 0)
        return n == 0 ? -EPIPE : -errno;
    fetcher_reader_add(&fetcher.reader, (size_t)n);
    return 1;
}

/* Settling runs guests, which may send. */
static int take_frames(void)
{
    struct fetcher_frame frame;
    int r = 1;
    while (r == 1 && fetcher.fd >= 0) {
        r = fetcher_reader_next(&fetcher.reader, &frame);
        if (r == 1 && fetch_take(&frame) < 0)
            return -EPROTO;
    }
    return r;
}

static void ready(void *ctx, short events)
{
    int r = (events & POLLOUT) != 0 ? send_queued() : 0;
    if (r == 0 && (events & (POLLIN | POLLHUP | POLLERR)) != 0)
        for (int i = 0; i < READS_MAX && (r = receive()) == 1; i++)
            if ((r = take_frames()) < 0)
                break;
    if (r < 0 && fetcher.fd >= 0)
        lose();
}

/* ---- the start ---- */

/* Beside this program. */
static int find_program(char path[PATH_MAX])
{
    ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - sizeof(PROGRAM_NAME));
    char *slash = n > 0 ? memrchr(path, '/', (size_t)n) : NULL;
    if (slash == NULL)
        return -ENOENT;
    memcpy(slash + 1, PROGRAM_NAME, sizeof(PROGRAM_NAME));
    return access(path, X_OK) == 0 ? 0 : -errno;
}

static int check_program(struct error *err)
{
    char path[PATH_MAX];
    int r = find_program(path);
    return r < 0
               ? error_set(err, r,
                           "the function has a network.allow, but %s, which does its requests, "
                           "cannot be run: %s",
                           r == -ENOENT ? PROGRAM_NAME " beside sluice-worker" : path, strerror(-r))
               : 0;
}

static int set_up(posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes, int socket)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int r = posix_spawn_file_actions_adddup2(actions, socket, FETCHER_FD);
    if (r == 0)
        r = posix_spawn_file_actions_addclosefrom_np(actions, FETCHER_FD + 1);
    if (r == 0)
        r = posix_spawnattr_setsigmask(attributes, &none);
    if (r == 0)
        r = posix_spawnattr_setsigdefault(attributes, &all);
    return r == 0 ? posix_spawnattr_setflags(attributes,
                                             POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF)
                  : r;
}

/* Nothing goes with it but the standard streams and the socket. */
int fetch_link_spawn(int socket)
{
    char path[PATH_MAX];
    char *const argv[] = {path, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    pid_t pid;
    int r = -find_program(path);
    if (r != 0 || (r = posix_spawn_file_actions_init(&actions)) != 0)
        return -r;
    r = posix_spawnattr_init(&attributes);
    if (r == 0) {
        r = set_up(&actions, &attributes, socket);
        if (r == 0)
            r = posix_spawn(&pid, path, &actions, &attributes, argv, environ);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return -r;
}

static int send_allow_list(json_t *allow)
{
    struct slice entries[FETCHER_ALLOW_MAX];
    struct buf frame = BUF_INIT;
    size_t count = json_array_size(allow);
    for (size_t i = 0; i < count; i++) {
        json_t *entry = json_array_get(allow, i);
        entries[i] = slice_of(json_string_value(entry), json_string_length(entry));
    }
    fetcher_write_allow(&frame, entries, (unsigned)count);
    return fetch_link_send(&frame);
}

int fetch_link_start(json_t *allow, size_t queue_max, struct error *err)
{
    int ends[2];
    int r = check_program(err);
    if (r < 0)
        return r;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return error_set(err, -errno, "cannot make a socket pair: %s", strerror(errno));
    signal(SIGCHLD, SIG_IGN); /* nobody has to wait for it */
    r = network_act(fetch_link_spawn, ends[1]);
    close(ends[1]);
    fetcher.fd = ends[0];
    fetcher.was_there = true;
    fetcher.queue_max = queue_max;
    list_init(&fetcher.queue);
    if (r == 0)
        r = worker_watch(fetcher.fd, POLLIN, ready, NULL);
    if (r == 0)
        r = send_allow_list(allow);
    return r < 0 ? error_set(err, r, "cannot start " PROGRAM_NAME ": %s", strerror(-r)) : 0;
}
