/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a program's standard output: an event that is good, an answer whose headers are
 * good, or an error that says why not. */
#include "fuzz_event.h"

#include "event/stdio.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void check_header(const struct stdio_field *h)
{
    must(h->name.len > 0 && memchr(h->name.ptr, ':', h->name.len) == NULL);
    for (size_t i = 0; i < h->value.len; i++)
        must(h->value.ptr[i] != '\r' && h->value.ptr[i] != '\n' && h->value.ptr[i] != '\0');
    must(!slice_is_nocase(h->name, "content-length") &&
         !slice_is_nocase(h->name, "transfer-encoding"));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static struct stdio_reply reply;
    static const struct event_defaults defaults = {
        {"id", 2}, {"/s", 2}, {"2026-01-01T00:00:00Z", 20}};
    struct event_arena arena = {NULL};
    struct error err = ERROR_INIT;
    struct slice output = slice_of(bytes, len);
    int status = stdio_reply_read(output, &defaults, &arena, &reply, &err);
    must(status == 0 || err.message[0] != '\0');
    if (status == 0 && reply.is_event) {
        must(event_check(&reply.event, &err) == 0);
        fuzz_event_http(&reply.event);
    } else if (status == 0) {
        must(reply.status >= 200 && reply.status <= 599 && reply.body.len <= len);
        for (unsigned i = 0; i < reply.header_count; i++)
            check_header(&reply.headers[i]);
    }
    event_arena_done(&arena);
    return 0;
}
