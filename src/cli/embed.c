/* SPDX-License-Identifier: Apache-2.0 */
/* A Function may name files beside its manifest; the server cannot see them, so they are put into
 * the object: spec.module becomes spec.moduleBase64 besides, spec.codeSource.path the files of that
 * folder, spec.path likewise, bundled where it must be (code.h). */
#include "base/encoding.h"
#include "base/fdio.h"
#include "base/memory.h"
#include "cli/cli_internal.h"
#include "cli/code.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MODULE_MAX (16u << 20)

/* path as seen from the manifest's folder. */
static void beside(const char *manifest, const char *path, struct buf *out)
{
    const char *slash = strrchr(manifest, '/');
    if (path[0] != '/' && slash != NULL)
        buf_add(out, manifest, (size_t)(slash - manifest) + 1);
    buf_add_text(out, path);
}

static int read_error(int status, const char *field, const char *path, unsigned max,
                      struct error *err)
{
    if (status == -EFBIG)
        return error_field(err, status, field, "%s is larger than %u MiB", path, max >> 20);
    return error_field(err, status, field, "cannot read %s: %s", path, strerror(-status));
}

static int embed_module(json_t *spec, const char *manifest, struct error *err)
{
    const char *module = json_string_value(json_object_get(spec, "module"));
    if (module == NULL || json_object_get(spec, "moduleBase64") != NULL)
        return 0;
    autobuf path = BUF_INIT, bytes = BUF_INIT, text = BUF_INIT;
    beside(manifest, module, &path);
    if (!buf_ok(&path))
        return error_set(err, -ENOMEM, "out of memory");
    int status = fdio_read_file(path.ptr, MODULE_MAX, &bytes);
    if (status < 0)
        return read_error(status, "spec.module", path.ptr, MODULE_MAX, err);
    encoding_base64_add(&text, buf_slice(&bytes));
    json_t *value = buf_ok(&text) ? json_stringn(text.ptr, text.len) : NULL;
    if (json_object_set_new(spec, "moduleBase64", value) < 0)
        return error_set(err, -ENOMEM, "out of memory");
    return 0;
}

static int embed_code(json_t *spec, const char *manifest, struct error *err)
{
    json_t *source = json_object_get(spec, "codeSource");
    const char *named = json_string_value(json_object_get(source, "path"));
    if (named == NULL)
        return 0;
    autobuf path = BUF_INIT;
    beside(manifest, named, &path);
    if (!buf_ok(&path))
        return error_set(err, -ENOMEM, "out of memory");
    json_object_del(source, "path");
    return code_add_folder(source, path.ptr, "spec.codeSource.path", false, err);
}

/* A wasm function's path leads to its module, which may be the only one in a folder, spec.path
 * likewise, bundled where it must be (code.h). */
static int embed_path(json_t *spec, const char *manifest, struct error *err)
{
    const char *runtime = json_string_value(json_object_get(spec, "runtime"));
    if (json_string_value(json_object_get(spec, "path")) == NULL)
        return 0;
    if (runtime == NULL || strcmp(runtime, "wasm") != 0)
        return code_embed(spec, manifest, err);
    json_object_del(spec, "path");
    return 0;
}

int embed_files(json_t *object, const char *file, struct error *err)
{
    json_t *spec = json_object_get(object, "spec");
    int status = embed_module(spec, file, err);
    if (status == 0)
        status = embed_code(spec, file, err);
    return status < 0 ? status : embed_path(spec, file, err);
}
