/* SPDX-License-Identifier: Apache-2.0 */
/* Which file an import or require means, and what kind of module it is; Node's rules as far as
 * a handful of files needs them. */
#include "worker/worker_internal.h"

#include <errno.h>
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

static struct slice folder_of(struct slice file)
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

int bundle_resolve(const struct bundle *b, struct slice base, struct slice specifier,
                   struct buf *name, struct error *err)
{
    static const char *const suffixes[] = {"",      ".js",       ".mjs",      ".cjs",
                                           ".json", "/index.js", "/index.mjs"};
    autobuf path = BUF_INIT;
    bool relative = slice_starts(specifier, "./") || slice_starts(specifier, "../") ||
                    slice_is(specifier, ".") || slice_is(specifier, "..");
    if (relative)
        buf_add_slice(&path, folder_of(base));
    else if (!slice_starts(specifier, "/") && bundle_file(b, specifier).ptr == NULL)
        buf_add_text(&path, "node_modules/");
    buf_add_slice(&path, specifier);
    buf_reset(name);
    if (buf_ok(&path) && add_normal(buf_slice(&path), name) == 0)
        for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
            if (exists_with(b, name, suffixes[i]))
                return 0;
    return error_set(err, -ENOENT,
                     "cannot find module '" SLICE_FMT "' (imported from " SLICE_FMT
                     "): it is not among the function's files",
                     SLICE_ARG(specifier), SLICE_ARG(base));
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

/* The "type" of the package.json of the function's folder. */
static struct slice package_type(const struct bundle *b)
{
    struct slice text = bundle_file(b, SLICE("package.json"));
    const char *key = text.ptr != NULL ? memmem(text.ptr, text.len, "\"type\"", 6) : NULL;
    if (key == NULL)
        return slice_of(NULL, 0);
    const char *end = text.ptr + text.len;
    const char *from = key + 6;
    while (from < end && (*from == ' ' || *from == ':' || *from == '\n' || *from == '\t'))
        from++;
    const char *close =
        from < end && *from == '"' ? memchr(from + 1, '"', (size_t)(end - from - 1)) : NULL;
    return close != NULL ? slice_of(from + 1, (size_t)(close - from - 1)) : slice_of(NULL, 0);
}

bool bundle_is_module(const struct bundle *b, struct slice name, struct slice text)
{
    if (slice_ends(name, ".mjs"))
        return true;
    if (slice_ends(name, ".cjs") || slice_ends(name, ".json"))
        return false;
    struct slice type = package_type(b);
    if (type.ptr != NULL)
        return slice_is(type, "module");
    return has_declaration(text);
}
