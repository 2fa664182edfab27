/* SPDX-License-Identifier: Apache-2.0 */
/* sluice dead edit: the event of a dead letter in $EDITOR, or from a file. */
#include "base/fdio.h"
#include "base/memory.h"
#include "cli/dead.h"
#include "cli/inspect.h"
#include "cli/json_cut.h"
#include "cli/place.h"

#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define EVENT_FILE_MAX (16u << 20)

/* On the terminal, as the shell finds it: $VISUAL, $EDITOR, vi. */
static int run_editor(const char *path, struct error *err)
{
    static char name[] = "sh", flag[] = "-c", script[] = "exec ${VISUAL:-${EDITOR:-vi}} \"$1\"";
    autofree char *file = strdup(path);
    char *argv[] = {name, flag, script, name, file, NULL};
    pid_t pid;
    int status;
    int r = file != NULL ? posix_spawnp(&pid, name, NULL, NULL, argv, environ) : ENOMEM;
    if (r != 0)
        return error_set(err, -r, "the editor could not be started: %s", strerror(r));
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return error_set(err, -errno, "the editor was lost: %s", strerror(errno));
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    return error_set(err, -ECANCELED, "the editor failed: nothing is changed");
}

static int edit_file(const char *path, struct slice event, struct buf *out, struct error *err)
{
    autobuf before = BUF_INIT;
    json_indent(event, 0, &before);
    buf_add_byte(&before, '\n');
    int r = buf_ok(&before) ? fdio_replace_file(path, before.ptr, before.len, 0600) : -ENOMEM;
    if (r < 0)
        return error_set(err, r, "cannot write %s: %s", path, strerror(-r));
    r = run_editor(path, err);
    if (r < 0)
        return r;
    r = fdio_read_file(path, EVENT_FILE_MAX, out);
    if (r < 0)
        return error_set(err, r, "cannot read %s: %s", path, strerror(-r));
    if (slice_equal(buf_slice(out), buf_slice(&before)))
        return error_set(err, -ECANCELED, "nothing is changed");
    return 0;
}

static int edit(struct slice event, struct buf *out, struct error *err)
{
    autofree char *folder = place_temporary();
    autobuf path = BUF_INIT;
    if (folder == NULL)
        return error_set(err, -errno, "no temporary folder: %s", strerror(errno));
    buf_printf(&path, "%s/event.json", folder);
    int r = buf_ok(&path) ? edit_file(path.ptr, event, out, err)
                          : error_set(err, -ENOMEM, "out of memory");
    (void)fdio_remove_tree(folder);
    return r;
}

static int put(struct remote *r, const json_t *item, struct slice event, struct error *err)
{
    autobuf path = BUF_INIT;
    struct remote_reply reply = {0};
    buf_add_text(&path, "/-/dead/");
    remote_escape(slice_text(json_string_value(json_object_get(item, "namespace"))), &path);
    buf_add_byte(&path, '/');
    remote_escape(slice_text(json_string_value(json_object_get(item, "trigger"))), &path);
    buf_printf(&path, "/%lld", (long long)json_integer_value(json_object_get(item, "position")));
    if (!buf_ok(&path))
        return error_set(err, -ENOMEM, "out of memory");
    struct remote_request request = {.method = "PUT",
                                     .path = path.ptr,
                                     .content_type = "application/cloudevents+json",
                                     .body = event,
                                     .has_body = true};
    int status = remote_call(r, &request, &reply, err);
    remote_reply_done(&reply);
    return status;
}

static int read_new(const struct cli_call *call, const struct buf *text, struct buf *out,
                    struct error *err)
{
    const char *file = cli_call_value(call, "file");
    struct slice event;
    if (file != NULL && strcmp(file, "-") == 0)
        file = "/dev/stdin";
    if (file != NULL) {
        int r = fdio_read_file(file, EVENT_FILE_MAX, out);
        return r < 0 ? error_set(err, r, "cannot read %s: %s", file, strerror(-r)) : 0;
    }
    if (!dead_cut_event(text, &event))
        return error_set(err, -EBADMSG, "the server's answer has no event");
    return edit(event, out, err);
}

/* The command that delivers it, for this trigger alone. */
static void hint(const json_t *item, uint64_t position)
{
    terminal_hint("deliver it with: sluice redrive %llu -n %s --trigger %s",
                  (unsigned long long)position, inspect_text(item, "namespace"),
                  inspect_text(item, "trigger"));
}

static int run(const struct cli_call *call, struct remote *r, uint64_t position, struct error *err)
{
    autobuf text = BUF_INIT;
    autobuf changed = BUF_INIT;
    json_t *item = NULL;
    int status = dead_find(r, call, position, &item, &text, err);
    if (status < 0)
        return status;
    status = read_new(call, &text, &changed, err);
    if (status == 0)
        status = put(r, item, buf_slice(&changed), err);
    if (status == 0) {
        printf("%llu edited\n", (unsigned long long)position);
        hint(item, position);
    }
    json_decref(item);
    return status;
}

int cli_dead_edit(const struct cli_call *call)
{
    struct error err = ERROR_INIT;
    uint64_t position;
    if (!dead_position(call, call->arguments[0], &position))
        return CLI_USAGE;
    struct remote *r = remote_new(call);
    if (r == NULL)
        return CLI_FAILED;
    int status = run(call, r, position, &err);
    remote_free(r);
    if (status < 0) {
        inspect_complain(&err);
        return CLI_FAILED;
    }
    return CLI_OK;
}
