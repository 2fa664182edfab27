/* SPDX-License-Identifier: Apache-2.0 */
/* Functions in a process of their own: sluice-runner prepares their files and packages, and then
 * runs them (runner/protocol.h). */
#include "base/fdio.h"
#include "base/memory.h"
#include "cli/instance.h"
#include "cli/place.h"
#include "cli/subprocess.h"
#include "function/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The first user id of those that belong to functions: for who runs this as root. */
#define PROCESS_UID "2000000000"

/* The folder of the runtime, by its name or an alias. NULL after saying why. */
static char *find_runtime(const char *name)
{
    struct error err = ERROR_INIT;
    struct runtime_set *set = NULL;
    autofree char *directory = NULL;
    char *folder = NULL;
    int r = runtime_directory(NULL, &directory, &err);
    if (r == 0)
        r = runtime_set_load(directory, &set, &err);
    const struct runtime *found = r == 0 ? runtime_set_find(set, name) : NULL;
    if (found != NULL)
        folder = strdup(found->folder);
    else if (r < 0)
        terminal_error("%s", err.message);
    else
        terminal_error("there is no runtime \"%s\" in %s", name, directory);
    runtime_set_free(set);
    return folder;
}

/* The last object that it wrote says how it went. */
static int read_outcome(struct slice text)
{
    int status = -EIO;
    const char *said = NULL;
    json_t *outcome = NULL;
    while (text.len > 0) {
        const char *end = memchr(text.ptr, '\n', text.len);
        size_t len = end != NULL ? (size_t)(end - text.ptr) : text.len;
        json_t *line = json_loadb(text.ptr, len, 0, NULL);
        text = slice_of(text.ptr + len + (end != NULL), text.len - len - (end != NULL));
        if (json_object_get(line, "ok") == NULL) {
            json_decref(line);
            continue;
        }
        json_decref(outcome);
        outcome = line;
    }
    if (json_is_true(json_object_get(outcome, "ok")))
        status = 0;
    else
        said = json_string_value(json_object_get(outcome, "message"));
    if (status < 0)
        terminal_error("%s",
                       said != NULL ? said : "the function's packages could not be installed");
    json_decref(outcome);
    return status;
}

static int prepare(const char *runner, const char *runtime, const char *folder, int bundle)
{
    char path[40];
    /* Ours: the program opens it itself. */
    snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)getpid(), bundle);
    bool root = geteuid() == 0;
    const char *const argv[] = {runner,
                                "prepare",
                                "--runtime",
                                runtime,
                                "--folder",
                                folder,
                                "--bundle",
                                path,
                                "--confine",
                                "partial",
                                root ? "--uid" : NULL,
                                PROCESS_UID,
                                NULL};
    autobuf out = BUF_INIT;
    struct error err = ERROR_INIT;
    int code = 0;
    int status = subprocess_run(&(struct subprocess){.argv = argv}, &out, NULL, &code, &err);
    if (status < 0) {
        terminal_error("%s", err.message);
        return status;
    }
    return read_outcome(buf_slice(&out));
}

/* Its program takes connections by itself, and may not know what to do when there is none. */
static int let_block(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0 ? -errno : 0;
}

int instance_start_process(const struct project *p, int bundle, int listener, int report,
                           struct instance *i)
{
    autofree char *runner = place_program("sluice-runner");
    autofree char *runtime = find_runtime(p->runtime);
    autobuf folder = BUF_INIT;
    if (runtime == NULL)
        return -ENOENT;
    if (runner == NULL) {
        terminal_error("the sluice-runner program is not beside sluice");
        return -ENOENT;
    }
    bool prepared = i->folder != NULL;
    if (!prepared)
        i->folder = place_temporary();
    if (i->folder == NULL)
        return -errno;
    /* Others pass through to what is theirs in it. */
    buf_printf(&folder, "%s/function", i->folder);
    if (!buf_ok(&folder) || chmod(i->folder, 0711) < 0)
        return -ENOMEM;
    int status = let_block(listener);
    if (status == 0 && !prepared) {
        terminal_progress("preparing %s", p->path);
        status = prepare(runner, runtime, folder.ptr, bundle);
    }
    if (status < 0)
        return status;
    bool root = geteuid() == 0;
    const char *const argv[] = {
        runner,      "worker",  "--runtime",           runtime,     "--folder", folder.ptr,
        "--confine", "partial", root ? "--uid" : NULL, PROCESS_UID, NULL};
    const struct subprocess_descriptor descriptors[] = {{bundle, 3}, {listener, 4}, {report, 5}};
    return subprocess_start(argv, descriptors, 3, &i->pid);
}
