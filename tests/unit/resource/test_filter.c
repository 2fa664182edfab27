/* SPDX-License-Identifier: Apache-2.0 */
#include "resource/filter.h"

#include "base/fdio.h"
#include "base/memory.h"
#include "resource/resource.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static struct event an_event(void)
{
    struct event e = {.version = EVENT_V1};
    event_set(&e, "id", slice_text("1"));
    event_set(&e, "type", slice_text("com.example.made"));
    event_set(&e, "source", slice_text("/shop/orders"));
    event_set(&e, "region", slice_text("eu"));
    event_set(&e, "time", slice_text("2026-11-21T10:00:00Z"));
    e.attributes[e.count++] =
        (struct event_attribute){SLICE("count"), SLICE("12"), EVENT_VALUE_INTEGER};
    e.attributes[e.count++] =
        (struct event_attribute){SLICE("urgent"), SLICE("true"), EVENT_VALUE_BOOLEAN};
    return e;
}

static struct filter *compiled(const char *spec, int want, struct error *err)
{
    json_t *json = json_loads(spec, 0, NULL);
    assert_non_null(json);
    struct filter *f = NULL;
    assert_int_equal(filter_compile(json, &f, err), want);
    json_decref(json);
    return f;
}

static void matches_as_the_table_says(void **state)
{
    static const struct {
        const char *spec;
        bool matches;
    } cases[] = {
        {"{}", true},
        {"{\"filter\":{}}", true},
        {"{\"filter\":{\"attributes\":{\"type\":\"com.example.made\"}}}", true},
        {"{\"filter\":{\"attributes\":{\"type\":\"com.example.Made\"}}}", false},
        {"{\"filter\":{\"attributes\":{\"type\":\"\"}}}", true},     /* any value */
        {"{\"filter\":{\"attributes\":{\"subject\":\"\"}}}", false}, /* but it must be there */
        {"{\"filter\":{\"attributes\":{\"specversion\":\"1.0\"}}}", true},
        {"{\"filter\":{\"attributes\":{\"type\":\"com.example.made\",\"region\":\"us\"}}}", false},
        {"{\"filters\":[],\"filter\":{\"attributes\":{\"region\":\"us\"}}}", false},
        {"{\"filters\":[{\"exact\":{\"region\":\"eu\"}}],\"filter\":{\"attributes\":{\"region\":"
         "\"us\"}}}",
         true},
        {"{\"filters\":[{\"exact\":{\"region\":\"eu\"}},{\"exact\":{\"region\":\"us\"}}]}", false},
        {"{\"filters\":[{\"prefix\":{\"type\":\"com.example.\"}},{\"suffix\":{\"source\":"
         "\"orders\"}}]}",
         true},
        {"{\"filters\":[{\"prefix\":{\"type\":\"com.example.\",\"source\":\"/x\"}}]}", false},
        {"{\"filters\":[{\"any\":[{\"exact\":{\"region\":\"us\"}},{\"exact\":{\"id\":\"1\"}}]}]}",
         true},
        {"{\"filters\":[{\"any\":[{\"exact\":{\"region\":\"us\",\"id\":\"1\"}},{\"exact\":{\"id\":"
         "\"2\"}}]}]}",
         false},
        {"{\"filters\":[{\"not\":{\"exact\":{\"subject\":\"x\"}}}]}", true},
        {"{\"filters\":[{\"not\":{\"all\":[{\"exact\":{\"region\":\"eu\"}},{\"exact\":{\"id\":"
         "\"1\"}}]}}]}",
         false},
        {"{\"filters\":[{\"not\":{\"exact\":{\"region\":\"eu\",\"id\":\"2\"}}}]}", true},
        {"{\"filters\":[{\"all\":[{\"exact\":{\"region\":\"eu\"}},{\"not\":{\"suffix\":{\"id\":"
         "\"2\"}}}]}]}",
         true},
        {"{\"filters\":[{\"all\":[{\"any\":[{\"not\":{\"exact\":{\"id\":\"2\"}}}]}]}]}", true},
        {"{\"filters\":[{\"suffix\":{\"id\":\"11\"}}]}", false}, /* longer than the value */
        {"{\"filters\":[{\"prefix\":{\"id\":\"11\"}}]}", false},
        {"{\"filters\":[{\"exact\":{\"count\":\"12\",\"urgent\":\"true\"}}]}", true}, /* as text */
        {"{\"filters\":[{\"prefix\":{\"time\":\"2026-\"}},{\"exact\":{\"specversion\":\"1.0\"}}]}",
         true},
        {"{\"filters\":[{\"cesql\":\"type LIKE 'com.%' AND region = 'eu'\"}]}", true},
        {"{\"filters\":[{\"sql\":\"region = 'us'\"}]}", false},
        {"{\"filters\":[{\"cesql\":\"count > 11\"},{\"sql\":\"urgent\"}]}", true},
        {"{\"filters\":[{\"cesql\":\"region\"}]}", false}, /* no Boolean */
        {"{\"filters\":[{\"cesql\":\"1\"}]}", false},
        {"{\"filters\":[{\"cesql\":\"'true'\"}]}", false},
        {"{\"filters\":[{\"cesql\":\"nothere = 'x'\"}]}", false}, /* an error */
        {"{\"filters\":[{\"cesql\":\"NOT 10\"}]}", false},        /* true, but an error */
        {"{\"filters\":[{\"cesql\":\"NOWHERE()\"}]}", false},
        {"{\"filters\":[{\"not\":{\"cesql\":\"nothere = 'x'\"}}]}", true},
        {"{\"filters\":[{\"any\":[{\"sql\":\"1 / 0 = 1\"},{\"prefix\":{\"source\":\"/shop\"}}]}]}",
         true},
    };
    struct event e = an_event();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct filter *f = compiled(cases[i].spec, 0, NULL);
        if (filter_matches(f, &e) != cases[i].matches)
            fail_msg("%s", cases[i].spec);
        filter_free(f);
    }
}

static void refuses_with_the_field(void **state)
{
    static const struct {
        const char *spec, *field;
        int code;
    } cases[] = {
        {"{\"filters\":[{\"exact\":{},\"prefix\":{}}]}", "spec.filters[0]", -EINVAL},
        {"{\"filters\":[{}]}", "spec.filters[0]", -EINVAL},
        {"{\"filters\":[{\"exact\":{}}]}", "spec.filters[0].exact", -EINVAL},
        {"{\"filters\":[{\"exact\":{\"type\":\"\"}}]}", "spec.filters[0].exact", -EINVAL},
        {"{\"filters\":[{\"exact\":{\"type\":1}}]}", "spec.filters[0].exact", -EINVAL},
        {"{\"filters\":[{\"all\":[]}]}", "spec.filters[0].all", -EINVAL},
        {"{\"filters\":[{\"any\":[{\"exact\":{\"a\":\"b\"}},{\"near\":{}}]}]}",
         "spec.filters[0].any[1].near", -EINVAL},
        {"{\"filters\":[{\"any\":{\"exact\":{\"a\":\"b\"}}}]}", "spec.filters[0].any", -EINVAL},
        {"{\"filters\":[{\"not\":[]}]}", "spec.filters[0].not", -EINVAL},
        {"{\"filters\":[{\"not\":{}}]}", "spec.filters[0].not", -EINVAL},
        {"{\"filters\":[\"exact\"]}", "spec.filters[0]", -EINVAL},
        {"{\"filters\":[{\"prefix\":{\"A\":\"b\"}}]}", "spec.filters[0].prefix", -EINVAL},
        {"{\"filters\":[{\"suffix\":{\"1a\":\"b\"}}]}", "spec.filters[0].suffix", -EINVAL},
        {"{\"filters\":[{\"exact\":{\"a-b\":\"b\"}}]}", "spec.filters[0].exact", -EINVAL},
        {"{\"filters\":[{\"cesql\":\"\"}]}", "spec.filters[0].cesql", -EINVAL},
        {"{\"filters\":[{\"cesql\":true}]}", "spec.filters[0].cesql", -EINVAL},
        {"{\"filters\":[{\"all\":[{\"sql\":\"type = \"}]}]}", "spec.filters[0].all[0].sql",
         -EINVAL},
        {"{\"filters\":[{\"exact\":{\"a\":\"b\"}}],\"filter\":{\"attributes\":{\"A\":\"b\"}}}",
         "spec.filter.attributes", -EINVAL},
        {"{\"filter\":{\"attributes\":{\"type\":5}}}", "spec.filter.attributes", -EINVAL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error err = ERROR_INIT;
        compiled(cases[i].spec, cases[i].code, &err);
        assert_string_equal(err.field, cases[i].field);
        assert_true(err.message[0] != '\0');
    }
}

static void says_where_an_expression_is_wrong(void **state)
{
    struct error err = ERROR_INIT;
    compiled("{\"filters\":[{\"cesql\":\"type = 'ü' &\"}]}", -EINVAL, &err);
    assert_string_equal(err.message, "column 12: this character has no meaning in an expression");
    compiled("{\"filters\":[{\"cesql\":\"a LIKE b\"}]}", -EINVAL, &err);
    assert_string_equal(err.message, "column 8: expected a pattern in quotes after LIKE, found b");
}

static void bounds_lists(void **state)
{
    autobuf b = BUF_INIT;
    struct error err = ERROR_INIT;
    for (unsigned n = FILTER_LIST_MAX; n <= FILTER_LIST_MAX + 1; n++) {
        buf_reset(&b);
        buf_add_text(&b, "{\"filters\":[{\"any\":[");
        for (unsigned i = 0; i < n; i++)
            buf_printf(&b, "%s{\"exact\":{\"a\":\"%u\"}}", i > 0 ? "," : "", i);
        buf_add_text(&b, "]}]}");
        filter_free(compiled(b.ptr, n > FILTER_LIST_MAX ? -EINVAL : 0, &err));
    }
    buf_reset(&b);
    buf_add_text(&b, "{\"filters\":[{\"exact\":{");
    for (unsigned i = 0; i < FILTER_NODES_MAX; i++)
        buf_printf(&b, "%s\"a%u\":\"x\"", i > 0 ? "," : "", i);
    buf_add_text(&b, "}}]}");
    compiled(b.ptr, -EINVAL, &err);
    assert_non_null(strstr(err.message, "conditions"));
}

static void refuses_deep_nesting(void **state)
{
    autobuf b = BUF_INIT;
    buf_add_text(&b, "{\"filters\":[");
    for (int i = 0; i < 40; i++)
        buf_add_text(&b, "{\"not\":");
    buf_add_text(&b, "{\"exact\":{\"a\":\"b\"}}");
    for (int i = 0; i < 40; i++)
        buf_add_text(&b, "}");
    buf_add_text(&b, "]}");
    struct error err = ERROR_INIT;
    compiled(b.ptr, -EINVAL, &err);
}

/* ---- docs/filters.md ---- */

static struct buf document(void)
{
    struct buf text = BUF_INIT;
    assert_int_equal(fdio_read_file(DOCS_FOLDER "/filters.md", 1u << 20, &text), 0);
    assert_non_null(text.ptr);
    return text;
}

/* The fenced block of the language that begins at or after *at; false when there is none. */
static bool next_block(struct slice text, const char *fence, size_t *at, struct slice *ret)
{
    const char *found = strstr(text.ptr + *at, fence);
    if (found == NULL)
        return false;
    const char *start = strchr(found, '\n') + 1, *end = strstr(start, "\n```");
    assert_non_null(end);
    *ret = slice_of(start, (size_t)(end + 1 - start));
    *at = (size_t)(end + 4 - text.ptr);
    return true;
}

static void read_event(struct slice text, struct event *e, struct event_arena *arena)
{
    struct slice json = {0};
    size_t at = 0;
    struct error err = ERROR_INIT;
    assert_true(next_block(text, "```json", &at, &json));
    if (event_json_read(json, e, arena, &err) < 0)
        fail_msg("%s", err.message);
}

/* Each trigger that is shown is a good one, and matches the event that is shown. */
static void documents_triggers(void **state)
{
    struct buf text = document();
    struct event e = {0};
    struct event_arena arena = {0};
    struct slice yaml = {0};
    size_t at = 0, count;
    unsigned triggers = 0;
    struct error err = ERROR_INIT;
    read_event(buf_slice(&text), &e, &arena);
    while (next_block(buf_slice(&text), "```yaml", &at, &yaml)) {
        struct resource_document *documents = NULL;
        struct filter *f = NULL;
        assert_int_equal(resource_parse(yaml, &documents, &count, &err), 0);
        assert_int_equal(count, 1);
        if (resource_check(&resource_kind_trigger, documents[0].object, "default", &err) != 0 ||
            filter_compile(resource_at(documents[0].object, "spec"), &f, &err) != 0)
            fail_msg("%s: %s", err.field, err.message);
        assert_true(filter_matches(f, &e));
        filter_free(f);
        resource_documents_free(documents, count);
        triggers++;
    }
    assert_int_equal(triggers, 3);
    event_arena_done(&arena);
    buf_done(&text);
}

/* What the table says of an expression: | `expression` | `value` | error | */
static void documents_expression(const char *row, const struct event *e)
{
    static struct cesql_scratch scratch;
    char expression[128], value[64], error[32] = "none";
    assert_true(sscanf(row, "| `%127[^`]` | `%63[^`]` | %31[A-Za-z]", expression, value, error) >=
                2);
    struct cesql *x = NULL;
    struct cesql_result result = {.error = CESQL_PARSE};
    autobuf written = BUF_INIT;
    if (cesql_parse(slice_text(expression), &x, NULL, NULL) == 0)
        cesql_evaluate(x, e, &scratch, &result);
    cesql_value_write(&result.value, &written);
    if (strcmp(written.ptr, value) != 0 || strcmp(cesql_error_name(result.error), error) != 0)
        fail_msg("%s gives %s, %s", expression, written.ptr, cesql_error_name(result.error));
    cesql_free(x);
}

static void documents_expressions(void **state)
{
    struct buf text = document();
    struct event e = {0};
    struct event_arena arena = {0};
    unsigned rows = 0;
    read_event(buf_slice(&text), &e, &arena);
    const char *row = strstr(text.ptr, "| expression | value | error |");
    assert_non_null(row);
    for (row = strstr(row, "\n| `"); row != NULL && row[1] == '|'; row = strchr(row + 1, '\n')) {
        documents_expression(row + 1, &e);
        rows++;
    }
    assert_true(rows >= 19);
    event_arena_done(&arena);
    buf_done(&text);
}

/* The rows of the functions are those of the code. */
static void documents_functions(void **state)
{
    struct buf text = document();
    struct cesql_function_row f;
    for (size_t i = 0; cesql_function_at(i, &f); i++) {
        autobuf row = BUF_INIT;
        buf_printf(&row, "| `%s(%s)` | %s | %s |\n", f.name, f.arguments, f.returns, f.help);
        if (strstr(text.ptr, row.ptr) == NULL)
            fail_msg("docs/filters.md lacks the row\n%s", row.ptr);
    }
    for (int error = CESQL_PARSE; error < CESQL_ERROR_COUNT; error++) {
        autobuf row = BUF_INIT;
        buf_printf(&row, "\n| `%s` | ", cesql_error_name((enum cesql_error)error));
        if (strstr(text.ptr, row.ptr) == NULL)
            fail_msg("docs/filters.md lacks the error %s", row.ptr);
    }
    buf_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(matches_as_the_table_says),
                                       cmocka_unit_test(refuses_with_the_field),
                                       cmocka_unit_test(says_where_an_expression_is_wrong),
                                       cmocka_unit_test(bounds_lists),
                                       cmocka_unit_test(documents_triggers),
                                       cmocka_unit_test(documents_expressions),
                                       cmocka_unit_test(documents_functions),
                                       cmocka_unit_test(refuses_deep_nesting)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
