/* SPDX-License-Identifier: Apache-2.0 */
/* sluice pause, sluice resume: an annotation of the trigger comes or goes. */
#include "cli/cli_internal.h"
#include "resource/annotation.h"

#include <errno.h>

struct pauser {
    struct remote *remote;
    const char *namespace_name;
    bool paused; /* what they are to be */
};

static int patch_one(const struct pauser *p, const char *name, struct error *err)
{
    autobuf path = BUF_INIT;
    autobuf body = BUF_INIT;
    struct remote_reply reply = {0};
    remote_resource_path(&resource_kind_trigger, p->namespace_name, name, &path);
    buf_printf(&body, "{\"metadata\":{\"annotations\":{\"%s\":%s}}}", ANNOTATION_PAUSED,
               p->paused ? "\"true\"" : "null");
    if (!buf_ok(&path) || !buf_ok(&body))
        return error_set(err, -ENOMEM, "out of memory");
    struct remote_request request = {.method = "PATCH",
                                     .path = path.ptr,
                                     .accept = "application/json",
                                     .content_type = "application/merge-patch+json",
                                     .body = buf_slice(&body),
                                     .has_body = true};
    int status = remote_call(p->remote, &request, &reply, err);
    if (status == 0)
        remote_reply_done(&reply);
    return status;
}

static int set_one(const struct pauser *p, const char *name)
{
    struct error err = ERROR_INIT;
    int status = patch_one(p, name, &err);
    resource_print_name(&resource_kind_trigger, name, status < 0 ? stderr : stdout);
    if (status < 0)
        fprintf(stderr, ": %s\n", err.message);
    else
        puts(p->paused ? " paused" : " resumed");
    return status < 0 ? CLI_FAILED : CLI_OK;
}

static int fetch_triggers(const struct pauser *p, json_t **ret, struct error *err)
{
    autobuf path = BUF_INIT;
    struct remote_reply reply = {0};
    remote_resource_path(&resource_kind_trigger, p->namespace_name, NULL, &path);
    if (!buf_ok(&path))
        return error_set(err, -ENOMEM, "out of memory");
    struct remote_request request = {.path = path.ptr, .accept = "application/json"};
    int status = remote_call(p->remote, &request, &reply, err);
    if (status < 0)
        return status;
    json_error_t where;
    *ret = json_loadb(reply.body.len > 0 ? reply.body.ptr : "", reply.body.len, 0, &where);
    remote_reply_done(&reply);
    return *ret != NULL
               ? 0
               : error_set(err, -EBADMSG, "the server's answer is no JSON: %s", where.text);
}

/* Those that are so already are left alone. */
static int set_all(const struct pauser *p)
{
    json_t *list = NULL;
    struct error err = ERROR_INIT;
    if (fetch_triggers(p, &list, &err) < 0) {
        terminal_error("%s", err.message);
        return CLI_FAILED;
    }
    int code = CLI_OK;
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(list, "items"), i, item)
    {
        const char *name = resource_text_at(item, "metadata.name");
        if (name != NULL && annotation_is_true(item, ANNOTATION_PAUSED) != p->paused &&
            set_one(p, name) != CLI_OK)
            code = CLI_FAILED;
    }
    json_decref(list);
    return code;
}

static int run(const struct cli_call *call, bool paused)
{
    bool all = cli_call_has(call, "all");
    if (all == (call->argument_count > 0))
        return cli_call_misuse(call, "%s wants either TRIGGER... or --all",
                               paused ? "pause" : "resume");
    struct pauser p = {.remote = remote_new(call),
                       .namespace_name = cli_call_value(call, "namespace"),
                       .paused = paused};
    if (p.remote == NULL)
        return CLI_FAILED;
    int code = all ? set_all(&p) : CLI_OK;
    for (unsigned i = 0; i < call->argument_count; i++)
        if (set_one(&p, call->arguments[i]) != CLI_OK)
            code = CLI_FAILED;
    remote_free(p.remote);
    return code;
}

int cli_pause(const struct cli_call *call)
{
    return run(call, true);
}

int cli_resume(const struct cli_call *call)
{
    return run(call, false);
}
