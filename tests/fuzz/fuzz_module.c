/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a WebAssembly module: refused with a message, or written again as a module that is
 * good too. Behind a byte 0x7f they are a compiled module's file instead, which is only looked at.
 */
#include "base/memory.h"
#include "base/must.h"
#include "function/module.h"
#include "function/object.h"

#include <stdlib.h>

/* What a module imports once it is written again. */
static const struct module_import_rule *renamed_imports(void)
{
    static struct module_import_rule rules[64];
    size_t count = 0;
    for (const struct module_import_rule *r = module_imports_given; r->name != NULL; r++)
        rules[count++] = (struct module_import_rule){"h", r->symbol, r->signature, r->symbol};
    must(count < COUNT_OF(rules)); /* the last one ends them */
    return rules;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_object(struct slice file)
{
    struct error err = ERROR_INIT;
    char *aligned = aligned_alloc(16, (file.len + 15) & ~(size_t)15);
    if (aligned == NULL)
        return;
    memcpy(aligned, file.ptr, file.len);
    must(object_check(slice_of(aligned, file.len), &err) == 0 || err.message[0] != '\0');
    free(aligned);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice bytes = slice_of(data, size);
    struct error err = ERROR_INIT;
    struct module *m = NULL, *again = NULL;
    if (size > 0 && data[0] == 0x7f)
        check_object(bytes);
    if (module_parse(bytes, &module_limits_default, module_imports_given, &m, &err) < 0) {
        must(err.code < 0 && err.message[0] != '\0');
        return 0;
    }
    const struct module_export *e;
    if (module_find_function(m, "run", &e, &err) < 0)
        must(err.message[0] != '\0');
    autobuf out = BUF_INIT, text = BUF_INIT;
    module_rewrite(m, &out);
    module_describe(m, "module.h", &text);
    module_free(m);
    must(module_parse(buf_slice(&out), &module_limits_default, renamed_imports(), &again, &err) ==
         0);
    module_free(again);
    return 0;
}
