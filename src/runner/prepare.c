/* SPDX-License-Identifier: Apache-2.0 */
/* Puts a function's files in place and runs what its runtime needs done before: programs that
 * install packages, confined like the function but for the network and their own folder. */
#include "base/clock.h"
#include "base/fdio.h"
#include "base/memory.h"
#include "runner/code.h"
#include "runner/output.h"
#include "runner/runner.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define STEP_LONGEST  (600 * CLOCK_SECOND)
#define SIZE_EVERY    (2 * CLOCK_SECOND)
#define SIZE_MAX_ALL  (UINT64_C(2) << 30) /* of code and packages */
#define FILES_MAX_ALL 200000
#define DEPTH_MAX     64
#define SPACE_LEAST   (UINT64_C(128) << 20) /* that the file system keeps for the server */
#define TAIL_SHOWN    400

struct step {
    const struct prepare_options *o;
    unsigned number, count;
    struct loop *loop;
    struct sandbox sandbox;
    struct output out, err;
    struct buf tail; /* the last lines of both */
    struct loop_watch control, signals;
    struct loop_timer deadline, size;
    int signal_fd, status;
    const char *limit; /* that ended it, or NULL */
    bool told_to_end;
    char problem[SANDBOX_MESSAGE_MAX];
};

/* ---- size ---- */

struct tally {
    uint64_t bytes, files;
};

/* Opened name by name, never through a link. */
static void add_folder(int parent, const char *name, unsigned depth, struct tally *t)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    if (folder == NULL) {
        if (fd >= 0)
            close(fd);
        return;
    }
    for (struct dirent *e; t->files <= FILES_MAX_ALL && (e = readdir(folder)) != NULL;) {
        struct stat info;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            fstatat(dirfd(folder), e->d_name, &info, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        t->files++;
        t->bytes += (uint64_t)info.st_blocks * 512;
        if (!S_ISDIR(info.st_mode))
            continue;
        if (depth == DEPTH_MAX)
            t->files = FILES_MAX_ALL + 1; /* what is not looked at could be of any size */
        else
            add_folder(dirfd(folder), e->d_name, depth + 1, t);
    }
    closedir(folder);
}

static bool is_too_large(const char *folder)
{
    struct tally t = {0};
    add_folder(AT_FDCWD, folder, 0, &t);
    return t.bytes > SIZE_MAX_ALL || t.files > FILES_MAX_ALL;
}

/* Files that have no name any more are not found, but they take space. */
static bool is_disk_full(const char *folder)
{
    struct statvfs info;
    return statvfs(folder, &info) == 0 && (uint64_t)info.f_bavail * info.f_frsize < SPACE_LEAST;
}

/* ---- one step ---- */

static void print_line(void *ctx, struct slice line)
{
    struct step *s = ctx;
    if (s->tail.len > 4096) {
        memmove(s->tail.ptr, s->tail.ptr + s->tail.len - 2048, 2048);
        s->tail.len = 2048;
    }
    buf_add(&s->tail, line.ptr, line.len < 1024 ? line.len : 1024);
    buf_add_byte(&s->tail, '\n');
    s->o->progress(s->number, s->count, line);
}

static void on_control(struct loop_watch *w, uint32_t events)
{
    struct step *s = w->ctx;
    char bytes[SANDBOX_MESSAGE_MAX];
    ssize_t n = recv(s->sandbox.control, bytes, sizeof(bytes) - 1, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    bytes[n > 0 ? n : 0] = '\0';
    if (bytes[0] == SANDBOX_ERROR)
        snprintf(s->problem, sizeof(s->problem), "%s", bytes + 1);
    if (bytes[0] == SANDBOX_EXITED && n == 1 + (ssize_t)sizeof(int))
        memcpy(&s->status, bytes + 1, sizeof(int));
    if (n <= 0 || bytes[0] == SANDBOX_EXITED)
        loop_stop(s->loop);
}

static void on_deadline(struct loop_timer *t)
{
    struct step *s = t->ctx;
    s->limit = "it took more than ten minutes";
    loop_stop(s->loop);
}

static void on_size(struct loop_timer *t)
{
    struct step *s = t->ctx;
    if (is_too_large(s->o->folder)) {
        s->limit = "it wrote more than 2 GiB or 200000 files, or folders deeper than 64";
        loop_stop(s->loop);
    } else if (is_disk_full(s->o->folder)) {
        s->limit = "less than 128 MiB are free where the server keeps its data";
        loop_stop(s->loop);
    } else {
        loop_timer_set(s->loop, t, loop_now(s->loop) + SIZE_EVERY);
    }
}

static void on_signal(struct loop_watch *w, uint32_t events)
{
    struct step *s = w->ctx;
    s->told_to_end = true;
    loop_stop(s->loop);
}

static int watch_all(struct step *s)
{
    s->control = (struct loop_watch){.ready = on_control, .ctx = s};
    s->signals = (struct loop_watch){.ready = on_signal, .ctx = s};
    s->out = (struct output){.fd = -1, .print = print_line, .ctx = s};
    s->err = (struct output){.fd = -1, .print = print_line, .ctx = s};
    s->deadline = (struct loop_timer){.due = on_deadline, .ctx = s};
    s->size = (struct loop_timer){.due = on_size, .ctx = s};
    loop_timer_set(s->loop, &s->deadline, loop_now(s->loop) + STEP_LONGEST);
    loop_timer_set(s->loop, &s->size, loop_now(s->loop) + SIZE_EVERY);
    int r = loop_watch(s->loop, &s->control, s->sandbox.control, EPOLLIN);
    if (r == 0)
        r = loop_watch(s->loop, &s->signals, s->signal_fd, EPOLLIN);
    if (r == 0)
        r = output_begin(&s->out, s->loop, STEAL_FD(s->sandbox.out), 0);
    if (r == 0)
        r = output_begin(&s->err, s->loop, STEAL_FD(s->sandbox.err), 0);
    return r;
}

static void take_down(struct step *s)
{
    loop_unwatch(s->loop, &s->control);
    loop_unwatch(s->loop, &s->signals);
    loop_timer_cancel(s->loop, &s->deadline);
    loop_timer_cancel(s->loop, &s->size);
    if (sandbox_finish(&s->sandbox) && s->limit == NULL)
        s->limit = "it used more than 4 GiB of memory";
    if (s->out.loop != NULL)
        output_end(&s->out);
    if (s->err.loop != NULL)
        output_end(&s->err);
}

/* The last lines, as one. */
static void add_tail(const struct step *s, struct buf *out)
{
    size_t len = s->tail.len;
    while (len > 0 && s->tail.ptr[len - 1] == '\n')
        len--;
    size_t from = len > TAIL_SHOWN ? len - TAIL_SHOWN : 0;
    if (from > 0) {
        const char *line = memchr(s->tail.ptr + from, '\n', len - from);
        from = line != NULL ? (size_t)(line - s->tail.ptr) + 1 : from;
    }
    for (size_t i = from; i < len; i++)
        if (s->tail.ptr[i] == '\n')
            buf_add_text(out, " | ");
        else
            buf_add_byte(out, s->tail.ptr[i]);
}

static int judge(struct step *s, const char *program, const char **ret_reason, struct error *err)
{
    autobuf tail = BUF_INIT;
    add_tail(s, &tail);
    const char *said = tail.ptr != NULL ? tail.ptr : "";
    *ret_reason = s->limit != NULL ? "PrepareLimit" : "PrepareFailed";
    if (s->told_to_end)
        return error_set(err, -ECANCELED, "told to end");
    if (s->limit != NULL)
        return error_set(err, -ETIME, "%s was ended: %s: %s", program, s->limit, said);
    if (s->problem[0] != '\0')
        return error_set(err, -ENOEXEC, "%s", s->problem);
    if (WIFSIGNALED(s->status))
        return error_set(err, -ENOEXEC, "%s was ended by signal %d: %s", program,
                         WTERMSIG(s->status), said);
    if (WEXITSTATUS(s->status) != 0)
        return error_set(err, -ENOEXEC, "%s ended with status %d: %s", program,
                         WEXITSTATUS(s->status), said);
    return 0;
}

static int run_step(struct step *s, const struct runtime_step *what, const char **ret_reason,
                    struct error *err)
{
    const struct sandbox_options sandbox = {
        .runtime = s->o->runtime,
        .folder = s->o->folder,
        .bundle = s->o->bundle,
        .words = what->command,
        .uid = s->o->uid,
        .confinement = s->o->confinement,
        .preparing = true,
        .listener = -1,
    };
    *ret_reason = "PrepareFailed";
    int r = sandbox_start(&sandbox, &s->sandbox, err);
    if (r < 0)
        return r;
    s->loop = loop_new();
    if (s->loop == NULL) {
        sandbox_finish(&s->sandbox);
        return error_set(err, -ENOMEM, "out of memory");
    }
    r = watch_all(s);
    if (r == 0)
        loop_run(s->loop);
    take_down(s);
    r = r < 0 ? error_set(err, r, "cannot watch a program: %s", strerror(-r))
              : judge(s, what->command[0], ret_reason, err);
    loop_free(s->loop);
    buf_done(&s->tail);
    return r;
}

/* ---- all of them ---- */

static bool applies(const struct runtime_step *s, const struct bundle *b)
{
    return s->when == NULL || json_object_get(b->files, s->when) != NULL;
}

static unsigned count_steps(const struct prepare_options *o)
{
    unsigned count = 0;
    for (size_t i = 0; i < o->runtime->step_count; i++)
        count += applies(&o->runtime->steps[i], o->bundle);
    return count;
}

static int run_steps(const struct prepare_options *o, unsigned count, int signal_fd,
                     const char **ret_reason, struct error *err)
{
    unsigned number = 0;
    int r = 0;
    for (size_t i = 0; r == 0 && i < o->runtime->step_count; i++) {
        if (!applies(&o->runtime->steps[i], o->bundle))
            continue;
        struct step step = {.o = o, .number = ++number, .count = count, .signal_fd = signal_fd};
        r = run_step(&step, &o->runtime->steps[i], ret_reason, err);
    }
    if (r == 0 && number > 0 && is_too_large(o->folder)) {
        *ret_reason = "PrepareLimit";
        r = error_set(err, -EFBIG,
                      "the packages have more than 2 GiB or 200000 files, or folders deeper than "
                      "64");
    }
    return r;
}

int prepare_run(const struct prepare_options *o, unsigned *ret_steps, const char **ret_reason,
                struct error *err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    autoclose int signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    *ret_reason = "PrepareFailed";
    if (signal_fd < 0)
        return error_set(err, -errno, "cannot watch for signals: %s", strerror(errno));
    *ret_steps = count_steps(o);
    *ret_reason = "CodeRefused";
    int r = code_write(o->folder, o->bundle, *ret_steps > 0 ? o->uid : (uid_t)-1, err);
    return r < 0 ? r : run_steps(o, *ret_steps, signal_fd, ret_reason, err);
}
