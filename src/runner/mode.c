/* SPDX-License-Identifier: Apache-2.0 */
/* The modes: what they read and write besides running a program. */
#include "base/clock.h"
#include "base/encoding.h"
#include "base/fdio.h"
#include "base/log.h"
#include "base/memory.h"
#include "http/listen.h"
#include "runner/protocol.h"
#include "runner/report.h"
#include "runner/runner.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define UID_NOBODY 65534
#define BACKLOG    1024

int runner_choose_main(const struct runtime *r, struct bundle *b, struct error *err)
{
    const char **names = calloc(json_object_size(b->files) + 1, sizeof(*names));
    size_t count = 0;
    const char *name;
    json_t *text;
    if (names == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    json_object_foreach(b->files, name, text)
    {
        names[count++] = name;
    }
    b->main = runtime_choose_main(r, b->main, names, count);
    free(names);
    if (b->main != NULL || r->main == NULL || b->arguments != NULL)
        return 0;
    return error_field(err, -ENOENT, "spec.main",
                       "which file is started is not clear: name it in spec.main, or call it %s",
                       r->main[0]);
}

/* The runtime, the bundle, and which of its files is the main one. */
static int read_parts(const struct runner_options *o, int bundle_fd, struct runtime **ret_runtime,
                      struct bundle *ret_bundle, struct error *err)
{
    autoclose int opened =
        o->bundle != NULL ? open(o->bundle, O_RDONLY | O_CLOEXEC) : STEAL_FD(bundle_fd);
    if (opened < 0)
        return error_set(err, -errno, "cannot open the bundle %s: %s",
                         o->bundle != NULL ? o->bundle : "", strerror(errno));
    int r = runtime_load(o->runtime, ret_runtime, err);
    if (r < 0)
        return r;
    if ((*ret_runtime)->sandbox != RUNTIME_PROCESS)
        return error_set(err, -EINVAL, "the runtime %s needs no runner: sluice-worker runs it",
                         (*ret_runtime)->name);
    r = bundle_read(opened, ret_bundle, err);
    return r < 0 ? r : runner_choose_main(*ret_runtime, ret_bundle, err);
}

/* ---- worker ---- */

static int fail_worker(const struct error *err)
{
    report_failed(slice_text(err->message), slice_of(NULL, 0), 0);
    return RUNNER_EXIT_FAILED;
}

static void keep_from_programs(int fd)
{
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
}

int mode_worker(const struct runner_options *o)
{
    struct runtime *runtime = NULL;
    struct bundle bundle = {0};
    struct error err = ERROR_INIT;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (fcntl(RUNNER_REPORT_FD, F_GETFD) < 0 || fcntl(RUNNER_LISTENER_FD, F_GETFD) < 0 ||
        fcntl(RUNNER_BUNDLE_FD, F_GETFD) < 0) {
        log_error("worker is started by sluice, with descriptors 3 to 5; use serve");
        return RUNNER_EXIT_FAILED;
    }
    keep_from_programs(RUNNER_LISTENER_FD);
    keep_from_programs(RUNNER_REPORT_FD);
    report_setup(RUNNER_REPORT_FD);
    if (read_parts(o, RUNNER_BUNDLE_FD, &runtime, &bundle, &err) < 0 || runtime == NULL)
        return fail_worker(&err);
    const struct sandbox_options sandbox = {
        .runtime = runtime,
        .folder = o->folder,
        .bundle = &bundle,
        .words = runtime->command,
        .uid = o->uid,
        .confinement = o->confinement,
        .listener = RUNNER_LISTENER_FD,
    };
    int status = worker_run(&sandbox, NULL, NULL);
    bundle_done(&bundle);
    runtime_free(runtime);
    return status;
}

/* ---- prepare ---- */

static void print_json(json_t *object)
{
    char *text = object != NULL ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    if (text != NULL && fdio_write_all(STDOUT_FILENO, text, strlen(text)) == 0)
        (void)fdio_write_all(STDOUT_FILENO, "\n", 1);
    free(text);
}

/* What a program prints may be no UTF-8, which JSON must be. */
static void print_progress(unsigned step, unsigned steps, struct slice text)
{
    autobuf line = BUF_INIT;
    buf_printf(&line, "{\"progress\":{\"step\":%u,\"steps\":%u,\"text\":", step, steps);
    buf_add_json_string(&line, slice_of(text.ptr, text.len < 1024 ? text.len : 1024));
    buf_add_text(&line, "}}\n");
    if (buf_ok(&line))
        (void)fdio_write_all(STDOUT_FILENO, line.ptr, line.len);
}

static void print_outcome(int r, unsigned steps, uint64_t started, const char *reason,
                          const struct error *err)
{
    autobuf line = BUF_INIT;
    if (r == 0) {
        print_json(json_pack("{s:b,s:I,s:I}", "ok", 1, "milliseconds",
                             (json_int_t)((clock_monotonic() - started) / CLOCK_MILLISECOND),
                             "steps", (json_int_t)steps));
        return;
    }
    buf_printf(&line, "{\"ok\":false,\"reason\":\"%s\",\"message\":", reason);
    buf_add_json_string(&line, slice_text(err->message));
    buf_add_text(&line, ",\"field\":");
    buf_add_json_string(&line, slice_text(err->field));
    buf_add_text(&line, "}\n");
    if (buf_ok(&line))
        (void)fdio_write_all(STDOUT_FILENO, line.ptr, line.len);
}

int mode_prepare(const struct runner_options *o)
{
    struct runtime *runtime = NULL;
    struct bundle bundle = {0};
    struct error err = ERROR_INIT;
    uint64_t started = clock_monotonic();
    unsigned steps = 0;
    const char *reason = "CodeRefused";
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    int r = read_parts(o, RUNNER_BUNDLE_FD, &runtime, &bundle, &err);
    if (runtime == NULL)
        reason = "RuntimeBroken";
    if (r == 0) {
        const struct prepare_options prepare = {
            .runtime = runtime,
            .folder = o->folder,
            .bundle = &bundle,
            .uid = o->uid,
            .confinement = o->confinement,
            .progress = print_progress,
        };
        r = prepare_run(&prepare, &steps, &reason, &err);
    }
    print_outcome(r, steps, started, reason, &err);
    bundle_done(&bundle);
    runtime_free(runtime);
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- serve ---- */

static void show_progress(unsigned step, unsigned steps, struct slice text)
{
    fprintf(stderr, "[%u/%u] " SLICE_FMT "\n", step, steps, SLICE_ARG(text));
}

static void say_address(void *ctx)
{
    autobuf line = BUF_INIT;
    buf_printf(&line, "listening on %s\n", (const char *)ctx);
    if (buf_ok(&line))
        (void)fdio_write_all(STDOUT_FILENO, line.ptr, line.len);
}

static int listen_unix(const char *path, struct error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path))
        return error_set(err, -ENAMETOOLONG, "the socket's path is too long: %s", path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    (void)unlink(path);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(fd, BACKLOG) < 0)
        return error_set(err, -errno, "cannot listen on %s: %s", path, strerror(errno));
    return STEAL_FD(fd);
}

/* N of "fd:N"; -1 when it is none. */
static int descriptor_named(const char *text)
{
    uint64_t fd;
    if (text == NULL || strncmp(text, "fd:", 3) != 0 ||
        encoding_parse_u64(slice_text(text + 3), &fd) < 0 || fd > 1 << 20 ||
        fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0)
        return -1;
    return (int)fd;
}

static int adopt(int fd, struct http_listen *ret, struct error *err)
{
    struct http_guard guard = {0};
    return fd < 0 ? fd : http_listen_adopt(fd, ret, &guard, err);
}

static int open_listener(const char *listen, struct http_listen *ret, struct error *err)
{
    if (listen != NULL && strncmp(listen, "unix:", 5) == 0)
        return adopt(listen_unix(listen + 5, err), ret, err);
    if (listen != NULL && strncmp(listen, "fd:", 3) == 0) {
        int fd = descriptor_named(listen);
        return fd < 0 ? error_set(err, -EBADF, "--listen %.20s names no open descriptor", listen)
                      : adopt(fd, ret, err);
    }
    static char from_port[32];
    const char *port = getenv("PORT");
    struct http_guard guard = {0};
    if (listen == NULL && port != NULL && port[0] != '\0') {
        snprintf(from_port, sizeof(from_port), "0.0.0.0:%.8s", port);
        listen = from_port;
    }
    return http_listen_open(listen != NULL ? listen : "127.0.0.1:8080", ret, &guard, err);
}

/* Where the files go when no folder is named. Its name is kept from others; the function's user
 * sees what is in it only. */
static int make_folder(char *path, size_t size, struct error *err)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(path, size, "%s/sluice-run-XXXXXX", tmp != NULL && tmp[0] == '/' ? tmp : "/tmp");
    if (mkdtemp(path) == NULL)
        return error_set(err, -errno, "cannot make a folder %s: %s", path, strerror(errno));
    return chmod(path, 0755) < 0 ? -errno : 0;
}

static const char *runtime_of_bundle(const char *path, char *name, size_t size, struct error *err)
{
    struct bundle b = {0};
    autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        error_set(err, -errno, "cannot open %s: %s", path, strerror(errno));
        return NULL;
    }
    if (bundle_read(fd, &b, err) < 0)
        return NULL;
    if (b.runtime == NULL)
        error_set(err, -EINVAL, "%s names no runtime", path);
    snprintf(name, size, "%s", b.runtime != NULL ? b.runtime : "");
    bundle_done(&b);
    return name[0] != '\0' ? name : NULL;
}

static int find_runtime(const struct runner_options *o, char *folder, size_t size,
                        struct error *err)
{
    char name[256];
    char *directory = NULL;
    struct runtime_set *set = NULL;
    if (runtime_of_bundle(o->bundle, name, sizeof(name), err) == NULL)
        return -EINVAL;
    int r = runtime_directory(o->runtimes, &directory, err);
    if (r == 0)
        r = runtime_set_load(directory, &set, err);
    const struct runtime *found = r == 0 ? runtime_set_find(set, name) : NULL;
    if (found != NULL) {
        snprintf(folder, size, "%s", found->folder);
    } else if (r == 0) {
        autobuf names = BUF_INIT;
        runtime_set_names(set, &names);
        r = error_set(err, -ENOENT, "there is no runtime %s in %s: there are %s", name, directory,
                      names.ptr != NULL ? names.ptr : "none");
    }
    runtime_set_free(set);
    free(directory);
    return r;
}

static int prepare_and_serve(const struct runner_options *o, const struct runtime *runtime,
                             const struct bundle *bundle, struct error *err)
{
    struct http_listen listener = {.fd = -1};
    unsigned steps;
    const char *reason;
    const struct prepare_options prepare = {
        .runtime = runtime,
        .folder = o->folder,
        .bundle = bundle,
        .uid = o->uid,
        .confinement = o->confinement,
        .progress = show_progress,
    };
    int r = open_listener(o->listen, &listener, err);
    if (r == 0)
        r = prepare_run(&prepare, &steps, &reason, err);
    if (r < 0) {
        if (listener.fd >= 0)
            close(listener.fd);
        return r == -ECANCELED ? RUNNER_EXIT_ENDED : fail_worker(err);
    }
    const struct sandbox_options sandbox = {
        .runtime = runtime,
        .folder = o->folder,
        .bundle = bundle,
        .words = runtime->command,
        .uid = o->uid,
        .confinement = o->confinement,
        .standalone = true,
        .listener = listener.fd,
    };
    int status = worker_run(&sandbox, o->report == NULL ? say_address : NULL, listener.address);
    if (o->listen != NULL && strncmp(o->listen, "unix:", 5) == 0)
        (void)unlink(listener.address + 5);
    close(listener.fd);
    return status;
}

int mode_serve(const struct runner_options *given)
{
    char folder[PATH_MAX] = "", runtime_folder[PATH_MAX] = "";
    struct runner_options o = *given;
    struct runtime *runtime = NULL;
    struct bundle bundle = {0};
    struct error err = ERROR_INIT;
    report_setup(descriptor_named(o.report));
    if (geteuid() == 0 && o.uid == (uid_t)-1)
        o.uid = UID_NOBODY;
    int r = find_runtime(&o, runtime_folder, sizeof(runtime_folder), &err);
    o.runtime = runtime_folder;
    if (r == 0)
        r = read_parts(&o, -1, &runtime, &bundle, &err);
    if (r == 0 && o.folder == NULL)
        r = make_folder(folder, sizeof(folder), &err);
    if (o.folder == NULL)
        o.folder = folder;
    int status = r < 0 || runtime == NULL ? fail_worker(&err)
                                          : prepare_and_serve(&o, runtime, &bundle, &err);
    if (folder[0] != '\0')
        (void)fdio_remove_tree(folder);
    bundle_done(&bundle);
    runtime_free(runtime);
    return status;
}
