/* SPDX-License-Identifier: Apache-2.0 */
/* The first process of a function's namespaces: prepares them, starts the program in them, gathers
 * what the program leaves behind, and takes all of it along when it ends. Runs as the function's
 * user once the program is there. */
#include "runner/confine.h"
#include "runner/root.h"
#include "runner/sandbox.h"

#include "base/fdio.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TMP_BYTES       (UINT64_C(64) << 20)
#define PREPARE_BYTES   (UINT64_C(2) << 30) /* of the temporary folder while packages are built */
#define FILE_BYTES      (UINT64_C(1) << 30)
#define FILES_MAX       1024
#define PROCESSES_LEAST 256
#define DATA_EXTRA      (UINT64_C(128) << 20) /* stacks and reserves of a process */
#define LISTENER_FD     3

/* A sanitizer's tables are data, terabytes of them. */
#if defined(__SANITIZE_ADDRESS__)
#define LIMITS_DATA 0
#else
#define LIMITS_DATA 1
#endif

struct init {
    const struct init_options *o;
    const struct sandbox_options *sandbox;
    bool proc;
    struct program program;
    pid_t child;
    int signals;
};

/* ---- messages ---- */

static void say(int control, enum sandbox_message type, const char *text)
{
    char bytes[SANDBOX_MESSAGE_MAX];
    int n = snprintf(bytes, sizeof(bytes), "%c%s", (char)type, text);
    if (n >= (int)sizeof(bytes))
        n = (int)sizeof(bytes) - 1;
    (void)!send(control, bytes, (size_t)n, MSG_NOSIGNAL);
}

static _Noreturn void fail(int control, const char *text)
{
    say(control, SANDBOX_ERROR, text);
    _exit(127);
}

/* What the kernel does not let us have: the runner decides whether to go on without. */
static _Noreturn void give_up(const struct init *i, int code, const struct error *err)
{
    bool unprivileged = code == -EPERM || code == -EACCES || code == -ENOSYS || code == -EINVAL;
    if (unprivileged && i->sandbox->confinement == CONFINEMENT_PARTIAL)
        say(i->o->control, SANDBOX_PLAIN, err->message);
    else
        say(i->o->control, SANDBOX_ERROR, err->message);
    _exit(127);
}

static void send_lan(int control, const struct lan_socket *sockets, unsigned count)
{
    char bytes[1 + sizeof(int) * LAN_SOCKETS_MAX] = {SANDBOX_LAN};
    union {
        struct cmsghdr head;
        char space[CMSG_SPACE(sizeof(int) * LAN_SOCKETS_MAX)];
    } rights = {0};
    if (count == 0)
        return;
    struct iovec part = {bytes, 1 + sizeof(int) * count};
    struct msghdr m = {.msg_iov = &part,
                       .msg_iovlen = 1,
                       .msg_control = &rights,
                       .msg_controllen = CMSG_SPACE(sizeof(int) * count)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int) * count);
    for (unsigned i = 0; i < count; i++) {
        memcpy(bytes + 1 + sizeof(int) * i, &sockets[i].rule, sizeof(int));
        memcpy(CMSG_DATA(c) + sizeof(int) * i, &sockets[i].fd, sizeof(int));
    }
    if (sendmsg(control, &m, MSG_NOSIGNAL) < 0)
        fail(control, "cannot hand over the sockets of network.allow");
    for (unsigned i = 0; i < count; i++)
        close(sockets[i].fd);
}

/* ---- namespaces ---- */

static int write_text(const char *path, const char *text)
{
    autoclose int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd < 0 ? -errno : fdio_write_all(fd, text, strlen(text));
}

/* The one user that we are stands for itself (user_namespaces(7)). */
static int map_user(uid_t uid)
{
    char map[64];
    snprintf(map, sizeof(map), "%u %u 1\n", (unsigned)uid, (unsigned)uid);
    int r = write_text("/proc/self/setgroups", "deny");
    if (r == 0)
        r = write_text("/proc/self/uid_map", map);
    if (r == 0)
        r = write_text("/proc/self/gid_map", map);
    return r;
}

static uid_t inner_uid(const struct init *i)
{
    return i->sandbox->uid != (uid_t)-1 ? i->sandbox->uid : i->o->outer_uid;
}

static void host_name_of(const struct bundle *b, char out[64])
{
    snprintf(out, 64, "%.63s", b->name);
}

static void enter_network(struct init *i)
{
    struct lan_socket sockets[LAN_SOCKETS_MAX];
    struct error err = ERROR_INIT;
    unsigned count;
    int r = lan_open(&i->sandbox->bundle->allow, sockets, &count, &err);
    if (r < 0)
        give_up(i, r, &err);
    send_lan(i->o->control, sockets, count);
}

static void enter_root(struct init *i, const char *host_name)
{
    struct error err = ERROR_INIT;
    autobuf hosts = BUF_INIT;
    lan_hosts(&i->sandbox->bundle->allow, host_name, &hosts);
    char name[80];
    snprintf(name, sizeof(name), "%s\n", host_name);
    const struct root_options root = {
        .runtime = i->sandbox->runtime->folder,
        .folder = i->sandbox->folder,
        .readable = (const char *const *)(uintptr_t)i->sandbox->runtime->readable,
        .writable_folder = i->sandbox->preparing,
        .network = i->sandbox->preparing,
        .hosts = hosts.ptr,
        .host_name = name,
        .uid = inner_uid(i),
        .tmp_bytes = i->sandbox->preparing ? PREPARE_BYTES : TMP_BYTES,
    };
    int r = root_enter(&root, &i->proc, &err);
    if (r < 0)
        give_up(i, r, &err);
}

static void enter_namespaces(struct init *i)
{
    char host_name[64];
    struct error err = ERROR_INIT;
    host_name_of(i->sandbox->bundle, host_name);
    if (i->o->user_namespace) {
        int r = map_user(i->o->outer_uid);
        if (r < 0)
            give_up(i, r, (error_set(&err, r, "cannot map the user: %s", strerror(-r)), &err));
    }
    (void)!sethostname(host_name, strlen(host_name));
    if (!i->sandbox->preparing)
        enter_network(i);
    enter_root(i, host_name);
}

/* ---- the program ---- */

static void set_limits(const struct init *i)
{
    const struct bundle_limits *l = &i->sandbox->bundle->limits;
    uint64_t memory = l->memory_bytes + i->sandbox->runtime->memory_bytes;
    /* Processes are counted over all of the user's, so over all workers of the function; outside
     * of a user namespace of its own, where the user is not the function's, over everybody's. */
    bool own_user = i->sandbox->uid != (uid_t)-1 || i->o->user_namespace;
    const struct confine_limits limits = {
        .data_bytes = i->sandbox->preparing || !LIMITS_DATA ? 0 : 2 * memory + DATA_EXTRA,
        .file_bytes = FILE_BYTES,
        .files = FILES_MAX + 2 * l->concurrency,
        .processes = own_user ? PROCESSES_LEAST + 16 * l->concurrency : 0,
    };
    int r = confine_limits(&limits);
    if (r < 0)
        fail(i->o->control, "cannot lower the resource limits");
}

static void limit_files(const struct init *i, const struct runtime_places *places, const char *tmp)
{
    static const char *const system_readable[] = {
        "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/proc",
    };
    const char *readable[COUNT_OF(system_readable) + RUNTIME_WORDS_MAX + 8] = {0};
    const char *writable[] = {
        tmp,  "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom",
        NULL, NULL,        NULL,        NULL,
    };
    size_t count = 0, written = 6;
    bool private_root = i->o->namespaces;
    for (size_t j = 0; j < COUNT_OF(system_readable); j++) {
        /* The system's own /etc and /proc hold more than what is the function's business. */
        bool shared =
            strcmp(system_readable[j], "/etc") == 0 || strcmp(system_readable[j], "/proc") == 0;
        if (!shared || private_root)
            readable[count++] = system_readable[j];
    }
    static const char *const open_files[] = {"/etc/ld.so.cache", "/etc/localtime", "/etc/ssl"};
    for (size_t j = 0; !private_root && j < COUNT_OF(open_files); j++)
        readable[count++] = open_files[j];
    if (!private_root)
        readable[count++] = "/proc/self";
    if (i->sandbox->preparing && !private_root)
        readable[count++] = "/etc";
    for (char **more = i->sandbox->runtime->readable; more != NULL && *more != NULL; more++)
        readable[count++] = *more;
    readable[count++] = places->runtime;
    readable[count++] = places->runner;
    if (!i->sandbox->preparing)
        readable[count++] = places->code;
    if (!i->sandbox->preparing)
        readable[count++] = places->packages;
    if (i->sandbox->preparing) {
        writable[written++] = places->code;
        writable[written++] = places->packages;
    }
    if (private_root)
        writable[written++] = "/dev/shm";
    const struct confine_paths paths = {
        .readable = readable, .writable = writable, .execute_written = i->sandbox->preparing};
    int r = confine_files(&paths);
    if (r == -ENOSYS || r == -EOPNOTSUPP)
        say(i->o->control, SANDBOX_MISSING, "Landlock (the kernel has none)");
    else if (r < 0)
        fail(i->o->control, "cannot confine the files (Landlock)");
}

static void place_descriptors(const struct init *i)
{
    const struct init_options *o = i->o;
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int listener = i->sandbox->listener;
    /* out of the way of 0 to 3 */
    int out = fcntl(o->out, F_DUPFD_CLOEXEC, 10), err = fcntl(o->err, F_DUPFD_CLOEXEC, 10);
    int served = listener >= 0 ? fcntl(listener, F_DUPFD_CLOEXEC, 10) : -1;
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 ||
        dup2(err, STDERR_FILENO) < 0)
        fail(o->control, "cannot place the program's descriptors");
    /* Simple servers expect accept() to wait. */
    if (listener >= 0 && (dup2(served, LISTENER_FD) < 0 || fcntl(LISTENER_FD, F_SETFL, 0) < 0))
        fail(o->control, "cannot hand over the socket");
    if (listener < 0)
        close(LISTENER_FD);
}

/* All but 0 to 3 are closed by exec; the control socket stays until then, for errors. */
static void close_others(int control)
{
    (void)close_range(LISTENER_FD + 1, ~0u, CLOSE_RANGE_CLOEXEC);
    (void)fcntl(control, F_SETFD, FD_CLOEXEC);
}

static _Noreturn void run_program(const struct init *i, const struct runtime_places *places,
                                  const char *tmp)
{
    int control = fcntl(i->o->control, F_DUPFD_CLOEXEC, 10);
    sigset_t none;
    sigemptyset(&none);
    (void)setsid();
    place_descriptors(i);
    close_others(control);
    set_limits(i);
    bool confined = i->sandbox->confinement != CONFINEMENT_NONE;
    int r = confine_user(i->sandbox->uid);
    if (r < 0)
        fail(control, "cannot become the function's user");
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* where init has no namespace that ends with it */
    if (confined)
        limit_files(i, places, tmp);
    if (confined && confine_calls() < 0)
        fail(control, "cannot filter system calls (seccomp)");
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL);
    execve(i->program.argv[0], i->program.argv, i->program.envp);
    char text[256];
    snprintf(text, sizeof(text), "cannot run %.160s: %s", i->program.argv[0], strerror(errno));
    fail(control, text);
}

static void start_program(struct init *i)
{
    char code[4096], packages[4096], runner[4096];
    const struct sandbox_options *s = i->sandbox;
    snprintf(code, sizeof(code), "%s/code", s->folder);
    snprintf(packages, sizeof(packages), "%s/packages", s->folder);
    ssize_t n = readlink("/proc/self/exe", runner, sizeof(runner) - 1);
    runner[n > 0 ? n : 0] = '\0';
    struct runtime_places places = {
        .runtime = i->o->namespaces ? ROOT_RUNTIME : s->runtime->folder,
        .code = i->o->namespaces ? ROOT_CODE : code,
        .packages = i->o->namespaces ? ROOT_PACKAGES : packages,
        .runner = i->o->namespaces ? ROOT_RUNNER : runner,
        .main = s->bundle->main,
    };
    const char *tmp = i->o->namespaces ? "/tmp" : i->o->tmp;
    struct error err = ERROR_INIT;
    if (program_build(s, &places, tmp, i->o->namespaces && s->bundle->allow.has_suffix, &i->program,
                      &err) < 0)
        fail(i->o->control, err.message);
    if (!i->o->namespaces && chdir(places.code) < 0)
        fail(i->o->control, "cannot enter the code's folder");
    i->child = fork();
    if (i->child == 0)
        run_program(i, &places, tmp);
    if (i->child < 0)
        fail(i->o->control, "cannot fork");
}

/* ---- its life ---- */

/* Without a PID namespace: what the program left behind came to us (we are its subreaper). */
static void kill_rest(void)
{
    for (int round = 0; round < 1000; round++) {
        char path[64], text[4096];
        snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
        autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;
        if (n <= 0)
            return;
        text[n] = '\0';
        for (char *at = text, *end; *at != '\0'; at = end) {
            long pid = strtol(at, &end, 10);
            if (end == at)
                break;
            if (pid > 1)
                (void)kill((pid_t)pid, SIGKILL);
        }
        while (waitpid(-1, NULL, 0) > 0)
            ;
    }
}

static _Noreturn void end(const struct init *i, int status)
{
    char bytes[1 + sizeof(int)] = {SANDBOX_EXITED};
    memcpy(bytes + 1, &status, sizeof(status));
    (void)!send(i->o->control, bytes, sizeof(bytes), MSG_NOSIGNAL);
    if (!i->o->namespaces)
        kill_rest();
    _exit(0); /* in a PID namespace the kernel kills the rest */
}

static void reap(const struct init *i)
{
    struct signalfd_siginfo info;
    (void)!read(i->signals, &info, sizeof(info));
    int status, program_status = -1;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        if (pid == i->child)
            program_status = status;
    if (program_status != -1)
        end(i, program_status);
}

static void obey(const struct init *i)
{
    char bytes[16];
    ssize_t n = recv(i->o->control, bytes, sizeof(bytes), 0);
    if (n > 0 && bytes[0] == SANDBOX_END) {
        (void)kill(-i->child, SIGTERM);
        return;
    }
    if (n < 0 && errno == EINTR)
        return;
    (void)kill(i->child, SIGKILL);
    (void)kill(-i->child, SIGKILL);
    end(i, 0);
}

static _Noreturn void live(const struct init *i)
{
    struct pollfd all[] = {{.fd = i->signals, .events = POLLIN},
                           {.fd = i->o->control, .events = POLLIN}};
    for (;;) {
        if (poll(all, 2, -1) < 0)
            continue;
        if (all[0].revents != 0)
            reap(i);
        if (all[1].revents != 0)
            obey(i);
    }
}

/* From here on it is a process of the function, with nothing open but the control socket. */
static void give_up_privileges(const struct init *i)
{
    close(i->o->out);
    close(i->o->err);
    if (i->sandbox->listener >= 0)
        close(i->sandbox->listener);
    if (confine_user(i->sandbox->uid) < 0)
        fail(i->o->control, "cannot become the function's user");
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* changing the user took it away */
    (void)prctl(PR_SET_DUMPABLE, 0);
    if (i->sandbox->confinement != CONFINEMENT_NONE && confine_calls() < 0)
        fail(i->o->control, "cannot filter system calls (seccomp)");
}

static void catch_signals(struct init *i)
{
    sigset_t all;
    sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, NULL);
    sigset_t watched;
    sigemptyset(&watched);
    sigaddset(&watched, SIGCHLD);
    i->signals = signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK);
    if (i->signals < 0)
        fail(i->o->control, "cannot watch for signals");
}

_Noreturn void init_run(const struct init_options *o)
{
    struct init i = {.o = o, .sandbox = o->sandbox, .signals = -1};
    char go;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (recv(o->control, &go, 1, 0) != 1)
        _exit(127);
    catch_signals(&i);
    if (o->namespaces)
        enter_namespaces(&i);
    start_program(&i);
    give_up_privileges(&i);
    say(o->control, SANDBOX_STARTED, "");
    live(&i);
}
