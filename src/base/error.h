/* SPDX-License-Identifier: Apache-2.0 */
/* An error that a person will read: what, where, and what to do. Functions return 0 or a negative
 * errno and fill this in besides, when it is not NULL. */
#ifndef SLUICE_BASE_ERROR_H
#define SLUICE_BASE_ERROR_H

#include <stdbool.h>

struct error {
    int code;          /* negative errno, 0 when unset */
    char message[512]; /* one sentence, no trailing newline */
    char field[192];   /* path of the field, as spec.subscriber.uri; "" when there is none */
    int line;          /* 1-based line in the input, 0 when unknown */
};

#define ERROR_INIT                                                                                 \
    {                                                                                              \
        0, "", "", 0                                                                               \
    }

/* Sets the error and returns code, so that `return error_set(err, -EINVAL, "…", …);` works. err may
 * be NULL. */
__attribute__((format(printf, 3, 4))) int error_set(struct error *err, int code, const char *format,
                                                    ...);
/* The same with the field's path. */
__attribute__((format(printf, 4, 5))) int error_field(struct error *err, int code,
                                                      const char *field, const char *format, ...);
/* Puts "context: " in front of the message. Returns err->code. */
__attribute__((format(printf, 2, 3))) int error_prefix(struct error *err, const char *format, ...);

#endif
