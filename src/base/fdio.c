/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fdio.h"

#include "base/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int fdio_write_all(int fd, const void *bytes, size_t len)
{
    const char *p = bytes;
    while (len > 0) {
        ssize_t n = write(fd, p, len);
        if (n < 0) {
            if (errno == EINTR)
                continue;
            return -errno;
        }
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

int fdio_read_file(const char *path, size_t max, struct buf *out)
{
    autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    size_t total = 0;
    for (;;) {
        char *at = buf_reserve(out, 16384);
        if (at == NULL)
            return -ENOMEM;
        ssize_t n = read(fd, at, 16384);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        total += (size_t)n;
        if (total > max)
            return -EFBIG;
        out->len += (size_t)n;
    }
    out->ptr[out->len] = '\0';
    return 0;
}

static int sync_folder_of(const char *path)
{
    autofree char *folder = strdup(path);
    if (folder == NULL)
        return -ENOMEM;
    char *slash = strrchr(folder, '/');
    if (slash != NULL)
        slash[slash == folder ? 1 : 0] = '\0';
    autoclose int fd = open(slash != NULL ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0)
        return -errno;
    return 0;
}

static int write_and_sync(const char *path, const void *bytes, size_t len, mode_t mode)
{
    autoclose int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    if (fd < 0)
        return -errno;
    int r = fdio_write_all(fd, bytes, len);
    if (r < 0)
        return r;
    return fsync(fd) < 0 ? -errno : 0;
}

int fdio_replace_file(const char *path, const void *bytes, size_t len, mode_t mode)
{
    autobuf temporary = BUF_INIT;
    buf_printf(&temporary, "%s.tmp", path);
    if (!buf_ok(&temporary))
        return -ENOMEM;
    int r = write_and_sync(temporary.ptr, bytes, len, mode);
    if (r == 0 && rename(temporary.ptr, path) < 0)
        r = -errno;
    if (r < 0) {
        unlink(temporary.ptr);
        return r;
    }
    return sync_folder_of(path);
}

int fdio_make_folders(const char *path, mode_t mode)
{
    autofree char *copy = strdup(path);
    if (copy == NULL)
        return -ENOMEM;
    for (char *at = copy + 1; *at != '\0'; at++) {
        if (*at != '/')
            continue;
        *at = '\0';
        if (mkdir(copy, mode) < 0 && errno != EEXIST)
            return -errno;
        *at = '/';
    }
    return mkdir(copy, mode) < 0 && errno != EEXIST ? -errno : 0;
}

static int remove_below(int parent, const char *name)
{
    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return -errno;
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    DIR *folder = fdopendir(fd);
    if (folder == NULL) {
        close(fd);
        return -ENOMEM;
    }
    int r = 0;
    for (struct dirent *e = readdir(folder); e != NULL && r == 0; e = readdir(folder))
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            r = remove_below(dirfd(folder), e->d_name);
    closedir(folder);
    if (r == 0 && unlinkat(parent, name, AT_REMOVEDIR) < 0)
        r = -errno;
    return r;
}

int fdio_remove_tree(const char *path)
{
    return remove_below(AT_FDCWD, path);
}

int fdio_set_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return -errno;
    return 0;
}

int fdio_memory_file(const char *name, struct slice bytes)
{
    int fd = memfd_create(name, MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = fdio_write_all(fd, bytes.ptr, bytes.len);
    if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
        r = -errno;
    if (r < 0)
        close(fd);
    return r < 0 ? r : fd;
}
