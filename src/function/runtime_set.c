/* SPDX-License-Identifier: Apache-2.0 */
/* The directory of runtimes: where it is, and all that is in it. */
#include "function/runtime.h"

#include "base/memory.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct runtime_set {
    struct runtime *all[RUNTIMES_MAX];
    size_t count;
};

static bool answers_to(const struct runtime *r, const char *name)
{
    if (strcmp(r->name, name) == 0)
        return true;
    for (size_t i = 0; r->aliases != NULL && r->aliases[i] != NULL; i++)
        if (strcmp(r->aliases[i], name) == 0)
            return true;
    return false;
}

const struct runtime *runtime_set_find(const struct runtime_set *s, const char *name)
{
    for (size_t i = 0; i < s->count; i++)
        if (answers_to(s->all[i], name))
            return s->all[i];
    return NULL;
}

static int refuse_twin(const struct runtime_set *s, const struct runtime *r, const char *name,
                       struct error *err)
{
    const struct runtime *other = runtime_set_find(s, name);
    return other == NULL ? 0
                         : error_set(err, -EINVAL, "%s and %s both are the runtime %s",
                                     other->folder, r->folder, name);
}

static int add(struct runtime_set *s, struct runtime *r, struct error *err)
{
    int status = refuse_twin(s, r, r->name, err);
    for (size_t i = 0; status == 0 && r->aliases != NULL && r->aliases[i] != NULL; i++)
        status = refuse_twin(s, r, r->aliases[i], err);
    if (status == 0 && s->count == RUNTIMES_MAX)
        status = error_set(err, -E2BIG, "more than %d runtimes", RUNTIMES_MAX);
    if (status == 0)
        s->all[s->count++] = r;
    return status;
}

static int load_folder(struct runtime_set *s, const char *directory, const char *name,
                       struct error *err)
{
    autofree char *path = NULL;
    autofree char *file = NULL;
    if (asprintf(&path, "%s/%s", directory, name) < 0 ||
        asprintf(&file, "%s/runtime.yaml", path) < 0)
        return error_set(err, -ENOMEM, "out of memory");
    if (access(file, F_OK) < 0)
        return 0; /* some other folder */
    struct runtime *r = NULL;
    int status = runtime_load(path, &r, err);
    if (status == 0)
        status = add(s, r, err);
    if (status < 0)
        runtime_free(r);
    return status;
}

static int by_name(const void *a, const void *b)
{
    const struct runtime *const *first = a, *const *second = b;
    return strcmp((*first)->name, (*second)->name);
}

int runtime_set_load(const char *directory, struct runtime_set **ret, struct error *err)
{
    DIR *folder = opendir(directory);
    if (folder == NULL)
        return error_set(err, -errno, "the runtimes' directory %s: %s", directory, strerror(errno));
    struct runtime_set *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        closedir(folder);
        return error_set(err, -ENOMEM, "out of memory");
    }
    int status = 0;
    for (struct dirent *e; status == 0 && (e = readdir(folder)) != NULL;)
        if (e->d_name[0] != '.')
            status = load_folder(s, directory, e->d_name, err);
    closedir(folder);
    if (status < 0) {
        runtime_set_free(s);
        return status;
    }
    qsort(s->all, s->count, sizeof(struct runtime *), by_name);
    *ret = s;
    return 0;
}

void runtime_set_free(struct runtime_set *s)
{
    for (size_t i = 0; s != NULL && i < s->count; i++)
        runtime_free(s->all[i]);
    free(s);
}

size_t runtime_set_count(const struct runtime_set *s)
{
    return s->count;
}

const struct runtime *runtime_set_at(const struct runtime_set *s, size_t i)
{
    return i < s->count ? s->all[i] : NULL;
}

void runtime_set_names(const struct runtime_set *s, struct buf *out)
{
    for (size_t i = 0; i < s->count; i++)
        buf_printf(out, "%s%s", i > 0 ? ", " : "", s->all[i]->name);
}

/* ---- where ---- */

static char *beside_program(const char *relative)
{
    char program[PATH_MAX], path[PATH_MAX + 64];
    ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);
    if (n <= 0)
        return NULL;
    program[n] = '\0';
    char *slash = strrchr(program, '/');
    if (slash == NULL)
        return NULL;
    *slash = '\0';
    snprintf(path, sizeof(path), "%s/%s", program, relative);
    return realpath(path, NULL);
}

/* A build folder's neighbour has the sources of the runtimes; any other ../runtimes is somebody
 * else's, so one that belongs here must be seen in it. */
static bool holds_runtimes(const char *directory)
{
    char path[PATH_MAX + 32];
    snprintf(path, sizeof(path), "%s/js/runtime.yaml", directory);
    return access(path, R_OK) == 0;
}

int runtime_directory(const char *given, char **ret, struct error *err)
{
    static const char *const places[] = {"../runtimes", "../share/sluice/runtimes",
                                         "../../share/sluice/runtimes"};
    const char *named = given != NULL ? given : getenv("SLUICE_RUNTIMES");
    if (named != NULL && named[0] != '\0') {
        char *path = realpath(named, NULL);
        if (path == NULL)
            return error_set(err, -errno, "the runtimes' directory %s: %s", named, strerror(errno));
        *ret = path;
        return 0;
    }
    for (size_t i = 0; i < COUNT_OF(places); i++) {
        char *path = beside_program(places[i]);
        if (path != NULL && holds_runtimes(path)) {
            *ret = path;
            return 0;
        }
        free(path);
    }
    return error_set(err, -ENOENT,
                     "no directory of runtimes: none at ../runtimes, ../share/sluice/runtimes or "
                     "../../share/sluice/runtimes beside the program; name it with --runtimes DIR "
                     "or in SLUICE_RUNTIMES");
}
