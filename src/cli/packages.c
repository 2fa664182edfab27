/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/packages.h"

#include "base/fdio.h"
#include "base/memory.h"
#include "cli/cli_internal.h"
#include "cli/imports.h"
#include "cli/place.h"
#include "cli/subprocess.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ABSENT        "sluice:absent/" /* runtimes/js/modules.js has the same */
#define FIELD         "spec.path"
#define BUNDLE_MAX    (8u << 20)
#define METAFILE_MAX  (64u << 20)
#define COMPLAINT_MAX 400 /* of what a program wrote, in an error */
#define EXTERNALS_MAX 128
#define ARGUMENTS_MAX (32 + EXTERNALS_MAX)

/* ---- what Node.js alone has ---- */

bool packages_has(const char *folder, struct slice specifier)
{
    autobuf path = BUF_INIT;
    const char *slash = memchr(specifier.ptr, '/', specifier.len);
    if (slash != NULL)
        specifier.len = (size_t)(slash - specifier.ptr);
    buf_printf(&path, "%s/node_modules/" SLICE_FMT "/package.json", folder, SLICE_ARG(specifier));
    return !slice_starts(specifier, "node:") && buf_ok(&path) && access(path.ptr, R_OK) == 0;
}

int packages_refuse(const char *file, int line, struct slice specifier, struct error *err)
{
    char place[32] = "";
    if (line > 0)
        snprintf(place, sizeof(place), ":%d", line);
    return error_field(err, -ENOTSUP, FIELD,
                       "%s%s imports \"" SLICE_FMT
                       "\", which only Node.js has: do without it, or set `runtime: node` in the "
                       "function's manifest",
                       file, place, SLICE_ARG(specifier));
}

/* ---- npm ---- */

static bool has_dependencies(const char *folder)
{
    autobuf path = BUF_INIT;
    buf_printf(&path, "%s/package.json", folder);
    json_t *package = buf_ok(&path) ? json_load_file(path.ptr, 0, NULL) : NULL;
    bool has = json_object_size(json_object_get(package, "dependencies")) +
                   json_object_size(json_object_get(package, "devDependencies")) >
               0;
    json_decref(package);
    return has;
}

static bool is_there(const char *folder, const char *name)
{
    autobuf path = BUF_INIT;
    buf_printf(&path, "%s/%s", folder, name);
    return buf_ok(&path) && access(path.ptr, F_OK) == 0;
}

/* The first lines of what a program wrote, on one line. */
static void shorten(struct buf *text)
{
    if (text->len > COMPLAINT_MAX)
        text->len = COMPLAINT_MAX;
    while (text->len > 0 && ((unsigned char)text->ptr[text->len - 1] & 0xc0) == 0x80)
        text->len--;
    size_t kept = 0;
    for (size_t i = 0; i < text->len; i++) {
        char c = text->ptr[i] == '\n' ? ' ' : text->ptr[i];
        if (c != ' ' || (kept > 0 && text->ptr[kept - 1] != ' '))
            text->ptr[kept++] = c;
    }
    text->len = kept;
    buf_add_text(text, "");
}

static int install(const char *folder, struct error *err)
{
    if (is_there(folder, "node_modules") || !has_dependencies(folder))
        return 0;
    const char *verb = is_there(folder, "package-lock.json") ? "ci" : "install";
    const char *const argv[] = {
        "npm", verb, "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", NULL};
    autobuf complaint = BUF_INIT;
    int code = 0;
    terminal_progress("npm %s in %s", verb, folder);
    int status = subprocess_run(&(struct subprocess){.argv = argv, .folder = folder}, NULL,
                                &complaint, &code, err);
    if (status == -ENOENT)
        return error_field(err, status, FIELD,
                           "package.json in %s names packages, and there is no npm to fetch them: "
                           "install Node.js with npm",
                           folder);
    if (status < 0 || code == 0)
        return status;
    shorten(&complaint);
    return error_field(err, -EIO, FIELD, "npm %s in %s failed: %s", verb, folder,
                       complaint.len > 0 ? complaint.ptr : "it did not say why");
}

/* ---- esbuild ---- */

/* The path that the caller frees: the project's own (in its folder or in one above), the one that
 * is named, the system's, the one that set-up fetched. */
static char *find_esbuild(const char *folder)
{
    static const char below[] = "/node_modules/.bin/esbuild";
    autofree char *at = realpath(folder, NULL);
    while (at != NULL && at[0] != '\0') {
        struct buf path = BUF_INIT;
        buf_printf(&path, "%s%s", at, below);
        if (buf_ok(&path) && access(path.ptr, X_OK) == 0)
            return buf_steal(&path);
        buf_done(&path);
        char *slash = strrchr(at, '/');
        *slash = '\0';
    }
    const char *named = getenv("SLUICE_ESBUILD");
    if (named != NULL && named[0] != '\0')
        return strdup(named);
    char *found = subprocess_find("esbuild");
    return found != NULL ? found : place_fetched("esbuild");
}

static const struct form {
    const char *name, *format, *banner;
} commonjs_form = {"index.cjs", "--format=cjs", NULL},
  module_form = {"index.mjs", "--format=esm",
                 "--banner:js=const require = name => globalThis[Symbol.for('sluice.require')]("
                 "name.startsWith('node:') ? name : `node:${name}`);"};

struct bundler {
    const char *folder, *main_file;
    char *program, *temporary; /* owned */
    char *metafile, *outfile;  /* owned */
    const char *argv[ARGUMENTS_MAX];
    char *externals[EXTERNALS_MAX]; /* owned */
    size_t argument_count, external_count;
    struct error *err;
};

static void bundler_done(struct bundler *b)
{
    if (b->temporary != NULL)
        (void)fdio_remove_tree(b->temporary);
    for (size_t i = 0; i < b->external_count; i++)
        free(b->externals[i]);
    free(b->program);
    free(b->temporary);
    free(b->metafile);
    free(b->outfile);
}

static void add(struct bundler *b, const char *word)
{
    if (b->argument_count + 1 < ARGUMENTS_MAX)
        b->argv[b->argument_count++] = word;
}

__attribute__((format(printf, 2, 3))) static void add_word(struct bundler *b, const char *format,
                                                           ...)
{
    struct buf word = BUF_INIT;
    va_list args;
    va_start(args, format);
    buf_vprintf(&word, format, args);
    va_end(args);
    if (buf_ok(&word) && b->external_count < EXTERNALS_MAX)
        b->externals[b->external_count++] = buf_steal(&word);
    buf_done(&word);
}

/* A module that only Node has: what packages get for it complains when it is used. */
static void add_absent(struct bundler *b, const char *name)
{
    if (!packages_has(b->folder, slice_text(name)))
        add_word(b, "--alias:%s=" ABSENT "%s", name, name);
    add_word(b, "--alias:node:%s=" ABSENT "node:%s", name, name);
}

static int bundler_init(struct bundler *b)
{
    struct buf metafile = BUF_INIT;
    b->program = find_esbuild(b->folder);
    if (b->program == NULL)
        return error_field(b->err, -ENOENT, FIELD,
                           "%s uses packages or TypeScript, which esbuild bundles, and there is no "
                           "esbuild: run `npm install --save-dev esbuild` in %s, or set "
                           "SLUICE_ESBUILD",
                           b->main_file, b->folder);
    b->temporary = place_temporary();
    if (b->temporary == NULL)
        return error_set(b->err, -errno, "cannot make a temporary folder: %s", strerror(errno));
    buf_printf(&metafile, "--metafile=%s/meta.json", b->temporary);
    b->metafile = buf_steal(&metafile);
    for (size_t i = 0; imports_builtins[i] != NULL; i++) {
        const char *name = imports_builtins[i];
        if (!imports_is_given(slice_text(name)))
            add_absent(b, name);
        else if (!packages_has(b->folder, slice_text(name)))
            add_word(b, "--external:%s", name);
    }
    return b->metafile != NULL ? 0 : error_set(b->err, -ENOMEM, "out of memory");
}

/* For an engine without Node's modules and with the web's; nothing is renamed, so that errors name
 * what the sources name. */
static int write_arguments(struct bundler *b, const struct form *form)
{
    struct buf outfile = BUF_INIT;
    buf_printf(&outfile, "--outfile=%s/%s", b->temporary, form->name);
    free(b->outfile);
    b->outfile = buf_steal(&outfile);
    if (b->outfile == NULL)
        return -ENOMEM;
    b->argument_count = 0;
    add(b, b->program);
    add(b, b->main_file);
    static const char *const fixed[] = {
        "--bundle",
        "--platform=browser",
        "--main-fields=browser,module,main",
        "--target=es2023",
        "--charset=utf8",
        "--keep-names",
        "--log-level=error",
        "--log-limit=3",
        "--color=false",
        "--define:process.env.NODE_ENV=\"production\"",
        "--define:global=globalThis",
        "--external:node:*",
        ("--external:" ABSENT "*"),
    };
    for (size_t i = 0; i < COUNT_OF(fixed); i++)
        add(b, fixed[i]);
    add(b, form->format);
    if (form->banner != NULL)
        add(b, form->banner);
    add(b, b->metafile);
    add(b, b->outfile);
    for (size_t i = 0; i < b->external_count; i++)
        add(b, b->externals[i]);
    b->argv[b->argument_count] = NULL;
    return 0;
}

static int run_esbuild(struct bundler *b, const struct form *form)
{
    autobuf complaint = BUF_INIT;
    int code = 0;
    if (write_arguments(b, form) < 0)
        return error_set(b->err, -ENOMEM, "out of memory");
    int status = subprocess_run(&(struct subprocess){.argv = b->argv, .folder = b->folder}, NULL,
                                &complaint, &code, b->err);
    if (status < 0 || code == 0)
        return status;
    shorten(&complaint);
    return error_field(b->err, -EINVAL, FIELD, "esbuild could not bundle %s: %s", b->main_file,
                       complaint.len > 0 ? complaint.ptr : "it did not say why");
}

static json_t *read_metafile(struct bundler *b)
{
    autobuf path = BUF_INIT, text = BUF_INIT;
    buf_printf(&path, "%s/meta.json", b->temporary);
    int status = buf_ok(&path) ? fdio_read_file(path.ptr, METAFILE_MAX, &text) : -ENOMEM;
    json_t *meta = status == 0 ? json_loadb(text.ptr, text.len, 0, NULL) : NULL;
    if (meta == NULL)
        error_set(b->err, -EIO, "esbuild's metafile cannot be read");
    return meta;
}

struct line_search {
    struct slice specifier;
    int line;
};

static void on_import(void *ctx, struct slice specifier, int line)
{
    struct line_search *s = ctx;
    if (s->line == 0 && slice_equal(specifier, s->specifier))
        s->line = line;
}

/* The line where the file imports it; 0: not to be found. */
static int line_of_import(const struct bundler *b, const char *file, struct slice specifier)
{
    autobuf path = BUF_INIT, text = BUF_INIT;
    struct line_search s = {.specifier = specifier};
    buf_printf(&path, "%s/%s", b->folder, file);
    if (buf_ok(&path) && fdio_read_file(path.ptr, BUNDLE_MAX, &text) == 0)
        imports_each(buf_slice(&text), on_import, &s);
    return s.line;
}

/* A package may import what it never uses. */
static int check_imports(const struct bundler *b, const char *file, const json_t *input)
{
    if (strstr(file, "node_modules/") != NULL)
        return 0;
    size_t i;
    json_t *import;
    json_array_foreach(json_object_get(input, "imports"), i, import)
    {
        struct slice path = slice_text(json_string_value(json_object_get(import, "path")));
        if (path.ptr != NULL && slice_starts(path, ABSENT))
            path = slice_of(path.ptr + strlen(ABSENT), path.len - strlen(ABSENT));
        if (json_is_true(json_object_get(import, "external")) && path.ptr != NULL &&
            imports_is_builtin(path) && !imports_is_given(path))
            return packages_refuse(file, line_of_import(b, file, path), path, b->err);
    }
    return 0;
}

static int take_bundle(const struct bundler *b, const struct form *form, json_t *files)
{
    autobuf path = BUF_INIT, text = BUF_INIT;
    buf_printf(&path, "%s/%s", b->temporary, form->name);
    int status = buf_ok(&path) ? fdio_read_file(path.ptr, BUNDLE_MAX, &text) : -ENOMEM;
    if (status == -EFBIG)
        return error_field(b->err, status, FIELD, "the bundle is larger than %u MiB",
                           BUNDLE_MAX >> 20);
    json_t *value = status == 0 ? json_stringn(text.len > 0 ? text.ptr : "", text.len) : NULL;
    if (value == NULL || json_object_set_new(files, form->name, value) < 0)
        return error_set(b->err, -EIO, "esbuild's bundle cannot be read");
    return 0;
}

/* What any of the bundled files imports of Node's own. */
static int check_all_imports(struct bundler *b)
{
    const char *file;
    json_t *meta = read_metafile(b), *input;
    int status = meta != NULL ? 0 : b->err->code;
    json_object_foreach(json_object_get(meta, "inputs"), file, input)
    {
        if (status == 0)
            status = check_imports(b, file, input);
    }
    json_decref(meta);
    return status;
}

/* As CommonJS, which has require() for what packages want of Node's; with an await at its top it
 * can only be an ECMAScript module. */
static int bundle(struct bundler *b, json_t *files, char **ret_name)
{
    int status = bundler_init(b);
    if (status == 0)
        status = run_esbuild(b, &module_form);
    if (status == 0)
        status = check_all_imports(b);
    if (status < 0)
        return status;
    struct error ignored = ERROR_INIT, *told = b->err;
    b->err = &ignored;
    const struct form *form = run_esbuild(b, &commonjs_form) == 0 ? &commonjs_form : &module_form;
    b->err = told;
    status = take_bundle(b, form, files);
    if (status == 0 && (*ret_name = strdup(form->name)) == NULL)
        status = error_set(b->err, -ENOMEM, "out of memory");
    return status;
}

int packages_bundle(const char *folder, const char *main_file, json_t *files, char **ret_name,
                    struct error *err)
{
    struct bundler b = {.folder = folder, .main_file = main_file, .err = err};
    int status = install(folder, err);
    if (status == 0)
        status = bundle(&b, files, ret_name);
    bundler_done(&b);
    return status;
}
