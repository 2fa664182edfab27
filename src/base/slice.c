/* SPDX-License-Identifier: Apache-2.0 */
#include "base/slice.h"

#include <stdlib.h>

char *slice_dup(struct slice a)
{
    char *copy = malloc(a.len + 1);
    if (copy == NULL)
        return NULL;
    if (a.len > 0)
        memcpy(copy, a.ptr, a.len);
    copy[a.len] = '\0';
    return copy;
}
