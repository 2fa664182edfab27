/* SPDX-License-Identifier: Apache-2.0 */
/* The kinds' tables against good and bad objects. */
#include "base/clock.h"
#include "base/memory.h"
#include "resource/resource.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static json_t *check(const char *text, struct error *err, int *ret_line)
{
    struct resource_document *documents;
    size_t count;
    *ret_line = 0;
    if (resource_parse(slice_text(text), &documents, &count, err) < 0)
        fail_msg("%d: %s", err->line, err->message);
    assert_int_equal(count, 1);
    json_t *object = json_incref(documents[0].object);
    const char *api_version = resource_text_at(object, "apiVersion");
    const struct resource_kind *kind =
        resource_kind_of(api_version, resource_text_at(object, "kind"));
    assert_non_null(kind);
    if (resource_check(kind, object, "default", err) < 0) {
        *ret_line = resource_line(&documents[0], err->field);
        json_decref(object);
        object = NULL;
    }
    resource_documents_free(documents, count);
    return object;
}

static json_t *good(const char *text)
{
    struct error err = ERROR_INIT;
    int line;
    json_t *object = check(text, &err, &line);
    if (object == NULL)
        fail_msg("line %d: %s: %s", line, err.field, err.message);
    return object;
}

static void bad(const char *text, int line, const char *field, const char *part)
{
    struct error err = ERROR_INIT;
    int got_line;
    json_t *object = check(text, &err, &got_line);
    if (object != NULL)
        fail_msg("taken: %s", text);
    if (got_line != line || strcmp(err.field, field) != 0 || strstr(err.message, part) == NULL)
        fail_msg("line %d: %s: %s\nwanted line %d: %s: %s", got_line, err.field, err.message, line,
                 field, part);
}

#define TRIGGER         "apiVersion: eventing.knative.dev/v1\nkind: Trigger\nmetadata:\n  name: t\n"
#define BROKER          "apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata:\n  name: b\n"
#define FUNCTION        "apiVersion: sluice.dev/v1\nkind: Function\nmetadata:\n  name: f\n"
#define NAMESPACE(name) "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: " name "\n"
#define SUBSCRIBER      "  subscriber: {uri: 'http://localhost/'}\n"

#define SECRET "apiVersion: v1\nkind: Secret\nmetadata:\n  name: s\n"
#define CONFIG "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c\n"

static void test_secret(void **state)
{
    json_t *s = good(SECRET "data: {a: eA==, b: eQ==}\nstringData: {b: text, c.d: ''}\n");
    assert_string_equal(resource_text_at(s, "type"), "Opaque");
    assert_string_equal(resource_text_at(s, "data.a"), "eA==");
    assert_string_equal(resource_text_at(s, "data.b"), "dGV4dA==");
    json_t *data = json_object_get(s, "data");
    assert_string_equal(json_string_value(json_object_get(data, "c.d")), "");
    assert_null(json_object_get(s, "stringData"));
    autobuf cell = BUF_INIT;
    resource_column_text(&resource_kind_secret.columns[2], s, 0, &cell);
    assert_string_equal(cell.ptr, "3");
    json_decref(s);
    json_decref(good(SECRET "type: kubernetes.io/dockerconfigjson\n"
                            "stringData: {.dockerconfigjson: '{\"auths\":{}}'}\n"));
    json_decref(good(SECRET "type: kubernetes.io/basic-auth\nstringData: {password: p}\n"));
    bad(SECRET "data:\n  a: hidden\n", 5, "data", "the value of a is no base64");
    bad(SECRET "data:\n  a b: eA==\n", 5, "data", "\"a b\" is no valid key");
    bad(SECRET "data:\n  ..: eA==\n", 5, "data", "is no valid key");
    bad(SECRET "data:\n  a: 5\n", 6, "data.a", "must be text");
    bad(SECRET "type: kubernetes.io/dockerconfigjson\ndata: {}\n", 6, "data",
        "must have .dockerconfigjson");
    bad(SECRET "type: kubernetes.io/dockerconfigjson\ndata: {.dockerconfigjson: eA==}\n", 6, "data",
        ".dockerconfigjson is no JSON");
    bad(SECRET "type: kubernetes.io/tls\nstringData: {tls.crt: x}\n", 1, "data",
        "must have tls.crt and tls.key");
    bad(SECRET "type: kubernetes.io/basic-auth\ndata: {}\n", 6, "data", "username or password");
}

static void test_configmap(void **state)
{
    json_t *c = good(CONFIG "data: {a: x}\nbinaryData: {b: eA==}\n");
    autobuf cell = BUF_INIT;
    resource_column_text(&resource_kind_configmap.columns[1], c, 0, &cell);
    assert_string_equal(cell.ptr, "2");
    json_decref(c);
    bad(CONFIG "data: {a: x}\nbinaryData: {a: eA==}\n", 6, "binaryData",
        "\"a\" is in data as well");
    bad(CONFIG "binaryData: {a: '*'}\n", 5, "binaryData", "the value of a is no base64");
    autobuf large = BUF_INIT;
    buf_add_text(&large, CONFIG "data: {a: x, b: '");
    for (size_t i = 0; i < 1u << 20; i++)
        buf_add_byte(&large, 'y');
    buf_add_text(&large, "'}\n");
    bad(large.ptr, 5, "data", "larger than 1 MiB together");
}

static void test_immutable_entries(void **state)
{
    struct error err = ERROR_INIT;
    json_t *before = good(SECRET "immutable: true\ndata: {a: eA==}\n");
    json_t *same = good(SECRET "immutable: true\nstringData: {a: x}\n");
    json_t *other = good(SECRET "immutable: true\nstringData: {a: y}\n");
    json_t *open = good(SECRET "data: {a: eA==}\n");
    assert_int_equal(resource_kind_secret.check_change(before, same, &err), 0);
    assert_int_equal(resource_kind_secret.check_change(open, other, &err), 0);
    assert_int_equal(resource_kind_secret.check_change(before, other, &err), -EINVAL);
    assert_string_equal(err.field, "data");
    assert_int_equal(resource_kind_secret.check_change(before, open, &err), -EINVAL);
    assert_string_equal(err.field, "immutable");
    json_decref(before);
    json_decref(same);
    json_decref(other);
    json_decref(open);
}

static void test_trigger(void **state)
{
    json_t *t = good(TRIGGER "spec:\n  filter:\n    attributes: {type: a, source: b}\n"
                             "  subscriber:\n    ref: {apiVersion: v1, kind: Service, name: s}\n");
    assert_string_equal(resource_text_at(t, "spec.broker"), "default");
    assert_string_equal(resource_text_at(t, "metadata.namespace"), "default");
    json_decref(t);
    json_decref(good(TRIGGER "spec:\n" SUBSCRIBER "  filters:\n  - exact: {type: a}\n"
                             "  - all: [{prefix: {type: a}}, {not: {suffix: {type: b}}}]\n"
                             "  - cesql: type = 'x'\n"));
    bad(TRIGGER "spec:\n  subscribr:\n    uri: http://x/\n", 6, "spec.subscribr", "subscriber");
    bad(TRIGGER "spec:\n  broker: b\n", 5, "spec.subscriber", "required");
    bad(TRIGGER, 1, "spec", "required");
    bad(TRIGGER "spec:\n  subscriber:\n    uri: ftp://x/\n", 7, "spec.subscriber.uri", "http://");
    bad(TRIGGER "spec:\n  subscriber: {}\n", 6, "spec.subscriber", "ref");
    bad(TRIGGER "spec:\n  subscriber:\n    ref: {kind: Service}\n", 7, "spec.subscriber.ref.name",
        "required");
    bad(TRIGGER "spec:\n" SUBSCRIBER "  filter:\n    attributes:\n      Type: x\n", 8,
        "spec.filter.attributes", "attribute name");
    bad(TRIGGER "spec:\n" SUBSCRIBER "  filter:\n    attributes:\n      type: 7\n", 9,
        "spec.filter.attributes.type", "quote");
    bad(TRIGGER "spec:\n" SUBSCRIBER "  filters:\n  - exact: {type: a}\n    prefix: {type: b}\n", 8,
        "spec.filters[0]", "exactly one");
    bad(TRIGGER "spec:\n" SUBSCRIBER "  filters:\n  - exakt: {type: a}\n", 8,
        "spec.filters[0].exakt", "unknown dialect");
    bad(TRIGGER "spec:\n" SUBSCRIBER "  filters:\n  - any:\n    - exact: {}\n", 9,
        "spec.filters[0].any[0].exact", "object");
}

static void test_delivery(void **state)
{
    json_decref(good(BROKER "spec:\n  delivery: {retry: 3, backoffPolicy: linear, backoffDelay: "
                            "PT0.2S, timeout: PT5S}\n"));
    json_t *b = good(BROKER);
    assert_true(json_is_object(resource_at(b, "spec")));
    json_decref(b);
    bad(BROKER "spec:\n  delivery:\n    retry: -1\n", 7, "spec.delivery.retry", "from 0");
    bad(BROKER "spec:\n  delivery:\n    retry: '3'\n", 7, "spec.delivery.retry", "whole number");
    bad(BROKER "spec:\n  delivery:\n    backoffPolicy: exponental\n", 7,
        "spec.delivery.backoffPolicy", "did you mean exponential");
    bad(BROKER "spec:\n  delivery:\n    timeout: 5s\n", 7, "spec.delivery.timeout", "ISO 8601");
    bad(BROKER "spec:\n  delivery:\n    deadLetterSink: {uri: relative}\n", 7,
        "spec.delivery.deadLetterSink.uri", "URL");
}

static void test_function(void **state)
{
    json_t *f = good(FUNCTION "spec:\n  runtime: js\n  codeSource:\n    index.js: 'x'\n"
                              "  env: [{name: A, value: b}, {name: T, valueFrom: {secretKeyRef: "
                              "{name: s, key: k}}}]\n  network: {allow: ['api.github.com:443']}\n");
    assert_string_equal(resource_text_at(f, "spec.isolation"), "event");
    assert_int_equal(resource_bytes_at(f, "spec.limits.memory", 0), 64 << 20);
    assert_int_equal(resource_duration_at(f, "spec.limits.timeout", 0), 30 * CLOCK_SECOND);
    assert_int_equal(resource_integer_at(f, "spec.scale.max", 0), 4);
    json_decref(f);
    json_decref(good(FUNCTION "spec:\n  runtime: wasm\n  moduleBase64: AGFzbQEAAAA=\n"));
    bad(FUNCTION "spec:\n  runtime: wasm\n  moduleBase64: aGVsbG8gd29ybGQ=\n", 7,
        "spec.moduleBase64", "no WebAssembly module");
    bad(FUNCTION "spec:\n  runtime: Java Script\n", 6, "spec.runtime", "no name of a runtime");
    bad(FUNCTION "spec:\n  runtime: python\n", 6, "spec.runtime", "codeSource");
    bad(FUNCTION "spec:\n  runtime: http\n", 6, "spec.runtime", "needs spec.url");
    bad(FUNCTION "spec:\n  runtime: js\n", 6, "spec.runtime", "codeSource");
    bad(FUNCTION "spec:\n  runtime: js\n  codeSource: {../x: y}\n", 7, "spec.codeSource",
        "file name");
    bad(FUNCTION "spec:\n  runtime: js\n  codeSource: {a.js: y}\n  main: b.js\n", 8, "spec.main",
        "no file");
    bad(FUNCTION "spec:\n  runtime: js\n  codeSource: {a.js: y}\n  limits:\n    memory: 1k\n", 9,
        "spec.limits.memory", "1Mi to 4Gi");
    bad(FUNCTION "spec:\n  runtime: js\n  codeSource: {a.js: y}\n  env:\n  - value: x\n", 9,
        "spec.env[0].name", "required");
    bad(FUNCTION
        "spec:\n  runtime: js\n  codeSource: {a.js: y}\n  env:\n  - name: A\n  - name: A\n",
        10, "spec.env[1].name", "twice");
    bad(FUNCTION "spec:\n  runtime: js\n  codeSource: {a.js: y}\n  network: {allow: [nowhere]}\n",
        8, "spec.network.allow[0]", "HOST:PORT");
    bad(FUNCTION "spec:\n  runtime: js\n  codeSource: {a.js: y}\n  scale: {min: 5, max: 2}\n", 8,
        "spec.scale.min", "more than");
}

static void test_names(void **state)
{
    json_t *n = good(NAMESPACE("js-example-service"));
    assert_null(resource_at(n, "metadata.namespace"));
    json_decref(n);
    bad(NAMESPACE("metrics"), 4, "metadata.name", "reserved");
    bad(NAMESPACE("'-'"), 4, "metadata.name", "valid name");
    bad(NAMESPACE("Upper"), 4, "metadata.name", "valid name");
    bad(NAMESPACE("a.b"), 4, "metadata.name", "valid name");
    bad(NAMESPACE("5"), 4, "metadata.name", "quote");
    bad(NAMESPACE("x") "  labels: {a b: c}\n", 5, "metadata.labels", "key");
    bad(NAMESPACE("x") "  namespace: y\n", 5, "metadata.namespace", "no namespace");
    bad("apiVersion: v1\nkind: Namespace\nmetadata: {}\n", 3, "metadata.name", "required");
    json_decref(good("apiVersion: v1\nkind: Namespace\nmetadata: {generateName: x-, "
                     "creationTimestamp: null}\nstatus: {phase: x}\n"));
}

static int count_unknown(void *ctx, const char *path, const char *nearest)
{
    struct buf *all = ctx;
    buf_printf(all, "%s(%s) ", path, nearest);
    return 0;
}

static void test_unknown(void **state)
{
    struct resource_document *documents;
    size_t count;
    assert_int_equal(resource_parse(SLICE(FUNCTION "spec:\n  runtim: js\n  zzzzzz: 1\n  env:\n  - "
                                                   "nam: A\nextra: 1\n"),
                                    &documents, &count, NULL),
                     0);
    autobuf all = BUF_INIT;
    resource_each_unknown(&resource_kind_function, documents[0].object, true, count_unknown, &all);
    assert_string_equal(all.ptr,
                        "spec.runtim(runtime) spec.zzzzzz() spec.env[0].nam(name) extra() ");
    char *left = json_dumps(resource_at(documents[0].object, "spec"), JSON_COMPACT);
    assert_string_equal(left, "{\"env\":[{}]}");
    free(left);
    resource_documents_free(documents, count);
}

/* Every list and object of the tables can be walked: parents come before, items are declared. */
static void test_tables(void **state)
{
    for (size_t i = 0; i < resource_kind_count; i++) {
        const struct resource_kind *k = resource_kinds[i];
        for (size_t j = 0; j < k->field_count; j++) {
            const struct resource_field *f = &k->fields[j];
            struct slice path = slice_text(f->path);
            assert_ptr_equal(resource_field_find(k, path), f);
            assert_non_null(f->help);
            autobuf item = BUF_INIT;
            buf_printf(&item, "%s[]", f->path);
            if (f->type == RESOURCE_LIST)
                assert_non_null(resource_field_find(k, buf_slice(&item)));
            while (path.len > 0 && path.ptr[path.len - 1] != '.')
                path.len--;
            if (path.len > 0)
                assert_non_null(resource_field_find(k, slice_of(path.ptr, path.len - 1)));
        }
    }
}

static void test_columns(void **state)
{
    json_t *o =
        json_loads("{\"metadata\":{\"creationTimestamp\":\"2026-11-21T00:00:00Z\"},"
                   "\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}",
                   0, NULL);
    const struct resource_column age = {"AGE", "metadata.creationTimestamp", 0},
                                 ready = {"READY", "condition:Ready.status", 0},
                                 reason = {"REASON", "condition:Ready.reason", 0};
    uint64_t then;
    assert_int_equal(clock_parse_rfc3339(SLICE("2026-11-21T00:00:00Z"), &then), 0);
    static const struct {
        uint64_t seconds;
        const char *text;
    } ages[] = {{0, "0s"},       {119, "119s"},  {125, "2m5s"},     {3600, "60m"},
                {11100, "3h5m"}, {90000, "25h"}, {414000, "4d19h"}, {864000, "10d"}};
    for (size_t i = 0; i < COUNT_OF(ages); i++) {
        autobuf cell = BUF_INIT;
        resource_column_text(&age, o, then + ages[i].seconds * CLOCK_SECOND, &cell);
        assert_string_equal(cell.ptr, ages[i].text);
    }
    autobuf cell = BUF_INIT;
    resource_column_text(&ready, o, then, &cell);
    resource_column_text(&reason, o, then, &cell);
    assert_string_equal(cell.ptr, "True");
    json_decref(o);
}

static void test_kinds(void **state)
{
    assert_ptr_equal(resource_kind_named("ns"), &resource_kind_namespace);
    assert_ptr_equal(resource_kind_named("Brokers"), &resource_kind_broker);
    assert_ptr_equal(resource_kind_named("triggers.eventing.knative.dev"), &resource_kind_trigger);
    assert_null(resource_kind_named("triggers.other.dev"));
    assert_null(resource_kind_named("pods"));
    assert_null(resource_kind_of("eventing.knative.dev/v2", "Broker"));
    assert_null(resource_kind_of("v1", "Broker"));
    assert_ptr_equal(resource_kind_of("sluice.dev/v1", "Function"), &resource_kind_function);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trigger),   cmocka_unit_test(test_secret),
        cmocka_unit_test(test_configmap), cmocka_unit_test(test_immutable_entries),
        cmocka_unit_test(test_delivery),  cmocka_unit_test(test_function),
        cmocka_unit_test(test_names),     cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_tables),    cmocka_unit_test(test_columns),
        cmocka_unit_test(test_kinds),
    };
    return cmocka_run_group_tests_name("resource/check", tests, NULL, NULL);
}
