/* SPDX-License-Identifier: Apache-2.0 */
/* Input: lines of "name: value", an empty line, the body. */
#include "fuzz_event.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static struct slice take_line(struct slice *rest)
{
    const char *end = rest->len > 0 ? memchr(rest->ptr, '\n', rest->len) : NULL;
    size_t n = end != NULL ? (size_t)(end - rest->ptr) : rest->len;
    struct slice line = slice_of(rest->ptr, n);
    size_t skip = end != NULL ? n + 1 : n;
    *rest = slice_of(rest->ptr + skip, rest->len - skip);
    return line;
}

static void read(struct slice rest, bool opaque)
{
    struct event e;
    struct event_arena arena = {NULL};
    struct error err = ERROR_INIT;
    struct event_http_reader r;
    event_http_begin(&r, &e, &arena, &err);
    while (rest.len > 0) {
        struct slice line = take_line(&rest);
        if (line.len == 0)
            break;
        const char *colon = memchr(line.ptr, ':', line.len);
        size_t n = colon != NULL ? (size_t)(colon - line.ptr) : line.len;
        size_t skip = colon != NULL ? n + 1 : n;
        event_http_header(&r, slice_of(line.ptr, n), slice_of(line.ptr + skip, line.len - skip));
    }
    int status = opaque ? event_http_finish_opaque(&r, rest) : event_http_finish(&r, rest);
    must(status == 0 || err.message[0] != '\0');
    must(status < 0 || (e.opaque == opaque && slice_equal(e.data, rest)));
    if (status == 0)
        fuzz_event_encoding(&e);
    if (status == 0 && !opaque) {
        fuzz_event_json(&e);
        fuzz_event_http(&e);
    }
    event_arena_done(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    read(slice_of(bytes, len), false);
    read(slice_of(bytes, len), true);
    return 0;
}
