/* SPDX-License-Identifier: Apache-2.0 */
/* A shared object out of the compiler, checked before any process loads it: nothing in it may run
 * at load time, and it may ask for nothing but the WebAssembly runtime and a few functions of the C
 * library. */
#ifndef SLUICE_FUNCTION_OBJECT_H
#define SLUICE_FUNCTION_OBJECT_H

#include "base/error.h"
#include "base/slice.h"

/* 0 or -ENOEXEC with what is wrong. Any bytes are safe to pass. */
int object_check(struct slice file, struct error *err);

#endif
