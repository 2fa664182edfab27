/* SPDX-License-Identifier: Apache-2.0 */
/* A window over a segment file: reads blocks, hands out batches. Belongs to one thread. */
#ifndef SLUICE_STORE_WINDOW_H
#define SLUICE_STORE_WINDOW_H

#include "store/segment.h"

struct window {
    const struct store_io *io;
    char *bytes;
    size_t cap, len;
    uint64_t offset; /* of bytes[0] in the file */
};

void window_init(struct window *w, const struct store_io *io);
void window_done(struct window *w);
/* Forgets what was read: the file is another one, or has changed. */
void window_reset(struct window *w);
/* need bytes at offset, nothing beyond limit is read. 0 or negative errno; -ENODATA when need goes
 * beyond limit or the file. Valid until the next call. */
int window_read(struct window *w, int fd, uint64_t offset, size_t need, uint64_t limit,
                const char **ret);
/* 1: the header of a batch of that segment. 0: none. Else negative errno. */
int window_header(struct window *w, const struct segment *g, uint64_t offset, uint64_t limit,
                  struct batch_header *ret);
/* 1: an intact batch with its payload. 0: none. Else negative errno. */
int window_batch(struct window *w, const struct segment *g, uint64_t offset, uint64_t limit,
                 struct batch_header *ret, const char **ret_payload);

static inline uint64_t batch_end(uint64_t offset, const struct batch_header *h)
{
    return offset + sizeof(*h) + h->length;
}

#endif
