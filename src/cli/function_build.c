/* SPDX-License-Identifier: Apache-2.0 */
/* sluice function build: an OCI image of a function. js and wasm need no container engine;
 * functions in a process of their own are built from their runtime's Dockerfile by the engine that
 * is there. */
#include "base/encoding.h"
#include "base/fdio.h"
#include "base/memory.h"
#include "cli/function_engine.h"
#include "cli/function_image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool is_archive(const char *path)
{
    return slice_ends(slice_text(path), ".tar");
}

/* Reproducible builds want every time to be one that they say, else the first second of 1970. */
static uint64_t time_of_build(void)
{
    const char *set = getenv("SOURCE_DATE_EPOCH");
    uint64_t seconds = 0;
    if (set != NULL && encoding_parse_u64(slice_text(set), &seconds) < 0)
        seconds = 0;
    return seconds;
}

/* NAME or NAME:TAG, of what registries allow; latest when there is no tag. */
static bool write_reference(const char *typed, struct buf *out)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "._-/:";
    size_t len = strlen(typed);
    if (len == 0 || len > 255 || strspn(typed, allowed) != len ||
        strchr("/:.-", typed[0]) != NULL || strchr("/:", typed[len - 1]) != NULL)
        return false;
    const char *slash = strrchr(typed, '/');
    buf_add_text(out, typed);
    if (strchr(slash != NULL ? slash : typed, ':') == NULL)
        buf_add_text(out, ":latest");
    return buf_ok(out);
}

static void report(const struct cli_call *call, const char *path, const char *reference,
                   const struct image_digests *digests, const struct tree *server,
                   const struct tree *code)
{
    json_int_t bytes = (json_int_t)tree_bytes(server) + (json_int_t)tree_bytes(code);
    if (strcmp(cli_call_value(call, "output"), "json") == 0) {
        json_t *answer = json_pack("{s:s, s:s, s:s, s:I}", "image", reference, "digest",
                                   digests->manifest, "path", path, "unpackedBytes", bytes);
        json_dumpf(answer, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(answer);
        return;
    }
    printf("%s in %s\n    %s\n    %.1f MB unpacked: %.1f MB function server, %.1f kB function\n",
           reference, path, digests->manifest, (double)bytes / 1e6,
           (double)tree_bytes(server) / 1e6, (double)tree_bytes(code) / 1e3);
}

struct built {
    struct tree *server, *code, *layout;
    json_t *config;
};

static int build(const struct cli_call *call, const struct project *p,
                 const struct instance_code *code, const char *reference, struct built *b,
                 struct error *err)
{
    const char *path = cli_call_value(call, "out");
    struct image_digests digests;
    b->server = tree_new();
    b->code = tree_new();
    if (b->server == NULL || b->code == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    int r = function_image_server(p, code, b->server, err);
    if (r == 0)
        r = function_image_code(code, b->code, err);
    if (r < 0)
        return r;
    b->config = function_image_config(p, code);
    const struct image_layer layers[] = {{b->server, "sluice function build: the function server"},
                                         {b->code, "sluice function build: the function"}};
    const struct image image = {
        .layers = layers,
        .layer_count = COUNT_OF(layers),
        .config = b->config,
        .architecture = function_image_architecture(),
        .reference = reference,
        .created = time_of_build(),
    };
    b->layout = image_layout(&image, &digests, err);
    if (b->layout == NULL)
        return err->code;
    r = is_archive(path) ? image_write_archive(b->layout, path, image.created, err)
                         : image_write_folder(b->layout, path, err);
    if (r == 0)
        report(call, path, reference, &digests, b->server, b->code);
    return r;
}

static int build_sandboxed(const struct cli_call *call, const struct project *p,
                           const char *reference)
{
    struct instance_code code;
    struct built b = {0};
    struct error err = ERROR_INIT;
    if (instance_code_make(p, &code) < 0)
        return CLI_FAILED;
    int r = build(call, p, &code, reference, &b, &err);
    if (r < 0)
        terminal_error("%s", err.message);
    instance_code_done(&code);
    tree_free(b.server);
    tree_free(b.code);
    tree_free(b.layout);
    json_decref(b.config);
    return r < 0 ? CLI_FAILED : CLI_OK;
}

int cli_function_build(const struct cli_call *call)
{
    struct project project;
    autobuf reference = BUF_INIT;
    const char *tag = cli_call_value(call, "tag"), *out = cli_call_value(call, "out");
    const struct project_options options = {.call = call, .namespace_name = "default"};
    if (tag == NULL || !write_reference(tag, &reference))
        return cli_call_misuse(call, "build wants -t NAME:TAG, as -t greeter:1.0");
    if (project_load(call->arguments[0], &options, &project) < 0)
        return CLI_FAILED;
    bool sandboxed = strcmp(project.runtime, "js") == 0 || strcmp(project.runtime, "wasm") == 0;
    int code = CLI_FAILED;
    if (sandboxed && out == NULL)
        code = cli_call_misuse(call, "build wants --out DIR or --out FILE.tar");
    else if (sandboxed)
        code = build_sandboxed(call, &project, reference.ptr);
    else
        code = function_engine_build(call, &project, reference.ptr);
    project_done(&project);
    return code;
}
