/* SPDX-License-Identifier: Apache-2.0 */
/* What a JavaScript file imports. */
#include "cli/imports.h"

#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void note(void *ctx, struct slice specifier, int line)
{
    buf_printf(ctx, "%d:" SLICE_FMT " ", line, SLICE_ARG(specifier));
}

static void check(const char *source, const char *expected)
{
    autobuf found = BUF_INIT;
    imports_each(slice_text(source), note, &found);
    assert_string_equal(found.len > 0 ? found.ptr : "", expected);
}

static void test_forms(void **state)
{
    (void)state;
    check("import a from 'x';\nimport * as b from \"./y.js\";\nimport {c as d} from '../z';",
          "1:x 2:./y.js 3:../z ");
    check("import 'side-effect'; export * from 'e'; export { f } from 'f'",
          "1:side-effect 1:e 1:f ");
    check("const fs = require('fs'), {x} = require( \"node:path\" );\nawait import('late')",
          "1:fs 1:node:path 2:late ");
    check("#!/usr/bin/env node\nrequire('x')", "2:x ");
    check("import a, { b } from\n  'split'", "2:split ");
}

static void test_what_is_no_import(void **state)
{
    (void)state;
    check("// require('a')\n/* import 'b'\n */ const s = \"require('c')\";", "");
    check("module.require('a'); x.import('b'); from('c'); require(name); require(`d`);", "");
    check("const t = `import 'a' ${ f(`${require('b')}`) } require('c')`; require('d')",
          "1:b 1:d ");
    check("const r = /require('a')[/'\"]/; x = a / require('b') / 2;", "1:b ");
    check("return /'/.test(x) ? require('a') : {}", "1:a ");
    check("import.meta.url; const from = 'x'; ({from: 'y'})", "");
}

static void test_ends_anywhere(void **state)
{
    (void)state;
    static const char *const sources[] = {"'",          "`",       "`${",  "/",  "/*", "require('",
                                          "import '\\", "`${`${`", "}}}}", "#!", "//", "/[/"};
    for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++)
        check(sources[i], "");
}

static void test_names(void **state)
{
    (void)state;
    assert_true(imports_is_builtin(SLICE("node:anything")));
    assert_true(imports_is_builtin(SLICE("fs")));
    assert_true(imports_is_builtin(SLICE("fs/promises")));
    assert_false(imports_is_builtin(SLICE("fs-extra")));
    assert_false(imports_is_builtin(SLICE("./fs")));
    assert_true(imports_is_file(SLICE("./x")));
    assert_true(imports_is_file(SLICE("..")));
    assert_false(imports_is_file(SLICE(".hidden-package")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_what_is_no_import),
        cmocka_unit_test(test_ends_anywhere),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
