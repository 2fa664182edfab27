/* SPDX-License-Identifier: Apache-2.0 */
/* The characters that names and values of header fields are made of (RFC 9110 §5.5, §5.6.2). */
#ifndef SLUICE_BASE_TOKEN_H
#define SLUICE_BASE_TOKEN_H

#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>

/* How many characters of a token the text begins with. */
size_t token_length(struct slice text);
/* It is one token, and nothing else. */
bool token_is(struct slice text);
/* No control character but the tab; what is not ASCII is allowed. */
bool token_is_field_value(struct slice text);
/* Whether a list of names with commas between has this one, whatever its case. */
bool token_list_has(struct slice list, struct slice name);

#endif
