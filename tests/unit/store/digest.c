/* SPDX-License-Identifier: Apache-2.0 */
/* store_find(): what digests of segments let pass, and what becomes of them. */
#include "rig.h"

#include "unit.h"

#include "store/digest.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EVENTS 3000u

/* An event's key is the number in its text; FINISH speaks of an event. */
static void topic(const struct store_entry *e, struct store_topic *ret)
{
    *ret = (struct store_topic){0};
    if (e->type == STORE_RECORD_EVENT) {
        ret->has_key = true;
        ret->key = strtoull(e->value.ptr, NULL, 10) << 32;
    } else if (e->type == STORE_RECORD_FINISH) {
        memcpy(&ret->about, e->key.ptr, sizeof(ret->about));
    }
}

static int setup(void **state)
{
    struct rig *r = malloc(sizeof(*r));
    rig_init(r, false, 0);
    assert_int_equal(rig_open(r), 0);
    for (unsigned i = 1; i <= EVENTS; i++) {
        char text[128];
        uint64_t position;
        snprintf(text, sizeof(text), "%u %0100u", i, i);
        assert_int_equal(rig_event(r, text, &position), 0);
        assert_int_equal(position, i);
    }
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    rig_done(*state);
    free(*state);
    return 0;
}

static uint64_t finish(struct rig *r, uint64_t about)
{
    struct store_group g;
    uint64_t position = 0;
    store_group_init(&g);
    store_group_add(&g, STORE_RECORD_FINISH, 1, slice_of(&about, sizeof(about)), SLICE(""));
    assert_int_equal(rig_append(r, &g, &position), 0);
    return position;
}

/* Records that must be read to find all that is wanted; *ret_hit: that position is among them. */
static uint64_t to_read(struct rig *r, const struct store_search *search, uint64_t wanted,
                        bool *ret_hit, uint64_t *ret_bytes)
{
    struct store_found found = {.end = 1};
    uint64_t records = 0, synced = store_synced(r->store);
    *ret_hit = false;
    *ret_bytes = 0;
    while (found.end <= synced) {
        store_find(r->store, found.end, search, topic, &found);
        *ret_bytes += found.bytes_read;
        uint64_t end = found.end <= synced ? found.end : synced + 1;
        records += end - found.begin;
        *ret_hit = *ret_hit || (found.begin <= wanted && wanted < end);
    }
    return records;
}

static unsigned digests(struct rig *r, const char *remove)
{
    char folder[512], path[1024];
    unsigned count = 0;
    snprintf(folder, sizeof(folder), "%s/log", r->dir);
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        if (strstr(e->d_name, ".digest") == NULL)
            continue;
        count++;
        snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
        if (strcmp(remove, "remove") == 0)
            unlink(path);
        if (strcmp(remove, "damage") == 0) {
            int fd = open(path, O_RDWR);
            assert_true(fd >= 0);
            assert_int_equal(pwrite(fd, "damaged", 7, 70), 7);
            assert_int_equal(pwrite(fd, "damaged", 7, 1100), 7);
            close(fd);
        }
    }
    closedir(dir);
    return count;
}

static void an_event_is_found_by_its_key(void **state)
{
    struct rig *r = *state;
    bool hit;
    uint64_t bytes, last_segment;
    struct store_search none = {.by_key = true, .key = UINT64_C(999999) << 32};
    to_read(r, &none, 0, &hit, &bytes);
    assert_true(bytes > 0); /* digests were made */
    last_segment = to_read(r, &none, 0, &hit, &bytes);
    assert_int_equal(bytes, 0); /* and are kept */
    assert_true(last_segment < EVENTS / 3);
    for (unsigned i = 1; i <= EVENTS - last_segment; i += 97) {
        struct store_search search = {.by_key = true, .key = (uint64_t)i << 32};
        assert_int_equal(to_read(r, &search, i, &hit, &bytes), last_segment + 1);
        assert_true(hit);
    }
}

static void records_about_an_event_are_found(void **state)
{
    struct rig *r = *state;
    bool hit;
    uint64_t bytes, about = 5, at = finish(r, about);
    for (unsigned i = 0; i < 1500; i++)
        finish(r, 2000 + i % 900);
    struct store_search search = {.about = &about, .about_count = 1};
    uint64_t records = to_read(r, &search, at, &hit, &bytes);
    assert_true(hit);
    assert_true(records < store_synced(r->store) / 2 + 500);
    about = 1500; /* nothing speaks of it */
    uint64_t fewer = to_read(r, &search, about, &hit, &bytes);
    assert_true(hit); /* its own segment */
    assert_true(fewer <= records);
}

static void a_digest_that_is_damaged_or_gone_is_made_again(void **state)
{
    struct rig *r = *state;
    bool hit;
    uint64_t bytes;
    struct store_search search = {.by_key = true, .key = UINT64_C(7) << 32};
    uint64_t records = to_read(r, &search, 7, &hit, &bytes);
    unsigned count = digests(r, "damage");
    assert_true(count >= 3);
    assert_int_equal(to_read(r, &search, 7, &hit, &bytes), records);
    assert_true(hit);
    assert_true(bytes > 0);
    digests(r, "remove");
    assert_int_equal(to_read(r, &search, 7, &hit, &bytes), records);
    assert_true(hit);
    assert_int_equal(digests(r, ""), count);
}

static void they_can_be_made_before_anybody_looks(void **state)
{
    struct rig *r = *state;
    bool hit;
    uint64_t bytes;
    unsigned made = 0;
    while (store_digest(r->store, topic))
        made++;
    assert_true(made >= 3);
    assert_int_equal(digests(r, ""), made);
    struct store_search search = {.by_key = true, .key = UINT64_C(7) << 32};
    to_read(r, &search, 7, &hit, &bytes);
    assert_true(hit);
    assert_int_equal(bytes, 0);
    rig_close(r);
    assert_int_equal(rig_open(r), 0);
    while (store_digest(r->store, topic))
        made--; /* looked at, and found to be there */
    assert_int_equal(made, 0);
}

static void digests_go_with_their_segments(void **state)
{
    struct rig *r = *state;
    bool hit;
    uint64_t bytes;
    struct store_search search = {.by_key = true, .key = UINT64_C(7) << 32};
    to_read(r, &search, 7, &hit, &bytes);
    unsigned count = digests(r, "");
    assert_int_equal(rig_checkpoint(r, store_synced(r->store), NULL), 0);
    store_retain(r->store, EVENTS / 2, 0);
    unsigned left = digests(r, "");
    assert_true(left < count);
    char path[600];
    snprintf(path, sizeof(path), "%s/log/00000000000000ff.digest", r->dir);
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    close(fd);
    rig_close(r);
    assert_int_equal(rig_open(r), 0);
    assert_int_equal(digests(r, ""), left); /* the stray one went */
    to_read(r, &search, 7, &hit, &bytes);
    assert_int_equal(bytes, 0);
}

static void ranges_hold_what_was_put_in(void **state)
{
    struct digest_ranges *r = calloc(1, sizeof(*r));
    r->gap = DIGEST_GAP;
    uint64_t position = 1;
    for (unsigned i = 0; i < 20000; i++) {
        position = position * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        digest_ranges_add(r, position >> 30);
    }
    assert_true(r->len < DIGEST_RANGES_MAX);
    for (size_t i = 1; i < r->len; i++)
        assert_true(r->list[i - 1].last < r->list[i].first);
    position = 1;
    for (unsigned i = 0; i < 20000; i++) {
        position = position * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        assert_true(digest_ranges_have(r, position >> 30));
    }
    free(r);
}

int main(void)
{
#define DIGEST_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        DIGEST_TEST(an_event_is_found_by_its_key),
        DIGEST_TEST(records_about_an_event_are_found),
        DIGEST_TEST(a_digest_that_is_damaged_or_gone_is_made_again),
        DIGEST_TEST(they_can_be_made_before_anybody_looks),
        DIGEST_TEST(digests_go_with_their_segments),
        cmocka_unit_test(ranges_hold_what_was_put_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
