/* SPDX-License-Identifier: Apache-2.0 */
/* One function on disk, as `sluice function run | test | build` see it: a file, a folder, or a
 * manifest. */
#ifndef SLUICE_CLI_PROJECT_H
#define SLUICE_CLI_PROJECT_H

#include "base/error.h"
#include "cli/cli_internal.h"

#include <jansson.h>
#include <stdbool.h>

struct project {
    char *path;     /* as it was given, without slashes at the end */
    char *folder;   /* where it is */
    char *manifest; /* the Function's file; one that is not there when it is made up */
    bool made_up;   /* there is no manifest */
    char *file;     /* the one file that was given, or NULL: the folder */
    json_t *object; /* the Function: checked, with defaults, its files in it */
    const char *name, *namespace_name, *runtime; /* borrowed from object */
};

/* What the command line says about it. */
struct project_options {
    const struct cli_call
        *call;                  /* with --env, --env-file, --function, --runtime when it has them */
    const char *namespace_name; /* for a manifest that names none */
};

/* Reads and bundles. 0, or a negative errno after saying on stderr what is wrong. */
int project_load(const char *path, const struct project_options *options, struct project *ret);
void project_done(struct project *p);

/* The manifest of a folder or of a path that is one itself; the caller frees it. NULL: there is
 * none. */
char *project_manifest(const char *path);

/* Sets the variables of --env-file and --env in the spec of a Function. 0, or a negative errno
 * after saying what is wrong. */
int project_set_environment(json_t *spec, const struct cli_call *call);

/* The bundle of worker/protocol.h for it: JSON text that the caller frees, or NULL. */
char *project_bundle(const struct project *p);
/* wasm: the module compiled, from the cache folder or made now. The path that the caller frees, or
 * NULL after saying on stderr what is wrong. */
char *project_compile(const struct project *p);

#endif
