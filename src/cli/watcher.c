/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/watcher.h"

#include "base/buf.h"
#include "base/memory.h"
#include "cli/code.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define EVENTS                                                                                     \
    (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_DELETE_SELF |       \
     IN_MOVE_SELF)
#define FOLDERS_MAX                                                                                \
    4096 /* of a project; the system's own limit is for all of a user's programs                   \
          */
#define DEPTH_MAX CODE_DEPTH_MAX

struct watcher {
    int fd;
    unsigned folders; /* watched in this update */
    json_t *names;    /* of the files that count, or NULL: all */
};

struct watcher *watcher_new(void)
{
    struct watcher *w = calloc(1, sizeof(*w));
    if (w == NULL)
        return NULL;
    w->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (w->fd < 0)
        free(STEAL(w));
    return w;
}

void watcher_free(struct watcher *w)
{
    if (w == NULL)
        return;
    close(w->fd);
    json_decref(w->names);
    free(w);
}

int watcher_fd(const struct watcher *w)
{
    return w->fd;
}

/* A folder that is watched already stays so. */
static void add_folder(struct watcher *w, const char *path)
{
    if (w->folders++ < FOLDERS_MAX)
        (void)inotify_add_watch(w->fd, path, EVENTS | IN_ONLYDIR);
}

static int is_watched(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && strcmp(entry->d_name, "node_modules") != 0 &&
           strcmp(entry->d_name, "__pycache__") != 0 &&
           (entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN);
}

static void add_tree(struct watcher *w, const char *path, unsigned depth)
{
    struct dirent **entries = NULL;
    add_folder(w, path);
    int count = depth < DEPTH_MAX ? scandir(path, &entries, is_watched, alphasort) : 0;
    for (int i = 0; i < count; i++) {
        autobuf below = BUF_INIT;
        buf_printf(&below, "%s/%s", path, entries[i]->d_name);
        if (buf_ok(&below))
            add_tree(w, below.ptr, depth + 1);
        free(entries[i]);
    }
    free(entries);
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static void add_file(struct watcher *w, const char *folder, const char *name)
{
    autobuf path = BUF_INIT;
    buf_printf(&path, "%s/%s", folder, name);
    if (!buf_ok(&path))
        return;
    json_array_append_new(w->names, json_string(last_part(path.ptr)));
    *strrchr(path.ptr, '/') = '\0';
    add_folder(w, path.ptr[0] != '\0' ? path.ptr : "/");
}

void watcher_update(struct watcher *w, const char *path)
{
    struct stat st;
    size_t i;
    json_t *name;
    w->folders = 0;
    json_decref(STEAL(w->names));
    struct slice given = slice_text(path);
    bool manifest = slice_ends(given, ".yaml") || slice_ends(given, ".yml");
    const char *slash = strrchr(path, '/');
    autofree char *folder = slash != NULL ? strndup(path, (size_t)(slash - path)) : strdup(".");
    if (folder == NULL || stat(path, &st) < 0)
        return;
    if (S_ISDIR(st.st_mode) || manifest) {
        add_tree(w, S_ISDIR(st.st_mode) ? path : folder, 0);
        return;
    }
    w->names = json_array();
    json_t *files = code_files_of(path);
    json_array_foreach(files, i, name) add_file(w, folder, json_string_value(name));
    json_decref(files);
}

/* Editors and tools write beside a file what is none of ours. */
static bool matters(const struct watcher *w, const struct inotify_event *e)
{
    size_t i, len = e->len > 0 ? strlen(e->name) : 0;
    json_t *name;
    if (len == 0)
        return (e->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_Q_OVERFLOW)) != 0;
    if (e->name[0] == '.' || e->name[len - 1] == '~' || strcmp(e->name, "node_modules") == 0 ||
        strcmp(e->name, "__pycache__") == 0)
        return false;
    if (w->names == NULL)
        return true;
    json_array_foreach(w->names, i, name)
    {
        if (strcmp(json_string_value(name), e->name) == 0)
            return true;
    }
    return false;
}

bool watcher_take(struct watcher *w)
{
    char room[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
    bool any = false;
    for (;;) {
        ssize_t n = read(w->fd, room, sizeof(room));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return any;
        for (char *at = room; at < room + n;) {
            const struct inotify_event *e = (const void *)at;
            any = any || matters(w, e);
            at += sizeof(*e) + e->len;
        }
    }
}
