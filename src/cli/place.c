/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/place.h"

#include "base/fdio.h"
#include "base/memory.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const program_places[] = {"", "../libexec/sluice/"};
static const char *const runtime_places[] = {"../runtimes", "../share/sluice/runtimes"};
static const char *const build_places[] = {"", "npm/node_modules/.bin/"};

/* The folder of this program; false when it cannot be known. */
static bool own_folder(char folder[PATH_MAX])
{
    ssize_t len = readlink("/proc/self/exe", folder, PATH_MAX - 1);
    if (len <= 0)
        return false;
    folder[len] = '\0';
    char *slash = strrchr(folder, '/');
    if (slash == NULL)
        return false;
    *slash = '\0';
    return true;
}

/* The first of the places, each followed by name, that access() finds. */
static char *find(const char *const *places, size_t count, const char *name, int mode)
{
    char folder[PATH_MAX];
    if (!own_folder(folder))
        return NULL;
    for (size_t i = 0; i < count; i++) {
        struct buf path = BUF_INIT;
        buf_printf(&path, "%s/%s%s", folder, places[i], name);
        if (buf_ok(&path) && access(path.ptr, mode) == 0)
            return buf_steal(&path);
        buf_done(&path);
    }
    return NULL;
}

char *place_program(const char *name)
{
    return find(program_places, COUNT_OF(program_places), name, X_OK);
}

char *place_fetched(const char *name)
{
    return find(build_places, COUNT_OF(build_places), name, X_OK);
}

char *place_runtimes(void)
{
    const char *named = getenv("SLUICE_RUNTIMES");
    if (named != NULL && named[0] != '\0')
        return strdup(named);
    autofree char *found = find(runtime_places, COUNT_OF(runtime_places), "", R_OK);
    return found != NULL ? realpath(found, NULL) : NULL;
}

static const char *set_or(const char *variable, const char *fallback)
{
    const char *value = getenv(variable);
    return value != NULL && value[0] == '/' ? value : fallback;
}

char *place_cache(void)
{
    struct buf path = BUF_INIT;
    const char *cache = set_or("XDG_CACHE_HOME", NULL), *home = set_or("HOME", NULL);
    if (cache != NULL)
        buf_printf(&path, "%s/sluice", cache);
    else if (home != NULL)
        buf_printf(&path, "%s/.cache/sluice", home);
    if (buf_ok(&path) && path.len > 0 && fdio_make_folders(path.ptr, 0700) == 0)
        return buf_steal(&path);
    buf_reset(&path);
    buf_printf(&path, "%s/sluice-cache-%u", set_or("TMPDIR", "/tmp"), (unsigned)geteuid());
    /* Somebody else's folder of that name would give us their code. */
    struct stat st;
    if (!buf_ok(&path) || fdio_make_folders(path.ptr, 0700) < 0 || lstat(path.ptr, &st) < 0 ||
        !S_ISDIR(st.st_mode) || st.st_uid != geteuid()) {
        buf_done(&path);
        return NULL;
    }
    return buf_steal(&path);
}

char *place_temporary(void)
{
    struct buf path = BUF_INIT;
    buf_printf(&path, "%s/sluice-XXXXXX", set_or("TMPDIR", "/tmp"));
    if (buf_ok(&path) && mkdtemp(path.ptr) != NULL)
        return buf_steal(&path);
    buf_done(&path);
    return NULL;
}
