/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/dedup_set.h"

#include "unit.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW (10 * CLOCK_SECOND)

static int add(struct dedup_set *s, const char *source, const char *id, uint64_t second)
{
    return dedup_set_add(s, slice_text(source), slice_text(id), second * CLOCK_SECOND, WINDOW);
}

static void source_and_id_in_the_window(void **state)
{
    struct dedup_set s = {.max = 100};
    assert_int_equal(add(&s, "/a", "1", 100), 0);
    assert_int_equal(add(&s, "/b", "1", 100), 0);
    assert_int_equal(add(&s, "/a", "2", 101), 0);
    assert_int_equal(add(&s, "/", "a1", 101), 0); /* another one, though the texts are the same */
    assert_int_equal(add(&s, "/a", "1", 110), 1); /* at most */
    assert_int_equal(add(&s, "/b", "1", 111), 0);
    assert_int_equal(add(&s, "/a", "1", 120), 1); /* the duplicate counts, too */
    assert_int_equal(add(&s, "/a", "1", 131), 0);
    assert_int_equal(s.len, 1);
    assert_int_equal(s.forgotten, 0);
    dedup_set_done(&s);
}

static void the_oldest_are_forgotten_when_there_are_too_many(void **state)
{
    struct dedup_set s = {.max = 1000};
    char id[16];
    for (unsigned i = 0; i < 1500; i++) {
        snprintf(id, sizeof(id), "%u", i);
        assert_int_equal(add(&s, "/a", id, 1), 0);
    }
    assert_int_equal(s.len, 1000);
    assert_int_equal(s.forgotten, 500);
    assert_int_equal(add(&s, "/a", "1499", 1), 1);
    assert_int_equal(add(&s, "/a", "499", 1), 0);
    dedup_set_clear(&s);
    assert_int_equal(add(&s, "/a", "1499", 1), 0);
    assert_int_equal(s.forgotten, 502);
    dedup_set_done(&s);
}

/* Against all pairs. */
static void random_events(void **state)
{
    enum { COUNT = 3000 };
    static unsigned ids[COUNT];
    static uint64_t times[COUNT];
    struct dedup_set s = {.max = COUNT};
    uint64_t random = 7, second = 1;
    for (unsigned i = 0; i < COUNT; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        ids[i] = (unsigned)(random >> 33) % 300;
        second += (random >> 50) % 8 == 0;
        times[i] = second;
        int duplicate = 0;
        for (unsigned j = 0; j < i; j++)
            duplicate |= ids[j] == ids[i] && times[i] - times[j] <= WINDOW / CLOCK_SECOND;
        char id[16];
        snprintf(id, sizeof(id), "%u", ids[i]);
        assert_int_equal(add(&s, "/a", id, second), duplicate);
    }
    dedup_set_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(source_and_id_in_the_window),
        cmocka_unit_test(the_oldest_are_forgotten_when_there_are_too_many),
        cmocka_unit_test(random_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
