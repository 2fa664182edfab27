/* SPDX-License-Identifier: Apache-2.0 */
/* Assertions for what cannot happen. They are always compiled in; never use them on input. */
#ifndef SLUICE_BASE_MUST_H
#define SLUICE_BASE_MUST_H

#include <assert.h>
#include <stdint.h>

/* Prints file, line and the condition to stderr and aborts. */
_Noreturn void must_fail(const char *file, int line, const char *condition);

#define must(condition)    ((condition) ? (void)0 : must_fail(__FILE__, __LINE__, #condition))
#define unreachable_code() must_fail(__FILE__, __LINE__, "unreachable")

/* An object that travels as void * through callbacks begins with a magic number; must_be() checks
 * it. */
#define must_be(object, magic_number)                                                              \
    ((object) != NULL && (object)->magic == (magic_number)                                         \
         ? (object)                                                                                \
         : (must_fail(__FILE__, __LINE__, #object " is " #magic_number), (object)))

#endif
