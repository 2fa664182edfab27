/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors and whole files. */
#ifndef SLUICE_BASE_FDIO_H
#define SLUICE_BASE_FDIO_H

#include "base/buf.h"
#include "base/slice.h"

#include <sys/types.h>

/* All bytes or a negative errno; EINTR is retried. */
int fdio_write_all(int fd, const void *bytes, size_t len);
/* The whole file, at most max bytes (-EFBIG). 0 or a negative errno. */
int fdio_read_file(const char *path, size_t max, struct buf *out);
/* Writes path.tmp, syncs, renames, syncs the folder: after a crash the old or the new contents are
 * there. */
int fdio_replace_file(const char *path, const void *bytes, size_t len, mode_t mode);
/* As mkdir -p; 0 or a negative errno. */
int fdio_make_folders(const char *path, mode_t mode);
/* As rm -rf, never following a symbolic link; a missing path is no error. */
int fdio_remove_tree(const char *path);
int fdio_set_nonblocking(int fd);

/* A file in memory (memfd_create(2)) with the bytes, to be read from its beginning; close-on-exec.
 * The descriptor or a negative errno. */
int fdio_memory_file(const char *name, struct slice bytes);

#endif
