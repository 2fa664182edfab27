/* SPDX-License-Identifier: Apache-2.0 */
/* Recovery of damaged logs: a torn end is cut off and stays gone, damage below what was synced is
 * refused with file and offset. The log is on the power disk, so that it can be put back as it was
 * after every try. */
#include "power_disk.h"
#include "rig.h"
#include "store/batch.h"

#include "unit.h"

#include "base/fdio.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEGMENT "0000000000000001.log"

/* Three batches of one event each, as a process that was killed leaves them. */
struct image {
    struct rig rig;
    struct power_disk *disk;
    char *log;
    uint64_t log_len;
    struct buf tables;
    uint64_t offsets[4]; /* of the batches, and the end */
};

static void tables_path(const struct image *m, char out[128])
{
    snprintf(out, 128, "%s/tables/data.mdb", m->rig.dir);
}

static char *log_now(struct image *m)
{
    uint64_t len;
    char *bytes = power_disk_bytes(m->disk, SEGMENT, &len);
    assert_non_null(bytes);
    assert_int_equal(len, m->log_len);
    return bytes;
}

static void find_offsets(struct image *m)
{
    uint64_t at = SEGMENT_HEADER_BYTES;
    for (int i = 0; i < 4; i++) {
        struct batch_header h;
        m->offsets[i] = at;
        memcpy(&h, m->log + at, sizeof(h));
        at += sizeof(h) + h.length;
    }
}

static int setup(void **state)
{
    struct image *m = calloc(1, sizeof(*m));
    char path[128];
    rig_init(&m->rig, false, 0);
    m->disk = power_disk_new(1);
    m->rig.options.io = power_disk_io(m->disk);
    assert_int_equal(rig_open(&m->rig), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(rig_event(&m->rig, i == 0 ? "one" : i == 1 ? "two" : "three", NULL), 0);
    tables_path(m, path);
    assert_int_equal(fdio_read_file(path, 1 << 20, &m->tables), 0);
    const char *bytes = power_disk_bytes(m->disk, SEGMENT, &m->log_len);
    m->log = malloc(m->log_len);
    memcpy(m->log, bytes, m->log_len);
    find_offsets(m);
    rig_close(&m->rig);
    *state = m;
    return 0;
}

static int teardown(void **state)
{
    struct image *m = *state;
    rig_done(&m->rig);
    power_disk_free(m->disk);
    buf_done(&m->tables);
    free(m->log);
    free(m);
    return 0;
}

/* Puts everything back; the caller damages the log and opens. */
static char *put_back(struct image *m)
{
    char path[128];
    rig_close(&m->rig);
    tables_path(m, path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(m->tables.ptr, 1, m->tables.len, file), m->tables.len);
    assert_int_equal(fclose(file), 0);
    char *log = log_now(m);
    memcpy(log, m->log, m->log_len);
    return log;
}

static void expect_first(struct image *m, uint64_t count)
{
    static const char *const texts[] = {"one", "two", "three"};
    int r = rig_open(&m->rig);
    if (r != 0)
        fail_msg("open: %d %s", r, m->rig.error.message);
    assert_int_equal(store_synced(m->rig.store), count);
    assert_int_equal(m->rig.replayed, count);
    for (uint64_t i = 0; i < count; i++)
        rig_expect_event(&m->rig, i + 1, texts[i]);
}

/* The torn batch is gone for good: what is appended takes its place. */
static void expect_torn(struct image *m)
{
    uint64_t position = 0;
    expect_first(m, 2);
    const char *log = log_now(m);
    for (uint64_t i = m->offsets[2]; i < m->log_len; i++)
        assert_int_equal(log[i], 0);
    assert_int_equal(rig_event(&m->rig, "new", &position), 0);
    assert_int_equal(position, 3);
    rig_close(&m->rig);
    assert_int_equal(rig_open(&m->rig), 0);
    rig_expect_event(&m->rig, 3, "new");
    assert_int_equal(store_synced(m->rig.store), 3);
}

static void expect_refused(struct image *m, uint64_t offset)
{
    char text[64];
    snprintf(text, sizeof(text), SEGMENT ": offset %" PRIu64 ":", offset);
    int r = rig_open(&m->rig);
    assert_int_equal(r, -EBADMSG);
    if (strstr(m->rig.error.message, text) == NULL)
        fail_msg("'%s' does not name %s", m->rig.error.message, text);
}

static void whole_log_is_recovered(void **state)
{
    struct image *m = *state;
    put_back(m);
    expect_first(m, 3);
}

static void every_truncation_of_the_last_batch(void **state)
{
    struct image *m = *state;
    /* Below the last bytes that are not zero there is a difference. */
    uint64_t end = m->offsets[3];
    while (m->log[end - 1] == 0)
        end--;
    for (uint64_t at = m->offsets[2]; at < end; at++) {
        char *log = put_back(m);
        memset(log + at, 0, m->log_len - at);
        expect_torn(m);
    }
}

static void flipped_bits_of_the_last_batch(void **state)
{
    struct image *m = *state;
    for (uint64_t at = m->offsets[2]; at < m->offsets[3]; at++) {
        char *log = put_back(m);
        log[at] = (char)(log[at] ^ (1 << at % 8));
        expect_torn(m);
    }
}

static void damage_below_what_was_synced_is_refused(void **state)
{
    struct image *m = *state;
    for (uint64_t at = m->offsets[0]; at < m->offsets[2]; at++) {
        char *log = put_back(m);
        log[at] = (char)(log[at] ^ (1 << at % 8));
        expect_refused(m, at < m->offsets[1] ? m->offsets[0] : m->offsets[1]);
    }
}

static void damage_of_the_header_is_refused(void **state)
{
    struct image *m = *state;
    for (uint64_t at = 0; at < sizeof(struct segment_header); at += 3) {
        char *log = put_back(m);
        log[at] = (char)(log[at] ^ (1 << at % 8));
        expect_refused(m, 0);
    }
}

static void lost_end_after_a_clean_stop_is_refused(void **state)
{
    struct image *m = *state;
    put_back(m);
    expect_first(m, 3);
    rig_close(&m->rig);
    char *log = log_now(m);
    log[m->offsets[2] + 70] ^= 1;
    expect_refused(m, m->offsets[2]);
}

/* Written in the epoch before, lost, zeroed; then the disk gives it back after all. */
static void a_batch_of_an_older_epoch_does_not_come_back(void **state)
{
    struct image *m = *state;
    char *log = put_back(m);
    memset(log + m->offsets[2], 0, m->log_len - m->offsets[2]);
    expect_first(m, 2);
    rig_close(&m->rig);
    log = log_now(m);
    memcpy(log + m->offsets[2], m->log + m->offsets[2], m->offsets[3] - m->offsets[2]);
    expect_torn(m);
}

/* A record whose bytes are a batch is only bytes. */
static void a_batch_inside_of_a_record_is_no_batch(void **state)
{
    struct image *m = *state;
    put_back(m);
    expect_first(m, 3);
    struct store_group g;
    store_group_init(&g);
    store_group_add(&g, STORE_RECORD_EVENT, 1, SLICE(""),
                    slice_of(m->log + m->offsets[1], m->offsets[3] - m->offsets[1]));
    assert_int_equal(rig_append(&m->rig, &g, NULL), 0);
    rig_close(&m->rig);
    assert_int_equal(rig_open(&m->rig), 0);
    assert_int_equal(store_synced(m->rig.store), 4);
}

static void a_missing_log_is_refused(void **state)
{
    struct image *m = *state;
    put_back(m);
    expect_first(m, 3);
    rig_close(&m->rig);
    const struct store_io *io = m->rig.options.io;
    char path[256];
    snprintf(path, sizeof(path), "%s/log/" SEGMENT, m->rig.dir);
    assert_int_equal(io->unlink(io->ctx, path), 0);
    assert_int_equal(rig_open(&m->rig), -EBADMSG);
}

static void a_newer_format_is_refused(void **state)
{
    struct image *m = *state;
    char *log = put_back(m);
    struct segment_header h;
    memcpy(&h, log, sizeof(h));
    h.incompat = 1;
    segment_header_seal(&h, log);
    assert_int_equal(rig_open(&m->rig), -ENOTSUP);
    assert_non_null(strstr(m->rig.error.message, "newer version"));
}

static void a_second_opener_is_refused(void **state)
{
    struct image *m = *state;
    struct store *other;
    struct error err = ERROR_INIT;
    put_back(m);
    expect_first(m, 3);
    assert_int_equal(store_open(&m->rig.options, NULL, NULL, &other, &err), -EBUSY);
    assert_non_null(strstr(err.message, "another broker"));
}

#define WITH_IMAGE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_IMAGE(whole_log_is_recovered),
        WITH_IMAGE(every_truncation_of_the_last_batch),
        WITH_IMAGE(flipped_bits_of_the_last_batch),
        WITH_IMAGE(damage_below_what_was_synced_is_refused),
        WITH_IMAGE(damage_of_the_header_is_refused),
        WITH_IMAGE(lost_end_after_a_clean_stop_is_refused),
        WITH_IMAGE(a_batch_of_an_older_epoch_does_not_come_back),
        WITH_IMAGE(a_batch_inside_of_a_record_is_no_batch),
        WITH_IMAGE(a_missing_log_is_refused),
        WITH_IMAGE(a_newer_format_is_refused),
        WITH_IMAGE(a_second_opener_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
