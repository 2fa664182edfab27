/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/root.h"

#include "base/fdio.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What is taken over from the system; what is missing is passed over. No folder that holds data of
 * services or users. */
static const char *const system_paths[] = {
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/fonts",
    "/etc/java-17-openjdk",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/magic",
    "/etc/mime.types",
    "/etc/perl",
    "/etc/pki",
    "/etc/protocols",
    "/etc/python3",
    "/etc/python3.11",
    "/etc/services",
    "/etc/ssl",
    "/etc/timezone",
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
};
/* And besides where the network is the system's: while packages are installed. */
static const char *const network_paths[] = {
    "/etc/resolv.conf", "/etc/hosts",    "/etc/nsswitch.conf", "/etc/gai.conf",
    "/etc/host.conf",   "/etc/pip.conf", "/etc/npmrc",
};

struct source {
    const char *path; /* where it will be */
    int tree;         /* a detached copy of the mount */
    bool folder, writable;
    char *link; /* a symbolic link instead */
};

#define SOURCES_MAX (COUNT_OF(system_paths) + COUNT_OF(network_paths) + RUNTIME_WORDS_MAX + 8)

struct root {
    const struct root_options *o;
    struct source sources[SOURCES_MAX];
    size_t count;
    int fd; /* the new root */
    struct error *err;
};

static int fail(struct root *r, int code, const char *what, const char *path)
{
    return error_set(r->err, code, "%s %s: %s", what, path, strerror(-code));
}

/* ---- what goes in ---- */

static int take_link(struct root *r, const char *path)
{
    char target[PATH_MAX];
    ssize_t n = readlink(path, target, sizeof(target) - 1);
    if (n < 0)
        return fail(r, -errno, "cannot read the link", path);
    target[n] = '\0';
    struct source *s = &r->sources[r->count];
    *s = (struct source){.path = path, .tree = -1, .link = strdup(target)};
    if (s->link == NULL)
        return fail(r, -ENOMEM, "no memory for", path);
    r->count++;
    return 0;
}

static int take(struct root *r, const char *from, const char *path, bool writable)
{
    struct stat info;
    int tree = open_tree(AT_FDCWD, from, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    if (tree < 0 || fstat(tree, &info) < 0)
        return fail(r, -errno, "cannot take over", from);
    bool device = S_ISCHR(info.st_mode);
    struct mount_attr attributes = {
        .attr_set = MOUNT_ATTR_NOSUID | (device ? 0 : MOUNT_ATTR_NODEV) |
                    (writable || device ? 0 : MOUNT_ATTR_RDONLY),
    };
    if (mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof(attributes)) <
        0) {
        int code = fail(r, -errno, "cannot protect", from);
        close(tree);
        return code;
    }
    r->sources[r->count++] = (struct source){
        .path = path, .tree = tree, .folder = S_ISDIR(info.st_mode), .writable = writable};
    return 0;
}

/* /bin and /lib are links on today's systems: they stay such. */
static int take_system(struct root *r, const char *const *paths, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct stat info;
        if (lstat(paths[i], &info) < 0)
            continue;
        bool top = strchr(paths[i] + 1, '/') == NULL;
        int code = S_ISLNK(info.st_mode) && top ? take_link(r, paths[i])
                                                : take(r, paths[i], paths[i], false);
        if (code == -ENOENT)
            continue; /* a link to nowhere */
        if (code < 0)
            return code;
    }
    return 0;
}

static int take_own(struct root *r)
{
    char path[PATH_MAX], program[PATH_MAX];
    const struct root_options *o = r->o;
    int code = take(r, o->runtime, ROOT_RUNTIME, false);
    snprintf(path, sizeof(path), "%s/code", o->folder);
    if (code == 0)
        code = take(r, path, ROOT_CODE, o->writable_folder);
    snprintf(path, sizeof(path), "%s/packages", o->folder);
    if (code == 0)
        code = take(r, path, ROOT_PACKAGES, o->writable_folder);
    ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);
    if (n > 0) {
        program[n] = '\0';
        if (code == 0)
            code = take(r, program, ROOT_RUNNER, false);
    }
    for (size_t i = 0; code == 0 && o->readable != NULL && o->readable[i] != NULL; i++)
        if (access(o->readable[i], F_OK) == 0)
            code = take(r, o->readable[i], o->readable[i], false);
    return code;
}

/* ---- where it goes ---- */

/* A path without its leading slash: relative to the new root. */
static const char *inside(const char *path)
{
    return path + 1;
}

static int make_parents(struct root *r, const char *path)
{
    char part[PATH_MAX];
    for (const char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        snprintf(part, sizeof(part), "%.*s", (int)(slash - path - 1), path + 1);
        if (mkdirat(r->fd, part, 0755) < 0 && errno != EEXIST)
            return fail(r, -errno, "cannot make", path);
    }
    return 0;
}

static int place(struct root *r, struct source *s)
{
    int code = make_parents(r, s->path);
    if (code < 0)
        return code;
    if (s->link != NULL)
        return symlinkat(s->link, r->fd, inside(s->path)) < 0 && errno != EEXIST
                   ? fail(r, -errno, "cannot link", s->path)
                   : 0;
    if (s->folder && mkdirat(r->fd, inside(s->path), 0755) < 0 && errno != EEXIST)
        return fail(r, -errno, "cannot make", s->path);
    if (!s->folder) {
        autoclose int file = openat(r->fd, inside(s->path), O_WRONLY | O_CREAT | O_CLOEXEC, 0444);
        if (file < 0)
            return fail(r, -errno, "cannot make", s->path);
    }
    if (move_mount(s->tree, "", r->fd, inside(s->path), MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return fail(r, -errno, "cannot mount", s->path);
    return 0;
}

static int write_file(struct root *r, const char *path, const char *text)
{
    int code = make_parents(r, path);
    if (code < 0)
        return code;
    autoclose int fd =
        openat(r->fd, inside(path), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0444);
    if (fd < 0)
        return errno == EEXIST ? 0 : fail(r, -errno, "cannot write", path);
    code = fdio_write_all(fd, text, strlen(text));
    return code < 0 ? fail(r, code, "cannot write", path) : 0;
}

/* Files that name users, hosts and resolvers: made for it, since the system's say too much. */
static int write_files(struct root *r)
{
    const struct root_options *o = r->o;
    char passwd[256], group[128];
    snprintf(passwd, sizeof(passwd),
             "root:x:0:0:root:/:/usr/sbin/nologin\nfunction:x:%u:%u:function:/tmp:/bin/sh\n",
             (unsigned)o->uid, (unsigned)o->uid);
    snprintf(group, sizeof(group), "root:x:0:\nfunction:x:%u:\n", (unsigned)o->uid);
    const struct {
        const char *path, *text;
    } files[] = {
        {"/etc/passwd", passwd},
        {"/etc/group", group},
        {"/etc/hostname", o->host_name},
        {"/etc/hosts", o->hosts != NULL ? o->hosts : "127.0.0.1 localhost\n"},
        /* Names are in /etc/hosts, and nobody answers for others. */
        {"/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n"},
        {"/etc/resolv.conf", "options timeout:1 attempts:1\n"},
    };
    int code = 0;
    for (size_t i = 0; code == 0 && i < COUNT_OF(files); i++)
        code = write_file(r, files[i].path, files[i].text);
    return code;
}

static int make_links(struct root *r)
{
    static const struct {
        const char *path, *target;
    } links[] = {
        {"/dev/fd", "/proc/self/fd"},
        {"/dev/stdin", "/proc/self/fd/0"},
        {"/dev/stdout", "/proc/self/fd/1"},
        {"/dev/stderr", "/proc/self/fd/2"},
        {"/var/tmp", "/tmp"},
    };
    for (size_t i = 0; i < COUNT_OF(links); i++) {
        int code = make_parents(r, links[i].path);
        if (code < 0)
            return code;
        if (symlinkat(links[i].target, r->fd, inside(links[i].path)) < 0)
            return fail(r, -errno, "cannot link", links[i].path);
    }
    return 0;
}

static int mount_tmp(struct root *r, const char *path)
{
    char options[128];
    snprintf(options, sizeof(options), "size=%llu,nr_inodes=65536,mode=0700,uid=%u,gid=%u",
             (unsigned long long)r->o->tmp_bytes, (unsigned)r->o->uid, (unsigned)r->o->uid);
    int code = make_parents(r, path);
    if (code < 0)
        return code;
    if (mkdirat(r->fd, inside(path), 0755) < 0 && errno != EEXIST)
        return fail(r, -errno, "cannot make", path);
    /* the working folder is the new root */
    if (mount("tmpfs", inside(path), "tmpfs", MS_NOSUID | MS_NODEV, options) < 0)
        return fail(r, -errno, "cannot mount", path);
    return 0;
}

/* In some containers /proc may not be mounted anew; programs do without. */
static bool mount_proc(struct root *r)
{
    return mkdirat(r->fd, "proc", 0555) == 0 &&
           mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "hidepid=2") == 0;
}

/* A new tmpfs over a folder that every system has; what was there is out of sight, and all that is
 * needed of it was opened before. */
static int mount_root(struct root *r)
{
    static const char base[] = "/usr";
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return fail(r, -errno, "cannot leave the system's mounts at", "/");
    if (mount("tmpfs", base, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=0755") < 0)
        return fail(r, -errno, "cannot mount a new root at", base);
    r->fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r->fd < 0 || fchdir(r->fd) < 0)
        return fail(r, -errno, "cannot enter", base);
    return 0;
}

static int change_root(struct root *r)
{
    if (mount(NULL, ".", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL) < 0)
        return fail(r, -errno, "cannot protect", "the new root");
    if (syscall(SYS_pivot_root, ".", ".") < 0)
        return fail(r, -errno, "cannot change", "the root");
    if (umount2(".", MNT_DETACH) < 0)
        return fail(r, -errno, "cannot leave", "the old root");
    return chdir(ROOT_CODE) < 0 ? fail(r, -errno, "cannot enter", ROOT_CODE) : 0;
}

static int fill(struct root *r)
{
    int code = 0;
    for (size_t i = 0; code == 0 && i < r->count; i++)
        code = place(r, &r->sources[i]);
    if (code == 0)
        code = write_files(r);
    if (code == 0)
        code = make_links(r);
    if (code == 0)
        code = mount_tmp(r, "/tmp");
    if (code == 0)
        code = mount_tmp(r, "/dev/shm");
    return code;
}

static void forget(struct root *r)
{
    for (size_t i = 0; i < r->count; i++) {
        if (r->sources[i].tree >= 0)
            close(r->sources[i].tree);
        free(r->sources[i].link);
    }
    if (r->fd >= 0)
        close(r->fd);
}

int root_enter(const struct root_options *o, bool *ret_proc, struct error *err)
{
    struct root r = {.o = o, .fd = -1, .err = err};
    mode_t mask = umask(0);
    int code = take_system(&r, system_paths, COUNT_OF(system_paths));
    if (code == 0 && o->network)
        code = take_system(&r, network_paths, COUNT_OF(network_paths));
    if (code == 0)
        code = take_own(&r);
    if (code == 0)
        code = mount_root(&r);
    if (code == 0)
        code = fill(&r);
    if (code == 0)
        *ret_proc = mount_proc(&r);
    if (code == 0)
        code = change_root(&r);
    forget(&r);
    umask(mask);
    return code;
}
