/* SPDX-License-Identifier: Apache-2.0 */
/* The specification's own test kit, from a folder beside the checkout. Where that is not there,
 * what cesql.c checks has to do; that the reader of such files works is tested in any case. */
#include "event/cesql/cesql.h"

#include "base/fdio.h"
#include "base/memory.h"
#include "resource/resource.h"
#include "unit.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>

static struct cesql_scratch scratch;

struct tally {
    unsigned cases, wrong;
};

/* TRUE and 10 are texts of expressions, though YAML reads them as something else. */
static struct slice expression_of(const json_t *test, char room[32])
{
    const json_t *value = json_object_get(test, "expression");
    if (json_is_string(value))
        return slice_of(json_string_value(value), json_string_length(value));
    if (json_is_boolean(value))
        return json_is_true(value) ? SLICE("TRUE") : SLICE("FALSE");
    snprintf(room, 32, "%lld", (long long)json_integer_value(value));
    return slice_text(room);
}

static char *event_text(const json_t *test)
{
    json_t *event = json_deep_copy(json_object_get(test, "event"));
    if (event == NULL)
        event =
            json_pack("{ssssssss}", "specversion", "1.0", "id", "1", "source", "/s", "type", "t");
    json_object_update(event, json_object_get(test, "eventOverrides"));
    char *text = json_dumps(event, 0);
    json_decref(event);
    return text;
}

static bool is_value(const struct cesql_value *v, const json_t *want)
{
    autobuf text = BUF_INIT;
    cesql_value_write(v, &text);
    autofree char *wanted = json_dumps(want, JSON_ENCODE_ANY);
    json_t *is = json_loads(text.ptr, JSON_DECODE_ANY, NULL);
    bool same = json_equal(is, want);
    json_decref(is);
    return want == NULL || same;
}

static void check(const char *file, const json_t *test, struct tally *tally)
{
    char room[32];
    struct slice expression = expression_of(test, room);
    const char *want = json_string_value(json_object_get(test, "error"));
    autofree char *json = event_text(test);
    struct event e = {0};
    struct event_arena arena = {0};
    struct cesql *x = NULL;
    struct cesql_result result = {.error = CESQL_PARSE};
    assert_int_equal(event_json_read(slice_text(json), &e, &arena, NULL), 0);
    if (cesql_parse(expression, &x, NULL, NULL) == 0)
        cesql_evaluate(x, &e, &scratch, &result);
    tally->cases++;
    if (strcmp(cesql_error_name(result.error), want != NULL ? want : "none") != 0 ||
        !is_value(&result.value, json_object_get(test, "result"))) {
        tally->wrong++;
        print_message("%s: %s: " SLICE_FMT "\n", file,
                      json_string_value(json_object_get(test, "name")), SLICE_ARG(expression));
    }
    cesql_free(x);
    event_arena_done(&arena);
}

static void check_text(const char *file, struct slice text, struct tally *tally)
{
    struct resource_document *documents = NULL;
    size_t count = 0, i;
    json_t *test;
    struct error err = ERROR_INIT;
    if (resource_parse(text, &documents, &count, &err) < 0)
        fail_msg("%s:%d: %s", file, err.line, err.message);
    for (size_t d = 0; d < count; d++)
        json_array_foreach(json_object_get(documents[d].object, "tests"), i, test)
            check(file, test, tally);
    resource_documents_free(documents, count);
}

static void reads_cases(void **state)
{
    struct tally tally = {0};
    check_text("-",
               SLICE("name: reader\n"
                     "tests:\n"
                     "  - {name: literal, expression: TRUE, result: true}\n"
                     "  - {name: number, expression: 12, result: 12}\n"
                     "  - {name: text, expression: \"'a'\", result: a}\n"
                     "  - {name: override, expression: sequence = 5, result: true,\n"
                     "     eventOverrides: {sequence: '5'}}\n"
                     "  - {name: event, expression: EXISTS time, result: false,\n"
                     "     event: {specversion: '1.0', id: i, source: s, type: t}}\n"
                     "  - {name: error, expression: 1 / 0, result: 0, error: math}\n"
                     "  - {name: parse, expression: ABC(, error: parse}\n"),
               &tally);
    assert_int_equal(tally.cases, 7);
    assert_int_equal(tally.wrong, 0);
    check_text("-", SLICE("tests: [{name: expected, expression: 1 / 0, result: 1, error: math}]\n"),
               &tally);
    assert_int_equal(tally.wrong, 1);
}

static void passes_the_kit(void **state)
{
    const char *folder = getenv("SLUICE_CESQL_TCK");
    DIR *dir = folder != NULL ? opendir(folder) : NULL;
    struct tally tally = {0};
    if (dir == NULL) {
        print_message("the specification's test kit is not there: no folder %s\n",
                      folder != NULL ? folder : "SLUICE_CESQL_TCK");
        return;
    }
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (!slice_ends(slice_text(entry->d_name), ".yaml"))
            continue;
        autobuf path = BUF_INIT, text = BUF_INIT;
        buf_printf(&path, "%s/%s", folder, entry->d_name);
        assert_int_equal(fdio_read_file(path.ptr, 1u << 20, &text), 0);
        check_text(entry->d_name, buf_slice(&text), &tally);
    }
    closedir(dir);
    print_message("%u cases of the specification's test kit\n", tally.cases);
    assert_true(tally.cases > 0);
    assert_int_equal(tally.wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_cases),
        cmocka_unit_test(passes_the_kit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
