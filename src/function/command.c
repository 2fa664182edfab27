/* SPDX-License-Identifier: Apache-2.0 */
#include "function/command.h"

#include "base/clock.h"
#include "base/memory.h"
#include "function/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define OUTPUT_MAX       8192
#define FILE_BYTES_MAX   (UINT64_C(512) << 20)
#define PATH_PROGRAM_MAX 4096

static char *join_program(const char *folder, size_t len, const char *name)
{
    char *path;
    if (len == 0 || len > PATH_PROGRAM_MAX || folder[0] != '/')
        return NULL; /* relative folders of PATH mean whatever the working folder is: never */
    if (asprintf(&path, "%.*s/%s", (int)len, folder, name) < 0)
        return NULL;
    if (access(path, X_OK) == 0)
        return path;
    free(path);
    return NULL;
}

static char *find_in_path(const char *name)
{
    const char *path = getenv("PATH");
    for (const char *at = path != NULL ? path : "/usr/bin:/bin"; *at != '\0';) {
        size_t len = strcspn(at, ":");
        char *found = join_program(at, len, name);
        if (found != NULL)
            return found;
        at += len + (at[len] == ':' ? 1 : 0);
    }
    return NULL;
}

int command_find(const char *const *names, char **ret_path)
{
    for (size_t i = 0; names[i] != NULL; i++) {
        char *found = find_in_path(names[i]);
        if (found != NULL) {
            *ret_path = found;
            return 0;
        }
    }
    return -ENOENT;
}

/* ---- the child ---- */

static _Noreturn void child_fail(const char *what)
{
    (void)!write(STDERR_FILENO, what, strlen(what));
    _exit(127);
}

static _Noreturn void child_run(const struct command *c, int output)
{
    static char *const environment[] = {"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C", "TMPDIR=.",
                                        "HOME=.", NULL};
    const struct confine_rules rules = {
        .readable = c->readable,
        .writable = ".",
        .cpu_seconds = c->limits.cpu_seconds,
        .memory_bytes = c->limits.memory_bytes,
        .file_bytes = FILE_BYTES_MAX,
    };
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 ||
        dup2(output, STDERR_FILENO) < 0)
        _exit(127);
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct error err = ERROR_INIT;
    bool landlock;
    if (chdir(c->folder) < 0)
        child_fail("cannot enter the working folder");
    if (confine_self(&rules, &landlock, &err) < 0)
        child_fail(err.message);
    union { /* execve takes no const, and changes nothing */
        const char *const *given;
        char *const *wanted;
    } argv = {.given = c->argv};
    execve(c->argv[0], argv.wanted, environment);
    child_fail("cannot be executed");
}

/* ---- the parent ---- */

static volatile sig_atomic_t running; /* process group, 0: none */

void command_abort(void)
{
    if (running > 0)
        kill(-running, SIGKILL);
}

struct outcome {
    bool late;
    int status;
    char output[OUTPUT_MAX + 1]; /* its end */
    size_t output_len;
};

/* Keeps the last OUTPUT_MAX bytes at most: the newest say why it ended. */
static void keep_output(struct outcome *o, const char *bytes, size_t len)
{
    if (len >= OUTPUT_MAX) {
        bytes += len - OUTPUT_MAX;
        len = OUTPUT_MAX;
    }
    if (o->output_len + len > OUTPUT_MAX) {
        size_t drop = o->output_len + len - OUTPUT_MAX;
        memmove(o->output, o->output + drop, o->output_len - drop);
        o->output_len -= drop;
    }
    memcpy(o->output + o->output_len, bytes, len);
    o->output_len += len;
    o->output[o->output_len] = '\0';
}

/* Reads until every process of the command has closed its output or time is up. */
static void follow_output(struct outcome *o, int fd, uint64_t until)
{
    for (;;) {
        uint64_t now = clock_monotonic();
        if (now >= until) {
            o->late = true;
            return;
        }
        struct pollfd waiting = {.fd = fd, .events = POLLIN};
        if (poll(&waiting, 1, (int)((until - now) / CLOCK_MILLISECOND + 1)) <= 0)
            continue;
        char bytes[4096];
        ssize_t n = read(fd, bytes, sizeof(bytes));
        if (n == 0 || (n < 0 && errno != EINTR))
            return;
        if (n > 0)
            keep_output(o, bytes, (size_t)n);
    }
}

/* What a message can carry: one line, printable. */
static void shown_output(const struct outcome *o, char *text, size_t size)
{
    const char *from = strstr(o->output, "error:");
    if (from == NULL)
        from = o->output_len > size / 2 ? o->output + o->output_len - size / 2 : o->output;
    size_t len = 0;
    for (; *from != '\0' && len + 1 < size; from++)
        text[len++] = *from >= 0x20 && *from < 0x7f ? *from : ' ';
    while (len > 0 && text[len - 1] == ' ')
        len--;
    text[len] = '\0';
}

static bool says(const struct outcome *o, const char *text)
{
    return strstr(o->output, text) != NULL;
}

static int judge(const struct command *c, const struct outcome *o, struct error *err)
{
    char text[240];
    shown_output(o, text, sizeof(text));
    if (!o->late && WIFEXITED(o->status) && WEXITSTATUS(o->status) == 0)
        return 0;
    if (o->late)
        return error_set(err, -ETIME, "%s was stopped after %lu s: the module is too large for it",
                         c->name, (unsigned long)c->limits.wall_seconds);
    if ((WIFSIGNALED(o->status) &&
         (WTERMSIG(o->status) == SIGXCPU || WTERMSIG(o->status) == SIGKILL)) ||
        says(o, "CPU time limit exceeded") || says(o, "Killed signal"))
        return error_set(err, -ETIME,
                         "%s was stopped after %lu s of processor time: the module's functions are "
                         "too large for it",
                         c->name, (unsigned long)c->limits.cpu_seconds);
    if (says(o, "out of memory") || says(o, "memory exhausted") || says(o, "bad_alloc") ||
        says(o, "annot allocate memory"))
        return error_set(err, -ENOMEM, "%s needed more than %lu MiB of memory", c->name,
                         (unsigned long)(c->limits.memory_bytes >> 20));
    if (WIFSIGNALED(o->status))
        return error_set(err, -ENOEXEC, "%s crashed on this module (%s)%s%s", c->name,
                         strsignal(WTERMSIG(o->status)), text[0] != '\0' ? ": " : "", text);
    return error_set(err, -ENOEXEC, "%s refused the module: %s", c->name,
                     text[0] != '\0' ? text : "it did not say why");
}

int command_run(const struct command *c, struct error *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_set(err, -errno, "%s: no pipe: %s", c->name, strerror(errno));
    autoclose int reading = ends[0];
    pid_t pid = fork();
    if (pid == 0)
        child_run(c, ends[1]);
    int failed = errno;
    close(ends[1]);
    if (pid < 0)
        return error_set(err, -failed, "%s: no process: %s", c->name, strerror(failed));
    (void)setpgid(pid, pid); /* whoever comes first */
    running = pid;
    struct outcome o = {0};
    follow_output(&o, reading, clock_monotonic() + c->limits.wall_seconds * CLOCK_SECOND);
    if (o.late)
        kill(-pid, SIGKILL);
    while (waitpid(pid, &o.status, 0) < 0 && errno == EINTR)
        ;
    kill(-pid, SIGKILL); /* what it may have left behind */
    running = 0;
    return judge(c, &o, err);
}
