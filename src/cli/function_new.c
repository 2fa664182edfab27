/* SPDX-License-Identifier: Apache-2.0 */
/* sluice function new: a copy of a runtime's template with the function's name in it. */
#include "base/buf.h"
#include "base/fdio.h"
#include "base/memory.h"
#include "cli/cli_internal.h"
#include "cli/place.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define TEMPLATE_FILE_MAX (4u << 20)
#define TEMPLATE_DEPTH    8
#define NAME_MAX_LENGTH   63 /* RFC 1123 label */

/* In a template's text this stands for the function's name. */
static const char name_mark[] = "{{name}}";

struct copy {
    const char *name;
    unsigned files;
    bool listing; /* prints each file */
    const char *target;
};

/* ---- copying ---- */

static void add_with_name(struct buf *out, struct slice text, const char *name)
{
    while (text.len > 0) {
        const char *at = memmem(text.ptr, text.len, name_mark, sizeof(name_mark) - 1);
        size_t before = at != NULL ? (size_t)(at - text.ptr) : text.len;
        buf_add(out, text.ptr, before);
        if (at == NULL)
            return;
        buf_add_text(out, name);
        before += sizeof(name_mark) - 1;
        text = slice_of(text.ptr + before, text.len - before);
    }
}

static int copy_file(const struct copy *c, const char *from, const char *to, mode_t mode)
{
    autobuf text = BUF_INIT, filled = BUF_INIT;
    int r = fdio_read_file(from, TEMPLATE_FILE_MAX, &text);
    if (r < 0)
        return r;
    add_with_name(&filled, buf_slice(&text), c->name);
    if (!buf_ok(&filled))
        return -ENOMEM;
    r = fdio_replace_file(to, filled.len > 0 ? filled.ptr : "", filled.len, mode & 0777);
    return r;
}

static int copy_folder(struct copy *c, const char *from, const char *to, unsigned depth);

/* A dot at the front of a name would hide the file from this repository's own tools, so templates
 * write "dot-gitignore". */
static const char *real_name(const char *entry, char room[256])
{
    static const char dot[] = "dot-";
    if (strncmp(entry, dot, sizeof(dot) - 1) != 0)
        return entry;
    snprintf(room, 256, ".%s", entry + sizeof(dot) - 1);
    return room;
}

static int copy_entry(struct copy *c, const char *from, const char *to, const char *entry,
                      unsigned depth)
{
    char room[256];
    autobuf source = BUF_INIT, target = BUF_INIT;
    struct stat st;
    buf_printf(&source, "%s/%s", from, entry);
    buf_printf(&target, "%s/%s", to, real_name(entry, room));
    if (!buf_ok(&source) || !buf_ok(&target))
        return -ENOMEM;
    if (stat(source.ptr, &st) < 0)
        return -errno;
    if (S_ISDIR(st.st_mode))
        return copy_folder(c, source.ptr, target.ptr, depth + 1);
    c->files++;
    int r = copy_file(c, source.ptr, target.ptr, st.st_mode);
    if (r == 0 && c->listing)
        printf("    %s\n", target.ptr + strlen(c->target) + 1);
    return r;
}

static int is_real(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

static int copy_folder(struct copy *c, const char *from, const char *to, unsigned depth)
{
    struct dirent **entries = NULL;
    if (depth > TEMPLATE_DEPTH)
        return -ELOOP;
    int r = fdio_make_folders(to, 0755);
    int count = r < 0 ? 0 : scandir(from, &entries, is_real, alphasort);
    if (count < 0)
        return -errno;
    for (int i = 0; i < count; i++) {
        if (r == 0)
            r = copy_entry(c, from, to, entries[i]->d_name, depth);
        free(entries[i]);
    }
    free(entries);
    return r;
}

/* ---- what is asked for ---- */

static bool is_label(const char *name)
{
    size_t len = strlen(name);
    if (len == 0 || len > NAME_MAX_LENGTH || name[0] == '-' || name[len - 1] == '-')
        return false;
    return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

/* The last part of the path; slashes at its end are cut off. */
static const char *last_part(char *path)
{
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/')
        path[--len] = '\0';
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* The runtimes that have a template, for messages. */
static void list_runtimes(const char *runtimes, struct buf *out)
{
    struct dirent **entries = NULL;
    int count = scandir(runtimes, &entries, is_real, alphasort);
    for (int i = 0; i < count; i++) {
        autobuf path = BUF_INIT;
        buf_printf(&path, "%s/%s/template", runtimes, entries[i]->d_name);
        if (buf_ok(&path) && access(path.ptr, R_OK) == 0)
            buf_printf(out, "%s%s", out->len > 0 ? ", " : "", entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
}

/* The folder of the runtime's template, or NULL after saying what is wrong. */
static char *find_template(const struct cli_call *call, const char *runtime)
{
    autofree char *runtimes = place_runtimes();
    struct buf path = BUF_INIT;
    if (runtimes == NULL || access(runtimes, R_OK) < 0) {
        if (runtimes != NULL)
            terminal_error("the folder with the runtimes, %s: %s", runtimes, strerror(errno));
        else
            terminal_error("the folder with the runtimes is not beside sluice");
        terminal_hint("set SLUICE_RUNTIMES to it: it has a folder for each runtime");
        return NULL;
    }
    buf_printf(&path, "%s/%s/template", runtimes, runtime);
    if (buf_ok(&path) && strchr(runtime, '/') == NULL && access(path.ptr, R_OK) == 0)
        return buf_steal(&path);
    autobuf known = BUF_INIT;
    list_runtimes(runtimes, &known);
    (void)cli_call_misuse(call, "there is no template for the runtime \"%s\"; known are %s",
                          runtime, known.len > 0 ? known.ptr : "none");
    buf_done(&path);
    return NULL;
}

/* A folder that is there may be used when nothing is in it. */
static int check_target(const char *path)
{
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, is_real, alphasort);
    if (count < 0 && errno == ENOENT)
        return CLI_OK;
    if (count < 0) {
        terminal_error("%s: %s", path,
                       errno == ENOTDIR ? "is there, and is no folder" : strerror(errno));
        return CLI_FAILED;
    }
    for (int i = 0; i < count; i++)
        free(entries[i]);
    free(entries);
    if (count == 0)
        return CLI_OK;
    terminal_error("%s is there already, and nothing was written", path);
    terminal_hint("choose another name, or remove it first");
    return CLI_FAILED;
}

static int write_project(const struct cli_call *call, const char *path, const char *name,
                         const char *template)
{
    struct copy c = {.name = name, .listing = true, .target = path};
    printf("%s, a function for the runtime %s\n", path, cli_call_value(call, "runtime"));
    int r = copy_folder(&c, template, path, 0);
    if (r < 0) {
        terminal_error("%s could not be written: %s", path, strerror(-r));
        return CLI_FAILED;
    }
    printf("\nnext:\n"
           "    sluice function test %s      its cases, without a server\n"
           "    sluice function run %s       serves it on a port, anew after each change\n"
           "    sluice function deploy %s    gives it to a server\n",
           path, path, path);
    return CLI_OK;
}

int cli_function_new(const struct cli_call *call)
{
    autofree char *path = strdup(call->arguments[0]);
    if (path == NULL || path[0] == '\0')
        return cli_call_misuse(call, "the project wants a name");
    const char *name = last_part(path);
    if (!is_label(name))
        return cli_call_misuse(call,
                               "\"%s\" cannot be a function's name: it takes a to z, 0 to 9 and "
                               "dashes within, up to %d characters",
                               name, NAME_MAX_LENGTH);
    autofree char *template = find_template(call, cli_call_value(call, "runtime"));
    if (template == NULL)
        return CLI_USAGE;
    int code = check_target(path);
    return code == CLI_OK ? write_project(call, path, name, template) : code;
}
