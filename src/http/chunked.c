/* SPDX-License-Identifier: Apache-2.0 */
#include "http/chunked.h"

#include "base/token.h"

#include <errno.h>

#define CHUNKED_DIGITS_MAX 15 /* 60 bits: far beyond every limit on bodies */

void chunked_begin(struct chunked *c)
{
    *c = (struct chunked){.state = CHUNKED_SIZE};
}

static int hex_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static int expect(struct chunked *c, char got, char wanted, enum chunked_state then)
{
    if (got != wanted)
        return -EPROTO;
    c->state = then;
    return 0;
}

static int on_size(struct chunked *c, char byte)
{
    int digit = hex_of(byte);
    if (digit >= 0) {
        if (++c->digits > CHUNKED_LINE_MAX || c->left >> (4 * (CHUNKED_DIGITS_MAX - 1)) != 0)
            return -EMSGSIZE;
        c->left = c->left << 4 | (uint64_t)digit;
        return 0;
    }
    if (c->digits == 0)
        return -EPROTO;
    if (byte == '\r')
        c->state = CHUNKED_SIZE_END;
    else if (byte == ';' || byte == ' ' || byte == '\t')
        c->state = byte == ';' ? CHUNKED_EXTENSION : CHUNKED_BLANK;
    else
        return -EPROTO;
    c->line_len = c->digits;
    return 0;
}

static int on_blank(struct chunked *c, char byte)
{
    if (byte == ';')
        c->state = CHUNKED_EXTENSION;
    else if (byte != ' ' && byte != '\t')
        return -EPROTO;
    return ++c->line_len > CHUNKED_LINE_MAX ? -EMSGSIZE : 0;
}

/* The name of a trailer field, up to its colon. */
static int on_name(struct chunked *c, char byte)
{
    if (byte == ':')
        c->state = CHUNKED_VALUE;
    else if (token_length(slice_of(&byte, 1)) == 0)
        return -EPROTO;
    return ++c->trailer_len > CHUNKED_TRAILER_MAX ? -EMSGSIZE : 0;
}

static int on_line_start(struct chunked *c, char byte)
{
    c->state = byte == '\r' ? CHUNKED_LAST_LF : CHUNKED_NAME;
    return byte == '\r' || token_length(slice_of(&byte, 1)) == 1 ? 0 : -EPROTO;
}

/* A line's end, or another character of it. */
static int on_text(struct chunked *c, char byte, unsigned *count, unsigned max,
                   enum chunked_state then)
{
    if (byte == '\r') {
        c->state = then;
        return 0;
    }
    if (!token_is_field_value(slice_of(&byte, 1)))
        return -EPROTO;
    return ++*count > max ? -EMSGSIZE : 0;
}

static int on_size_end(struct chunked *c, char byte)
{
    c->digits = 0;
    return expect(c, byte, '\n', c->left > 0 ? CHUNKED_DATA : CHUNKED_LINE_START);
}

/* Everything but data, a byte at a time. */
static int on_byte(struct chunked *c, char byte)
{
    switch (c->state) {
    case CHUNKED_SIZE:
        return on_size(c, byte);
    case CHUNKED_BLANK:
        return on_blank(c, byte);
    case CHUNKED_EXTENSION:
        return on_text(c, byte, &c->line_len, CHUNKED_LINE_MAX, CHUNKED_SIZE_END);
    case CHUNKED_SIZE_END:
        return on_size_end(c, byte);
    case CHUNKED_DATA_CR:
        return expect(c, byte, '\r', CHUNKED_DATA_LF);
    case CHUNKED_DATA_LF:
        return expect(c, byte, '\n', CHUNKED_SIZE);
    case CHUNKED_LINE_START:
        return on_line_start(c, byte);
    case CHUNKED_NAME:
        return on_name(c, byte);
    case CHUNKED_VALUE:
        return on_text(c, byte, &c->trailer_len, CHUNKED_TRAILER_MAX, CHUNKED_FIELD_END);
    case CHUNKED_FIELD_END:
        return expect(c, byte, '\n', CHUNKED_LINE_START);
    case CHUNKED_LAST_LF:
        return expect(c, byte, '\n', CHUNKED_OVER);
    case CHUNKED_DATA:
    case CHUNKED_OVER:
        break;
    }
    return -EPROTO;
}

static struct slice take_data(struct chunked *c, struct slice *bytes)
{
    size_t n = bytes->len < c->left ? bytes->len : (size_t)c->left;
    struct slice data = slice_of(bytes->ptr, n);
    *bytes = slice_of(bytes->ptr + n, bytes->len - n);
    c->left -= n;
    if (c->left == 0)
        c->state = CHUNKED_DATA_CR;
    return data;
}

int chunked_read(struct chunked *c, struct slice *bytes, struct slice *ret_data)
{
    *ret_data = slice_of(bytes->ptr, 0);
    while (bytes->len > 0 && c->state != CHUNKED_OVER) {
        if (c->state == CHUNKED_DATA) {
            *ret_data = take_data(c, bytes);
            return 0;
        }
        int status = on_byte(c, bytes->ptr[0]);
        if (status < 0)
            return status;
        *bytes = slice_of(bytes->ptr + 1, bytes->len - 1);
    }
    return c->state == CHUNKED_OVER ? 1 : 0;
}
