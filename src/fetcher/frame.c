/* SPDX-License-Identifier: Apache-2.0 */
/* Frames as bytes (protocol.h), for both ends. Pure: no descriptors, no clock. */
#include "fetcher/protocol.h"

#include "base/bytes.h"
#include "base/must.h"

#include <errno.h>

#define READ_LEAST (64u * 1024)
#define KEPT_MAX   (256u * 1024) /* bytes of an empty reader's memory */

/* ---- the stream ---- */

void fetcher_reader_done(struct fetcher_reader *r)
{
    buf_done(&r->bytes);
    *r = (struct fetcher_reader){.bytes = BUF_INIT};
}

/* Forgets what was handed out. */
static void drop_used(struct fetcher_reader *r)
{
    size_t left = r->bytes.len - r->used;
    if (left == 0 && r->bytes.cap > KEPT_MAX) {
        fetcher_reader_done(r);
        return;
    }
    if (left > 0 && r->used > 0)
        memmove(r->bytes.ptr, r->bytes.ptr + r->used, left);
    r->bytes.len = left;
    r->used = 0;
}

/* How many bytes the frame lacks that has begun. */
static size_t missing(const struct fetcher_reader *r)
{
    size_t have = r->bytes.len - r->used;
    if (have < FETCHER_FRAME_HEAD)
        return FETCHER_FRAME_HEAD - have;
    size_t whole = FETCHER_FRAME_HEAD + (size_t)bytes_le32(r->bytes.ptr + r->used);
    return whole > have ? whole - have : 0;
}

char *fetcher_reader_room(struct fetcher_reader *r, size_t *ret_size)
{
    drop_used(r);
    size_t size = missing(r);
    must(size <= FETCHER_FRAME_HEAD + (size_t)FETCHER_PAYLOAD_MAX);
    if (size < READ_LEAST)
        size = READ_LEAST;
    char *room = buf_reserve(&r->bytes, size);
    if (room != NULL)
        *ret_size = size;
    return room;
}

void fetcher_reader_add(struct fetcher_reader *r, size_t count)
{
    r->bytes.len += count;
    must(r->bytes.len <= r->bytes.cap);
}

int fetcher_reader_next(struct fetcher_reader *r, struct fetcher_frame *ret)
{
    if (r->bytes.len - r->used < FETCHER_FRAME_HEAD)
        return 0;
    const char *at = r->bytes.ptr + r->used;
    uint32_t len = bytes_le32(at), type = bytes_le32(at + 4);
    if (len > FETCHER_PAYLOAD_MAX || type == 0 || type >= FETCHER_FRAME_TYPE_COUNT)
        return -EPROTO;
    if (missing(r) > 0)
        return 0;
    ret->type = (enum fetcher_frame_type)type;
    ret->id = bytes_le64(at + 8);
    ret->payload = slice_of(at + FETCHER_FRAME_HEAD, len);
    r->used += FETCHER_FRAME_HEAD + len;
    return 1;
}

/* ---- writing ---- */

/* Returns where the frame begins. */
static size_t begin(struct buf *out, enum fetcher_frame_type type, uint64_t id)
{
    size_t at = out->len;
    buf_add_u32(out, 0);
    buf_add_u32(out, type);
    buf_add_u64(out, id);
    return at;
}

static void end(struct buf *out, size_t at)
{
    if (buf_ok(out))
        bytes_put_le32(out->ptr + at, (uint32_t)(out->len - at - FETCHER_FRAME_HEAD));
}

static void add_text(struct buf *out, struct slice text)
{
    buf_add_u32(out, (uint32_t)text.len);
    buf_add_slice(out, text);
}

static void add_headers(struct buf *out, const struct http_call_header *headers, unsigned count)
{
    buf_add_u32(out, count);
    for (unsigned i = 0; i < count; i++) {
        add_text(out, headers[i].name);
        add_text(out, headers[i].value);
    }
}

void fetcher_write_allow(struct buf *out, const struct slice *entries, unsigned count)
{
    size_t at = begin(out, FETCHER_ALLOW, 0);
    buf_add_u32(out, count);
    for (unsigned i = 0; i < count; i++)
        add_text(out, entries[i]);
    end(out, at);
}

void fetcher_write_request(struct buf *out, uint64_t id, const struct fetcher_request *request)
{
    size_t at = begin(out, FETCHER_REQUEST, id);
    buf_add_u64(out, request->timeout_ms);
    buf_add_u64(out, request->response_max);
    buf_add_u32(out, request->redirect);
    add_text(out, request->method);
    add_text(out, request->url);
    add_headers(out, request->headers, request->header_count);
    add_text(out, request->body);
    end(out, at);
}

void fetcher_write_cancel(struct buf *out, uint64_t id)
{
    end(out, begin(out, FETCHER_CANCEL, id));
}

void fetcher_write_response(struct buf *out, uint64_t id, const struct fetcher_response *response)
{
    size_t at = begin(out, FETCHER_RESPONSE, id);
    buf_add_u32(out, response->status);
    buf_add_u32(out, response->redirected ? 1 : 0);
    add_text(out, response->reason);
    add_text(out, response->url);
    add_headers(out, response->headers, response->header_count);
    add_text(out, response->body);
    end(out, at);
}

void fetcher_write_failure(struct buf *out, uint64_t id, const struct fetcher_failure *failure)
{
    size_t at = begin(out, FETCHER_FAILURE, id);
    buf_add_u32(out, failure->problem);
    add_text(out, failure->code);
    add_text(out, failure->message);
    end(out, at);
}

/* ---- reading ---- */

/* What is left of a payload; bad stays once it is set, and what is taken then is empty. */
struct cursor {
    struct slice rest;
    bool bad;
};

static struct slice take(struct cursor *c, size_t len)
{
    if (c->bad || c->rest.len < len) {
        c->bad = true;
        return slice_of("", 0);
    }
    struct slice taken = slice_of(c->rest.ptr, len);
    c->rest = slice_of(c->rest.ptr + len, c->rest.len - len);
    return taken;
}

static uint32_t take_u32(struct cursor *c)
{
    struct slice bytes = take(c, 4);
    return c->bad ? 0 : bytes_le32(bytes.ptr);
}

static uint64_t take_u64(struct cursor *c)
{
    struct slice bytes = take(c, 8);
    return c->bad ? 0 : bytes_le64(bytes.ptr);
}

static struct slice take_text(struct cursor *c, size_t max)
{
    uint32_t len = take_u32(c);
    if (len > max)
        c->bad = true;
    return take(c, len);
}

static unsigned take_headers(struct cursor *c, struct http_call_header *headers)
{
    uint32_t count = take_u32(c);
    size_t room = FETCHER_HEADS_MAX;
    if (count > FETCHER_HEADERS_MAX)
        c->bad = true;
    for (uint32_t i = 0; i < count && !c->bad; i++) {
        headers[i].name = take_text(c, room);
        room -= headers[i].name.len;
        headers[i].value = take_text(c, room);
        room -= headers[i].value.len;
    }
    return c->bad ? 0 : count;
}

static int finish(const struct cursor *c)
{
    return c->bad || c->rest.len > 0 ? -EPROTO : 0;
}

int fetcher_read_request(struct slice payload, struct fetcher_request *ret)
{
    struct cursor c = {payload, false};
    ret->timeout_ms = take_u64(&c);
    ret->response_max = take_u64(&c);
    uint32_t redirect = take_u32(&c);
    ret->redirect = (enum fetcher_redirect)redirect;
    ret->method = take_text(&c, FETCHER_METHOD_MAX);
    ret->url = take_text(&c, FETCHER_URL_MAX);
    ret->header_count = take_headers(&c, ret->headers);
    ret->body = take_text(&c, FETCHER_BODY_MAX);
    if (redirect >= FETCHER_REDIRECT_COUNT || ret->response_max > FETCHER_BODY_MAX)
        c.bad = true;
    return finish(&c);
}

int fetcher_read_response(struct slice payload, struct fetcher_response *ret)
{
    struct cursor c = {payload, false};
    ret->status = take_u32(&c);
    uint32_t redirected = take_u32(&c);
    ret->redirected = redirected == 1;
    ret->reason = take_text(&c, FETCHER_HEADS_MAX);
    ret->url = take_text(&c, FETCHER_URL_MAX);
    ret->header_count = take_headers(&c, ret->headers);
    ret->body = take_text(&c, FETCHER_BODY_MAX);
    if (ret->status < 100 || ret->status > 999 || redirected > 1)
        c.bad = true;
    return finish(&c);
}

int fetcher_read_failure(struct slice payload, struct fetcher_failure *ret)
{
    struct cursor c = {payload, false};
    uint32_t problem = take_u32(&c);
    ret->problem = (enum fetcher_problem)problem;
    ret->code = take_text(&c, 64);
    ret->message = take_text(&c, 1024);
    if (problem == 0 || problem >= FETCHER_PROBLEM_COUNT)
        c.bad = true;
    return finish(&c);
}

int fetcher_read_allow(struct slice payload, int (*add)(void *ctx, struct slice entry), void *ctx)
{
    struct cursor c = {payload, false};
    uint32_t count = take_u32(&c);
    if (count > FETCHER_ALLOW_MAX)
        c.bad = true;
    for (uint32_t i = 0; i < count && !c.bad; i++) {
        struct slice entry = take_text(&c, FETCHER_ALLOW_TEXT_MAX);
        int r = c.bad ? 0 : add(ctx, entry);
        if (r < 0)
            return r;
    }
    return finish(&c);
}
