/* SPDX-License-Identifier: Apache-2.0 */
#include "power_disk.h"

#include "base/must.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK      512u
#define INODES_MAX 512u
#define NAMES_MAX  64u
#define FDS_MAX    64u
#define FD_BASE    100000
#define JOURNAL    256u

struct inode {
    char *cache, *disk; /* what reads see, and what a cut leaves */
    bool *dirty;        /* one a block */
    uint64_t size, disk_size;
    bool sync_failed;
};

struct name {
    char path[256];
    unsigned inode; /* index + 1; 0: unused */
};

struct folder {
    struct name names[NAMES_MAX];
};

/* A change of the folder that is not synced yet. from empty: create; to empty: unlink. */
struct change {
    char from[256], to[256];
    unsigned inode;
};

struct failure {
    bool set;
    enum power_call call;
    uint64_t nth, times, given;
    int error;
};

struct power_disk {
    struct store_io io;
    pthread_mutex_t lock;
    uint64_t random;
    struct inode inodes[INODES_MAX];
    unsigned inodes_len;
    struct folder now, disk;
    struct change journal[JOURNAL];
    unsigned journal_len;
    unsigned fds[FDS_MAX]; /* inode + 1 */
    uint64_t cut_in;       /* changing calls until the power fails; 0: never */
    bool off;
    struct failure failure;
    uint64_t calls[POWER_CALL_COUNT], synced_again;
};

static uint64_t random_next(struct power_disk *d)
{
    d->random ^= d->random << 13;
    d->random ^= d->random >> 7;
    d->random ^= d->random << 17;
    return d->random;
}

static uint64_t blocks_of(uint64_t size)
{
    return (size + BLOCK - 1) / BLOCK;
}

/* ---- names ---- */

static struct name *find_name(struct folder *f, const char *path)
{
    for (unsigned i = 0; i < NAMES_MAX; i++)
        if (f->names[i].inode != 0 && strcmp(f->names[i].path, path) == 0)
            return &f->names[i];
    return NULL;
}

static void set_name(struct folder *f, const char *path, unsigned inode)
{
    struct name *n = find_name(f, path);
    for (unsigned i = 0; n == NULL && i < NAMES_MAX; i++)
        if (f->names[i].inode == 0)
            n = &f->names[i];
    must(n != NULL && strlen(path) < sizeof(n->path));
    strcpy(n->path, path);
    n->inode = inode;
}

static void remove_name(struct folder *f, const char *path)
{
    struct name *n = find_name(f, path);
    if (n != NULL)
        n->inode = 0;
}

static void apply(struct folder *f, const struct change *c)
{
    if (c->from[0] != '\0')
        remove_name(f, c->from);
    if (c->to[0] != '\0')
        set_name(f, c->to, c->inode);
}

static void change(struct power_disk *d, const char *from, const char *to, unsigned inode)
{
    must(d->journal_len < JOURNAL);
    struct change *c = &d->journal[d->journal_len++];
    strcpy(c->from, from);
    strcpy(c->to, to);
    c->inode = inode;
    apply(&d->now, c);
}

/* ---- faults ---- */

/* Counts the call. Negative: it is to fail so. */
static int given_failure(struct power_disk *d, enum power_call call)
{
    d->calls[call]++;
    struct failure *f = &d->failure;
    if (!f->set || f->call != call || --f->nth != 0)
        return 0;
    f->nth = 1; /* the next one too */
    f->given++;
    if (f->given >= f->times)
        f->set = false;
    return f->error;
}

/* Counts the call. Negative: it fails so and does nothing. *ret_cut: the power fails within it. */
static int enter(struct power_disk *d, enum power_call call, bool *ret_cut)
{
    *ret_cut = false;
    if (d->off)
        return -EIO;
    int r = given_failure(d, call);
    if (r < 0)
        return r;
    if (d->cut_in != 0 && --d->cut_in == 0) {
        d->off = true;
        *ret_cut = true;
    }
    return 0;
}

static struct inode *inode_of(struct power_disk *d, int fd)
{
    must(fd >= FD_BASE && fd < FD_BASE + (int)FDS_MAX && d->fds[fd - FD_BASE] != 0);
    return &d->inodes[d->fds[fd - FD_BASE] - 1];
}

static void resize(struct inode *n, uint64_t size)
{
    if (size <= n->size)
        return;
    n->cache = realloc(n->cache, size);
    n->dirty = realloc(n->dirty, blocks_of(size) * sizeof(bool));
    must(n->cache != NULL && n->dirty != NULL);
    memset(n->cache + n->size, 0, size - n->size);
    for (uint64_t i = blocks_of(n->size); i < blocks_of(size); i++)
        n->dirty[i] = true;
    n->size = size;
}

/* Keeps block i on the disk; the disk's file grows with zeros up to it. */
static void keep_block(struct inode *n, uint64_t i)
{
    uint64_t from = i * BLOCK, to = from + BLOCK < n->size ? from + BLOCK : n->size;
    if (to > n->disk_size) {
        n->disk = realloc(n->disk, to);
        must(n->disk != NULL);
        memset(n->disk + n->disk_size, 0, to - n->disk_size);
        n->disk_size = to;
    }
    memcpy(n->disk + from, n->cache + from, to - from);
}

/* ---- the calls ---- */

static int disk_open(void *ctx, const char *path, int flags, int mode)
{
    struct power_disk *d = ctx;
    bool cut;
    pthread_mutex_lock(&d->lock);
    /* What only reads goes on after the cut, so that a check that has begun can end. */
    int r = d->off && (flags & O_CREAT) == 0 ? 0 : enter(d, POWER_OPEN, &cut);
    const struct name *n = r == 0 ? find_name(&d->now, path) : NULL;
    unsigned inode = n != NULL ? n->inode : 0;
    if (r == 0 && inode != 0 && (flags & O_EXCL) != 0)
        r = -EEXIST;
    if (r == 0 && inode == 0 && (flags & O_CREAT) == 0)
        r = -ENOENT;
    if (r == 0 && inode == 0) {
        must(d->inodes_len < INODES_MAX);
        inode = ++d->inodes_len;
        change(d, "", path, inode);
    }
    for (unsigned i = 0; r == 0 && i <= FDS_MAX; i++) {
        must(i < FDS_MAX);
        if (d->fds[i] == 0) {
            d->fds[i] = inode;
            r = FD_BASE + (int)i;
        }
    }
    pthread_mutex_unlock(&d->lock);
    return r;
}

static int disk_close(void *ctx, int fd)
{
    struct power_disk *d = ctx;
    pthread_mutex_lock(&d->lock);
    inode_of(d, fd);
    d->fds[fd - FD_BASE] = 0;
    pthread_mutex_unlock(&d->lock);
    return 0;
}

static int64_t disk_pwrite(void *ctx, int fd, const void *bytes, size_t len, uint64_t offset)
{
    struct power_disk *d = ctx;
    bool cut;
    pthread_mutex_lock(&d->lock);
    struct inode *n = inode_of(d, fd);
    int64_t r = enter(d, POWER_PWRITE, &cut);
    if (r == 0) {
        /* Now and then a short write, though never within a block. */
        if (len > BLOCK && random_next(d) % 8 == 0)
            len = BLOCK - offset % BLOCK;
        resize(n, offset + len);
        memcpy(n->cache + offset, bytes, len);
        for (uint64_t i = offset / BLOCK; i < blocks_of(offset + len); i++)
            n->dirty[i] = true;
        r = (int64_t)len;
    }
    pthread_mutex_unlock(&d->lock);
    return r;
}

static int64_t disk_pread(void *ctx, int fd, void *bytes, size_t len, uint64_t offset)
{
    struct power_disk *d = ctx;
    pthread_mutex_lock(&d->lock);
    const struct inode *n = inode_of(d, fd);
    int r = given_failure(d, POWER_PREAD); /* reads go on after a cut */
    if (offset >= n->size)
        len = 0;
    else if (len > n->size - offset)
        len = n->size - offset;
    if (r == 0 && len > 0)
        memcpy(bytes, n->cache + offset, len);
    pthread_mutex_unlock(&d->lock);
    return r < 0 ? r : (int64_t)len;
}

static int disk_sync_data(void *ctx, int fd)
{
    struct power_disk *d = ctx;
    bool cut;
    pthread_mutex_lock(&d->lock);
    struct inode *n = inode_of(d, fd);
    if (!d->off && n->sync_failed)
        d->synced_again++;
    int r = enter(d, POWER_SYNC, &cut);
    if (!d->off)
        n->sync_failed = n->sync_failed || r < 0;
    for (uint64_t i = 0; i < blocks_of(n->size) && !d->off; i++) {
        if (!n->dirty[i])
            continue;
        /* A sync that fails may have written some; the rest is forgotten. */
        if (r == 0 || random_next(d) % 2 == 0)
            keep_block(n, i);
        n->dirty[i] = false;
    }
    pthread_mutex_unlock(&d->lock);
    return cut ? -EIO : r;
}

static int disk_allocate(void *ctx, int fd, uint64_t len)
{
    struct power_disk *d = ctx;
    bool cut;
    pthread_mutex_lock(&d->lock);
    struct inode *n = inode_of(d, fd);
    int r = enter(d, POWER_ALLOCATE, &cut);
    if (r == 0)
        resize(n, len);
    pthread_mutex_unlock(&d->lock);
    return r;
}

static int64_t disk_size(void *ctx, int fd)
{
    struct power_disk *d = ctx;
    pthread_mutex_lock(&d->lock);
    int64_t size = (int64_t)inode_of(d, fd)->size;
    pthread_mutex_unlock(&d->lock);
    return size;
}

static int disk_rename(void *ctx, const char *from, const char *to)
{
    struct power_disk *d = ctx;
    bool cut;
    pthread_mutex_lock(&d->lock);
    int r = enter(d, POWER_RENAME, &cut);
    const struct name *n = r == 0 ? find_name(&d->now, from) : NULL;
    if (r == 0 && n == NULL)
        r = -ENOENT;
    if (r == 0)
        change(d, from, to, n->inode);
    pthread_mutex_unlock(&d->lock);
    return r;
}

static int disk_unlink(void *ctx, const char *path)
{
    struct power_disk *d = ctx;
    bool cut;
    pthread_mutex_lock(&d->lock);
    int r = enter(d, POWER_UNLINK, &cut);
    if (r == 0 && find_name(&d->now, path) == NULL)
        r = -ENOENT;
    if (r == 0)
        change(d, path, "", 0);
    pthread_mutex_unlock(&d->lock);
    return r;
}

static int disk_sync_folder(void *ctx, const char *path)
{
    struct power_disk *d = ctx;
    bool cut;
    pthread_mutex_lock(&d->lock);
    int r = enter(d, POWER_SYNC_FOLDER, &cut);
    if (r == 0 && !cut) {
        d->disk = d->now;
        d->journal_len = 0;
    }
    pthread_mutex_unlock(&d->lock);
    return cut ? -EIO : r;
}

static int disk_list(void *ctx, const char *path, int (*each)(void *each_ctx, const char *name),
                     void *each_ctx)
{
    struct power_disk *d = ctx;
    struct folder *now = malloc(sizeof(*now));
    must(now != NULL);
    pthread_mutex_lock(&d->lock);
    *now = d->now;
    pthread_mutex_unlock(&d->lock);
    int r = 0;
    for (unsigned i = 0; i < NAMES_MAX && r == 0; i++)
        if (now->names[i].inode != 0)
            r = each(each_ctx, strrchr(now->names[i].path, '/') + 1);
    free(now);
    return r;
}

/* ---- the test's side ---- */

struct power_disk *power_disk_new(uint64_t seed)
{
    struct power_disk *d = calloc(1, sizeof(*d));
    must(d != NULL);
    pthread_mutex_init(&d->lock, NULL);
    d->random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    d->io = (struct store_io){d,           disk_open,      disk_close,       disk_pwrite,
                              disk_pread,  disk_sync_data, disk_allocate,    disk_size,
                              disk_rename, disk_unlink,    disk_sync_folder, disk_list};
    return d;
}

void power_disk_free(struct power_disk *d)
{
    for (unsigned i = 0; i < d->inodes_len; i++) {
        free(d->inodes[i].cache);
        free(d->inodes[i].disk);
        free(d->inodes[i].dirty);
    }
    pthread_mutex_destroy(&d->lock);
    free(d);
}

const struct store_io *power_disk_io(struct power_disk *d)
{
    return &d->io;
}

void power_disk_arm(struct power_disk *d, uint64_t nth)
{
    pthread_mutex_lock(&d->lock);
    d->cut_in = nth;
    pthread_mutex_unlock(&d->lock);
}

bool power_disk_is_off(struct power_disk *d)
{
    pthread_mutex_lock(&d->lock);
    bool off = d->off;
    pthread_mutex_unlock(&d->lock);
    return off;
}

/* Each cut has its own luck: nothing that was unsynced survives, all of it, or each block by
 * chance. */
static void cut_inode(struct power_disk *d, struct inode *n, uint64_t chance)
{
    for (uint64_t i = 0; i < blocks_of(n->size); i++)
        if (n->dirty[i] && random_next(d) % 4 < chance)
            keep_block(n, i);
    free(n->cache);
    free(n->dirty);
    n->cache = malloc(n->disk_size + 1);
    n->dirty = calloc(blocks_of(n->disk_size) + 1, sizeof(bool));
    must(n->cache != NULL && n->dirty != NULL);
    if (n->disk_size > 0)
        memcpy(n->cache, n->disk, n->disk_size);
    n->size = n->disk_size;
    n->sync_failed = false;
}

void power_disk_restart(struct power_disk *d)
{
    uint64_t chance = random_next(d) % 5;
    for (unsigned i = 0; i < FDS_MAX; i++)
        must(d->fds[i] == 0);
    unsigned kept = d->journal_len > 0 ? (unsigned)(random_next(d) % (d->journal_len + 1)) : 0;
    for (unsigned i = 0; i < kept; i++)
        apply(&d->disk, &d->journal[i]);
    d->journal_len = 0;
    d->now = d->disk;
    for (unsigned i = 0; i < d->inodes_len; i++)
        cut_inode(d, &d->inodes[i], chance);
    d->off = false;
    d->cut_in = 0;
}

void power_disk_revive(struct power_disk *d)
{
    for (unsigned i = 0; i < FDS_MAX; i++)
        must(d->fds[i] == 0);
    d->off = false;
    d->cut_in = 0;
}

void power_disk_fail(struct power_disk *d, enum power_call call, uint64_t nth, uint64_t times,
                     int error)
{
    pthread_mutex_lock(&d->lock);
    d->failure =
        (struct failure){.set = nth > 0, .call = call, .nth = nth, .times = times, .error = error};
    pthread_mutex_unlock(&d->lock);
}

uint64_t power_disk_failures(struct power_disk *d)
{
    pthread_mutex_lock(&d->lock);
    uint64_t given = d->failure.given;
    pthread_mutex_unlock(&d->lock);
    return given;
}

uint64_t power_disk_synced_again(struct power_disk *d)
{
    pthread_mutex_lock(&d->lock);
    uint64_t times = d->synced_again;
    pthread_mutex_unlock(&d->lock);
    return times;
}

uint64_t power_disk_calls(struct power_disk *d, enum power_call call)
{
    pthread_mutex_lock(&d->lock);
    uint64_t calls = d->calls[call];
    pthread_mutex_unlock(&d->lock);
    return calls;
}

char *power_disk_bytes(struct power_disk *d, const char *name_end, uint64_t *ret_len)
{
    for (unsigned i = 0; i < NAMES_MAX; i++) {
        const struct name *n = &d->now.names[i];
        if (n->inode == 0 || !slice_ends(slice_text(n->path), name_end))
            continue;
        *ret_len = d->inodes[n->inode - 1].size;
        return d->inodes[n->inode - 1].cache;
    }
    return NULL;
}
