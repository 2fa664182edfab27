/* SPDX-License-Identifier: Apache-2.0 */
#include "store/window.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES (64u << 10)
#define KEEP_BYTES  (256u << 10) /* a larger buffer is given back after use */

void window_init(struct window *w, const struct store_io *io)
{
    *w = (struct window){.io = io};
}

void window_done(struct window *w)
{
    free(w->bytes);
    w->bytes = NULL;
    w->cap = w->len = 0;
}

void window_reset(struct window *w)
{
    w->len = 0;
}

static int fit(struct window *w, size_t need)
{
    size_t cap = need > BLOCK_BYTES ? need : BLOCK_BYTES;
    if (w->cap >= cap && (w->cap <= KEEP_BYTES || cap > KEEP_BYTES))
        return 0;
    free(w->bytes);
    w->bytes = malloc(cap);
    w->cap = w->bytes != NULL ? cap : 0;
    return w->bytes != NULL ? 0 : -ENOMEM;
}

int window_read(struct window *w, int fd, uint64_t offset, size_t need, uint64_t limit,
                const char **ret)
{
    if (offset > limit || need > limit - offset)
        return -ENODATA;
    if (offset >= w->offset && offset - w->offset <= w->len &&
        w->len - (offset - w->offset) >= need) {
        *ret = w->bytes + (offset - w->offset);
        return 0;
    }
    w->len = 0;
    int r = fit(w, need);
    if (r < 0)
        return r;
    size_t want = w->cap < limit - offset ? w->cap : (size_t)(limit - offset);
    while (w->len < need) {
        int64_t n = w->io->pread(w->io->ctx, fd, w->bytes + w->len, want - w->len, offset + w->len);
        if (n <= 0) {
            w->len = 0;
            return n < 0 ? (int)n : -ENODATA;
        }
        w->len += (size_t)n;
    }
    w->offset = offset;
    *ret = w->bytes;
    return 0;
}

int window_header(struct window *w, const struct segment *g, uint64_t offset, uint64_t limit,
                  struct batch_header *ret)
{
    const char *bytes;
    int r = window_read(w, g->fd, offset, sizeof(*ret), limit, &bytes);
    if (r == -ENODATA)
        return 0;
    if (r < 0)
        return r;
    return batch_header_read(bytes, g->number, g->salt, ret) ? 1 : 0;
}

int window_batch(struct window *w, const struct segment *g, uint64_t offset, uint64_t limit,
                 struct batch_header *ret, const char **ret_payload)
{
    struct batch_header h;
    const char *bytes;
    int r = window_header(w, g, offset, limit, &h);
    if (r <= 0)
        return r;
    r = window_read(w, g->fd, offset, sizeof(h) + h.length, limit, &bytes);
    if (r == -ENODATA)
        return 0;
    if (r < 0)
        return r;
    /* The header was read again with the payload when the window moved. */
    if (memcmp(bytes, &h, sizeof(h)) != 0 || !batch_intact(&h, bytes))
        return 0;
    *ret = h;
    *ret_payload = bytes + sizeof(h);
    return 1;
}
