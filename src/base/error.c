/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int error_set(struct error *err, int code, const char *format, ...)
{
    if (err == NULL)
        return code;
    err->code = code;
    err->field[0] = '\0';
    err->line = 0;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(err->message, sizeof(err->message), format, arguments);
    va_end(arguments);
    return code;
}

int error_field(struct error *err, int code, const char *field, const char *format, ...)
{
    if (err == NULL)
        return code;
    err->code = code;
    err->line = 0;
    snprintf(err->field, sizeof(err->field), "%s", field);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(err->message, sizeof(err->message), format, arguments);
    va_end(arguments);
    return code;
}

int error_prefix(struct error *err, const char *format, ...)
{
    if (err == NULL)
        return 0;
    char joined[sizeof(err->message)];
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(joined, sizeof(joined), format, arguments);
    va_end(arguments);
    if (n >= 0 && (size_t)n < sizeof(joined))
        snprintf(joined + n, sizeof(joined) - (size_t)n, ": %s", err->message);
    memcpy(err->message, joined, sizeof(joined));
    return err->code;
}
