/* SPDX-License-Identifier: Apache-2.0 */
/* sluice delete */
#include "base/memory.h"
#include "cli/cli_internal.h"

#include <errno.h>

struct deleter {
    struct remote *remote;
    bool ignore_absent;
};

static int delete_one(const struct deleter *d, const struct resource_kind *kind,
                      const char *namespace_name, const char *name)
{
    autobuf path = BUF_INIT;
    struct error err = ERROR_INIT;
    struct remote_reply reply = {0};
    remote_resource_path(kind, namespace_name, name, &path);
    if (!buf_ok(&path)) {
        terminal_error("out of memory");
        return CLI_FAILED;
    }
    struct remote_request request = {
        .method = "DELETE", .path = path.ptr, .accept = "application/json"};
    int status = remote_call(d->remote, &request, &reply, &err);
    if (status == -ENOENT && d->ignore_absent)
        return CLI_OK;
    if (status < 0) {
        terminal_error("%s/%s: %s", kind->singular, name, err.message);
        return CLI_FAILED;
    }
    remote_reply_done(&reply);
    printf("%s%s%s \"%s\" deleted\n", kind->singular, kind->group[0] != '\0' ? "." : "",
           kind->group, name);
    return CLI_OK;
}

/* Backwards: what was made last goes first. */
static int delete_files(const struct deleter *d, const struct cli_call *call)
{
    struct manifest m = {.names_only = true};
    const char *file;
    size_t at = 0;
    int code = CLI_OK;
    while ((file = cli_call_next(call, "filename", &at)) != NULL)
        manifest_load(&m, file, cli_call_value(call, "namespace"), cli_call_has(call, "namespace"));
    manifest_sort(&m);
    for (size_t i = m.count; i > 0; i--) {
        const struct manifest_item *item = &m.items[i - 1];
        if (delete_one(d, item->kind, item->namespace_name, item->name) != CLI_OK)
            code = CLI_FAILED;
    }
    if (m.failed > 0)
        code = CLI_FAILED;
    manifest_done(&m);
    return code;
}

static int delete_named(const struct deleter *d, const struct cli_call *call,
                        const struct resource_kind *kind)
{
    int code = CLI_OK;
    for (unsigned i = 1; i < call->argument_count; i++) {
        if (delete_one(d, kind, cli_call_value(call, "namespace"), call->arguments[i]) != CLI_OK)
            code = CLI_FAILED;
    }
    return code;
}

int cli_delete(const struct cli_call *call)
{
    bool files = cli_call_has(call, "filename");
    const struct resource_kind *kind = NULL;
    if (files == (call->argument_count > 0))
        return cli_call_misuse(call, "delete wants either KIND NAME or -f FILE");
    if (!files && (kind = resource_kind_named(call->arguments[0])) == NULL)
        return cli_unknown_kind(call, call->arguments[0]);
    if (!files && call->argument_count < 2)
        return cli_call_misuse(call, "delete %s wants a NAME", call->arguments[0]);
    struct deleter d = {.remote = remote_new(call),
                        .ignore_absent = cli_call_has(call, "ignore-not-found")};
    if (d.remote == NULL)
        return CLI_FAILED;
    int code = files ? delete_files(&d, call) : delete_named(&d, call, kind);
    remote_free(d.remote);
    return code;
}
