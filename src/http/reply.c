/* SPDX-License-Identifier: Apache-2.0 */
#include "http/reply.h"

#include "base/encoding.h"
#include "base/token.h"

#include <errno.h>
#include <string.h>

void reply_begin(struct reply *r, bool without_body, size_t body_max)
{
    r->state = REPLY_HEAD;
    r->without_body = without_body;
    r->keep_alive = true;
    r->status = 0;
    r->body_max = body_max;
    r->left = 0;
    r->interim = 0;
    buf_reset(&r->head);
    buf_reset(&r->body);
}

void reply_done(struct reply *r)
{
    buf_done(&r->head);
    buf_done(&r->body);
}

static struct slice advance(struct slice s, size_t n)
{
    return slice_of(s.ptr + n, s.len - n);
}

static struct slice trim(struct slice s)
{
    while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
        s = advance(s, 1);
    while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t' ||
                         s.ptr[s.len - 1] == '\r' || s.ptr[s.len - 1] == '\n'))
        s.len--;
    return s;
}

/* The next line with its line feed; empty when there is none. */
static struct slice next_line(struct slice *text)
{
    const char *end = text->len > 0 ? memchr(text->ptr, '\n', text->len) : NULL;
    size_t len = end != NULL ? (size_t)(end - text->ptr) + 1 : text->len;
    struct slice line = slice_of(text->ptr, len);
    *text = advance(*text, len);
    return line;
}

/* HTTP/1.x SP three digits (RFC 9112 §4). */
static int read_status_line(struct reply *r, struct slice line)
{
    if (line.len < 13 || memcmp(line.ptr, "HTTP/1.", 7) != 0 || line.ptr[8] != ' ' ||
        strchr(" \r\n", line.ptr[12]) == NULL)
        return -EPROTO;
    uint64_t status;
    if (encoding_parse_u64(slice_of(line.ptr + 9, 3), &status) < 0 || status < 100)
        return -EPROTO;
    r->status = (unsigned)status;
    r->keep_alive = line.ptr[7] == '1';
    return 0;
}

struct framing {
    bool chunked, has_length;
    uint64_t length;
};

static int read_header(struct reply *r, struct slice line, struct framing *f)
{
    const char *colon = memchr(line.ptr, ':', line.len);
    if (colon == NULL || colon == line.ptr)
        return -EPROTO;
    struct slice name = slice_of(line.ptr, (size_t)(colon - line.ptr));
    struct slice value = trim(advance(line, name.len + 1));
    if (slice_is_nocase(name, "content-length")) {
        uint64_t length;
        if (encoding_parse_u64(value, &length) < 0 || (f->has_length && f->length != length))
            return -EPROTO;
        f->has_length = true;
        f->length = length;
    } else if (slice_is_nocase(name, "transfer-encoding")) {
        if (!slice_is_nocase(value, "chunked"))
            return -EPROTO;
        f->chunked = true;
    } else if (slice_is_nocase(name, "connection") && token_list_has(value, SLICE("close"))) {
        r->keep_alive = false;
    }
    return 0;
}

/* RFC 9112 §6.3: what comes after the head. */
static int choose_body(struct reply *r, const struct framing *f)
{
    if (f->chunked && f->has_length)
        return -EPROTO;
    if (r->without_body || r->status == 204 || r->status == 304) {
        r->state = REPLY_DONE;
    } else if (f->chunked) {
        r->state = REPLY_CHUNKED;
        chunked_begin(&r->chunked);
    } else if (f->has_length) {
        if (f->length > r->body_max)
            return -EMSGSIZE;
        r->left = f->length;
        r->state = r->left > 0 ? REPLY_LENGTH : REPLY_DONE;
    } else {
        r->keep_alive = false;
        r->state = REPLY_UNTIL_CLOSE;
    }
    return 0;
}

static int read_head(struct reply *r)
{
    struct framing f = {0};
    struct slice text = buf_slice(&r->head);
    int status = read_status_line(r, next_line(&text));
    while (status == 0 && text.len > 0) {
        struct slice line = next_line(&text);
        if (trim(line).len == 0)
            break;
        status = read_header(r, line, &f);
    }
    if (status < 0)
        return status;
    if (r->status < 200) { /* an interim answer: the real one follows */
        r->interim += r->head.len;
        buf_reset(&r->head);
        if (r->interim > REPLY_HEAD_MAX)
            return -EMSGSIZE;
        return r->status == 101 ? -EPROTO : 0;
    }
    return choose_body(r, &f);
}

/* Takes bytes up to the empty line that ends the head. */
static int feed_head(struct reply *r, struct slice *bytes)
{
    while (bytes->len > 0) {
        struct slice rest = *bytes;
        struct slice line = next_line(&rest);
        size_t before = r->head.len;
        if (before + line.len > REPLY_HEAD_MAX)
            return -EMSGSIZE;
        buf_add_slice(&r->head, line);
        *bytes = rest;
        if (!buf_ok(&r->head))
            return -ENOMEM;
        if (slice_ends(buf_slice(&r->head), "\r\n\r\n") || slice_ends(buf_slice(&r->head), "\n\n"))
            return read_head(r);
    }
    return 0;
}

static int take_body(struct reply *r, struct slice bytes)
{
    if (bytes.len > r->body_max - r->body.len)
        return -EMSGSIZE;
    buf_add_slice(&r->body, bytes);
    return buf_ok(&r->body) ? 0 : -ENOMEM;
}

static int feed_length(struct reply *r, struct slice *bytes)
{
    size_t n = bytes->len < r->left ? bytes->len : (size_t)r->left;
    int status = take_body(r, slice_of(bytes->ptr, n));
    *bytes = advance(*bytes, n);
    r->left -= n;
    if (r->left == 0)
        r->state = REPLY_DONE;
    return status;
}

static int feed_chunked(struct reply *r, struct slice *bytes)
{
    struct slice data;
    int status = chunked_read(&r->chunked, bytes, &data);
    uint64_t rest = chunked_announced(&r->chunked);
    if (status == 0) /* a chunk too large is refused at once, however its bytes come in */
        return rest > r->body_max || data.len + rest > r->body_max - r->body.len
                   ? -EMSGSIZE
                   : take_body(r, data);
    if (status > 0)
        r->state = REPLY_DONE;
    return status < 0 ? status : 0;
}

static int feed_until_close(struct reply *r, struct slice *bytes)
{
    int status = take_body(r, *bytes);
    *bytes = advance(*bytes, bytes->len);
    return status;
}

int reply_feed(struct reply *r, struct slice bytes)
{
    static int (*const feed[REPLY_STATE_COUNT])(struct reply * r, struct slice * bytes) = {
        [REPLY_HEAD] = feed_head,
        [REPLY_LENGTH] = feed_length,
        [REPLY_CHUNKED] = feed_chunked,
        [REPLY_UNTIL_CLOSE] = feed_until_close,
    };
    while (bytes.len > 0 && r->state != REPLY_DONE) {
        int status = feed[r->state](r, &bytes);
        if (status < 0)
            return status;
    }
    if (bytes.len > 0) /* nothing was asked for yet: whatever this is, do not go on with it */
        r->keep_alive = false;
    return r->state == REPLY_DONE ? 1 : 0;
}

int reply_end(struct reply *r)
{
    r->keep_alive = false;
    if (r->state != REPLY_UNTIL_CLOSE && r->state != REPLY_DONE)
        return -ECONNRESET;
    r->state = REPLY_DONE;
    return 1;
}

struct slice reply_headers(const struct reply *r)
{
    struct slice text = buf_slice(&r->head);
    (void)next_line(&text);
    return text;
}
