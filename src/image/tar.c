/* SPDX-License-Identifier: Apache-2.0 */
/* POSIX.1-1988 ustar: a block of 512 bytes before each file, the file padded to blocks, two empty
 * blocks at the end. */
#include "image/image.h"

#include <stdio.h>
#include <string.h>

#define BLOCK 512

struct header {
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100];
    char magic[6], version[2], owner[32], group[32], major[8], minor[8], prefix[155], padding[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "one block");

/* Octal digits and a NUL. */
static void put_number(char *field, size_t size, uint64_t value)
{
    char digits[24];
    snprintf(digits, sizeof(digits), "%0*llo", (int)size - 1, (unsigned long long)value);
    memcpy(field, digits + strlen(digits) - (size - 1), size - 1);
    field[size - 1] = '\0';
}

/* Names over 100 bytes are parted at a slash. False when none is in reach. */
static bool put_name(struct header *h, const char *path, bool folder)
{
    char name[BLOCK];
    int len = snprintf(name, sizeof(name), "%s%s", path, folder ? "/" : "");
    if (len <= (int)sizeof(h->name)) {
        memcpy(h->name, name, (size_t)len);
        return true;
    }
    const char *slash = name + len - sizeof(h->name) - 1;
    slash = strchr(slash > name ? slash : name + 1, '/');
    if (slash == NULL || slash[1] == '\0' || (size_t)(slash - name) > sizeof(h->prefix))
        return false;
    memcpy(h->prefix, name, (size_t)(slash - name));
    memcpy(h->name, slash + 1, (size_t)(name + len - slash - 1));
    return true;
}

static void put_checksum(struct header *h)
{
    unsigned sum = 0;
    memset(h->checksum, ' ', sizeof(h->checksum));
    for (size_t i = 0; i < sizeof(*h); i++)
        sum += ((const unsigned char *)h)[i];
    put_number(h->checksum, 7, sum);
}

struct writer {
    struct buf *out;
    uint64_t seconds;
};

static void add_zeros(struct buf *out, size_t n)
{
    static const char zeros[BLOCK];
    buf_add(out, zeros, n);
}

static int write_entry(void *ctx, const char *path, unsigned mode, struct slice bytes)
{
    struct writer *w = ctx;
    struct header h = {.magic = "ustar", .version = {'0', '0'}};
    bool folder = bytes.ptr == NULL;
    h.type = folder ? '5' : '0';
    if (!put_name(&h, path, folder)) {
        w->out->failed = true;
        return 0;
    }
    put_number(h.mode, sizeof(h.mode), mode);
    put_number(h.uid, sizeof(h.uid), 0);
    put_number(h.gid, sizeof(h.gid), 0);
    put_number(h.size, sizeof(h.size), bytes.len);
    put_number(h.mtime, sizeof(h.mtime), w->seconds);
    put_number(h.major, sizeof(h.major), 0);
    put_number(h.minor, sizeof(h.minor), 0);
    put_checksum(&h);
    buf_add(w->out, &h, sizeof(h));
    buf_add_slice(w->out, bytes);
    add_zeros(w->out, (BLOCK - bytes.len % BLOCK) % BLOCK);
    return 0;
}

void tar_write(struct tree *t, uint64_t seconds, struct buf *out)
{
    struct writer w = {.out = out, .seconds = seconds};
    (void)tree_each(t, write_entry, &w);
    add_zeros(out, BLOCK);
    add_zeros(out, BLOCK);
}
