/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates in PEM form (RFC 7468 §5): enough to say at admission that it is none, and which.
 * The TLS library reads them when they are needed. */
#include "base/encoding.h"
#include "resource/resource_internal.h"

#include <errno.h>
#include <string.h>

#define BEGIN "-----BEGIN "
#define END   "-----END "
#define LABEL "CERTIFICATE-----"

/* A line without its end; what is left is behind it. */
static struct slice take_line(struct slice *rest)
{
    const char *end = memchr(rest->ptr, '\n', rest->len);
    size_t len = end != NULL ? (size_t)(end - rest->ptr) : rest->len;
    struct slice line = slice_of(rest->ptr, len);
    size_t used = end != NULL ? len + 1 : len;
    *rest = slice_of(rest->ptr + used, rest->len - used);
    while (line.len > 0 && strchr(" \t\r", line.ptr[line.len - 1]) != NULL)
        line.len--;
    return line;
}

/* DER (X.690 §8.1): one SEQUENCE that is as long as it says. */
static bool is_sequence(struct slice der)
{
    const unsigned char *b = (const unsigned char *)der.ptr;
    if (der.len < 2 || b[0] != 0x30)
        return false;
    size_t head = 2, len = b[1];
    if (b[1] > 0x80) {
        size_t bytes = b[1] & 0x7fu;
        if (bytes > 4 || der.len < 2 + bytes)
            return false;
        for (len = 0; head < 2 + bytes; head++)
            len = len << 8 | b[head];
    }
    return der.len == head + len;
}

/* The lines after BEGIN, up to END. */
static bool take_certificate(struct slice *rest)
{
    autobuf text = BUF_INIT;
    autobuf der = BUF_INIT;
    while (rest->len > 0) {
        struct slice line = take_line(rest);
        if (slice_is(line, END LABEL))
            return encoding_base64_decode(buf_slice(&text), &der) == 0 &&
                   is_sequence(buf_slice(&der));
        buf_add_slice(&text, line);
    }
    return false;
}

int pem_check_certificates(struct slice text, const char *field, struct error *err)
{
    unsigned count = 0;
    while (text.len > 0) {
        struct slice line = take_line(&text);
        if (!slice_starts(line, BEGIN)) /* text between them explains (§2) */
            continue;
        count++;
        if (!slice_is(line, BEGIN LABEL))
            return error_field(err, -EINVAL, field,
                               "has something else than certificates: " SLICE_FMT,
                               (int)(line.len < 60 ? line.len : 60), line.ptr);
        if (!take_certificate(&text))
            return error_field(err, -EINVAL, field,
                               "certificate %u is damaged: its text must be base64 up to a line "
                               "-----END CERTIFICATE-----",
                               count);
    }
    return count > 0 ? 0
                     : error_field(err, -EINVAL, field,
                                   "must have certificates in PEM form, which begin with a line "
                                   "-----BEGIN CERTIFICATE-----");
}
