/* SPDX-License-Identifier: Apache-2.0 */
#include "http/request_head.h"

#include "base/token.h"

#include <errno.h>
#include <string.h>

#define EMPTY_LINES_MAX 4 /* before the request line (RFC 9112 §2.2: at least one) */

/* Offsets have 16 bits. */
_Static_assert(REQUEST_HEAD_MAX <= UINT16_MAX, "offsets into the head");

void request_head_begin(struct request_head *h)
{
    h->line = h->scanned = h->begin = h->length = 0;
    h->method_len = h->target = h->target_len = h->field_count = 0;
    h->minor = 1;
}

static unsigned refuse(struct error *err, unsigned status, const char *message)
{
    error_set(err, -EINVAL, "%s", message);
    return status;
}

/* HTTP/DIGIT.DIGIT: 1.x with x > 1 is taken as 1.1 (RFC 9110 §2.5). */
static unsigned read_version(struct request_head *h, struct slice text, struct error *err)
{
    bool good = text.len == 8 && memcmp(text.ptr, "HTTP/", 5) == 0 && text.ptr[6] == '.' &&
                text.ptr[5] >= '0' && text.ptr[5] <= '9' && text.ptr[7] >= '0' &&
                text.ptr[7] <= '9';
    if (!good)
        return refuse(err, 400, "the request line does not end with HTTP/1.1");
    if (text.ptr[5] != '1')
        return refuse(err, 505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
    h->minor = text.ptr[7] == '0' ? 0 : 1;
    return 0;
}

static unsigned check_target(struct slice target, struct error *err)
{
    if (target.len > REQUEST_TARGET_MAX)
        return refuse(err, 414, "the request's target is too long");
    for (size_t i = 0; i < target.len; i++) {
        unsigned char c = (unsigned char)target.ptr[i];
        if (c <= ' ' || c >= 0x7f)
            return refuse(err, 400,
                          "the request's target has a character that must be percent-encoded");
    }
    return 0;
}

/* method SP request-target SP HTTP-version (RFC 9112 §3) */
static unsigned read_request_line(struct request_head *h, const char *bytes, size_t at, size_t end,
                                  struct error *err)
{
    const char *line = bytes + at;
    size_t len = end - at, method = token_length(slice_of(line, len));
    if (method == 0 || method == len || line[method] != ' ')
        return refuse(err, 400, "the request line does not begin with a method and a blank");
    if (method > REQUEST_METHOD_MAX)
        return refuse(err, 400, "the request's method is too long");
    const char *target = line + method + 1;
    const char *blank = memchr(target, ' ', len - method - 1);
    if (blank == NULL || blank == target)
        return refuse(err, 400, "the request line does not have three parts");
    h->begin = (uint32_t)at;
    h->method_len = (uint16_t)method;
    h->target = (uint16_t)(target - bytes);
    h->target_len = (uint16_t)(blank - target);
    unsigned refused = check_target(slice_of(target, h->target_len), err);
    return refused != 0
               ? refused
               : read_version(h, slice_of(blank + 1, (size_t)(line + len - blank - 1)), err);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* field-name ":" OWS field-value OWS (RFC 9112 §5) */
static unsigned read_field(struct request_head *h, const char *bytes, size_t at, size_t end,
                           struct error *err)
{
    if (is_blank(bytes[at]))
        return refuse(err, 400, "a header field is folded into several lines");
    size_t name = token_length(slice_of(bytes + at, end - at));
    if (name == 0 || at + name == end || bytes[at + name] != ':')
        return refuse(err, 400, "a header field has a malformed name");
    if (h->field_count == REQUEST_FIELDS_MAX)
        return refuse(err, 431, "the request has too many header fields");
    size_t value = at + name + 1;
    while (value < end && is_blank(bytes[value]))
        value++;
    while (end > value && is_blank(bytes[end - 1]))
        end--;
    if (!token_is_field_value(slice_of(bytes + value, end - value)))
        return refuse(err, 400, "a header field's value has a control character");
    h->fields[h->field_count++] = (struct request_field){.name = (uint16_t)at,
                                                         .name_len = (uint16_t)name,
                                                         .value = (uint16_t)value,
                                                         .value_len = (uint16_t)(end - value)};
    return 0;
}

/* A line that is not the empty one; end is where its CRLF stands. */
static unsigned read_line(struct request_head *h, const char *bytes, size_t end, struct error *err)
{
    return h->method_len == 0 ? read_request_line(h, bytes, h->line, end, err)
                              : read_field(h, bytes, h->line, end, err);
}

static unsigned too_long(const struct request_head *h, struct error *err)
{
    return h->method_len == 0 ? refuse(err, 414, "the request's target is too long")
                              : refuse(err, 431, "the request's header fields are too long");
}

unsigned request_head_read(struct request_head *h, const char *bytes, size_t len, struct error *err)
{
    size_t limit = len < REQUEST_HEAD_MAX ? len : REQUEST_HEAD_MAX;
    for (;;) {
        const char *feed =
            limit > h->scanned ? memchr(bytes + h->scanned, '\n', limit - h->scanned) : NULL;
        if (feed == NULL) {
            h->scanned = (uint32_t)limit;
            return len >= REQUEST_HEAD_MAX ? too_long(h, err) : 0;
        }
        size_t end = (size_t)(feed - bytes);
        if (end == h->line || bytes[end - 1] != '\r')
            return refuse(err, 400, "a line does not end with CR LF");
        bool empty = --end == h->line;
        if (empty && h->method_len > 0) {
            h->length = (uint32_t)end + 2;
            return 1;
        }
        unsigned refused = 0;
        if (!empty)
            refused = read_line(h, bytes, end, err);
        else if (end >= 2 * EMPTY_LINES_MAX)
            refused = refuse(err, 400, "there are empty lines instead of a request");
        if (refused != 0)
            return refused;
        h->line = h->scanned = (uint32_t)end + 2;
    }
}
