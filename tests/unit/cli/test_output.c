/* SPDX-License-Identifier: Apache-2.0 */
/* YAML that reads back as what it was, aligned tables, and text that cannot drive a terminal. */
#include "cli/cli_internal.h"

#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void round_trip(const char *spec)
{
    autobuf json = BUF_INIT;
    buf_printf(&json,
               "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"n\"},"
               "\"spec\":%s}",
               spec);
    json_t *value = json_loadb(json.ptr, json.len, 0, NULL);
    assert_non_null(value);
    char *text = NULL;
    size_t len = 0, count = 0;
    FILE *out = open_memstream(&text, &len);
    assert_int_equal(yaml_write(value, out), 0);
    fclose(out);
    struct resource_document *documents = NULL;
    struct error err = ERROR_INIT;
    int status = resource_parse(slice_of(text, len), &documents, &count, &err);
    if (status < 0)
        print_error("%s: %s\n%s", spec, err.message, text);
    assert_int_equal(status, 0);
    assert_int_equal(count, 1);
    if (!json_equal(documents[0].object, value))
        print_error("%s became:\n%s", spec, text);
    assert_true(json_equal(documents[0].object, value));
    resource_documents_free(documents, count);
    json_decref(value);
    free(text);
}

static void test_yaml_round_trips(void **state)
{
    (void)state;
    static const char *const specs[] = {
        "{}",
        "[]",
        "{\"empty\":{},\"list\":[],\"deep\":[[1,[2]],{\"a\":[{}]}]}",
        "{\"words\":[\"no\",\"Yes\",\"null\",\"~\",\"true\",\"on\",\"\",\"<<\",\"=\",\"y\"]}",
        "{\"numbers\":[\"1\",\"1.10\",\"0x1F\",\"1e3\",\"-.inf\",\"+1\",\"1_000\",\"012\",\".5\"]}",
        "{\"times\":[\"2020-01-02\",\"12:30:45\",\"PT30S\"]}",
        "{\"real\":[1,-5,1.5,1e300,true,false,null,9223372036854775807]}",
        "{\"marks\":[\"- a\",\"a: b\",\"# c\",\"x # "
        "y\",\"{\",\"}\",\"[\",\"*a\",\"&a\",\"!t\",\"%d\","
        "\"@\",\"`\",\"'\",\"\\\"\",\"|\",\">\",\"? k\",\":\",\" lead\",\"trail \",\"tab\\tin\"]}",
        "{\"lines\":[\"a\\nb\",\"a\\nb\\n\",\"\\n\",\"a\\n\\n\",\"  indented\\nless\",\"a \\nb\","
        "\"cr\\r\\nlf\",\"tab\\n\\tin\"]}",
        "{\"unicode\":[\"\\u00e9\",\"\\ud83d\\ude00\",\"\\u0085\",\"\\u2028\",\"\\ufeff\","
        "\"\\u0001\","
        "\"\\u007f\"]}",
        "{\"no\":1,\"1\":2,\"a b\":3,\"a: b\":4,\"\":5,\"-\":6}",
    };
    for (size_t i = 0; i < COUNT_OF(specs); i++)
        round_trip(specs[i]);
}

static void test_table_aligns(void **state)
{
    (void)state;
    char *text = NULL;
    size_t len = 0;
    struct table *t = table_new(3);
    static const char *const cells[] = {"NAME", "READY", "AGE", "größe", "True",
                                        "5s",   "a",     "",    "1d"};
    for (size_t i = 0; i < COUNT_OF(cells); i++)
        table_add(t, cells[i]);
    assert_int_equal(table_rows(t), 3);
    FILE *out = open_memstream(&text, &len);
    table_print(t, out);
    fclose(out);
    assert_string_equal(text, "NAME    READY   AGE\ngröße   True    5s\na               1d\n");
    table_free(t);
    free(text);
}

static void test_controls_are_shown(void **state)
{
    (void)state;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    terminal_print_safe(out, SLICE("a\033[31m\007é\302\233x\177\n"));
    fclose(out);
    assert_string_equal(text, "a\\x1b[31m\\x07é\\u009bx\\x7f\\x0a");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_yaml_round_trips),
        cmocka_unit_test(test_table_aligns),
        cmocka_unit_test(test_controls_are_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
