/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/code.h"

#include "base/encoding.h"
#include "base/fdio.h"
#include "base/memory.h"
#include "base/must.h"
#include "cli/imports.h"
#include "cli/packages.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FIELD "spec.path"

/* ---- the files of a folder ---- */

struct collection {
    json_t *files; /* filled */
    size_t bytes;
    const char *field;
    char *root;   /* where it lies, without links; NULL: it cannot be said */
    bool project; /* leaves out what belongs to a project and not to its function */
    bool js;
    struct error *err;
};

static int read_error(int status, const char *field, const char *path, struct error *err)
{
    if (status == -EFBIG)
        return error_field(err, status, field, "%s is larger than %u MiB", path,
                           CODE_BYTES_MAX >> 20);
    return error_field(err, status, field, "cannot read %s: %s", path, strerror(-status));
}

/* A folder that somebody else wrote may hold links to what is private here: that is not sent. */
static int check_inside(const struct collection *c, const char *path)
{
    autofree char *real = realpath(path, NULL);
    if (real == NULL || c->root == NULL)
        return read_error(real == NULL ? -errno : -ENOENT, c->field, path, c->err);
    size_t len = strcmp(c->root, "/") == 0 ? 0 : strlen(c->root);
    if (strncmp(real, c->root, len) == 0 && (real[len] == '/' || real[len] == '\0'))
        return 0;
    return error_field(c->err, -EXDEV, c->field,
                       "%s is a link that leads out of the folder: copy what it names", path);
}

static int add_file(struct collection *c, const char *path, const char *name)
{
    autobuf text = BUF_INIT;
    int inside = check_inside(c, path);
    if (inside < 0)
        return inside;
    int status = fdio_read_file(path, CODE_BYTES_MAX, &text);
    if (status < 0)
        return read_error(status, c->field, path, c->err);
    c->bytes += text.len;
    if (c->bytes > CODE_BYTES_MAX)
        return error_field(c->err, -EFBIG, c->field, "the files together are larger than %u MiB",
                           CODE_BYTES_MAX >> 20);
    if (!encoding_utf8_valid(buf_slice(&text)))
        return error_field(c->err, -EINVAL, c->field, "%s is no text in UTF-8", path);
    /* What the manifest itself says under this name wins. */
    if (json_object_get(c->files, name) != NULL)
        return 0;
    json_t *value = json_stringn(text.len > 0 ? text.ptr : "", text.len);
    if (json_object_set_new(c->files, name, value) < 0)
        return error_set(c->err, -ENOMEM, "out of memory");
    return 0;
}

static bool ends_with_one_of(const char *name, const char *const *endings, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (slice_ends(slice_text(name), endings[i]))
            return true;
    }
    return false;
}

/* Made by tools, or for people: no part of what runs. */
static bool is_left_out(const struct collection *c, const char *name, bool folder, unsigned depth)
{
    static const char *const folders[] = {"node_modules", "__pycache__", "target", "venv"};
    static const char *const top[] = {"tests", "test", "function.yaml", "function.yml",
                                      "README.md"};
    static const char *const js[] = {".js", ".mjs", ".cjs", ".json", "func.yaml"};
    if (!c->project)
        return false;
    for (size_t i = 0; folder && i < COUNT_OF(folders); i++) {
        if (strcmp(name, folders[i]) == 0)
            return true;
    }
    for (size_t i = 0; depth == 0 && i < COUNT_OF(top); i++) {
        if (strcmp(name, top[i]) == 0)
            return true;
    }
    return c->js && !folder && !ends_with_one_of(name, js, COUNT_OF(js));
}

static int add_folder(struct collection *c, const char *path, const char *prefix, unsigned depth);

static int add_entry(struct collection *c, const char *folder, const char *prefix,
                     const char *entry, unsigned depth)
{
    autobuf path = BUF_INIT, name = BUF_INIT;
    struct stat st;
    buf_printf(&path, "%s/%s", folder, entry);
    buf_printf(&name, "%s%s", prefix, entry);
    if (!buf_ok(&path) || !buf_ok(&name))
        return error_set(c->err, -ENOMEM, "out of memory");
    if (stat(path.ptr, &st) < 0)
        return read_error(-errno, c->field, path.ptr, c->err);
    if (is_left_out(c, entry, S_ISDIR(st.st_mode), depth))
        return 0;
    if (!S_ISDIR(st.st_mode))
        return S_ISREG(st.st_mode) ? add_file(c, path.ptr, name.ptr) : 0;
    int inside = check_inside(c, path.ptr);
    if (inside < 0)
        return inside;
    buf_add_byte(&name, '/');
    return buf_ok(&name) ? add_folder(c, path.ptr, name.ptr, depth + 1) : -ENOMEM;
}

static int is_shown(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int add_folder(struct collection *c, const char *path, const char *prefix, unsigned depth)
{
    struct dirent **entries = NULL;
    if (depth > CODE_DEPTH_MAX)
        return error_field(c->err, -ELOOP, c->field, "%s lies more than %d folders deep", path,
                           CODE_DEPTH_MAX);
    int count = scandir(path, &entries, is_shown, alphasort);
    if (count < 0)
        return read_error(-errno, c->field, path, c->err);
    int status = 0;
    for (int i = 0; i < count; i++) {
        if (status == 0)
            status = add_entry(c, path, prefix, entries[i]->d_name, depth);
        free(entries[i]);
    }
    free(entries);
    return status;
}

int code_add_folder(json_t *files, const char *folder, const char *field, bool js,
                    struct error *err)
{
    struct collection c = {
        .files = files, .field = field, .project = strcmp(field, FIELD) == 0, .js = js, .err = err};
    c.root = realpath(folder, NULL);
    int status = add_folder(&c, folder, "", 0);
    free(c.root);
    if (status == 0 && json_object_size(files) == 0)
        return error_field(err, -ENOENT, field, "there is no file in it");
    return status;
}

/* ---- what a JavaScript file imports ---- */

struct closure {
    const char *folder;
    json_t *names;    /* of the files, from the folder, in the order they were found */
    const char *file; /* that is being read */
    bool bundle;      /* it needs packages, other syntax, or files outside of the folder */
    int status;
    struct error *err;
};

static const char *const bundled_endings[] = {".ts", ".tsx", ".mts", ".cts", ".jsx"};

static bool is_there(const char *folder, const char *name)
{
    autobuf path = BUF_INIT;
    struct stat st;
    buf_printf(&path, "%s/%s", folder, name);
    return buf_ok(&path) && stat(path.ptr, &st) == 0 && S_ISREG(st.st_mode);
}

static void add_name(struct closure *c, const char *name)
{
    size_t i;
    json_t *known;
    json_array_foreach(c->names, i, known)
    {
        if (strcmp(json_string_value(known), name) == 0)
            return;
    }
    json_array_append_new(c->names, json_string(name));
    c->bundle = c->bundle || ends_with_one_of(name, bundled_endings, COUNT_OF(bundled_endings));
}

/* ./x from a/b.js is a/x. False when it leaves the folder. */
static bool join(const char *from, struct slice specifier, struct buf *out)
{
    const char *slash = strrchr(from, '/');
    buf_add(out, from, slash != NULL ? (size_t)(slash - from) : 0);
    while (specifier.len > 0) {
        const char *end = memchr(specifier.ptr, '/', specifier.len);
        size_t len = end != NULL ? (size_t)(end - specifier.ptr) : specifier.len;
        struct slice part = slice_of(specifier.ptr, len);
        specifier = slice_of(part.ptr + len + (end != NULL), specifier.len - len - (end != NULL));
        if (slice_is(part, "") || slice_is(part, "."))
            continue;
        if (slice_is(part, "..")) {
            if (out->len == 0)
                return false;
            char *last = strrchr(out->ptr, '/');
            out->len = last != NULL ? (size_t)(last - out->ptr) : 0;
            out->ptr[out->len] = '\0';
            continue;
        }
        buf_printf(out, "%s" SLICE_FMT, out->len > 0 ? "/" : "", SLICE_ARG(part));
    }
    return buf_ok(out);
}

static void add_imported_file(struct closure *c, struct slice specifier)
{
    static const char *const endings[] = {"",    ".js",       ".mjs",       ".cjs",     ".json",
                                          ".ts", "/index.js", "/index.mjs", "/index.ts"};
    autobuf base = BUF_INIT;
    if (slice_starts(specifier, "/") || !join(c->file, specifier, &base)) {
        c->bundle = true;
        return;
    }
    for (size_t i = 0; i < COUNT_OF(endings); i++) {
        autobuf name = BUF_INIT;
        buf_printf(&name, "%s%s", base.len > 0 ? base.ptr : ".", endings[i]);
        if (buf_ok(&name) && is_there(c->folder, name.ptr)) {
            add_name(c, name.ptr);
            return;
        }
    }
    /* That it is missing, who loads it says best. */
}

static void on_import(void *ctx, struct slice specifier, int line)
{
    struct closure *c = ctx;
    if (c->status < 0)
        return;
    bool builtin = imports_is_builtin(specifier) && !packages_has(c->folder, specifier);
    if (imports_is_file(specifier))
        add_imported_file(c, specifier);
    else if (builtin && imports_is_given(specifier))
        return;
    else if (builtin)
        c->status = packages_refuse(c->file, line, specifier, c->err);
    else
        c->bundle = true;
}

static int read_imports(struct closure *c, const char *name)
{
    static const char *const scripts[] = {".js", ".mjs", ".cjs"};
    autobuf path = BUF_INIT, text = BUF_INIT;
    buf_printf(&path, "%s/%s", c->folder, name);
    if (!buf_ok(&path))
        return error_set(c->err, -ENOMEM, "out of memory");
    if (!ends_with_one_of(name, scripts, COUNT_OF(scripts)) &&
        !ends_with_one_of(name, bundled_endings, COUNT_OF(bundled_endings)))
        return 0;
    int status = fdio_read_file(path.ptr, CODE_BYTES_MAX, &text);
    if (status < 0)
        return read_error(status, FIELD, path.ptr, c->err);
    c->file = name;
    imports_each(buf_slice(&text), on_import, c);
    return c->status;
}

/* The list grows while it is worked through. */
static int follow_imports(struct closure *c, const char *main_file)
{
    int status = 0;
    add_name(c, main_file);
    for (size_t i = 0; status == 0 && i < json_array_size(c->names); i++)
        status = read_imports(c, json_string_value(json_array_get(c->names, i)));
    return status;
}

json_t *code_files_of(const char *file)
{
    struct error ignored = ERROR_INIT;
    const char *slash = strrchr(file, '/');
    autofree char *folder = slash != NULL ? strndup(file, (size_t)(slash - file)) : strdup(".");
    struct closure c = {.folder = folder, .names = json_array(), .err = &ignored};
    if (folder == NULL || c.names == NULL)
        return c.names;
    (void)follow_imports(&c, slash != NULL ? slash + 1 : file);
    return c.names;
}

/* ---- JavaScript ---- */

/* Where the code is: a folder, and the file that is started in it. */
struct place {
    char *folder;
    char *file; /* name in the folder, or NULL: the project's own rule */
};

static void place_done(struct place *p)
{
    free(p->folder);
    free(p->file);
}

static char *package_main(const char *folder)
{
    autobuf path = BUF_INIT;
    buf_printf(&path, "%s/package.json", folder);
    json_t *package = buf_ok(&path) ? json_load_file(path.ptr, 0, NULL) : NULL;
    const char *named = json_string_value(json_object_get(package, "main"));
    if (named != NULL && strncmp(named, "./", 2) == 0)
        named += 2;
    char *found =
        named != NULL && named[0] != '/' && strstr(named, "..") == NULL && is_there(folder, named)
            ? strdup(named)
            : NULL;
    json_decref(package);
    return found;
}

/* The name of the file that is started; the caller frees it. */
static char *find_main(const json_t *spec, const struct place *p, struct error *err)
{
    static const char *const names[] = {"index.js",    "index.mjs",    "index.cjs", "index.ts",
                                        "function.js", "function.mjs", "handler.js"};
    const char *named = json_string_value(json_object_get(spec, "main"));
    if (named != NULL && !is_there(p->folder, named)) {
        error_field(err, -ENOENT, "spec.main", "there is no file %s in %s", named, p->folder);
        return NULL;
    }
    if (named != NULL || p->file != NULL)
        return strdup(named != NULL ? named : p->file);
    char *packaged = package_main(p->folder);
    if (packaged != NULL)
        return packaged;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (is_there(p->folder, names[i]))
            return strdup(names[i]);
    }
    error_field(err, -ENOENT, FIELD,
                "there is no index.js in %s: name the file that is started in spec.main",
                p->folder);
    return NULL;
}

/* Each of the names that is there. */
static int add_named(json_t *files, const char *folder, json_t *names, struct error *err)
{
    struct collection c = {
        .files = files, .field = FIELD, .root = realpath(folder, NULL), .err = err};
    size_t i;
    json_t *name;
    int status = 0;
    json_array_foreach(names, i, name)
    {
        autobuf path = BUF_INIT;
        buf_printf(&path, "%s/%s", folder, json_string_value(name));
        if (status == 0 && buf_ok(&path) && is_there(folder, json_string_value(name)))
            status = add_file(&c, path.ptr, json_string_value(name));
    }
    free(c.root);
    return status;
}

/* Settings that are read beside the code, bundled or not. */
static int add_settings(json_t *files, const char *folder, bool bundled, struct error *err)
{
    json_t *names =
        bundled ? json_pack("[s]", "func.yaml") : json_pack("[ss]", "func.yaml", "package.json");
    int status = add_named(files, folder, names, err);
    json_decref(names);
    return status;
}

static int embed_js(json_t *spec, json_t *files, const struct place *p, struct error *err)
{
    autofree char *main_file = find_main(spec, p, err);
    if (main_file == NULL)
        return err->code != 0 ? err->code : error_set(err, -ENOMEM, "out of memory");
    struct closure c = {.folder = p->folder, .names = json_array(), .err = err};
    int status = c.names != NULL ? follow_imports(&c, main_file) : -ENOMEM;
    if (status == 0 && c.bundle) {
        autofree char *name = NULL;
        status = packages_bundle(p->folder, main_file, files, &name, err);
        if (status == 0)
            json_object_set_new(spec, "main", json_string(name));
    } else if (status == 0) {
        status = p->file != NULL ? add_named(files, p->folder, c.names, err)
                                 : code_add_folder(files, p->folder, FIELD, true, err);
        json_object_set_new(spec, "main", json_string(main_file));
    }
    if (status == 0)
        status = add_settings(files, p->folder, c.bundle, err);
    json_decref(c.names);
    return status;
}

/* ---- the others ---- */

/* One file; for Python those beside it, too, since it may import them. */
static int embed_file(json_t *spec, json_t *files, const struct place *p, struct error *err)
{
    json_t *names = json_pack("[s]", p->file);
    struct dirent **entries = NULL;
    bool python = slice_ends(slice_text(p->file), ".py");
    int count = python ? scandir(p->folder, &entries, is_shown, alphasort) : 0;
    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name;
        if (slice_ends(slice_text(name), ".py") || strcmp(name, "requirements.txt") == 0)
            json_array_append_new(names, json_string(name));
        free(entries[i]);
    }
    free(entries);
    int status = add_named(files, p->folder, names, err);
    if (json_object_get(spec, "main") == NULL)
        json_object_set_new(spec, "main", json_string(p->file));
    json_decref(names);
    return status;
}

static int split(const char *path, struct place *ret, struct error *err)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return read_error(-errno, FIELD, path, err);
    if (S_ISDIR(st.st_mode)) {
        ret->folder = strdup(path);
        return ret->folder != NULL ? 0 : error_set(err, -ENOMEM, "out of memory");
    }
    const char *slash = strrchr(path, '/');
    ret->folder =
        slash != NULL ? strndup(path, (size_t)(slash - path) + (slash == path)) : strdup(".");
    ret->file = strdup(slash != NULL ? slash + 1 : path);
    return ret->folder != NULL && ret->file != NULL ? 0 : error_set(err, -ENOMEM, "out of memory");
}

/* Takes a slash from a path's end, or a dot that stands behind one. False: there is neither. */
static bool drop_tail(struct buf *path)
{
    const char *end = path->ptr + path->len;
    if (end[-1] != '/' && (path->len < 3 || end[-1] != '.' || end[-2] != '/'))
        return false;
    path->ptr[--path->len] = '\0';
    return true;
}

int code_embed(json_t *spec, const char *manifest, struct error *err)
{
    const char *named = json_string_value(json_object_get(spec, "path"));
    const char *runtime = json_string_value(json_object_get(spec, "runtime"));
    const char *slash = strrchr(manifest, '/');
    autobuf path = BUF_INIT;
    struct place p = {0};
    if (named[0] != '/' && slash != NULL)
        buf_add(&path, manifest, (size_t)(slash - manifest) + 1);
    buf_add_text(&path, named);
    while (buf_ok(&path) && path.len > 1 && drop_tail(&path))
        ; /* "np/./" is np: messages name the folder */
    if (!buf_ok(&path))
        return error_set(err, -ENOMEM, "out of memory");
    json_t *files = json_object_get(spec, "codeSource");
    if (files == NULL) {
        files = json_object();
        json_object_set_new(spec, "codeSource", files);
    }
    int status = split(path.ptr, &p, err);
    must(status < 0 || p.folder != NULL);
    bool js = runtime != NULL && strcmp(runtime, "js") == 0;
    if (status == 0 && js)
        status = embed_js(spec, files, &p, err);
    else if (status == 0)
        status = p.file != NULL ? embed_file(spec, files, &p, err)
                                : code_add_folder(files, p.folder, FIELD, false, err);
    json_object_del(spec, "path");
    place_done(&p);
    return status;
}
