/* SPDX-License-Identifier: Apache-2.0 */
/* The real file system behind struct store_io. */
#include "store/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define ZERO_BLOCK (128u << 10)
#define ZERO_SYNC  (8u << 20) /* sync now and then, so that the log's own syncs do not wait long */

static int io_open(void *ctx, const char *path, int flags, int mode)
{
    int fd = open(path, flags | O_CLOEXEC, mode);
    return fd < 0 ? -errno : fd;
}

static int io_close(void *ctx, int fd)
{
    return close(fd) < 0 ? -errno : 0;
}

static int64_t io_pwrite(void *ctx, int fd, const void *bytes, size_t len, uint64_t offset)
{
    ssize_t n;
    do
        n = pwrite(fd, bytes, len, (off_t)offset);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

static int64_t io_pread(void *ctx, int fd, void *bytes, size_t len, uint64_t offset)
{
    ssize_t n;
    do
        n = pread(fd, bytes, len, (off_t)offset);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

static int io_sync_data(void *ctx, int fd)
{
    return fdatasync(fd) < 0 ? -errno : 0;
}

static int io_allocate(void *ctx, int fd, uint64_t len)
{
    static const char zeros[ZERO_BLOCK];
    if (fallocate(fd, 0, 0, (off_t)len) < 0 && errno != EOPNOTSUPP)
        return -errno;
    for (uint64_t at = 0; at < len;) {
        size_t want = len - at < ZERO_BLOCK ? (size_t)(len - at) : ZERO_BLOCK;
        int64_t n = io_pwrite(ctx, fd, zeros, want, at);
        if (n < 0)
            return (int)n;
        at += (uint64_t)n;
        if (at % ZERO_SYNC == 0 && fdatasync(fd) < 0)
            return -errno;
    }
    return 0;
}

static int64_t io_size(void *ctx, int fd)
{
    struct stat st;
    return fstat(fd, &st) < 0 ? -errno : st.st_size;
}

static int io_rename(void *ctx, const char *from, const char *to)
{
    return rename(from, to) < 0 ? -errno : 0;
}

static int io_unlink(void *ctx, const char *path)
{
    return unlink(path) < 0 ? -errno : 0;
}

static int io_sync_folder(void *ctx, const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = fsync(fd) < 0 ? -errno : 0;
    close(fd);
    return r;
}

static int io_list(void *ctx, const char *path, int (*each)(void *each_ctx, const char *name),
                   void *each_ctx)
{
    DIR *folder = opendir(path);
    if (folder == NULL)
        return -errno;
    const struct dirent *entry;
    int r = 0;
    while (r == 0 && (entry = readdir(folder)) != NULL)
        r = each(each_ctx, entry->d_name);
    closedir(folder);
    return r;
}

const struct store_io store_io_posix = {
    .open = io_open,
    .close = io_close,
    .pwrite = io_pwrite,
    .pread = io_pread,
    .sync_data = io_sync_data,
    .allocate = io_allocate,
    .size = io_size,
    .rename = io_rename,
    .unlink = io_unlink,
    .sync_folder = io_sync_folder,
    .list = io_list,
};
