/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the head of one HTTP/1.x request as its bytes come in (RFC 9112 §2 to §5): each line once.
 * Pure: no descriptors, no clock, no heap. Strict where two parsers could see two requests: a bare
 * CR or LF, a folded line, a blank before a colon, a control character end it. */
#ifndef SLUICE_HTTP_REQUEST_HEAD_H
#define SLUICE_HTTP_REQUEST_HEAD_H

#include "base/error.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

#define REQUEST_HEAD_MAX   (32 * 1024) /* all of it; more: 431 */
#define REQUEST_TARGET_MAX (16 * 1024) /* more: 414 */
#define REQUEST_FIELDS_MAX 256         /* more: 431 */
#define REQUEST_METHOD_MAX 32

/* Offsets into the head's bytes, which may move while more of them come. */
struct request_field {
    uint16_t name, name_len, value, value_len;
};

struct request_head {
    uint32_t line;    /* where the next line begins */
    uint32_t scanned; /* no line feed from there up to here */
    uint32_t begin;   /* of the request line: empty lines may come before it */
    uint32_t length;  /* of all, once it is whole */
    uint16_t method_len, target, target_len;
    uint8_t minor; /* of the version: HTTP/1.minor, 0 or 1 */
    uint16_t field_count;
    struct request_field fields[REQUEST_FIELDS_MAX];
};

void request_head_begin(struct request_head *h);
/* bytes: all that came since begin, len of them; those that were there before are the same.
 * 0: more is needed. 1: the head is whole, and h->length says how long it is. Otherwise the status
 * to refuse with (400, 414, 431, 505) and the reason; the connection cannot be used further. */
unsigned request_head_read(struct request_head *h, const char *bytes, size_t len,
                           struct error *err);

static inline struct slice request_head_method(const struct request_head *h, const char *bytes)
{
    return slice_of(bytes + h->begin, h->method_len);
}

static inline struct slice request_head_target(const struct request_head *h, const char *bytes)
{
    return slice_of(bytes + h->target, h->target_len);
}

static inline struct slice request_field_name(const struct request_field *f, const char *bytes)
{
    return slice_of(bytes + f->name, f->name_len);
}

static inline struct slice request_field_value(const struct request_field *f, const char *bytes)
{
    return slice_of(bytes + f->value, f->value_len);
}

#endif
