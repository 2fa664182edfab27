/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/index.h"

#include "base/memory.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

#define FILTERS 400

static const char *const names[] = {"type", "source", "region", "team", "specversion"};
static const char *const texts[] = {"a", "ab", "abc", "b", "bab", "1", "true", "1.0", "0", "false"};

static const char *pick(const char *const *from, size_t count)
{
    return from[(size_t)rand() % count];
}
#define PICK(table) pick(table, COUNT_OF(table))

/* All kinds of conditions on a few attributes and values, so that they meet often. */
static json_t *random_attributes(bool any_value)
{
    json_t *attributes = json_object();
    for (int n = 1 + rand() % 3; n > 0; n--)
        json_object_set_new(attributes, PICK(names),
                            json_string(any_value && rand() % 4 == 0 ? "" : PICK(texts)));
    return attributes;
}

static void add_expression(struct buf *out, unsigned depth)
{
    static const char *const joins[] = {"AND", "OR", "XOR"};
    static const char *const literals[] = {"1",    "0",      "TRUE",   "FALSE", "'1'",
                                           "'01'", "'true'", "'TRUE'", "'ab'",  "'x'"};
    static const char *const patterns[] = {"a%", "%b", "%a%", "a_c", "ab", "%", "_%b", "a%c"};
    static const char *const terms[] = {"INT(source)",  "LENGTH(type)",  "-region",
                                        "UPPER(team)",  "type + 1",      "CONCAT(type, region)",
                                        "BOOL(region)", "LEFT(team, 1)", "(EXISTS team)",
                                        "(type = '1')", "region % 2",    "NOWHERE(type)"};
    switch (rand() % (depth > 0 ? 12 : 9)) {
    case 0:
        buf_printf(out, "%s = %s", PICK(names), PICK(literals));
        return;
    case 1:
        buf_printf(out, "%s = %s", PICK(literals), PICK(names));
        return;
    case 2:
        buf_printf(out, "%s %sIN (%s, %s)", PICK(names), rand() % 3 == 0 ? "NOT " : "",
                   PICK(literals), rand() % 4 == 0 ? PICK(names) : PICK(literals));
        return;
    case 3:
        buf_printf(out, "%s %sLIKE '%s'", PICK(names), rand() % 3 == 0 ? "NOT " : "",
                   PICK(patterns));
        return;
    case 4:
        buf_printf(out, "EXISTS %s", PICK(names));
        return;
    case 5:
        buf_printf(out, "%s", rand() % 2 == 0 ? PICK(names) : PICK(literals));
        return;
    case 6:
        buf_printf(out, "LENGTH(%s) > %s", PICK(names), PICK(literals));
        return;
    case 7:
        if (rand() % 2 == 0)
            buf_printf(out, "%s = %s", PICK(terms), PICK(literals));
        else
            buf_printf(out, "%s = %s", PICK(literals), PICK(terms));
        return;
    case 8:
        if (rand() % 2 == 0)
            buf_printf(out, "%s IN (%s, %s)", PICK(terms), PICK(literals), PICK(literals));
        else
            buf_printf(out, "%s LIKE '%s'", PICK(terms), PICK(patterns));
        return;
    case 9:
        buf_add_text(out, "NOT (");
        add_expression(out, depth - 1);
        buf_add_byte(out, ')');
        return;
    default:
        buf_add_byte(out, '(');
        add_expression(out, depth - 1);
        buf_printf(out, ") %s (", PICK(joins));
        add_expression(out, depth - 1);
        buf_add_byte(out, ')');
    }
}

static json_t *random_cesql(void)
{
    autobuf text = BUF_INIT;
    add_expression(&text, 3);
    return json_string(text.ptr);
}

static json_t *random_item(unsigned depth);

static json_t *random_list(unsigned depth)
{
    json_t *list = json_array();
    for (int n = 1 + rand() % 3; n > 0; n--)
        json_array_append_new(list, random_item(depth));
    return list;
}

static json_t *random_item(unsigned depth)
{
    static const char *const leaves[] = {"exact", "prefix", "suffix"};
    switch (rand() % (depth > 0 ? 7 : 4)) {
    case 3:
        return json_pack("{s:o}", rand() % 2 == 0 ? "cesql" : "sql", random_cesql());
    case 4:
        return json_pack("{s:o}", "all", random_list(depth - 1));
    case 5:
        return json_pack("{s:o}", "any", random_list(depth - 1));
    case 6:
        return json_pack("{s:o}", "not", random_item(depth - 1));
    default:
        return json_pack("{s:o}", PICK(leaves), random_attributes(false));
    }
}

static struct filter *random_filter(void)
{
    json_t *spec = rand() % 3 == 0
                       ? json_pack("{s:{s:o}}", "filter", "attributes", random_attributes(true))
                       : json_pack("{s:o}", "filters", random_list(3));
    struct filter *f = NULL;
    struct error err = ERROR_INIT;
    if (filter_compile(spec, &f, &err) != 0)
        fail_msg("%s: %s", err.field, err.message);
    json_decref(spec);
    return f;
}

static void random_value(struct event_attribute *a)
{
    a->value = slice_text(PICK(texts));
    a->kind = EVENT_VALUE_STRING;
    if (slice_is(a->value, "1") || slice_is(a->value, "0"))
        a->kind = rand() % 2 == 0 ? EVENT_VALUE_INTEGER : EVENT_VALUE_STRING;
    if (slice_is(a->value, "true") || slice_is(a->value, "false"))
        a->kind = rand() % 2 == 0 ? EVENT_VALUE_BOOLEAN : EVENT_VALUE_STRING;
}

static struct event random_event(void)
{
    struct event e = {.version = rand() % 4 == 0 ? EVENT_V03 : EVENT_V1};
    event_set(&e, "id", SLICE("1"));
    for (size_t i = 0; i < 4; i++) {
        if (rand() % 5 == 0)
            continue;
        e.attributes[e.count].name = slice_text(names[i]);
        random_value(&e.attributes[e.count++]);
    }
    return e;
}

static bool matched[FILTERS];

static void mark(void *ctx, void *item)
{
    size_t i = (size_t)(uintptr_t)item - 1;
    assert_false(matched[i]); /* each once */
    matched[i] = true;
}

static void compare(struct index *x, struct filter **filters)
{
    struct event e = random_event();
    memset(matched, 0, sizeof(matched));
    index_match(x, &e, mark, NULL);
    for (size_t k = 0; k < FILTERS; k++)
        if (matched[k] != (filters[k] != NULL && filter_matches(filters[k], &e)))
            fail_msg("%s: %s by the index", filters[k] != NULL ? filters[k]->text : "a free place",
                     matched[k] ? "found" : "not found");
}

/* Filters come and go; the index finds exactly those that match one by one. */
static void agrees_with_asking_each_filter(void **state)
{
    struct index x = {0};
    struct filter *filters[FILTERS] = {0};
    srand(5);
    for (int step = 0; step < 6000; step++) {
        size_t i = (size_t)rand() % FILTERS;
        if (filters[i] != NULL) {
            index_remove(&x, filters[i], (void *)(uintptr_t)(i + 1));
            filter_free(filters[i]);
            filters[i] = NULL;
        } else {
            filters[i] = random_filter();
            assert_int_equal(index_add(&x, filters[i], (void *)(uintptr_t)(i + 1)), 0);
        }
        compare(&x, filters);
    }
    for (size_t i = 0; i < FILTERS; i++) {
        if (filters[i] != NULL)
            index_remove(&x, filters[i], (void *)(uintptr_t)(i + 1));
        filter_free(filters[i]);
    }
    assert_int_equal(x.groups.len, 0); /* nothing left behind */
    assert_int_equal(x.slots.len, 0);
    assert_null(x.free_slot);
    assert_true(x.terms.next == NULL || list_empty(&x.terms));
    index_done(&x);
}

/* What is still there goes with the index. */
static void ends_with_filters_in_it(void **state)
{
    struct index x = {0};
    struct filter *filters[FILTERS];
    for (size_t i = 0; i < FILTERS; i++) {
        filters[i] = random_filter();
        assert_int_equal(index_add(&x, filters[i], (void *)(uintptr_t)(i + 1)), 0);
        filter_free(filters[i]); /* the index has its own reference */
    }
    index_done(&x);
}

static void count_items(void *ctx, void *item)
{
    ++*(size_t *)ctx;
}

/* `spec` has %1$d where the filters differ: of many such filters, few are asked for an event. */
static void few_are_asked(const char *spec, size_t candidates_max)
{
    enum { MANY = 1000 };
    struct index x = {0};
    struct event e = {.version = EVENT_V1};
    event_set(&e, "id", SLICE("1"));
    event_set(&e, "type", SLICE("com.example.t517"));
    event_set(&e, "source", SLICE("/shop/s517/orders"));
    event_set(&e, "subject", SLICE("x.517"));
    event_set(&e, "seq", SLICE("517"));
    for (int i = 0; i < MANY; i++) {
        char text[512];
        struct filter *f;
        snprintf(text, sizeof(text), spec, i);
        json_t *json = json_loads(text, 0, NULL);
        assert_non_null(json);
        assert_int_equal(filter_compile(json, &f, NULL), 0);
        json_decref(json);
        assert_int_equal(index_add(&x, f, &x), 0);
        filter_free(f);
    }
    size_t found = 0, candidates = index_candidates(&x, &e);
    index_match(&x, &e, count_items, &found);
    if (candidates > candidates_max || found != 1)
        fail_msg("%s: %zu asked, %zu match", spec, candidates, found);
    index_done(&x);
}

static void asks_few_filters(void **state)
{
    few_are_asked("{\"filter\":{\"attributes\":{\"type\":\"com.example.t%1$d\"}}}", 1);
    few_are_asked(
        "{\"filters\":[{\"exact\":{\"type\":\"com.example.t517\",\"subject\":\"x.%1$d\"}}]}", 1);
    few_are_asked("{\"filters\":[{\"prefix\":{\"source\":\"/shop/s%1$d/\"}}]}", 1);
    few_are_asked("{\"filters\":[{\"suffix\":{\"subject\":\".%1$d\"}}]}", 1);
    /* what they share is passed over for what they do not */
    few_are_asked("{\"filters\":[{\"prefix\":{\"type\":\"com.example.\"}},{\"suffix\":{\"subject\":"
                  "\".%1$d\"}}]}",
                  8);
    few_are_asked(
        "{\"filters\":[{\"exact\":{\"type\":\"com.example.t517\"}},{\"prefix\":{\"source\":"
        "\"/shop/s%1$d/\"}}]}",
        20);
    few_are_asked(
        "{\"filters\":[{\"any\":[{\"exact\":{\"type\":\"com.example.t%1$d\"}},{\"prefix\":{"
        "\"source\":\"/none%1$d\"}}]}]}",
        1);
    few_are_asked("{\"filters\":[{\"not\":{\"not\":{\"exact\":{\"subject\":\"x.%1$d\"}}}}]}", 1);
    few_are_asked(
        "{\"filters\":[{\"all\":[{\"any\":[{\"exact\":{\"seq\":\"%1$d\"}},{\"exact\":{\"seq\":"
        "\"-%1$d\"}}]},{\"not\":{\"exact\":{\"id\":\"2\"}}}]}]}",
        1);
    few_are_asked(
        "{\"filters\":[{\"cesql\":\"type = 'com.example.t%1$d' AND LENGTH(source) > 2\"}]}", 1);
    few_are_asked("{\"filters\":[{\"cesql\":\"INT(id) = 1 AND seq IN ('%1$d', 'x%1$d')\"}]}", 1);
    few_are_asked("{\"filters\":[{\"cesql\":\"source LIKE '/shop/s%1$d/%%' AND id = 1\"}]}", 1);
    few_are_asked("{\"filters\":[{\"sql\":\"subject LIKE '_.%1$d' OR type LIKE '%%.u%1$d'\"}]}", 1);
    few_are_asked("{\"filters\":[{\"cesql\":\"EXISTS ext%1$d OR seq = '%1$d'\"}]}", 1);
    few_are_asked(
        "{\"filters\":[{\"cesql\":\"(EXISTS ext%1$d AND ext%1$d * 2 > 1) OR 517 = %1$d\"}]}", 2);
    /* what is computed is looked up, too */
    few_are_asked("{\"filters\":[{\"cesql\":\"seq = %1$d\"}]}", 1);
    few_are_asked("{\"filters\":[{\"cesql\":\"EXISTS id AND INT(seq) * 2 = %1$d * 2\"}]}", 1);
    few_are_asked("{\"filters\":[{\"cesql\":\"'%1$d' = SUBSTRING(subject, 3)\"}]}", 1);
    few_are_asked("{\"filters\":[{\"cesql\":\"UPPER(subject) IN ('X.%1$d', 'y', 5)\"}]}", 1);
    few_are_asked(
        "{\"filters\":[{\"cesql\":\"LOWER(source) LIKE '/shop/s%1$d/_rders' AND seq > 5\"}]}", 1);
    few_are_asked(
        "{\"filters\":[{\"cesql\":\"LENGTH(type) = 16 AND CONCAT(id, subject) LIKE '1x.%1$d'\"}]}",
        20);
}

/* Equal filters are asked once. */
static void shares_equal_filters(void **state)
{
    struct index x = {0};
    struct event e = {.version = EVENT_V1};
    event_set(&e, "seq", SLICE("4"));
    for (int i = 0; i < 100; i++) {
        struct filter *f;
        json_t *json = json_loads("{\"filters\":[{\"cesql\":\"seq % 2 = 0\"}]}", 0, NULL);
        assert_int_equal(filter_compile(json, &f, NULL), 0);
        json_decref(json);
        assert_int_equal(index_add(&x, f, &x), 0);
        filter_free(f);
    }
    size_t found = 0;
    index_match(&x, &e, count_items, &found);
    assert_int_equal(found, 100);
    assert_int_equal(index_candidates(&x, &e), 1);
    index_done(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_asking_each_filter),
        cmocka_unit_test(ends_with_filters_in_it),
        cmocka_unit_test(asks_few_filters),
        cmocka_unit_test(shares_equal_filters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
