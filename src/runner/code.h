/* SPDX-License-Identifier: Apache-2.0 */
/* A function's files on disk: FUNCTION_FOLDER/code and FUNCTION_FOLDER/packages. */
#ifndef SLUICE_RUNNER_CODE_H
#define SLUICE_RUNNER_CODE_H

#include "runner/bundle.h"

#include <sys/types.h>

/* Makes the folder afresh: what was in it goes, code/ gets the bundle's files, packages/ is empty.
 * Nothing is written outside of it, whatever names and links there are. Scripts ("#!") and the
 * main file may be executed. owner: who may write in code/ and packages/ while packages are
 * installed, or -1. 0 or a negative errno. */
int code_write(const char *folder, const struct bundle *b, uid_t owner, struct error *err);

#endif
