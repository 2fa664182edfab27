/* SPDX-License-Identifier: Apache-2.0 */
/* The spec of a trigger as JSON in the first line, and an event. The index finds what asking the
 * filter finds. */
#include "broker/index.h"
#include "fuzz_lines.h"

#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void count(void *ctx, void *item)
{
    ++*(unsigned *)ctx;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct slice rest = slice_of(bytes, len), text = fuzz_line(&rest);
    struct filter *f = NULL;
    struct error err = ERROR_INIT;
    json_t *spec = json_loadb(text.ptr, text.len, 0, NULL);
    if (!json_is_object(spec)) {
        json_decref(spec);
        return 0;
    }
    int r = filter_compile(spec, &f, &err);
    must(r == 0 || (err.message[0] != '\0' && err.field[0] != '\0'));
    if (r == 0) {
        struct event e = fuzz_event_of(rest);
        struct index x = {0};
        unsigned found = 0;
        must(index_add(&x, f, &x) == 0);
        index_match(&x, &e, count, &found);
        must(found == (filter_matches(f, &e) ? 1u : 0u));
        index_remove(&x, f, &x);
        must(x.groups.len == 0 && x.slots.len == 0 && x.free_slot == NULL);
        index_done(&x);
    }
    filter_free(f);
    json_decref(spec);
    return 0;
}
