/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/timing.h"

#include "unit.h"

#include "base/memory.h"

#include <errno.h>
#include <string.h>

#define NOW UINT64_C(1790000000000000000) /* 2026-09-21T14:13:20Z */
#define DAY (86400 * CLOCK_SECOND)

static struct event with(const char *name, const char *value)
{
    struct event e = {.version = EVENT_V1};
    event_set(&e, "id", slice_text("1"));
    event_set(&e, "source", slice_text("/s"));
    event_set(&e, "type", slice_text("t"));
    if (name != NULL)
        event_set(&e, name, slice_text(value));
    return e;
}

static void only_two_attributes_count(void **state)
{
    struct event plain = with(NULL, NULL), other = with("deliverytimes", "x"),
                 late = with("deliverytime", "x"), dies = with("expirytime", "x");
    assert_false(timing_is_given(&plain));
    assert_false(timing_is_given(&other));
    assert_true(timing_is_given(&late));
    assert_true(timing_is_given(&dies));
}

static void values_are_checked(void **state)
{
    static const struct {
        const char *name, *value;
        int result;
    } rows[] = {
        {"deliverytime", "2026-09-22T14:13:20Z", 0},
        {"deliverytime", "2026-09-21T16:13:20.5+02:00", 0},
        {"deliverytime", "2020-01-01T00:00:00Z", 0}, /* past: at once */
        {"deliverytime", "1969-01-01T00:00:00Z", 0},
        {"deliverytime", "2027-09-20T00:00:00Z", 0},
        {"deliverytime", "2027-10-21T00:00:00Z", -EINVAL},
        {"deliverytime", "9999-12-31T23:59:59Z", -EINVAL},
        {"deliverytime", "tomorrow", -EINVAL},
        {"deliverytime", "", -EINVAL},
        {"deliverytime", "PT10M", -EINVAL},
        {"deliverytime", "1790000000", -EINVAL},
        {"deliverytime", "2026-09-22", -EINVAL},
        {"deliverytime", "2026-09-22T14:13:20", -EINVAL},
        {"deliverytime", "2026-02-30T14:13:20Z", -EINVAL},
        {"expirytime", "2026-09-22T14:13:20Z", 0},
        {"expirytime", "9999-12-31T23:59:59Z", 0},
        {"expirytime", "2000-01-01T00:00:00Z", 0},
        {"expirytime", "never", -EINVAL},
        {"expirytime", "2026-09-22T25:13:20Z", -EINVAL},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct event e = with(rows[i].name, rows[i].value);
        struct error err = ERROR_INIT;
        int r = timing_check(&e, NOW, &err);
        if (r != rows[i].result)
            fail_msg("%s %s: %d", rows[i].name, rows[i].value, r);
        if (r < 0)
            assert_string_equal(err.field, rows[i].name);
    }
}

static void what_is_to_be_done(void **state)
{
    static const struct {
        const char *name, *value;
        enum timing what;
        uint64_t due_ns;
    } rows[] = {
        {NULL, NULL, TIMING_NOW, 0},
        {"deliverytime", "2026-09-21T14:13:20Z", TIMING_NOW, 0},
        {"deliverytime", "2026-09-21T14:13:20.000000001Z", TIMING_LATER, NOW + 1},
        {"deliverytime", "2026-09-22T14:13:20Z", TIMING_LATER, NOW + DAY},
        {"deliverytime", "1960-09-22T14:13:20Z", TIMING_NOW, 0},
        {"deliverytime", "soon", TIMING_NOW, 0}, /* a reply's, which nobody refused */
        {"deliverytime", "9999-12-31T23:59:59Z", TIMING_LATER, NOW + TIMING_DAYS_MAX * DAY},
        {"expirytime", "2026-09-21T14:13:20Z", TIMING_EXPIRED, 0},
        {"expirytime", "2026-09-21T14:13:20.000000001Z", TIMING_NOW, 0},
        {"expirytime", "1960-09-21T14:13:20Z", TIMING_EXPIRED, 0},
        {"expirytime", "9999-12-31T23:59:59Z", TIMING_NOW, 0},
        {"expirytime", "soon", TIMING_NOW, 0},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct event e = with(rows[i].name, rows[i].value);
        uint64_t due = 0;
        if (timing_of(&e, NOW, &due) != rows[i].what || due != rows[i].due_ns)
            fail_msg("%s %s", rows[i].name, rows[i].value);
    }
}

static void an_expired_event_is_not_put_off(void **state)
{
    struct event e = with("expirytime", "2026-09-20T14:13:20Z");
    event_set(&e, "deliverytime", slice_text("2026-09-22T14:13:20Z"));
    uint64_t due = 0;
    assert_int_equal(timing_of(&e, NOW, &due), TIMING_EXPIRED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_two_attributes_count),
        cmocka_unit_test(values_are_checked),
        cmocka_unit_test(what_is_to_be_done),
        cmocka_unit_test(an_expired_event_is_not_put_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
