/* SPDX-License-Identifier: Apache-2.0 */
/* The code that a Function's spec.path means, made into spec.codeSource: the files of a folder, or
 * one file with what it imports. JavaScript that uses npm packages, TypeScript or files outside of
 * the folder is bundled (packages.h); what can run under Node.js only is refused, with the place
 * where it is imported. */
#ifndef SLUICE_CLI_CODE_H
#define SLUICE_CLI_CODE_H

#include "base/error.h"

#include <jansson.h>
#include <stdbool.h>

#define CODE_BYTES_MAX (8u << 20) /* all files together */
#define CODE_DEPTH_MAX 16

/* spec has path, seen from the manifest's folder; it loses it and gets codeSource and, for
 * JavaScript, main. 0, or a negative errno with err->field. */
int code_embed(json_t *spec, const char *manifest, struct error *err);

/* What a file and all that it imports are, as paths from its folder (JavaScript only; else the file
 * alone). A new list, or NULL. */
json_t *code_files_of(const char *file);

/* All files below a folder as name: text, but for names with a dot in front. js: only what such a
 * function can use. Put into files, where what is there already wins. */
int code_add_folder(json_t *files, const char *folder, const char *field, bool js,
                    struct error *err);

#endif
