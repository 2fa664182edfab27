/* SPDX-License-Identifier: Apache-2.0 */
/* sluice function deploy: what `sluice apply` does, for a project: its manifest with all that is in
 * it, or a Function made up for a file or a folder without one. */
#include "cli/apply_items.h"
#include "cli/project.h"

#include <errno.h>
#include <stdlib.h>

static int add_environment(struct manifest *m, const struct cli_call *call)
{
    int status = 0;
    for (size_t i = 0; status == 0 && i < m->count; i++) {
        if (m->items[i].kind == &resource_kind_function)
            status = project_set_environment(json_object_get(m->items[i].object, "spec"), call);
    }
    return status;
}

static int load_project(struct manifest *m, const char *path, const struct cli_call *call)
{
    struct project p;
    const struct project_options options = {.call = call,
                                            .namespace_name = cli_call_value(call, "namespace")};
    int status = project_load(path, &options, &p);
    if (status < 0)
        return status;
    status = manifest_add(m, p.path, &resource_kind_function, p.object);
    project_done(&p);
    return status;
}

static int load(struct manifest *m, const char *path, const struct cli_call *call)
{
    char *file = project_manifest(path);
    if (file == NULL)
        return load_project(m, path, call);
    manifest_load(m, file, cli_call_value(call, "namespace"), cli_call_has(call, "namespace"));
    free(file);
    return m->failed > 0 ? -EINVAL : add_environment(m, call);
}

int cli_function_deploy(const struct cli_call *call)
{
    uint64_t wait_ns = 0;
    struct manifest m = {0};
    int code = apply_wait_time(call, &wait_ns);
    if (code != CLI_OK)
        return code;
    /* All or nothing: what is wrong with one document is not half a deployment. */
    code = load(&m, call->arguments[0], call) == 0 ? apply_manifest(call, &m, wait_ns) : CLI_FAILED;
    manifest_done(&m);
    return code;
}
