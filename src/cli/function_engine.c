/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/function_engine.h"

#include "base/fdio.h"
#include "base/memory.h"
#include "cli/place.h"
#include "cli/subprocess.h"
#include "function/runtime.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARGUMENTS_MAX   64
#define CONTEXT_CODE    "function"
#define CONTEXT_RUNTIME "runtime"

/* How each builds, and how what it built gets into a file or folder. */
static const struct engine {
    const char *name;
    const char *build[4];
    const char *push[3]; /* followed by image and destination; NULL: it cannot */
} engines[] = {
    {"buildah", {"bud", "--format", "oci", NULL}, {"push", NULL}},
    {"podman", {"build", "--format", "oci", NULL}, {"push", NULL}},
    {"docker", {"build", NULL}, {NULL}},
};

struct words {
    const char *argv[ARGUMENTS_MAX];
    size_t count;
};

static void add(struct words *w, const char *word)
{
    if (w->count + 1 < ARGUMENTS_MAX) {
        w->argv[w->count++] = word;
        w->argv[w->count] = NULL;
    }
}

static const struct engine *find_engine(const char *wanted)
{
    for (size_t i = 0; i < COUNT_OF(engines); i++) {
        autofree char *path = subprocess_find(engines[i].name);
        if (path != NULL && (wanted == NULL || strcmp(wanted, engines[i].name) == 0))
            return &engines[i];
    }
    if (wanted != NULL)
        terminal_error("there is no %s here", wanted);
    else
        terminal_error("this runtime's image is built from its Dockerfile, and none of buildah, "
                       "podman and docker is installed");
    terminal_hint("install buildah, which needs no daemon (Debian: apt install buildah)");
    return NULL;
}

/* ---- the folder that is built from: Dockerfile, runtime/, function/ ---- */

static int write_code(const struct project *p, const char *context, struct error *err)
{
    const char *name;
    json_t *text;
    json_object_foreach(resource_at(p->object, "spec.codeSource"), name, text)
    {
        autobuf path = BUF_INIT;
        buf_printf(&path, "%s/" CONTEXT_CODE "/%s", context, name);
        if (!buf_ok(&path))
            return error_set(err, -ENOMEM, "out of memory");
        char *slash = strrchr(path.ptr, '/');
        *slash = '\0';
        int r = fdio_make_folders(path.ptr, 0755);
        *slash = '/';
        bool script = strncmp(json_string_value(text), "#!", 2) == 0;
        if (r == 0)
            r = fdio_replace_file(path.ptr, json_string_value(text), json_string_length(text),
                                  script ? 0755 : 0644);
        if (r < 0)
            return error_set(err, r, "cannot write %s: %s", path.ptr, strerror(-r));
    }
    return 0;
}

static int copy_runtime(const struct runtime *runtime, const char *context, struct error *err)
{
    autobuf target = BUF_INIT;
    buf_printf(&target, "%s/" CONTEXT_RUNTIME, context);
    const char *const argv[] = {"cp", "-RL", "--", runtime->folder, target.ptr, NULL};
    autobuf complaint = BUF_INIT;
    int code = 0;
    if (!buf_ok(&target))
        return error_set(err, -ENOMEM, "out of memory");
    int r = subprocess_run(&(struct subprocess){.argv = argv}, NULL, &complaint, &code, err);
    if (r == 0 && code != 0)
        return error_set(err, -EIO, "cannot copy %s: %.300s", runtime->folder,
                         complaint.len > 0 ? complaint.ptr : "");
    return r;
}

static int write_context(const struct project *p, const struct runtime *runtime,
                         const char *context, struct error *err)
{
    int r = copy_runtime(runtime, context, err);
    return r < 0 ? r : write_code(p, context, err);
}

/* ---- building ---- */

static int run_shown(const struct words *w, const char *what)
{
    struct error err = ERROR_INIT;
    int code = 0;
    terminal_progress("%s %s", w->argv[0], what);
    int r = subprocess_run(&(struct subprocess){.argv = w->argv, .shown = true}, NULL, NULL, &code,
                           &err);
    if (r < 0)
        terminal_error("%s", err.message);
    else if (code != 0)
        terminal_error("%s ended with %d", w->argv[0], code);
    return r < 0 || code != 0 ? -EIO : 0;
}

/* The file that is started: as the manifest says, or the one that the runtime looks for. */
static const char *main_of(const struct project *p, const struct runtime *runtime)
{
    const char *names[512], *name;
    size_t count = 0;
    json_t *text;
    json_object_foreach(resource_at(p->object, "spec.codeSource"), name, text)
    {
        if (count < COUNT_OF(names))
            names[count++] = name;
    }
    return runtime_choose_main(runtime, resource_text_at(p->object, "spec.main"), names, count);
}

static int run_build(const struct cli_call *call, const struct project *p,
                     const struct engine *engine, const struct runtime *runtime,
                     const char *context, const char *reference)
{
    struct words w = {.count = 0};
    autobuf dockerfile = BUF_INIT, main_argument = BUF_INIT;
    const char *argument, *main_file = main_of(p, runtime);
    size_t at = 0;
    buf_printf(&dockerfile, "%s/" CONTEXT_RUNTIME "/%s", context, runtime->dockerfile);
    buf_printf(&main_argument, "MAIN=%s", main_file != NULL ? main_file : "");
    if (!buf_ok(&dockerfile) || !buf_ok(&main_argument))
        return -ENOMEM;
    add(&w, engine->name);
    for (size_t i = 0; engine->build[i] != NULL; i++)
        add(&w, engine->build[i]);
    while ((argument = cli_call_next(call, "engine-option", &at)) != NULL)
        add(&w, argument);
    if (main_file != NULL) {
        add(&w, "--build-arg");
        add(&w, main_argument.ptr);
    }
    add(&w, "-t");
    add(&w, reference);
    add(&w, "-f");
    add(&w, dockerfile.ptr);
    add(&w, context);
    return run_shown(&w, "builds the image");
}

static int push(const struct cli_call *call, const struct engine *engine, const char *reference,
                const char *out)
{
    struct words w = {.count = 0};
    autobuf destination = BUF_INIT;
    if (engine->push[0] == NULL) {
        terminal_error("docker writes no OCI layout; the image is %s in its own store", reference);
        terminal_hint("`docker save` exports it; buildah or podman write --out");
        return -ENOTSUP;
    }
    buf_printf(&destination, "%s:%s:%s",
               slice_ends(slice_text(out), ".tar") ? "oci-archive" : "oci", out, reference);
    if (!buf_ok(&destination))
        return -ENOMEM;
    add(&w, engine->name);
    for (size_t i = 0; engine->push[i] != NULL; i++)
        add(&w, engine->push[i]);
    add(&w, reference);
    add(&w, destination.ptr);
    return run_shown(&w, "writes it");
}

static int build_in(const struct cli_call *call, const struct project *p,
                    const struct runtime *runtime, const char *reference, const char *context)
{
    struct error err = ERROR_INIT;
    const char *out = cli_call_value(call, "out");
    const struct engine *engine = find_engine(cli_call_value(call, "engine"));
    if (engine == NULL)
        return -ENOENT;
    if (write_context(p, runtime, context, &err) < 0) {
        terminal_error("%s", err.message);
        return err.code;
    }
    int r = run_build(call, p, engine, runtime, context, reference);
    if (r == 0 && out != NULL)
        r = push(call, engine, reference, out);
    if (r == 0)
        printf("%s built by %s%s%s\n", reference, engine->name, out != NULL ? ", in " : "",
               out != NULL ? out : "");
    return r;
}

static int build_from(const struct cli_call *call, const struct project *p,
                      const struct runtime_set *set, const char *reference)
{
    const struct runtime *runtime = runtime_set_find(set, p->runtime);
    if (runtime == NULL || runtime->dockerfile == NULL) {
        terminal_error("the runtime %s has no Dockerfile to build an image from", p->runtime);
        terminal_hint("js and wasm need none; docs/runtimes.md tells what a runtime's folder has");
        return -ENOENT;
    }
    autofree char *context = place_temporary();
    if (context == NULL) {
        terminal_error("cannot make a temporary folder: %s", strerror(errno));
        return -errno;
    }
    int r = build_in(call, p, runtime, reference, context);
    (void)fdio_remove_tree(context);
    return r;
}

int function_engine_build(const struct cli_call *call, const struct project *p,
                          const char *reference)
{
    struct error err = ERROR_INIT;
    struct runtime_set *set = NULL;
    autofree char *directory = NULL;
    int r = runtime_directory(NULL, &directory, &err);
    if (r == 0)
        r = runtime_set_load(directory, &set, &err);
    if (r < 0)
        terminal_error("%s", err.message);
    else
        r = build_from(call, p, set, reference);
    runtime_set_free(set);
    return r < 0 ? CLI_FAILED : CLI_OK;
}
