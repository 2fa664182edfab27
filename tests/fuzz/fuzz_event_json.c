/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz_event.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static int each(void *ctx, const struct event *e)
{
    fuzz_event_encoding(e);
    ++*(unsigned *)ctx;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct event e;
    struct event_arena arena = {NULL};
    struct error err = ERROR_INIT;
    struct slice json = slice_of(bytes, len);
    int status = event_json_read(json, &e, &arena, &err);
    must(status == 0 || err.message[0] != '\0');
    if (status == 0) {
        fuzz_event_encoding(&e);
        fuzz_event_json(&e);
        fuzz_event_http(&e);
    }
    event_arena_done(&arena);
    unsigned count = 0;
    status = event_json_read_batch(json, each, &count, &err);
    must(status == 0 || count == 0); /* all or nothing */
    (void)event_decode(json, &e);
    return 0;
}
