/* SPDX-License-Identifier: Apache-2.0 */
/* What must hold for every event that a reader has accepted. */
#ifndef SLUICE_TESTS_FUZZ_EVENT_H
#define SLUICE_TESTS_FUZZ_EVENT_H

#include "base/must.h"
#include "event/event.h"

#include <errno.h>

static inline void fuzz_event_same(const struct event *a, const struct event *b)
{
    must(a->opaque == b->opaque && a->version == b->version && a->has_data == b->has_data &&
         slice_equal(a->data, b->data));
    for (unsigned i = 0; i < a->count; i++) {
        bool found = false;
        for (unsigned k = 0; k < b->count; k++)
            found = found || (slice_equal(a->attributes[i].name, b->attributes[k].name) &&
                              slice_equal(a->attributes[i].value, b->attributes[k].value));
        must(found || slice_is(a->attributes[i].name, "datacontenttype"));
    }
}

static inline void fuzz_event_encoding(const struct event *e)
{
    struct buf out = BUF_INIT;
    struct event back;
    event_encode(e, &out);
    must(event_decode(buf_slice(&out), &back) == 0);
    must(back.count == e->count);
    fuzz_event_same(e, &back);
    buf_done(&out);
}

static inline bool fuzz_event_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static inline struct slice fuzz_event_trim(struct slice s)
{
    while (s.len > 0 && fuzz_event_space(s.ptr[0]))
        s = slice_of(s.ptr + 1, s.len - 1);
    while (s.len > 0 && fuzz_event_space(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

/* White space around a JSON value is lost when it becomes a member of an object. */
static inline void fuzz_event_json(const struct event *e)
{
    struct buf out = BUF_INIT;
    struct event back;
    struct event_arena arena = {NULL};
    struct error err = ERROR_INIT;
    event_json_write(e, &out);
    int status = event_json_read(buf_slice(&out), &back, &arena, &err);
    /* An attribute more may be too many: what JSON implies is said. */
    must(status == 0 || e->count == EVENT_ATTRIBUTES_MAX || status == -E2BIG);
    if (status == 0 && event_get(e, "datacontentencoding").ptr == NULL) {
        struct event trimmed = *e;
        if (!slice_equal(e->data, back.data)) {
            trimmed.data = fuzz_event_trim(e->data);
            must(trimmed.data.len > 0 && trimmed.data.len < e->data.len);
        }
        fuzz_event_same(&trimmed, &back);
    }
    event_arena_done(&arena);
    buf_done(&out);
}

/* The slices that the writer hands out live during the call only, so each is copied. */
struct fuzz_event_copy {
    struct event_http_reader reader;
    struct event_arena arena;
};

static inline struct slice fuzz_event_keep(struct event_arena *arena, struct slice s)
{
    char *copy = event_arena_alloc(arena, s.len);
    must(copy != NULL);
    if (s.len > 0)
        memcpy(copy, s.ptr, s.len);
    return slice_of(copy, s.len);
}

static inline void fuzz_event_copy_header(void *ctx, struct slice name, struct slice value)
{
    struct fuzz_event_copy *c = ctx;
    event_http_header(&c->reader, fuzz_event_keep(&c->arena, name),
                      fuzz_event_keep(&c->arena, value));
}

static inline void fuzz_event_http(const struct event *e)
{
    struct fuzz_event_copy c = {.arena = {NULL}};
    struct event back;
    struct error err = ERROR_INIT;
    event_http_begin(&c.reader, &back, &c.arena, &err);
    must(event_http_write(e, fuzz_event_copy_header, &c) == 0);
    must(event_http_finish(&c.reader, e->data) == 0);
    back.has_data = e->has_data; /* an empty body does not tell */
    fuzz_event_same(e, &back);
    event_arena_done(&c.arena);
}

#endif
