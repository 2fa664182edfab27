/* SPDX-License-Identifier: Apache-2.0 */
/* What a package.json among the function's files says: the kind of its modules, and which file an
 * import of the package means (Node's "main" and "exports"). */
#include "worker/bundle_internal.h"

#include <errno.h>
#include <string.h>

#define EXPORTS_DEPTH 8

/* Of a folder: "" or "a/b/". The caller releases it; NULL: there is none, or it is no JSON. */
static json_t *read_package(const struct bundle *b, struct slice folder)
{
    autobuf name = BUF_INIT;
    buf_add_slice(&name, folder);
    buf_add_text(&name, "package.json");
    struct slice text = buf_ok(&name) ? bundle_file(b, buf_slice(&name)) : slice_of(NULL, 0);
    return text.ptr != NULL ? json_loadb(text.ptr, text.len, 0, NULL) : NULL;
}

bool package_is_module(const struct bundle *b, struct slice file, bool *ret_said)
{
    struct slice folder = bundle_folder(file);
    for (;;) {
        json_t *package = read_package(b, folder);
        const char *type = json_string_value(json_object_get(package, "type"));
        bool is_module = type != NULL && strcmp(type, "module") == 0;
        bool found = package != NULL;
        *ret_said = type != NULL;
        json_decref(package);
        if (found || folder.len == 0)
            return is_module;
        folder = bundle_folder(slice_of(folder.ptr, folder.len - 1));
    }
}

static bool is_condition(const char *name, bool is_import)
{
    return strcmp(name, is_import ? "import" : "require") == 0 || strcmp(name, "browser") == 0 ||
           strcmp(name, "default") == 0;
}

/* The first that applies, in the order in which they are written. */
static const char *choose_target(json_t *value, bool is_import, unsigned depth)
{
    if (json_is_string(value))
        return json_string_value(value);
    if (depth == 0)
        return NULL;
    size_t i;
    const char *name, *target;
    json_t *inner;
    json_array_foreach(value, i, inner)
    {
        if ((target = choose_target(inner, is_import, depth - 1)) != NULL)
            return target;
    }
    json_object_foreach(value, name, inner)
    {
        if (is_condition(name, is_import) &&
            (target = choose_target(inner, is_import, depth - 1)) != NULL)
            return target;
    }
    return NULL;
}

static bool has_paths(json_t *exports)
{
    const char *first = json_object_iter_key(json_object_iter(exports));
    return first != NULL && first[0] == '.';
}

/* The entry of "exports" that the subpath ("." or "./sub") matches, and what * stands for. */
static json_t *find_export(json_t *exports, struct slice subpath, struct slice *ret_star)
{
    *ret_star = slice_of(NULL, 0);
    if (!has_paths(exports))
        return slice_is(subpath, ".") ? exports : NULL;
    json_t *exact = json_object_getn(exports, subpath.ptr, subpath.len), *best = NULL, *value;
    if (exact != NULL)
        return exact;
    size_t best_len = 0;
    const char *key;
    json_object_foreach(exports, key, value)
    {
        const char *star = strchr(key, '*');
        size_t before = star != NULL ? (size_t)(star - key) : 0;
        if (star == NULL || before < best_len || subpath.len < strlen(key) ||
            strncmp(subpath.ptr, key, before) != 0 || !slice_ends(subpath, star + 1))
            continue;
        best = value;
        best_len = before;
        *ret_star = slice_of(subpath.ptr + before, subpath.len - before - strlen(star + 1));
    }
    return best;
}

static void add_target(struct buf *path, const char *target, struct slice star)
{
    for (const char *c = target; *c != '\0'; c++) {
        if (*c == '*')
            buf_add_slice(path, star);
        else
            buf_add_byte(path, *c);
    }
}

int package_entry(const struct bundle *b, struct slice folder, struct slice subpath, bool is_import,
                  struct buf *path)
{
    json_t *package = read_package(b, folder);
    json_t *exports = json_object_get(package, "exports");
    const char *target = NULL;
    struct slice star = {0};
    int status = 0;
    if (exports != NULL && !json_is_null(exports)) {
        json_t *entry = find_export(exports, subpath, &star);
        target = choose_target(entry, is_import, EXPORTS_DEPTH);
        status = target != NULL ? 0 : -ENOENT;
    } else if (slice_is(subpath, ".")) {
        target = json_string_value(json_object_get(package, "main"));
    }
    buf_add_slice(path, folder);
    if (target != NULL)
        add_target(path, target, star);
    else if (status == 0 && !slice_is(subpath, "."))
        buf_add_slice(path, slice_of(subpath.ptr + 2, subpath.len - 2));
    json_decref(package);
    return status;
}
