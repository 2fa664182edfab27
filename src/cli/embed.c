/* SPDX-License-Identifier: Apache-2.0 */
/* A Function may name files beside its manifest; the server cannot see them, so they are put into
 * the object: spec.module becomes spec.moduleBase64 besides, spec.codeSource.path the files of that
 * folder. */
#include "base/encoding.h"
#include "base/fdio.h"
#include "base/memory.h"
#include "cli/cli_internal.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MODULE_MAX (16u << 20)
#define CODE_MAX   (8u << 20) /* all files of a folder together */
#define DEPTH_MAX  16

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

struct folder {
    json_t *files; /* filled */
    size_t bytes;
    struct error *err;
};

static int add_folder(struct folder *f, const char *path, const char *prefix, unsigned depth);

static int add_file(struct folder *f, const char *path, const char *name)
{
    static const char field[] = "spec.codeSource.path";
    autobuf text = BUF_INIT;
    int status = fdio_read_file(path, CODE_MAX, &text);
    if (status < 0)
        return read_error(status, field, path, CODE_MAX, f->err);
    f->bytes += text.len;
    if (f->bytes > CODE_MAX)
        return error_field(f->err, -EFBIG, field, "the files together are larger than %u MiB",
                           CODE_MAX >> 20);
    if (!encoding_utf8_valid(buf_slice(&text)))
        return error_field(f->err, -EINVAL, field, "%s is no text in UTF-8", path);
    /* What the manifest itself says under this name wins. */
    if (json_object_get(f->files, name) != NULL)
        return 0;
    json_t *value = json_stringn(text.len > 0 ? text.ptr : "", text.len);
    if (json_object_set_new(f->files, name, value) < 0)
        return error_set(f->err, -ENOMEM, "out of memory");
    return 0;
}

static int add_entry(struct folder *f, const char *folder, const char *prefix, const char *entry,
                     unsigned depth)
{
    autobuf path = BUF_INIT, name = BUF_INIT;
    struct stat st;
    buf_printf(&path, "%s/%s", folder, entry);
    buf_printf(&name, "%s%s", prefix, entry);
    if (!buf_ok(&path) || !buf_ok(&name))
        return error_set(f->err, -ENOMEM, "out of memory");
    if (stat(path.ptr, &st) < 0)
        return read_error(-errno, "spec.codeSource.path", path.ptr, CODE_MAX, f->err);
    if (!S_ISDIR(st.st_mode))
        return add_file(f, path.ptr, name.ptr);
    buf_add_byte(&name, '/');
    return buf_ok(&name) ? add_folder(f, path.ptr, name.ptr, depth + 1) : -ENOMEM;
}

static int is_shown(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int add_folder(struct folder *f, const char *path, const char *prefix, unsigned depth)
{
    struct dirent **entries = NULL;
    if (depth > DEPTH_MAX)
        return error_field(f->err, -ELOOP, "spec.codeSource.path",
                           "%s lies more than %d folders deep", path, DEPTH_MAX);
    int count = scandir(path, &entries, is_shown, alphasort);
    if (count < 0)
        return read_error(-errno, "spec.codeSource.path", path, CODE_MAX, f->err);
    int status = 0;
    for (int i = 0; i < count; i++) {
        if (status == 0)
            status = add_entry(f, path, prefix, entries[i]->d_name, depth);
        free(entries[i]);
    }
    free(entries);
    return status;
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
    struct folder f = {.files = source, .err = err};
    int status = add_folder(&f, path.ptr, "", 0);
    if (status == 0 && json_object_size(source) == 0)
        return error_field(err, -ENOENT, "spec.codeSource.path", "there is no file in it");
    return status;
}

int embed_files(json_t *object, const char *file, struct error *err)
{
    json_t *spec = json_object_get(object, "spec");
    int status = embed_module(spec, file, err);
    return status < 0 ? status : embed_code(spec, file, err);
}
