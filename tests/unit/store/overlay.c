/* SPDX-License-Identifier: Apache-2.0 */
/* The overlay against a model: an array of all possible keys. */
#include "store/overlay.h"

#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEYS 200

struct model_row {
    uint64_t position; /* 0: none */
    bool deleted;
};

static uint64_t random_state = 42;

static unsigned choose(unsigned below)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(random_state >> 33) % below;
}

/* Keys in order of their numbers, some of them beginnings of the next. */
static struct slice key_text(unsigned i, char out[16])
{
    snprintf(out, 16, "%c%03u%s", 3, i / 2, i % 2 == 0 ? "" : "x");
    return slice_text(out);
}

static void put(struct overlay *o, struct model_row *model, uint64_t position)
{
    char text[16], value[32];
    unsigned i = choose(KEYS);
    bool deleted = choose(4) == 0;
    struct slice key = key_text(i, text);
    snprintf(value, sizeof(value), "value %llu", (unsigned long long)position);
    struct overlay_row *row =
        overlay_row_new(3, slice_of(key.ptr + 1, key.len - 1), slice_text(value), deleted);
    assert_non_null(row);
    row->position = position;
    overlay_insert(o, row);
    model[i] = (struct model_row){position, deleted};
}

static void check_row(const struct overlay_row *row, unsigned i, const struct model_row *m)
{
    char text[16], value[32];
    assert_non_null(row);
    assert_true(slice_equal(overlay_key(row), key_text(i, text)));
    assert_int_equal(row->position, m->position);
    assert_int_equal(row->deleted, m->deleted);
    snprintf(value, sizeof(value), "value %llu", (unsigned long long)m->position);
    assert_true(slice_is(overlay_value(row), value));
}

static void check_all(const struct overlay *o, const struct model_row *model)
{
    const struct overlay_row *row = overlay_seek(o, SLICE(""), false);
    uint64_t rows = 0;
    for (unsigned i = 0; i < KEYS; i++) {
        if (model[i].position == 0)
            continue;
        check_row(row, i, &model[i]);
        row = overlay_next(row);
        rows++;
    }
    assert_null(row);
    assert_int_equal(overlay_rows(o), rows);
}

static void check_seek(const struct overlay *o, const struct model_row *model)
{
    char text[16];
    unsigned from = choose(KEYS), i;
    bool after = choose(2) == 0;
    struct slice key = key_text(from, text);
    for (i = after ? from + 1 : from; i < KEYS && model[i].position == 0; i++)
        ;
    const struct overlay_row *row = overlay_seek(o, key, after);
    if (i == KEYS)
        assert_null(row);
    else
        check_row(row, i, &model[i]);
    row = overlay_find(o, key);
    if (model[from].position == 0)
        assert_null(row);
    else
        check_row(row, from, &model[from]);
}

static void behaves_like_a_sorted_array(void **state)
{
    for (int round = 0; round < 20; round++) {
        struct model_row model[KEYS] = {{0}};
        struct overlay *o = overlay_new();
        for (uint64_t position = 1; position < 500; position++) {
            put(o, model, position);
            check_seek(o, model);
        }
        check_all(o, model);
        overlay_sweep(o, 250);
        for (unsigned i = 0; i < KEYS; i++)
            if (model[i].deleted && model[i].position <= 250)
                model[i].position = 0;
        check_all(o, model);
        overlay_unref(o);
    }
}

static void bytes_follow_what_is_in_it(void **state)
{
    struct overlay *o = overlay_new();
    char value[1000];
    memset(value, 'v', sizeof(value));
    overlay_insert(o, overlay_row_new(1, SLICE("k"), slice_of(value, sizeof(value)), false));
    uint64_t large = overlay_bytes(o);
    assert_true(large > 1000);
    overlay_insert(o, overlay_row_new(1, SLICE("k"), SLICE("small"), false));
    assert_true(overlay_bytes(o) < large - 500);
    assert_int_equal(overlay_rows(o), 1);
    overlay_unref(o);
}

static void a_reference_keeps_it(void **state)
{
    struct overlay *o = overlay_new();
    overlay_insert(o, overlay_row_new(1, SLICE("k"), SLICE("v"), false));
    struct overlay *held = overlay_ref(o);
    overlay_unref(o);
    assert_non_null(overlay_find(held, SLICE("\1k")));
    overlay_unref(held);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(behaves_like_a_sorted_array),
        cmocka_unit_test(bytes_follow_what_is_in_it),
        cmocka_unit_test(a_reference_keeps_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
