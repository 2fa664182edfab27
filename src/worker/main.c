/* SPDX-License-Identifier: Apache-2.0 */
/* sluice-worker: the program that runs the user's functions. As `zygote` it serves the broker; as
 * `serve` it is a function server of its own. */
#include "worker/fetch.h"
#include "worker/worker_internal.h"

#include "base/encoding.h"
#include "base/fdio.h"
#include "base/log.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MAIN_BUNDLE_MAX (64 * 1024 * 1024)

static const char usage[] =
    "usage: sluice-worker serve --bundle FILE [--listen HOST:PORT|unix:PATH|fd:N] [--module "
    "FILE.so]\n"
    "                           [--workers N] [--report fd:N] [--environment own]\n"
    "       sluice-worker zygote            (started by sluice, with a socket as descriptor 3)\n"
    "       sluice-worker version\n"
    "\n"
    "serve answers HTTP with the function of a bundle. Without --listen it listens on port $PORT "
    "of\n"
    "all addresses, or on 127.0.0.1:8080 when that is not set. With --workers it runs in N "
    "processes,\n"
    "each with its own instances. With --report the descriptor gets JSON lines instead of text on\n"
    "standard output: ready, failed, log, limit. With --environment own the function sees the\n"
    "variables of this process, before those of the bundle.\n";

/* alone: in a container that forbids filters there is none; confine_self() tells. */
static int prepare(bool alone, struct error *err)
{
    int status = guard_init(err);
    if (status == 0)
        status = engine_init(err);
    if (status == 0)
        status = program_prepare(err);
    if (status == 0)
        status = confine_prepare(err);
    if (status == -EPERM && alone)
        *err = (struct error)ERROR_INIT;
    return status == -EPERM && alone ? 0 : status;
}

static int fail(const char *message)
{
    log_error("%s", message);
    return EXIT_FAILURE;
}

static int run_zygote(void)
{
    int type = 0;
    socklen_t len = sizeof(type);
    if (getsockopt(WORKER_ZYGOTE_FD, SOL_SOCKET, SO_TYPE, &type, &len) != 0 ||
        type != SOCK_SEQPACKET)
        return fail("the zygote is started by sluice; descriptor 3 is not its socket");
    fcntl(WORKER_ZYGOTE_FD, F_SETFD, FD_CLOEXEC);
    struct error err = ERROR_INIT;
    if (prepare(false, &err) < 0)
        return fail(err.message);
    network_leave(fetch_link_spawn);
    return zygote_run(WORKER_ZYGOTE_FD);
}

static int listen_unix(const char *path, struct error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path))
        return error_set(err, -ENAMETOOLONG, "the socket's path is too long: %s", path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return error_set(err, -errno, "cannot make a socket: %s", strerror(errno));
    unlink(path);
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(fd, 512) == 0)
        return fd;
    error_set(err, -errno, "cannot listen on %s: %s", path, strerror(errno));
    close(fd);
    return err->code;
}

struct arguments {
    const char *bundle, *listen, *module, *workers, *report, *environment;
};

static bool parse_arguments(int argc, char **argv, struct arguments *a)
{
    for (int i = 2; i < argc; i += 2) {
        const char **to = strcmp(argv[i], "--bundle") == 0        ? &a->bundle
                          : strcmp(argv[i], "--listen") == 0      ? &a->listen
                          : strcmp(argv[i], "--module") == 0      ? &a->module
                          : strcmp(argv[i], "--workers") == 0     ? &a->workers
                          : strcmp(argv[i], "--report") == 0      ? &a->report
                          : strcmp(argv[i], "--environment") == 0 ? &a->environment
                                                                  : NULL;
        if (to == NULL || i + 1 >= argc)
            return false;
        *to = argv[i + 1];
    }
    bool known = a->environment == NULL || strcmp(a->environment, "own") == 0;
    return a->bundle != NULL && known;
}

static const char *default_listen(void)
{
    static char text[32];
    const char *port = getenv("PORT");
    if (port == NULL || port[0] == '\0')
        return "127.0.0.1:8080";
    snprintf(text, sizeof(text), "0.0.0.0:%.8s", port);
    return text;
}

/* 0 when it is no number from 1 to the most. */
static unsigned worker_count(const char *text)
{
    uint64_t count = 1;
    if (text != NULL &&
        (encoding_parse_u64(slice_text(text), &count) < 0 || count > POOL_WORKERS_MAX))
        return 0;
    return (unsigned)count;
}

/* Several processes: only behind a port, where the kernel spreads connections over their sockets.
 */
static int serve_pool(const struct serve_options *o, unsigned workers, struct slice bundle,
                      int module)
{
    struct error err = ERROR_INIT;
    if (o->listen == NULL)
        return fail("--workers wants a HOST:PORT to listen on, not a Unix socket");
    int status = pool_run(o->listen, workers, bundle, module, &err);
    return status < 0 ? fail(err.message) : status;
}

/* N of "fd:N"; -1 when it is none. */
static int descriptor_named(const char *text)
{
    uint64_t n;
    if (text == NULL || strncmp(text, "fd:", 3) != 0 ||
        encoding_parse_u64(slice_text(text + 3), &n) < 0 || n > INT_MAX ||
        fcntl((int)n, F_SETFD, FD_CLOEXEC) != 0)
        return -1;
    return (int)n;
}

/* A listening socket that was made already: by us, or by who started us. */
static void adopt_socket(struct serve_options *o, struct error *err)
{
    if (strncmp(o->listen, "unix:", 5) == 0) {
        o->address = o->listen;
        o->listen_fd = listen_unix(o->listen + 5, err);
        o->listen = NULL;
    } else if (strncmp(o->listen, "fd:", 3) == 0) {
        o->listen_fd = descriptor_named(o->listen);
        if (o->listen_fd < 0)
            error_set(err, -EBADF, "--listen %.20s names no open descriptor", o->listen);
        o->listen = NULL;
    }
}

static int run_serve(int argc, char **argv)
{
    struct arguments a = {0};
    struct error err = ERROR_INIT;
    struct buf bundle = BUF_INIT; /* lives as long as the process */
    if (!parse_arguments(argc, argv, &a) || worker_count(a.workers) == 0) {
        fputs(usage, stderr);
        return EXIT_FAILURE;
    }
    int status = fdio_read_file(a.bundle, MAIN_BUNDLE_MAX, &bundle);
    if (status < 0) {
        error_set(&err, status, "cannot read %s: %s", a.bundle, strerror(-status));
        return fail(err.message);
    }
    if (a.environment != NULL && bundle_add_environment(&bundle, &err) < 0)
        return fail(err.message);
    int module = a.module != NULL ? open(a.module, O_RDONLY | O_CLOEXEC) : -1;
    if (a.module != NULL && module < 0) {
        error_set(&err, -errno, "cannot open %s: %s", a.module, strerror(errno));
        return fail(err.message);
    }
    struct serve_options options = {.listen = a.listen != NULL ? a.listen : default_listen(),
                                    .listen_fd = -1,
                                    .standalone = a.report == NULL,
                                    .alone = true};
    int report = descriptor_named(a.report);
    if (a.report != NULL && report < 0)
        return fail("--report wants an open descriptor, as fd:5");
    if (report >= 0)
        (void)prctl(PR_SET_PDEATHSIG, SIGTERM); /* nobody would know of it any more */
    adopt_socket(&options, &err);
    if (err.code != 0 || prepare(true, &err) < 0)
        return fail(err.message);
    report_setup(report >= 0 ? report : STDOUT_FILENO, report < 0);
    if (worker_count(a.workers) > 1)
        return serve_pool(&options, worker_count(a.workers), buf_slice(&bundle), module);
    serve_catch_signals();
    /* Handlers of exit() may want what the filter forbids. */
    _exit(serve_run(buf_slice(&bundle), module, &options));
}

int main(int argc, char **argv)
{
    log_setup("worker", LOG_LEVEL_INFO, false);
    if (argc == 2 && strcmp(argv[1], "zygote") == 0)
        return run_zygote();
    if (argc >= 2 && strcmp(argv[1], "serve") == 0)
        return run_serve(argc, argv);
    if (argc == 2 && strcmp(argv[1], "version") == 0) {
        puts("sluice-worker " SLUICE_VERSION);
        return EXIT_SUCCESS;
    }
    fputs(usage, argc == 2 && strcmp(argv[1], "--help") == 0 ? stdout : stderr);
    return argc == 2 && strcmp(argv[1], "--help") == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
