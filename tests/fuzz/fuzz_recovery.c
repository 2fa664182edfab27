/* SPDX-License-Identifier: Apache-2.0 */
/* Log recovery on hostile bytes. An input is either a segment file as it is, or a script of batches
 * whose sums are made right, so that what lies behind the sums is reached too. Opening either
 * refuses with a message, or gives a store that can be read to its end, written to and opened again
 * with the same contents. */
#include "power_disk.h"
#include "store/batch.h"

#include "base/fdio.h"
#include "base/must.h"

#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_BYTES (64u << 10)

/* What a script's byte asks to be made right before a batch is sealed. */
enum { FIX_FIRST = 1, FIX_CHAIN = 2, FIX_EPOCH = 4, FIX_RECORDS = 8, SKIP_SEAL = 16 };

struct script {
    const uint8_t *bytes;
    size_t len;
};

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static size_t take(struct script *s, void *out, size_t n)
{
    size_t got = n < s->len ? n : s->len;
    memset(out, 0, n);
    if (got > 0)
        memcpy(out, s->bytes, got);
    s->bytes += got;
    s->len -= got;
    return got;
}

static void begin_file(char *file, struct segment_header *h)
{
    *h = (struct segment_header){
        .number = 1, .bytes = FILE_BYTES, .epoch = 1, .first = 1, .time_ns = 1, .salt = 5};
    segment_header_seal(h, file);
}

static uint32_t count_records(const char *payload, size_t len)
{
    struct store_entry e;
    size_t at = 0;
    uint32_t count = 0;
    while (record_next(payload, len, &at, &e) == 1)
        count++;
    return count;
}

/* One batch: control byte, header, length of the payload, payload. Returns its end in the file. */
static size_t add_batch(struct script *s, char *file, size_t at, uint64_t *first, uint32_t *chain)
{
    uint8_t control = 0;
    uint16_t length = 0;
    struct batch_header h;
    take(s, &control, sizeof(control));
    take(s, &h, sizeof(h));
    take(s, &length, sizeof(length));
    length = (uint16_t)(length & ~7u);
    if (at + sizeof(h) + length > FILE_BYTES)
        return FILE_BYTES;
    char *payload = file + at + sizeof(h);
    take(s, payload, length);
    h.length = length;
    h.segment = 1;
    if (control & FIX_FIRST) {
        h.first = *first;
        h.synced = *first - 1;
    }
    if (control & FIX_CHAIN)
        h.chain = *chain;
    if (control & FIX_EPOCH) {
        h.epoch = 1;
        h.time_ns = 1;
    }
    if (control & FIX_RECORDS)
        h.records = count_records(payload, length);
    if (control & SKIP_SEAL)
        memcpy(file + at, &h, sizeof(h));
    else
        *chain = batch_seal(&h, 5, file + at);
    *first = h.first + h.records;
    return at + sizeof(h) + length;
}

static void run_script(struct script *s, char *file)
{
    struct segment_header h;
    uint64_t first = 1;
    begin_file(file, &h);
    uint32_t chain = h.crc;
    for (size_t at = SEGMENT_HEADER_BYTES; s->len > 0 && at + 64 <= FILE_BYTES;)
        at = add_batch(s, file, at, &first, &chain);
}

static void write_file(const struct store_io *io, const char *path, const char *bytes)
{
    int fd = io->open(io->ctx, path, O_RDWR | O_CREAT, 0600);
    must(fd >= 0);
    for (size_t at = 0; at < FILE_BYTES;) {
        int64_t n = io->pwrite(io->ctx, fd, bytes + at, FILE_BYTES - at, at);
        must(n > 0);
        at += (size_t)n;
    }
    io->close(io->ctx, fd);
}

static uint64_t read_all(struct store *s)
{
    struct store_entry e;
    uint64_t position = store_first(s), count = 0;
    struct store_reader *r = store_reader_new(s, position);
    int n;
    must(r != NULL);
    while ((n = store_reader_next(r, &e)) == 1) {
        must(e.position == position++);
        count++;
    }
    must(n == 0);
    must(position == store_synced(s) + 1);
    store_reader_free(r);
    return count;
}

static void answered(void *ctx, int error, uint64_t position)
{
    must(error == 0);
    sem_post(ctx);
}

static void append_one(struct store *s)
{
    sem_t done;
    struct store_group g;
    sem_init(&done, 0, 0);
    store_group_init(&g);
    store_group_add(&g, STORE_RECORD_EVENT, 1, SLICE(""), SLICE("new"));
    store_append(s, &g, answered, &done);
    while (sem_wait(&done) != 0)
        ;
    sem_destroy(&done);
}

static int open_store(const struct store_options *options, struct store **ret)
{
    struct error err = ERROR_INIT;
    int r = store_open(options, NULL, NULL, ret, &err);
    must(r == 0 || r == -EBADMSG || r == -ENOTSUP);
    must(r == 0 || err.message[0] != '\0');
    return r;
}

static void open_and_check(const struct store_options *options)
{
    struct store *s;
    if (open_store(options, &s) < 0)
        return;
    uint64_t count = read_all(s);
    /* Positions near the end of 64 bits can be forged but not reached. */
    if (store_synced(s) < UINT64_MAX / 2) {
        append_one(s);
        count++;
    }
    store_close(s);
    must(open_store(options, &s) == 0);
    must(read_all(s) == count);
    store_close(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static char file[FILE_BYTES];
    char dir[64], path[128];
    struct script script = {bytes, len};
    uint8_t raw = 0;
    /* LMDB syncs: in memory that costs nothing. */
    snprintf(dir, sizeof(dir), "%s/fuzz-recovery-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    must(mkdtemp(dir) != NULL);
    struct power_disk *disk = power_disk_new(1);
    memset(file, 0, sizeof(file));
    take(&script, &raw, 1);
    if (raw == 0)
        take(&script, file, sizeof(file));
    else
        run_script(&script, file);
    snprintf(path, sizeof(path), "%s/log/0000000000000001.log", dir);
    write_file(power_disk_io(disk), path, file);
    open_and_check(&(struct store_options){
        .dir = dir, .segment_bytes = FILE_BYTES, .io = power_disk_io(disk)});
    power_disk_free(disk);
    must(fdio_remove_tree(dir) == 0);
    return 0;
}
