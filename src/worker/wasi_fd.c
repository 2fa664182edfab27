/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors: the three standard ones, which behave as pipes do. */
#include "worker/wasi.h"

#include "base/memory.h"

#define IOV_MAX_COUNT    1024
#define IOV_SIZE         8
#define FDSTAT_SIZE      24
#define FILESTAT_SIZE    64
#define FD_FLAGS_MAX     31
#define FILETYPE_UNKNOWN 0 /* preview 1 has no type for pipes */

struct wasi_descriptor *wasi_descriptor(uint32_t fd)
{
    if (fd >= WASI_DESCRIPTORS || !wasi.descriptors[fd].open)
        return NULL;
    return &wasi.descriptors[fd];
}

/* ---- reading and writing ---- */

struct vector {
    char *at;
    uint32_t len;
};

/* The vector number i of the list, which lies within memory. */
static uint32_t read_vector(const char *list, uint32_t i, struct vector *ret)
{
    ret->len = wasi_get_u32(list + (size_t)i * IOV_SIZE + 4);
    ret->at = wasi_at(wasi_get_u32(list + (size_t)i * IOV_SIZE), ret->len);
    return ret->at != NULL ? WASI_SUCCESS : WASI_FAULT;
}

static uint32_t find_list(uint32_t vectors, uint32_t count, const char **ret)
{
    if (count > IOV_MAX_COUNT)
        return WASI_INVAL;
    *ret = wasi_at(vectors, (uint64_t)count * IOV_SIZE);
    return *ret != NULL ? WASI_SUCCESS : WASI_FAULT;
}

static struct slice read_input(size_t max)
{
    size_t left = wasi.input.len - wasi.input_at;
    size_t part = left < max ? left : max;
    struct slice taken = slice_of(wasi.input.ptr + wasi.input_at, part);
    wasi.input_at += part;
    return taken;
}

uint32_t wasi_fd_read(uint32_t fd, uint32_t vectors, uint32_t count, uint32_t ret)
{
    const struct wasi_descriptor *d = wasi_descriptor(fd);
    if (d == NULL || d->stream != 0)
        return WASI_BADF;
    if ((d->rights & WASI_RIGHT_READ) == 0)
        return WASI_NOTCAPABLE;
    const char *list;
    uint32_t status = find_list(vectors, count, &list);
    if (status == WASI_SUCCESS && wasi_at(ret, sizeof(uint32_t)) == NULL)
        status = WASI_FAULT;
    uint32_t total = 0;
    for (uint32_t i = 0; status == WASI_SUCCESS && i < count; i++) {
        struct vector v;
        status = read_vector(list, i, &v);
        struct slice part = status == WASI_SUCCESS ? read_input(v.len) : slice_of(NULL, 0);
        if (part.len > 0)
            memcpy(v.at, part.ptr, part.len);
        total += (uint32_t)part.len;
    }
    return status == WASI_SUCCESS ? wasi_put_u32(ret, total) : status;
}

static void write_output(struct slice text)
{
    size_t room = wasi.output_max > wasi.output.len ? wasi.output_max - wasi.output.len : 0;
    if (text.len > room || !buf_ok(&wasi.output))
        wasi.output_full = true; /* what is too much ends the call: see wasi_imports.c */
    else
        buf_add_slice(&wasi.output, text);
}

uint32_t wasi_fd_write(uint32_t fd, uint32_t vectors, uint32_t count, uint32_t ret)
{
    const struct wasi_descriptor *d = wasi_descriptor(fd);
    if (d == NULL || d->stream == 0)
        return WASI_BADF;
    if ((d->rights & WASI_RIGHT_WRITE) == 0)
        return WASI_NOTCAPABLE;
    const char *list;
    uint32_t status = find_list(vectors, count, &list);
    if (status == WASI_SUCCESS && wasi_at(ret, sizeof(uint32_t)) == NULL)
        status = WASI_FAULT;
    uint64_t total = 0;
    for (uint32_t i = 0; status == WASI_SUCCESS && i < count && !guard_time_is_up(); i++) {
        struct vector v;
        status = read_vector(list, i, &v);
        if (status != WASI_SUCCESS)
            break;
        if (d->stream == 1 && !wasi.output_is_log)
            write_output(slice_of(v.at, v.len));
        else
            wasi_write_error(slice_of(v.at, v.len));
        total += v.len;
    }
    if (status == WASI_SUCCESS && total > UINT32_MAX)
        return WASI_INVAL;
    return status == WASI_SUCCESS ? wasi_put_u32(ret, (uint32_t)total) : status;
}

/* ---- pipes have no places ---- */

static uint32_t no_place(uint32_t fd)
{
    return wasi_descriptor(fd) != NULL ? WASI_SPIPE : WASI_BADF;
}

uint32_t wasi_fd_pread(uint32_t fd, uint32_t vectors, uint32_t count, uint64_t offset, uint32_t ret)
{
    return no_place(fd);
}

uint32_t wasi_fd_pwrite(uint32_t fd, uint32_t vectors, uint32_t count, uint64_t offset,
                        uint32_t ret)
{
    return no_place(fd);
}

uint32_t wasi_fd_seek(uint32_t fd, uint64_t offset, uint32_t whence, uint32_t ret)
{
    return no_place(fd);
}

uint32_t wasi_fd_tell(uint32_t fd, uint32_t ret)
{
    return no_place(fd);
}

uint32_t wasi_fd_advise(uint32_t fd, uint64_t offset, uint64_t len, uint32_t advice)
{
    return no_place(fd);
}

uint32_t wasi_fd_allocate(uint32_t fd, uint64_t offset, uint64_t len)
{
    return no_place(fd);
}

/* ---- nor anything that is stored ---- */

static uint32_t not_stored(uint32_t fd)
{
    return wasi_descriptor(fd) != NULL ? WASI_INVAL : WASI_BADF;
}

uint32_t wasi_fd_sync(uint32_t fd)
{
    return not_stored(fd);
}

uint32_t wasi_fd_datasync(uint32_t fd)
{
    return not_stored(fd);
}

uint32_t wasi_fd_filestat_set_size(uint32_t fd, uint64_t size)
{
    return not_stored(fd);
}

uint32_t wasi_fd_filestat_set_times(uint32_t fd, uint64_t accessed, uint64_t modified,
                                    uint32_t flags)
{
    return not_stored(fd);
}

uint32_t wasi_fd_readdir(uint32_t fd, uint32_t to, uint32_t len, uint64_t cookie, uint32_t ret)
{
    return wasi_descriptor(fd) != NULL ? WASI_NOTDIR : WASI_BADF;
}

/* No descriptor is a folder that was opened beforehand; the C library asks until it hears so. */
uint32_t wasi_fd_prestat_get(uint32_t fd, uint32_t ret)
{
    return WASI_BADF;
}

uint32_t wasi_fd_prestat_dir_name(uint32_t fd, uint32_t path, uint32_t len)
{
    return WASI_BADF;
}

/* ---- the descriptors themselves ---- */

uint32_t wasi_fd_close(uint32_t fd)
{
    struct wasi_descriptor *d = wasi_descriptor(fd);
    if (d == NULL)
        return WASI_BADF;
    d->open = false;
    return WASI_SUCCESS;
}

uint32_t wasi_fd_renumber(uint32_t from, uint32_t to)
{
    struct wasi_descriptor *source = wasi_descriptor(from), *target = wasi_descriptor(to);
    if (source == NULL || target == NULL)
        return WASI_BADF;
    if (source == target)
        return WASI_SUCCESS;
    *target = *source;
    source->open = false;
    return WASI_SUCCESS;
}

uint32_t wasi_fd_fdstat_get(uint32_t fd, uint32_t ret)
{
    const struct wasi_descriptor *d = wasi_descriptor(fd);
    if (d == NULL)
        return WASI_BADF;
    char *to = wasi_at(ret, FDSTAT_SIZE);
    if (to == NULL)
        return WASI_FAULT;
    memset(to, 0, FDSTAT_SIZE);
    to[0] = FILETYPE_UNKNOWN;
    memcpy(to + 2, &d->flags, sizeof(d->flags));
    memcpy(to + 8, &d->rights, sizeof(d->rights));
    memcpy(to + 16, &d->inheriting, sizeof(d->inheriting));
    return WASI_SUCCESS;
}

uint32_t wasi_fd_fdstat_set_flags(uint32_t fd, uint32_t flags)
{
    struct wasi_descriptor *d = wasi_descriptor(fd);
    if (d == NULL)
        return WASI_BADF;
    if (flags > FD_FLAGS_MAX)
        return WASI_INVAL;
    d->flags = (uint16_t)flags;
    return WASI_SUCCESS;
}

/* Rights can only be given away. */
uint32_t wasi_fd_fdstat_set_rights(uint32_t fd, uint64_t rights, uint64_t inheriting)
{
    struct wasi_descriptor *d = wasi_descriptor(fd);
    if (d == NULL)
        return WASI_BADF;
    if ((rights & ~d->rights) != 0 || (inheriting & ~d->inheriting) != 0)
        return WASI_NOTCAPABLE;
    d->rights = rights;
    d->inheriting = inheriting;
    return WASI_SUCCESS;
}

uint32_t wasi_fd_filestat_get(uint32_t fd, uint32_t ret)
{
    if (wasi_descriptor(fd) == NULL)
        return WASI_BADF;
    char *to = wasi_at(ret, FILESTAT_SIZE);
    if (to == NULL)
        return WASI_FAULT;
    static const uint64_t links = 1;
    memset(to, 0, FILESTAT_SIZE);
    to[16] = FILETYPE_UNKNOWN;
    memcpy(to + 24, &links, sizeof(links));
    return WASI_SUCCESS;
}
