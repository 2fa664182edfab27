/* SPDX-License-Identifier: Apache-2.0 */
/* Names of files that others choose: what a function's code or bundle says. Any thread. */
#ifndef SLUICE_BASE_FILENAME_H
#define SLUICE_BASE_FILENAME_H

#include <stdbool.h>

#define FILENAME_INSIDE_MAX 255

/* A relative path of at most FILENAME_INSIDE_MAX bytes that stays below its folder: no empty, . or
 * .. parts, no backslash, no control characters. */
bool filename_is_inside(const char *name);

#endif
