/* SPDX-License-Identifier: Apache-2.0 */
/* What a JavaScript or TypeScript file imports: the literal specifiers of import, export … from,
 * import() and require(). A lexer, no parser: it knows comments, strings, templates and regular
 * expressions well enough not to take what is in them for code. */
#ifndef SLUICE_CLI_IMPORTS_H
#define SLUICE_CLI_IMPORTS_H

#include "base/slice.h"

#include <stdbool.h>

typedef void imports_found_fn(void *ctx, struct slice specifier, int line);
void imports_each(struct slice text, imports_found_fn *each, void *ctx);
/* A module of Node.js itself: node:fs, fs, fs/promises. Some of them the js runtime has, too
 * (src/worker/bundle_builtin.c); a test compares the lists. */
bool imports_is_builtin(struct slice specifier);
bool imports_is_given(struct slice specifier);
/* All of them without node:, NULL-terminated. */
extern const char *const imports_builtins[];
/* ./x, ../x, /x. */
bool imports_is_file(struct slice specifier);

#endif
