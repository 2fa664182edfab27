/* SPDX-License-Identifier: Apache-2.0 */
/* What bundle*.c share. */
#ifndef SLUICE_WORKER_BUNDLE_INTERNAL_H
#define SLUICE_WORKER_BUNDLE_INTERNAL_H

#include "worker/worker_internal.h"

#include <jansson.h>

/* "a/b/" of "a/b/c.js", "" of "c.js". */
struct slice bundle_folder(struct slice file);

/* Whether the nearest package.json says that the file is an ECMAScript module; *ret_said: it says
 * either. */
bool package_is_module(const struct bundle *b, struct slice file, bool *ret_said);
/* Appends the path that the package in that folder ("node_modules/x/") gives for a subpath ("." or
 * "./sub"); a folder's path stands for its index. 0, or -ENOENT: it exports no such thing. */
int package_entry(const struct bundle *b, struct slice folder, struct slice subpath, bool is_import,
                  struct buf *path);

/* ---- bundle_builtin.c: the modules that Node has ---- */
enum builtin { BUILTIN_NONE, BUILTIN_GIVEN, BUILTIN_NODE_ONLY };
enum builtin builtin_kind(struct slice specifier);
/* Without "node:". */
struct slice builtin_name(struct slice specifier);

#endif
