/* SPDX-License-Identifier: Apache-2.0 */
/* Which file an import or require means, and what kind of module it is; Node's rules as far as
 * a handful of files needs them. */
#include "worker/bundle_internal.h"

#include "base/memory.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Appends the path with . and .. taken out. -ENOENT when it leaves the function's folder. */
static int add_normal(struct slice path, struct buf *out)
{
    size_t start = out->len;
    while (path.len > 0) {
        const char *slash = memchr(path.ptr, '/', path.len);
        size_t len = slash != NULL ? (size_t)(slash - path.ptr) : path.len;
        struct slice part = slice_of(path.ptr, len);
        path = slice_of(path.ptr + len, path.len - len);
        if (path.len > 0)
            path = slice_of(path.ptr + 1, path.len - 1);
        if (part.len == 0 || slice_is(part, "."))
            continue;
        if (slice_is(part, "..")) {
            if (out->len == start)
                return -ENOENT;
            while (out->len > start && out->ptr[out->len - 1] != '/')
                out->len--;
            if (out->len > start)
                out->len--;
            continue;
        }
        if (out->len > start)
            buf_add_byte(out, '/');
        buf_add_slice(out, part);
    }
    return 0;
}

struct slice bundle_folder(struct slice file)
{
    const char *slash = memrchr(file.ptr, '/', file.len);
    return slice_of(file.ptr, slash != NULL ? (size_t)(slash - file.ptr + 1) : 0);
}

static bool exists_with(const struct bundle *b, struct buf *name, const char *suffix)
{
    size_t len = name->len;
    buf_add_text(name, suffix);
    if (buf_ok(name) && bundle_file(b, buf_slice(name)).ptr != NULL)
        return true;
    name->len = len;
    return false;
}

/* path: of a file, with or without its suffix, or of a folder with an index. */
static bool find_file(const struct bundle *b, struct slice path, struct buf *name)
{
    static const char *const suffixes[] = {"", ".js", ".mjs", ".cjs", ".json"};
    static const char *const indices[] = {"index.js", "index.mjs", "index.cjs", "index.json"};
    buf_reset(name);
    if (add_normal(path, name) < 0)
        return false;
    for (size_t i = 0; name->len > 0 && i < COUNT_OF(suffixes); i++)
        if (exists_with(b, name, suffixes[i]))
            return true;
    if (name->len > 0)
        buf_add_byte(name, '/');
    for (size_t i = 0; i < COUNT_OF(indices); i++)
        if (exists_with(b, name, indices[i]))
            return true;
    return false;
}

/* The same for a folder with a package.json that names its main file. */
static bool find_path(const struct bundle *b, struct slice path, struct buf *name)
{
    if (find_file(b, path, name))
        return true;
    autobuf folder = BUF_INIT, entry = BUF_INIT;
    if (add_normal(path, &folder) < 0)
        return false;
    if (folder.len > 0)
        buf_add_byte(&folder, '/');
    return package_entry(b, buf_slice(&folder), SLICE("."), false, &entry) == 0 && buf_ok(&entry) &&
           find_file(b, buf_slice(&entry), name);
}

/* "a" of "a/b", "@scope/a" of "@scope/a/b". */
static struct slice package_of(struct slice specifier)
{
    size_t slashes = specifier.len > 0 && specifier.ptr[0] == '@' ? 2 : 1, i = 0;
    while (i < specifier.len && (specifier.ptr[i] != '/' || --slashes > 0))
        i++;
    return slice_of(specifier.ptr, i);
}

/* In the node_modules of one folder. 1: found, 0: not there, -ENOENT: the package has no such
 * export. */
static int find_in(const struct bundle *b, struct slice folder, struct slice specifier,
                   bool is_import, struct buf *name)
{
    struct slice package = package_of(specifier);
    autobuf home = BUF_INIT, manifest = BUF_INIT, path = BUF_INIT, subpath = BUF_INIT;
    buf_add_slice(&home, folder);
    buf_add_text(&home, "node_modules/");
    buf_add_slice(&home, package);
    buf_add_byte(&home, '/');
    buf_add_slice(&manifest, buf_slice(&home));
    buf_add_text(&manifest, "package.json");
    buf_add_byte(&subpath, '.');
    buf_add_slice(&subpath, slice_of(specifier.ptr + package.len, specifier.len - package.len));
    if (!buf_ok(&home) || !buf_ok(&manifest) || !buf_ok(&subpath))
        return 0;
    int status = package_entry(b, buf_slice(&home), buf_slice(&subpath), is_import, &path);
    if (status == 0 && buf_ok(&path) && find_path(b, buf_slice(&path), name))
        return 1;
    bool is_there = bundle_file(b, buf_slice(&manifest)).ptr != NULL;
    return is_there ? -ENOENT : 0;
}

/* In the nearest node_modules that has it, else a file of the function's by its bare name. */
static bool find_package(const struct bundle *b, struct slice base, struct slice specifier,
                         bool is_import, struct buf *name)
{
    struct slice folder = bundle_folder(base);
    for (;;) {
        int found = find_in(b, folder, specifier, is_import, name);
        if (found != 0)
            return found > 0;
        if (folder.len == 0)
            break;
        folder = bundle_folder(slice_of(folder.ptr, folder.len - 1));
    }
    return find_file(b, specifier, name);
}

static bool is_path(struct slice specifier)
{
    return slice_starts(specifier, "./") || slice_starts(specifier, "../") ||
           slice_starts(specifier, "/") || slice_is(specifier, ".") || slice_is(specifier, "..");
}

/* The line of the file that has the name in quotes; 0: none. */
static unsigned line_with(struct slice text, struct slice name)
{
    unsigned line = 1;
    for (size_t i = 0; i + name.len + 1 < text.len; i++) {
        char c = text.ptr[i];
        if (c == '\n')
            line++;
        if ((c == '\'' || c == '"') && text.ptr[i + 1 + name.len] == c &&
            memcmp(text.ptr + i + 1, name.ptr, name.len) == 0)
            return line;
    }
    return 0;
}

static int refuse(const struct bundle *b, struct slice base, struct slice specifier,
                  struct error *err)
{
    char place[16] = "";
    unsigned line = line_with(bundle_file(b, base), specifier);
    if (line > 0)
        snprintf(place, sizeof(place), ":%u", line);
    if (builtin_kind(specifier) != BUILTIN_NODE_ONLY)
        return error_set(err, -ENOENT,
                         "cannot find module '" SLICE_FMT "' (imported from " SLICE_FMT
                         "%s): it is not among the function's files",
                         SLICE_ARG(specifier), SLICE_ARG(base), place);
    return error_set(err, -ENOTSUP,
                     SLICE_FMT
                     "%s imports '" SLICE_FMT
                     "', which only Node.js has: do without it, or set `runtime: node` in the "
                     "function's manifest",
                     SLICE_ARG(base), place, SLICE_ARG(specifier));
}

int bundle_resolve(const struct bundle *b, struct slice base, struct slice specifier,
                   bool is_import, struct buf *name, struct error *err)
{
    autobuf path = BUF_INIT;
    if (is_path(specifier)) {
        if (specifier.ptr[0] == '.')
            buf_add_slice(&path, bundle_folder(base));
        buf_add_slice(&path, specifier);
        if (buf_ok(&path) && find_path(b, buf_slice(&path), name))
            return 0;
    } else if (!slice_starts(specifier, "node:") &&
               find_package(b, base, specifier, is_import, name)) {
        return 0;
    } else if (builtin_kind(specifier) == BUILTIN_GIVEN) {
        buf_reset(name);
        buf_add_text(name, "node:");
        buf_add_slice(name, builtin_name(specifier));
        return buf_ok(name) ? 0 : error_set(err, -ENOMEM, "no memory for a module's name");
    }
    return refuse(b, base, specifier, err);
}

/* Whether the line begins an import or export declaration. */
static bool is_declaration(struct slice line)
{
    while (line.len > 0 && (line.ptr[0] == ' ' || line.ptr[0] == '\t'))
        line = slice_of(line.ptr + 1, line.len - 1);
    bool exports = slice_starts(line, "export");
    if ((!exports && !slice_starts(line, "import")) || line.len < 7)
        return false;
    char next = line.ptr[6];
    if (next == '{' || next == '*' || next == '"' || next == '\'')
        return true;
    if (next != ' ')
        return false;
    size_t at = 6;
    while (at < line.len && line.ptr[at] == ' ')
        at++;
    return at < line.len && line.ptr[at] != '=' && line.ptr[at] != '(' && line.ptr[at] != '.';
}

static bool has_declaration(struct slice text)
{
    while (text.len > 0) {
        const char *newline = memchr(text.ptr, '\n', text.len);
        size_t len = newline != NULL ? (size_t)(newline - text.ptr) : text.len;
        if (is_declaration(slice_of(text.ptr, len)))
            return true;
        if (newline == NULL)
            return false;
        text = slice_of(newline + 1, text.len - len - 1);
    }
    return false;
}

bool bundle_is_module(const struct bundle *b, struct slice name, struct slice text)
{
    if (slice_ends(name, ".mjs"))
        return true;
    if (slice_ends(name, ".cjs") || slice_ends(name, ".json"))
        return false;
    bool said = false;
    bool is_module = package_is_module(b, name, &said);
    return said ? is_module : has_declaration(text);
}
