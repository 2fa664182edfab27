/* SPDX-License-Identifier: Apache-2.0 */
#include "base/filename.h"

#include <stddef.h>
#include <string.h>

bool filename_is_inside(const char *name)
{
    if (*name == '\0' || strlen(name) > FILENAME_INSIDE_MAX || *name == '/')
        return false;
    for (const char *part = name; part != NULL; part = strchr(part, '/')) {
        part += part != name; /* past the slash */
        size_t len = strcspn(part, "/");
        if (len == 0 || (len == 1 && part[0] == '.') || (len == 2 && memcmp(part, "..", 2) == 0))
            return false;
    }
    for (; *name != '\0'; name++)
        if ((unsigned char)*name < ' ' || *name == 0x7f || *name == '\\')
            return false;
    return true;
}
