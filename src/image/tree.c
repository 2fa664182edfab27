/* SPDX-License-Identifier: Apache-2.0 */
#include "image/image.h"

#include "base/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TREE_PATH_MAX 255 /* what a tar header holds without extensions, in two parts */

struct entry {
    char *path;
    unsigned mode;
    bool folder;
    struct buf bytes;
};

struct tree {
    struct entry *entries;
    size_t count, cap;
    bool sorted;
};

struct tree *tree_new(void)
{
    return calloc(1, sizeof(struct tree));
}

void tree_free(struct tree *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->count; i++) {
        free(t->entries[i].path);
        buf_done(&t->entries[i].bytes);
    }
    free(t->entries);
    free(t);
}

static bool is_good_path(const char *path)
{
    if (path[0] == '\0' || path[0] == '/')
        return false;
    for (const char *part = path; part != NULL;) {
        size_t len = strcspn(part, "/");
        if (len == 0 || (len == 1 && part[0] == '.') || (len == 2 && memcmp(part, "..", 2) == 0))
            return false;
        part = part[len] == '/' ? part + len + 1 : NULL;
    }
    return true;
}

static const struct entry *find(const struct tree *t, const char *path)
{
    for (size_t i = 0; i < t->count; i++) {
        if (strcmp(t->entries[i].path, path) == 0)
            return &t->entries[i];
    }
    return NULL;
}

static struct entry *new_entry(struct tree *t)
{
    if (t->count == t->cap) {
        size_t cap = t->cap > 0 ? 2 * t->cap : 32;
        struct entry *entries = realloc(t->entries, cap * sizeof(*entries));
        if (entries == NULL)
            return NULL;
        t->entries = entries;
        t->cap = cap;
    }
    t->sorted = false;
    return &t->entries[t->count];
}

static int append(struct tree *t, const char *path, unsigned mode, bool folder, struct slice bytes)
{
    struct entry *e = new_entry(t);
    if (e == NULL)
        return -ENOMEM;
    *e = (struct entry){.path = strdup(path), .mode = mode & 07777, .folder = folder};
    buf_add_slice(&e->bytes, bytes);
    if (e->path == NULL || !buf_ok(&e->bytes)) {
        free(e->path);
        buf_done(&e->bytes);
        return -ENOMEM;
    }
    t->count++;
    return 0;
}

static int add_parents(struct tree *t, const char *path)
{
    for (const char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        autofree char *parent = strndup(path, (size_t)(slash - path));
        if (parent == NULL)
            return -ENOMEM;
        const struct entry *known = find(t, parent);
        if (known != NULL && !known->folder)
            return -EEXIST;
        int r = known != NULL ? 0 : append(t, parent, 0755, true, slice_of(NULL, 0));
        if (r < 0)
            return r;
    }
    return 0;
}

static int add(struct tree *t, const char *path, unsigned mode, bool folder, struct slice bytes)
{
    if (!is_good_path(path))
        return -EINVAL;
    if (strlen(path) > TREE_PATH_MAX)
        return -ENAMETOOLONG;
    if (find(t, path) != NULL)
        return -EEXIST;
    int r = add_parents(t, path);
    return r < 0 ? r : append(t, path, mode, folder, bytes);
}

int tree_add(struct tree *t, const char *path, unsigned mode, struct slice bytes)
{
    return add(t, path, mode, false, bytes);
}

int tree_add_folder(struct tree *t, const char *path, unsigned mode)
{
    return add(t, path, mode, true, slice_of(NULL, 0));
}

bool tree_has(const struct tree *t, const char *path)
{
    return find(t, path) != NULL;
}

uint64_t tree_bytes(const struct tree *t)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < t->count; i++)
        sum += t->entries[i].bytes.len;
    return sum;
}

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->path, ((const struct entry *)b)->path);
}

int tree_each(struct tree *t, tree_each_fn *each, void *ctx)
{
    int r = 0;
    if (!t->sorted && t->count > 0)
        qsort(t->entries, t->count, sizeof(*t->entries), compare);
    t->sorted = true;
    for (size_t i = 0; r == 0 && i < t->count; i++) {
        const struct entry *e = &t->entries[i];
        const char *bytes = e->bytes.len > 0 ? e->bytes.ptr : "";
        r = each(ctx, e->path, e->mode, slice_of(e->folder ? NULL : bytes, e->bytes.len));
    }
    return r;
}
