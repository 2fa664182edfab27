/* SPDX-License-Identifier: Apache-2.0 */
/* A URL that was parsed and written is the same when it is parsed and written again, also after one
 * of its parts was set. The input: which part, the URL, NUL, the part's value. */
#include "base/must.h"
#include "worker/web.h"
#include "worker/web_url.h"

/* In the worker, the guest is asked. */
bool url_domain_to_ascii(struct slice domain, struct buf *out)
{
    for (size_t i = 0; i < domain.len; i++) {
        unsigned char c = (unsigned char)domain.ptr[i];
        buf_add_byte(out, c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c < 0x80 ? (char)c : 'x');
    }
    return true;
}

struct buf *web_scratch(unsigned i)
{
    static struct buf scratch[WEB_SCRATCH_COUNT];
    return &scratch[i];
}

void web_scratch_done(struct buf **b)
{
    buf_reset(*b);
}

static void check_stable(const struct url *u)
{
    static struct url again;
    autobuf first = BUF_INIT, second = BUF_INIT;
    url_write(u, &first);
    must(memchr(first.ptr, '\n', first.len) == NULL);
    must(url_parse(buf_slice(&first), NULL, &again));
    url_write(&again, &second);
    must(slice_equal(buf_slice(&first), buf_slice(&second)));
    buf_reset(&second);
    url_write_origin(u, &second);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    static struct url base, u;
    if (size < 1)
        return 0;
    enum url_part part = (enum url_part)(data[0] % URL_PART_COUNT);
    struct slice input = slice_of(data + 1, size - 1), value = slice_of("", 0);
    const char *end = memchr(input.ptr, '\0', input.len);
    if (end != NULL) {
        value = slice_of(end + 1, (size_t)(input.ptr + input.len - end - 1));
        input.len = (size_t)(end - input.ptr);
    }
    bool has_base = url_parse(value, NULL, &base);
    if (!url_parse(input, has_base ? &base : NULL, &u))
        return 0;
    check_stable(&u);
    url_set(&u, part, value);
    check_stable(&u);
    return 0;
}
