/* SPDX-License-Identifier: Apache-2.0 */
/* Manifests from files and folders, and what is embedded. */
#include "cli/cli_internal.h"

#include "base/fdio.h"
#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/sluice-test-XXXXXX");
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return fdio_remove_tree(folder);
}

static void put_bytes(const char *name, const char *bytes, size_t len)
{
    autobuf path = BUF_INIT;
    buf_printf(&path, "%s/%s", folder, name);
    FILE *file = fopen(path.ptr, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    fclose(file);
}

static void put(const char *name, const char *text)
{
    put_bytes(name, text, strlen(text));
}

static void put_folder(const char *name)
{
    autobuf path = BUF_INIT;
    buf_printf(&path, "%s/%s", folder, name);
    assert_int_equal(mkdir(path.ptr, 0700), 0);
}

static void load(struct manifest *m, const char *name)
{
    autobuf path = BUF_INIT;
    *m = (struct manifest){0};
    buf_printf(&path, "%s%s%s", folder, name[0] != '\0' ? "/" : "", name);
    manifest_load(m, path.ptr, "default", false);
}

#define NAMESPACE_YAML "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n"
#define BROKER_YAML    "apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {name: b}\n"
#define FUNCTION_HEAD  "apiVersion: sluice.dev/v1\nkind: Function\nmetadata: {name: f}\nspec:\n"

static void test_folder_in_order_namespaces_first(void **state)
{
    (void)state;
    struct manifest m;
    put("a.yaml", BROKER_YAML);
    put("b.yml", "---\n" NAMESPACE_YAML "---\n");
    put("c.json",
        "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"other\"}}");
    put(".hidden.yaml", "{");
    put("note.txt", "{");
    load(&m, "");
    manifest_sort(&m);
    assert_int_equal(m.failed, 0);
    assert_int_equal(m.count, 3);
    assert_string_equal(m.items[0].name, "shop");
    assert_string_equal(m.items[1].name, "other");
    assert_string_equal(m.items[2].name, "b");
    assert_string_equal(m.items[2].namespace_name, "default");
    assert_string_equal(resource_text_at(m.items[2].object, "metadata.namespace"), "default");
    manifest_done(&m);
}

static void test_good_ones_are_kept(void **state)
{
    (void)state;
    struct manifest m;
    put("x.yaml",
        NAMESPACE_YAML "---\napiVersion: v1\nkind: Wizard\nmetadata: {name: x}\n---\n"
                       "kind: Broker\n---\n" BROKER_YAML "spec: {bogus: 1}\n---\n" BROKER_YAML);
    load(&m, "x.yaml");
    assert_int_equal(m.failed, 3);
    assert_int_equal(m.count, 2);
    assert_int_equal(m.items[0].line, 1);
    manifest_done(&m);
}

static void test_what_cannot_be_read(void **state)
{
    (void)state;
    struct manifest m;
    load(&m, "absent.yaml");
    assert_int_equal(m.failed, 1);
    manifest_done(&m);
    load(&m, "");
    assert_int_equal(m.failed, 1);
    manifest_done(&m);
    put("broken.yaml", "a: [\n");
    load(&m, "broken.yaml");
    assert_int_equal(m.failed, 1);
    manifest_done(&m);
}

static void test_forced_namespace(void **state)
{
    (void)state;
    struct manifest m = {0};
    autobuf path = BUF_INIT;
    put("x.yaml", "apiVersion: eventing.knative.dev/v1\nkind: Broker\n"
                  "metadata: {name: b, namespace: shop}\n");
    buf_printf(&path, "%s/x.yaml", folder);
    manifest_load(&m, path.ptr, "other", true);
    assert_int_equal(m.failed, 1);
    manifest_load(&m, path.ptr, "shop", true);
    assert_int_equal(m.count, 1);
    manifest_done(&m);
}

static void test_module_beside_the_manifest(void **state)
{
    (void)state;
    struct manifest m;
    /* The shortest module: magic and version (WebAssembly core §5.5.16). */
    put_bytes("add.wasm", "\0asm\1\0\0\0", 8);
    put("f.yaml", FUNCTION_HEAD "  runtime: wasm\n  module: add.wasm\n  function: add\n");
    load(&m, "f.yaml");
    assert_int_equal(m.failed, 0);
    assert_string_equal(resource_text_at(m.items[0].object, "spec.moduleBase64"), "AGFzbQEAAAA=");
    assert_string_equal(resource_text_at(m.items[0].object, "spec.module"), "add.wasm");
    manifest_done(&m);
    put("g.yaml", FUNCTION_HEAD "  runtime: wasm\n  module: absent.wasm\n  function: add\n");
    load(&m, "g.yaml");
    assert_int_equal(m.failed, 1);
    manifest_done(&m);
}

static void test_code_from_a_folder(void **state)
{
    (void)state;
    struct manifest m;
    put_folder("code");
    put_folder("code/lib");
    put_folder("code/.git");
    put("code/index.js", "from the folder");
    put("code/main.js", "main");
    put("code/lib/a.js", "a");
    put("code/.env", "secret");
    put("code/.git/config", "x");
    put("f.yaml", FUNCTION_HEAD "  runtime: js\n  codeSource:\n    path: ./code\n"
                                "    index.js: from the manifest\n");
    load(&m, "f.yaml");
    assert_int_equal(m.failed, 0);
    const json_t *files = resource_at(m.items[0].object, "spec.codeSource");
    assert_int_equal(json_object_size(files), 3);
    assert_string_equal(json_string_value(json_object_get(files, "index.js")), "from the manifest");
    assert_string_equal(json_string_value(json_object_get(files, "main.js")), "main");
    assert_string_equal(json_string_value(json_object_get(files, "lib/a.js")), "a");
    manifest_done(&m);
}

static void test_code_that_is_no_text(void **state)
{
    (void)state;
    struct manifest m;
    put_folder("code");
    put("code/index.js", "\377\376");
    put("f.yaml", FUNCTION_HEAD "  runtime: js\n  codeSource: {path: code}\n");
    load(&m, "f.yaml");
    assert_int_equal(m.failed, 1);
    manifest_done(&m);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_folder_in_order_namespaces_first),
        TEST(test_good_ones_are_kept),
        TEST(test_what_cannot_be_read),
        TEST(test_forced_namespace),
        TEST(test_module_beside_the_manifest),
        TEST(test_code_from_a_folder),
        TEST(test_code_that_is_no_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
