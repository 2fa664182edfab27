/* SPDX-License-Identifier: Apache-2.0 */
/* npm packages of JavaScript functions: fetched with npm when they are missing, and bundled with
 * esbuild into one file that needs nothing else. */
#ifndef SLUICE_CLI_PACKAGES_H
#define SLUICE_CLI_PACKAGES_H

#include "base/error.h"
#include "base/slice.h"

#include <jansson.h>
#include <stdbool.h>

/* The package is in node_modules: then its name does not mean Node's own module. */
bool packages_has(const char *folder, struct slice specifier);
/* "index.js:3: …": err for an import that only Node.js can follow. Returns -ENOTSUP. */
int packages_refuse(const char *file, int line, struct slice specifier, struct error *err);
/* Puts the bundle of the file and all that it imports into files, under the name that the caller
 * gets and frees. Fetches packages and tells of it on stderr. 0, or a negative errno with err. */
int packages_bundle(const char *folder, const char *main_file, json_t *files, char **ret_name,
                    struct error *err);

#endif
