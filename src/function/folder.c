/* SPDX-License-Identifier: Apache-2.0 */
/* Where the code and packages of functions that are processes lie:
 *   DIR/functions/NAMESPACE/NAME.NUMBER/DIGEST/{code,packages}   made by sluice-runner prepare
 *   DIR/functions/NAMESPACE/NAME.NUMBER/DIGEST.ready             it is whole
 *   DIR/functions/.gone.BATCH/NUMBER                      on its way out
 * NUMBER is the resource's: a function that is deleted and made again is another one. DIGEST stands
 * for the files and the runtime, so that a version with the same ones needs nothing prepared. What
 * no version uses is moved away, which costs nothing, and removed by a process of its own:
 * there may be ten thousands of files. */
#include "function/function_internal.h"

#include "base/clock.h"
#include "base/fdio.h"
#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define DIGEST_BYTES 12

static void hash_text(struct sha256_ctx *hash, const char *text, size_t len)
{
    char head[24];
    int head_len = snprintf(head, sizeof(head), "%zu:", len);
    sha256_update(hash, (size_t)head_len, (const uint8_t *)head);
    sha256_update(hash, len, (const uint8_t *)text);
}

/* A runtime that was changed prepares anew. */
static void hash_runtime(struct sha256_ctx *hash, const struct runtime *runtime)
{
    autobuf path = BUF_INIT, text = BUF_INIT;
    buf_printf(&path, "%s/runtime.yaml", runtime->folder);
    if (buf_ok(&path) && fdio_read_file(path.ptr, RUNTIME_FILE_MAX, &text) == 0)
        hash_text(hash, text.ptr, text.len);
    hash_text(hash, runtime->name, strlen(runtime->name));
}

int folder_digest(const struct function_spec *s, char ret[FOLDER_DIGEST_SIZE])
{
    struct sha256_ctx hash;
    uint8_t digest[SHA256_DIGEST_SIZE];
    json_t *files = json_object_get(s->source, "codeSource");
    char *text = json_dumps(files, JSON_COMPACT | JSON_SORT_KEYS);
    if (text == NULL)
        return -ENOMEM;
    sha256_init(&hash);
    hash_runtime(&hash, s->runtime);
    if (s->main_file != NULL)
        hash_text(&hash, s->main_file, strlen(s->main_file));
    hash_text(&hash, text, strlen(text));
    free(text);
    sha256_digest(&hash, sizeof(digest), digest);
    for (size_t i = 0; i < DIGEST_BYTES; i++)
        snprintf(ret + 2 * i, 3, "%02x", digest[i]);
    return 0;
}

/* ---- paths ---- */

char *folder_path(const struct function *f, const char *digest, const char *suffix)
{
    char *path;
    return asprintf(&path, "%s/%s/%s.%u/%s%s", f->host->folders.path, f->namespace_name, f->name,
                    f->number, digest, suffix) < 0
               ? NULL
               : path;
}

int folder_make_parent(const struct function *f)
{
    autofree char *path = folder_path(f, "", "");
    /* Passed through by functions' users, listed by nobody. */
    return path != NULL ? fdio_make_folders(path, 0711) : -ENOMEM;
}

bool folder_is_ready(const struct function *f, const char *digest)
{
    autofree char *mark = folder_path(f, digest, ".ready");
    return mark != NULL && access(mark, F_OK) == 0;
}

int folder_set_ready(const struct function *f, const char *digest)
{
    autofree char *mark = folder_path(f, digest, ".ready");
    return mark == NULL ? -ENOMEM : fdio_replace_file(mark, "", 0, 0600);
}

/* ---- what is not needed any more ---- */

/* What is removed now gets nothing added any more. */
static char *gone_path(const struct function_folders *o)
{
    char *path;
    return asprintf(&path, "%s/.gone.%llu", o->path, (unsigned long long)o->batch) < 0 ? NULL
                                                                                       : path;
}

static void removal_next(struct function_folders *o)
{
    autofree char *gone = gone_path(o);
    if (!o->dirty || o->removal.pid > 0 || gone == NULL)
        return;
    const char *const argv[] = {"/bin/rm", "-rf", "--", gone, NULL};
    o->dirty = false;
    o->batch++;
    int r = process_spawn(&o->removal, o->loop, argv, NULL, 0);
    if (r < 0)
        log_warn("cannot remove %s: %s", gone, strerror(-r));
}

static void removal_on_exit(struct process *p, int status)
{
    removal_next(p->ctx); /* what came meanwhile */
}

/* Moves a file or folder out of the way. */
static void discard(struct function_folders *o, const char *path)
{
    autofree char *gone = gone_path(o), *to = NULL;
    if (gone == NULL || asprintf(&to, "%s/%llu", gone, (unsigned long long)++o->discarded) < 0)
        return;
    if (mkdir(gone, 0700) < 0 && errno != EEXIST)
        log_warn("cannot make %s: %s", gone, strerror(errno));
    else if (rename(path, to) == 0)
        o->dirty = true;
}

static void discard_mark_and_folder(struct function *f, const char *digest)
{
    autofree char *mark = folder_path(f, digest, ".ready");
    autofree char *folder = folder_path(f, digest, "");
    if (mark == NULL || folder == NULL)
        return;
    (void)unlink(mark);
    discard(&f->host->folders, folder);
}

static bool is_used(const struct version *v, const char *digest)
{
    return v != NULL && strcmp(v->digest, digest) == 0;
}

static bool is_needed(const struct function *f, const char *digest)
{
    if (is_used(f->current, digest) || is_used(f->next, digest))
        return true;
    list_for_each (node, &f->retiring) {
        if (is_used(list_entry(node, struct version, link), digest))
            return true;
    }
    return false;
}

void folder_sweep(struct function *f)
{
    struct function_folders *o = &f->host->folders;
    autofree char *path = folder_path(f, "", "");
    DIR *folder = path != NULL ? opendir(path) : NULL;
    if (folder == NULL)
        return; /* it has never been a process */
    for (struct dirent *e; (e = readdir(folder)) != NULL;) {
        char digest[FOLDER_DIGEST_SIZE];
        if (strlen(e->d_name) < sizeof(digest) - 1)
            continue;
        memcpy(digest, e->d_name, sizeof(digest) - 1);
        digest[sizeof(digest) - 1] = '\0';
        if (!is_needed(f, digest))
            discard_mark_and_folder(f, digest);
    }
    closedir(folder);
    removal_next(o);
}

void folder_remove(struct function *f)
{
    struct function_folders *o = &f->host->folders;
    autofree char *path = folder_path(f, "", "");
    if (path == NULL)
        return;
    path[strlen(path) - 1] = '\0'; /* the slash */
    discard(o, path);
    removal_next(o);
    uid_give_back(o->uids, f->identity);
}

/* ---- at the start: functions that were deleted while their folder was still there ---- */

static bool is_of_function(struct function_host *h, const char *namespace_name, const char *entry)
{
    autofree char *name = strndup(entry, strcspn(entry, "."));
    const struct function *f = name != NULL ? function_host_find(h, namespace_name, name) : NULL;
    return f != NULL &&
           strtoul(entry + strlen(name) + (entry[strlen(name)] == '.'), NULL, 10) == f->number;
}

static void sweep_namespace(struct function_host *h, const char *namespace_name)
{
    autofree char *path = NULL;
    if (asprintf(&path, "%s/%s", h->folders.path, namespace_name) < 0)
        return;
    DIR *folder = opendir(path);
    if (folder == NULL)
        return;
    for (struct dirent *e; (e = readdir(folder)) != NULL;) {
        autofree char *one = NULL;
        if (e->d_name[0] == '.' || is_of_function(h, namespace_name, e->d_name) ||
            asprintf(&one, "%s/%s", path, e->d_name) < 0)
            continue;
        discard(&h->folders, one);
    }
    closedir(folder);
    (void)rmdir(path); /* when it is empty */
}

/* What a run before had not removed yet. */
static void discard_left(struct function_folders *o, const char *name)
{
    autofree char *path = NULL, *own = gone_path(o);
    if (own != NULL && asprintf(&path, "%s/%s", o->path, name) >= 0 && strcmp(path, own) != 0)
        discard(o, path);
}

static void folders_on_start(struct loop_timer *t)
{
    struct function_host *h = t->ctx;
    DIR *folder = opendir(h->folders.path);
    if (folder == NULL)
        return;
    for (struct dirent *e; (e = readdir(folder)) != NULL;) {
        if (strncmp(e->d_name, ".gone.", 6) == 0)
            discard_left(&h->folders, e->d_name);
        else if (e->d_name[0] != '.' && e->d_type == DT_DIR)
            sweep_namespace(h, e->d_name);
    }
    closedir(folder);
    removal_next(&h->folders);
}

int folders_init(struct function_host *h, const char *data_dir, struct error *err)
{
    struct function_folders *o = &h->folders;
    autofree char *path = NULL;
    if (asprintf(&path, "%s/functions", data_dir) < 0)
        return error_set(err, -ENOMEM, "out of memory");
    o->loop = h->loop;
    o->removal.exited = removal_on_exit;
    o->removal.ctx = o;
    o->batch = clock_realtime(); /* no other run's */
    o->start.due = folders_on_start;
    o->start.ctx = h;
    int r = fdio_make_folders(path, 0711);
    if (r < 0)
        return error_set(err, r, "cannot make %s: %s", path, strerror(-r));
    o->path = realpath(path, NULL); /* a process of its own may be elsewhere */
    if (o->path == NULL)
        return error_set(err, -errno, "cannot find %s: %s", path, strerror(errno));
    loop_timer_set(o->loop, &o->start, loop_now(o->loop)); /* when all resources are there */
    return uid_table_new(o->path, &o->uids, err);
}

void folders_done(struct function_host *h)
{
    struct function_folders *o = &h->folders;
    if (o->loop == NULL)
        return;
    loop_timer_cancel(o->loop, &o->start);
    process_end(&o->removal);
    uid_table_free(o->uids);
    free(o->path);
}
