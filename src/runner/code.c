/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/code.h"

#include "base/fdio.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FOLDER_MODE 0755
#define FILE_MODE   0644

/* Never through a symbolic link, never out of the folder. */
static int open_beneath(int folder, const char *path, uint64_t flags, uint64_t mode)
{
    struct open_how how = {
        .flags = flags | O_CLOEXEC | O_NOFOLLOW,
        .mode = mode,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    int fd = (int)syscall(SYS_openat2, folder, path, &how, sizeof(how));
    return fd < 0 ? -errno : fd;
}

static int make_folder(int folder, const char *name, uid_t owner)
{
    if (mkdirat(folder, name, FOLDER_MODE) < 0 && errno != EEXIST)
        return -errno;
    int fd = open_beneath(folder, name, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return fd;
    if (fchmod(fd, FOLDER_MODE) == 0 &&
        (owner == (uid_t)-1 || fchown(fd, owner, (gid_t)owner) == 0))
        return fd;
    int r = -errno;
    close(fd);
    return r;
}

/* Makes the folders of a/b/c below code and returns that of c; *ret_last is c's own name. */
static int open_parent(int code, char *path, uid_t owner, const char **ret_last)
{
    int at = fcntl(code, F_DUPFD_CLOEXEC, 0);
    if (at < 0)
        return -errno;
    char *rest = path;
    for (char *slash; at >= 0 && (slash = strchr(rest, '/')) != NULL; rest = slash + 1) {
        *slash = '\0';
        int next = make_folder(at, rest, owner);
        close(at);
        at = next;
    }
    *ret_last = rest;
    return at;
}

static bool is_script(struct slice text)
{
    return slice_starts(text, "#!");
}

static int write_file(int code, const struct bundle *b, const char *name, struct slice text,
                      uid_t owner)
{
    const char *last = name;
    autofree char *path = strdup(name);
    if (path == NULL)
        return -ENOMEM;
    autoclose int parent = open_parent(code, path, owner, &last);
    if (parent < 0)
        return parent;
    autoclose int fd = open_beneath(parent, last, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (fd < 0)
        return fd;
    bool runs = is_script(text) || (b->main != NULL && strcmp(name, b->main) == 0);
    int r = fdio_write_all(fd, text.ptr, text.len);
    if (r == 0 && fchmod(fd, runs ? FOLDER_MODE : FILE_MODE) < 0)
        r = -errno;
    if (r == 0 && owner != (uid_t)-1 && fchown(fd, owner, (gid_t)owner) < 0)
        r = -errno;
    return r;
}

static int write_files(int code, const struct bundle *b, uid_t owner, struct error *err)
{
    const char *name;
    json_t *text;
    json_object_foreach(b->files, name, text)
    {
        int r = write_file(code, b, name,
                           slice_of(json_string_value(text), json_string_length(text)), owner);
        if (r == -EEXIST || r == -ENOTDIR || r == -EISDIR)
            return error_field(err, -EINVAL, "spec.codeSource",
                               "\"%.80s\" is both a file and a folder", name);
        if (r < 0)
            return error_field(err, r, "spec.codeSource", "cannot write \"%.80s\": %s", name,
                               strerror(-r));
    }
    return 0;
}

static int empty_folder(const char *folder, struct error *err)
{
    int r = fdio_remove_tree(folder);
    if (r == 0)
        r = fdio_make_folders(folder, FOLDER_MODE);
    return r < 0 ? error_set(err, r, "cannot make the folder %s: %s", folder, strerror(-r)) : 0;
}

int code_write(const char *folder, const struct bundle *b, uid_t owner, struct error *err)
{
    int r = empty_folder(folder, err);
    if (r < 0)
        return r;
    autoclose int top = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    autoclose int code = top < 0 ? -1 : make_folder(top, "code", owner);
    autoclose int packages = code < 0 ? -1 : make_folder(top, "packages", owner);
    if (packages < 0)
        return error_set(err, -EIO, "cannot make the folders of %s", folder);
    return write_files(code, b, owner, err);
}
