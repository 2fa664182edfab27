/* SPDX-License-Identifier: Apache-2.0 */
/* What there is nothing of: files by path, and sockets. Programs link these functions whether they
 * use them or not. Every descriptor is a pipe, so each call is answered as for one. */
#include "worker/wasi.h"

static uint32_t no_folder(uint32_t fd)
{
    return wasi_descriptor(fd) != NULL ? WASI_NOTDIR : WASI_BADF;
}

static uint32_t no_path(uint32_t fd, uint32_t path, uint32_t len)
{
    return wasi_at(path, len) != NULL ? no_folder(fd) : (uint32_t)WASI_FAULT;
}

uint32_t wasi_path_create_directory(uint32_t fd, uint32_t path, uint32_t len)
{
    return no_path(fd, path, len);
}

uint32_t wasi_path_filestat_get(uint32_t fd, uint32_t flags, uint32_t path, uint32_t len,
                                uint32_t ret)
{
    return no_path(fd, path, len);
}

uint32_t wasi_path_filestat_set_times(uint32_t fd, uint32_t lookup, uint32_t path, uint32_t len,
                                      uint64_t accessed, uint64_t modified, uint32_t flags)
{
    return no_path(fd, path, len);
}

uint32_t wasi_path_link(uint32_t old_fd, uint32_t old_flags, uint32_t old_path, uint32_t old_len,
                        uint32_t new_fd, uint32_t new_path, uint32_t new_len)
{
    return wasi_at(new_path, new_len) != NULL ? no_path(old_fd, old_path, old_len)
                                              : (uint32_t)WASI_FAULT;
}

/* As WASI has it. NOLINTNEXTLINE(readability-function-size) */
uint32_t wasi_path_open(uint32_t fd, uint32_t lookup, uint32_t path, uint32_t len, uint32_t flags,
                        uint64_t rights, uint64_t inheriting, uint32_t fd_flags, uint32_t ret)
{
    return no_path(fd, path, len);
}

uint32_t wasi_path_readlink(uint32_t fd, uint32_t path, uint32_t len, uint32_t to, uint32_t to_len,
                            uint32_t ret)
{
    return no_path(fd, path, len);
}

uint32_t wasi_path_remove_directory(uint32_t fd, uint32_t path, uint32_t len)
{
    return no_path(fd, path, len);
}

uint32_t wasi_path_rename(uint32_t old_fd, uint32_t old_path, uint32_t old_len, uint32_t new_fd,
                          uint32_t new_path, uint32_t new_len)
{
    return wasi_at(new_path, new_len) != NULL ? no_path(old_fd, old_path, old_len)
                                              : (uint32_t)WASI_FAULT;
}

uint32_t wasi_path_symlink(uint32_t old_path, uint32_t old_len, uint32_t fd, uint32_t new_path,
                           uint32_t new_len)
{
    return wasi_at(old_path, old_len) != NULL ? no_path(fd, new_path, new_len)
                                              : (uint32_t)WASI_FAULT;
}

uint32_t wasi_path_unlink_file(uint32_t fd, uint32_t path, uint32_t len)
{
    return no_path(fd, path, len);
}

static uint32_t no_socket(uint32_t fd)
{
    return wasi_descriptor(fd) != NULL ? WASI_NOTSOCK : WASI_BADF;
}

uint32_t wasi_sock_accept(uint32_t fd, uint32_t flags, uint32_t ret)
{
    return no_socket(fd);
}

uint32_t wasi_sock_recv(uint32_t fd, uint32_t vectors, uint32_t count, uint32_t flags, uint32_t ret,
                        uint32_t ret_flags)
{
    return no_socket(fd);
}

uint32_t wasi_sock_send(uint32_t fd, uint32_t vectors, uint32_t count, uint32_t flags, uint32_t ret)
{
    return no_socket(fd);
}

uint32_t wasi_sock_shutdown(uint32_t fd, uint32_t how)
{
    return no_socket(fd);
}
