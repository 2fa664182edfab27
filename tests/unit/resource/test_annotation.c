/* SPDX-License-Identifier: Apache-2.0 */
/* Annotations that sluice acts on: admission, values, and that the documentation is the table. */
#include "resource/annotation.h"

#include "base/clock.h"
#include "base/memory.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static json_t *trigger_with(const char *name, const char *value)
{
    return json_pack("{s:s, s:s, s:{s:s, s:{s:s}}, s:{s:{s:s}}}", "apiVersion",
                     "eventing.knative.dev/v1", "kind", "Trigger", "metadata", "name", "t",
                     "annotations", name, value, "spec", "subscriber", "uri", "http://x/");
}

static json_t *broker_with(const char *name, const char *value)
{
    return json_pack("{s:s, s:s, s:{s:s, s:{s:s}}}", "apiVersion", "eventing.knative.dev/v1",
                     "kind", "Broker", "metadata", "name", "b", "annotations", name, value);
}

/* Takes the object. part NULL: it must be taken, else refused with that in the message. */
static void expect(const struct resource_kind *kind, json_t *object, const char *name,
                   const char *part)
{
    struct error err = ERROR_INIT;
    char field[192];
    assert_non_null(object);
    int status = resource_check(kind, object, "default", &err);
    json_decref(object);
    snprintf(field, sizeof(field), "metadata.annotations[\"%s\"]", name);
    if (part == NULL && status < 0)
        fail_msg("%s: %s", err.field, err.message);
    if (part != NULL &&
        (status != -EINVAL || strcmp(err.field, field) != 0 || strstr(err.message, part) == NULL))
        fail_msg("%d: %s: %s\nwanted %s: %s", status, err.field, err.message, field, part);
}

static void takes(const char *name, const char *value)
{
    expect(&resource_kind_trigger, trigger_with(name, value), name, NULL);
}

static void refuses(const char *name, const char *value, const char *part)
{
    expect(&resource_kind_trigger, trigger_with(name, value), name, part);
}

static void good_values_are_taken(void **state)
{
    static const char *const places[] = {"latest", "earliest",      "position:17",
                                         "id:a",   "id:/orders#17", "2026-11-21T08:39:00Z"};
    for (size_t i = 0; i < COUNT_OF(places); i++)
        takes(ANNOTATION_START, places[i]);
    takes(ANNOTATION_ORDER, "ordered");
    takes(ANNOTATION_ORDER, "unordered");
    takes(ANNOTATION_ORDER_KAFKA, "ordered");
    takes(ANNOTATION_CONCURRENCY, "1");
    takes(ANNOTATION_CONCURRENCY, "1000");
    takes(ANNOTATION_RATE_LIMIT, "100/s");
    takes(ANNOTATION_RATE_LIMIT, "1000000/h");
    takes(ANNOTATION_CIRCUIT_BREAKER, "5");
    takes(ANNOTATION_CIRCUIT_BREAKER, "off");
    takes(ANNOTATION_PAUSED, "true");
    takes("example.com/anything", "at all");
    takes("kafka.eventing.knative.dev/other", "x");
    expect(&resource_kind_broker, broker_with(ANNOTATION_RETENTION, "P7D"), ANNOTATION_RETENTION,
           NULL);
}

static void bad_values_are_refused_with_what_is_allowed(void **state)
{
    static const char *const no_places[] = {"",    "first", "position:", "position:-1",
                                            "id:", "17",    "2026-11-21"};
    for (size_t i = 0; i < COUNT_OF(no_places); i++)
        refuses(ANNOTATION_START, no_places[i], "must be latest, earliest, position:N");
    refuses(ANNOTATION_ORDER, "Ordered", "must be ordered or unordered, is \"Ordered\"");
    refuses(ANNOTATION_ORDER_KAFKA, "fifo", "must be ordered or unordered");
    refuses(ANNOTATION_CONCURRENCY, "0", "from 1 to 1000");
    refuses(ANNOTATION_CONCURRENCY, "1001", "from 1 to 1000");
    refuses(ANNOTATION_CONCURRENCY, "99999999999999999999999", "from 1 to 1000");
    refuses(ANNOTATION_CONCURRENCY, "", "from 1 to 1000");
    refuses(ANNOTATION_RATE_LIMIT, "100", "per second, minute or hour");
    refuses(ANNOTATION_RATE_LIMIT, "0/s", "per second, minute or hour");
    refuses(ANNOTATION_RATE_LIMIT, "-1/s", "per second, minute or hour");
    refuses(ANNOTATION_RATE_LIMIT, "1000001/s", "per second, minute or hour");
    refuses(ANNOTATION_RATE_LIMIT, "5/d", "per second, minute or hour");
    refuses(ANNOTATION_RATE_LIMIT, "/s", "per second, minute or hour");
    refuses(ANNOTATION_CIRCUIT_BREAKER, "0", "or off");
    refuses(ANNOTATION_PAUSED, "yes", "must be true or false");
    expect(&resource_kind_broker, broker_with(ANNOTATION_RETENTION, "7 days"), ANNOTATION_RETENTION,
           "ISO 8601 duration");
}

static void unknown_names_are_refused_with_the_nearest(void **state)
{
    refuses("sluice.dev/ordr", "ordered", "did you mean sluice.dev/order?");
    refuses("sluice.dev/ratelimit", "1/s", "did you mean sluice.dev/rate-limit?");
    refuses("sluice.dev/qqqqqq", "1/s", "unknown annotation");
    refuses(ANNOTATION_RETENTION, "P1D", "is an annotation of a Broker, not of a Trigger");
    expect(&resource_kind_broker, broker_with(ANNOTATION_ORDER, "ordered"), ANNOTATION_ORDER,
           "is an annotation of a Trigger, not of a Broker");
}

static void a_refused_annotation_has_its_line(void **state)
{
    struct resource_document *documents;
    size_t count;
    struct error err = ERROR_INIT;
    assert_int_equal(resource_parse(SLICE("apiVersion: eventing.knative.dev/v1\nkind: Trigger\n"
                                          "metadata:\n  name: t\n  annotations:\n    a.b/c: x\n"
                                          "    sluice.dev/concurrency: \"many\"\nspec:\n"
                                          "  subscriber: {uri: 'http://x/'}\n"),
                                    &documents, &count, &err),
                     0);
    assert_int_equal(resource_check(&resource_kind_trigger, documents[0].object, "default", &err),
                     -EINVAL);
    assert_int_equal(resource_line(&documents[0], err.field), 7);
    assert_int_equal(resource_line(&documents[0], "metadata.annotations[\"none"), 5);
    assert_int_equal(resource_line(&documents[0], "metadata.annotations[\"none\"]"), 5);
    resource_documents_free(documents, count);
}

static void values_are_read(void **state)
{
    json_t *t = trigger_with(ANNOTATION_CONCURRENCY, "7");
    assert_int_equal(annotation_number(t, ANNOTATION_CONCURRENCY, 48), 7);
    assert_int_equal(annotation_number(t, ANNOTATION_CIRCUIT_BREAKER, 48), 48);
    assert_false(annotation_is_true(t, ANNOTATION_PAUSED));
    assert_false(annotation_is_ordered(t));
    json_t *annotations = resource_at(t, "metadata.annotations");
    json_object_set_new(annotations, ANNOTATION_ORDER_KAFKA, json_string("ordered"));
    assert_true(annotation_is_ordered(t));
    json_object_set_new(annotations, ANNOTATION_ORDER, json_string("unordered"));
    assert_false(annotation_is_ordered(t));
    json_decref(t);
    struct annotation_rate rate;
    assert_int_equal(annotation_parse_rate(SLICE("30/m"), &rate), 0);
    assert_int_equal(rate.count, 30);
    assert_int_equal(rate.period_ns, 60 * CLOCK_SECOND);
}

static void the_documentation_is_the_table(void **state)
{
    static char text[64 << 10];
    FILE *file = fopen(DOCS_FOLDER "/annotations.md", "re");
    assert_non_null(file);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    fclose(file);
    autobuf wanted = BUF_INIT;
    annotation_document(&wanted);
    if (strstr(text, wanted.ptr) == NULL)
        fail_msg("docs/annotations.md must have what `test-resource-annotation --markdown` prints");
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--markdown") == 0) {
        autobuf tables = BUF_INIT;
        annotation_document(&tables);
        fputs(tables.ptr, stdout);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_values_are_taken),
        cmocka_unit_test(bad_values_are_refused_with_what_is_allowed),
        cmocka_unit_test(unknown_names_are_refused_with_the_nearest),
        cmocka_unit_test(a_refused_annotation_has_its_line),
        cmocka_unit_test(values_are_read),
        cmocka_unit_test(the_documentation_is_the_table),
    };
    return cmocka_run_group_tests_name("resource/annotation", tests, NULL, NULL);
}
