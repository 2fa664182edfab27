/* SPDX-License-Identifier: Apache-2.0 */
/* A growable byte buffer. A failed allocation sets `failed`; further appends do nothing, and the
 * owner checks once at the end (buf_ok). The contents are always followed by a NUL that is not
 * counted. */
#ifndef SLUICE_BASE_BUF_H
#define SLUICE_BASE_BUF_H

#include "base/slice.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
    char *ptr;
    size_t len;
    size_t cap;
    bool failed;
};

#define BUF_INIT                                                                                   \
    {                                                                                              \
        NULL, 0, 0, false                                                                          \
    }
#define autobuf __attribute__((cleanup(buf_done))) struct buf

void buf_done(struct buf *b);
/* Keeps the memory. */
void buf_reset(struct buf *b);
static inline bool buf_ok(const struct buf *b)
{
    return !b->failed;
}
static inline struct slice buf_slice(const struct buf *b)
{
    return slice_of(b->ptr, b->len);
}
/* Room for at least n more bytes; returns where they go, or NULL. The caller adds to len what it
 * wrote. */
char *buf_reserve(struct buf *b, size_t n);
void buf_add(struct buf *b, const void *bytes, size_t n);
void buf_add_slice(struct buf *b, struct slice s);
void buf_add_text(struct buf *b, const char *text);
void buf_add_byte(struct buf *b, char byte);
void buf_add_decimal(struct buf *b, int64_t v);
void buf_add_u16(struct buf *b, uint16_t v); /* little-endian */
void buf_add_u32(struct buf *b, uint32_t v);
void buf_add_u64(struct buf *b, uint64_t v);
void buf_add_be32(struct buf *b, uint32_t v); /* big-endian, for table keys */
void buf_add_be64(struct buf *b, uint64_t v);
__attribute__((format(printf, 2, 3))) void buf_printf(struct buf *b, const char *format, ...);
void buf_vprintf(struct buf *b, const char *format, va_list arguments);
/* The text as a JSON string with its quotes (RFC 8259 §7). Invalid UTF-8 becomes U+FFFD. */
void buf_add_json_string(struct buf *b, struct slice s);
/* Hands the bytes over (NUL-terminated, freed by the caller) and empties the buffer; NULL when it
 * failed. */
char *buf_steal(struct buf *b);

#endif
