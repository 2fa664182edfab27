/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/subprocess.h"

#include "base/fdio.h"
#include "base/memory.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* posix_spawn() takes no const, and changes nothing. */
static char *const *words_of(const char *const *argv)
{
    union {
        const char *const *given;
        char *const *wanted;
    } words = {.given = argv};
    return words.wanted;
}

static int read_back(int fd, struct buf *out)
{
    struct stat st;
    if (out == NULL)
        return 0;
    if (fstat(fd, &st) < 0)
        return -errno;
    size_t len = st.st_size > SUBPROCESS_OUTPUT_MAX ? SUBPROCESS_OUTPUT_MAX : (size_t)st.st_size;
    char *to = len > 0 ? buf_reserve(out, len) : NULL;
    if (len == 0)
        return 0;
    if (to == NULL)
        return -ENOMEM;
    ssize_t n = pread(fd, to, len, 0);
    if (n < 0)
        return -errno;
    out->len += (size_t)n;
    buf_add_text(out, "");
    return 0;
}

struct ends {
    int input, out, errors;
};

static int spawn(const struct subprocess *s, const struct ends *ends, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    int r = -posix_spawn_file_actions_init(&actions);
    if (r < 0)
        return r;
    r = -posix_spawn_file_actions_adddup2(&actions, ends->input, STDIN_FILENO);
    if (r == 0)
        r = -posix_spawn_file_actions_adddup2(&actions, ends->out, STDOUT_FILENO);
    if (r == 0)
        r = -posix_spawn_file_actions_adddup2(&actions, ends->errors, STDERR_FILENO);
    if (r == 0 && s->folder != NULL)
        r = -posix_spawn_file_actions_addchdir_np(&actions, s->folder);
    if (r == 0)
        r = -posix_spawnp(ret_pid, s->argv[0], &actions, NULL, words_of(s->argv), environ);
    posix_spawn_file_actions_destroy(&actions);
    return r;
}

static int wait_status(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int subprocess_run(const struct subprocess *s, struct buf *out, struct buf *errors, int *ret_status,
                   struct error *err)
{
    autoclose int input = fdio_memory_file("sluice-io", s->input);
    autoclose int output = fdio_memory_file("sluice-io", slice_of(NULL, 0));
    autoclose int complaints = fdio_memory_file("sluice-io", slice_of(NULL, 0));
    pid_t pid = 0;
    int r = input < 0 ? input : output < 0 ? output : complaints < 0 ? complaints : 0;
    struct ends ends = {input, s->shown ? STDERR_FILENO : output,
                        s->shown ? STDERR_FILENO : complaints};
    if (r == 0)
        r = spawn(s, &ends, &pid);
    if (r < 0)
        return error_set(err, r, "cannot run %s: %s", s->argv[0], strerror(-r));
    *ret_status = wait_status(pid);
    r = read_back(output, out);
    if (r == 0)
        r = read_back(complaints, errors);
    return r < 0 ? error_set(err, r, "cannot read what %s wrote: %s", s->argv[0], strerror(-r)) : 0;
}

/* Two steps, since a descriptor may have the number that another is to get. */
static int add_descriptors(posix_spawn_file_actions_t *actions,
                           const struct subprocess_descriptor *descriptors, size_t count)
{
    enum { ASIDE = 200 };
    int r = 0;
    for (size_t i = 0; r == 0 && i < count; i++)
        r = -posix_spawn_file_actions_adddup2(actions, descriptors[i].from, ASIDE + (int)i);
    for (size_t i = 0; r == 0 && i < count; i++)
        r = -posix_spawn_file_actions_adddup2(actions, ASIDE + (int)i, descriptors[i].to);
    for (size_t i = 0; r == 0 && i < count; i++)
        r = -posix_spawn_file_actions_addclose(actions, ASIDE + (int)i);
    return r;
}

/* A terminal's Ctrl-C is for us alone, and our mask of signals is ours. */
static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none, defaults;
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    int r = -posix_spawnattr_setsigmask(attributes, &none);
    if (r == 0)
        r = -posix_spawnattr_setsigdefault(attributes, &defaults);
    if (r == 0)
        r = -posix_spawnattr_setpgroup(attributes, 0);
    if (r == 0)
        r = -posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                                      POSIX_SPAWN_SETPGROUP);
    return r;
}

int subprocess_start(const char *const *argv, const struct subprocess_descriptor *descriptors,
                     size_t count, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int r = -posix_spawn_file_actions_init(&actions);
    if (r < 0)
        return r;
    r = -posix_spawnattr_init(&attributes);
    if (r == 0) {
        r = add_descriptors(&actions, descriptors, count);
        if (r == 0)
            r = set_attributes(&attributes);
        if (r == 0)
            r = -posix_spawnp(ret_pid, argv[0], &actions, &attributes, words_of(argv), environ);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return r;
}

char *subprocess_find(const char *name)
{
    const char *at = getenv("PATH");
    while (at != NULL && *at != '\0') {
        size_t len = strcspn(at, ":");
        struct buf path = BUF_INIT;
        buf_printf(&path, "%.*s/%s", (int)len, at, name);
        if (len > 0 && buf_ok(&path) && access(path.ptr, X_OK) == 0)
            return buf_steal(&path);
        buf_done(&path);
        at += len + (at[len] == ':');
    }
    return NULL;
}
