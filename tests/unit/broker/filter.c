/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/filter.h"

#include "unit.h"

#include <errno.h>

static struct event an_event(void)
{
    struct event e = {.version = EVENT_V1};
    event_set(&e, "id", slice_text("1"));
    event_set(&e, "type", slice_text("com.example.made"));
    event_set(&e, "source", slice_text("/shop/orders"));
    event_set(&e, "region", slice_text("eu"));
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
         "spec.filters[0].any[1]", -EINVAL},
        {"{\"filters\":[{\"cesql\":\"TRUE\"}]}", "spec.filters[0]", -ENOTSUP},
        {"{\"filter\":{\"attributes\":{\"type\":5}}}", "spec.filter.attributes", -EINVAL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error err = ERROR_INIT;
        compiled(cases[i].spec, cases[i].code, &err);
        assert_string_equal(err.field, cases[i].field);
        assert_true(err.message[0] != '\0');
    }
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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(matches_as_the_table_says),
                                       cmocka_unit_test(refuses_with_the_field),
                                       cmocka_unit_test(refuses_deep_nesting)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
