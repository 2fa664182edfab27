/* SPDX-License-Identifier: Apache-2.0 */
/* JSON as it stands in an answer, since reading it into values would change its numbers. */
#ifndef SLUICE_CLI_JSON_CUT_H
#define SLUICE_CLI_JSON_CUT_H

#include "base/buf.h"
#include "base/slice.h"

#include <stdbool.h>

/* The value of the object's member of that name, which has no escapes. False: there is none. */
bool json_cut(struct slice object, const char *member, struct slice *ret);
/* With line breaks and indentation, its tokens as they were; as it was when it is no JSON. */
void json_indent(struct slice text, unsigned indent, struct buf *out);

#endif
