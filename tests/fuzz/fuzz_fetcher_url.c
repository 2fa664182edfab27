/* SPDX-License-Identifier: Apache-2.0 */
#include "fetcher/fetcher.h"

#include "base/must.h"
#include "http/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* What is called leads where the check said, whoever reads it. */
static void check(struct slice text, const struct allow_list *allow)
{
    struct destination d, again;
    struct url u;
    autobuf url = BUF_INIT, same = BUF_INIT;
    if (destination_of(text, &d, &url, NULL) < 0)
        return;
    must(destination_of(buf_slice(&url), &again, &same, NULL) == 0);
    must(destination_same_origin(&d, &again) && slice_equal(buf_slice(&url), buf_slice(&same)));
    must(url_split(buf_slice(&url), &u) == 0 && slice_is(u.host, d.host) && u.port == d.port &&
         !u.has_userinfo);
    for (size_t i = 0; i < url.len; i++)
        must(url.ptr[i] > ' ' && (unsigned char)url.ptr[i] < 0x7f);
    if (allow_has(allow, &d))
        must(strcmp(d.host, "a.test") == 0 || slice_ends(slice_text(d.host), ".b.test") ||
             strcmp(d.host, "127.0.0.1") == 0 || strcmp(d.host, "::1") == 0);
}

/* A base, a line feed, a reference. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static const char *const entries[] = {"a.test:80", "*.b.test:443", "127.0.0.1:80", "[::1]:80"};
    static struct allow_list allow;
    for (size_t i = 0; allow.count < COUNT_OF(entries); i++)
        must(allow_add(&allow, slice_text(entries[i])) == 0);
    const uint8_t *end = len > 0 ? memchr(bytes, '\n', len) : NULL;
    size_t base = end != NULL ? (size_t)(end - bytes) : len;
    autobuf next = BUF_INIT;
    check(slice_of(bytes, base), &allow);
    if (end != NULL &&
        location_resolve(slice_of(bytes, base), slice_of(end + 1, len - base - 1), &next) == 0)
        check(buf_slice(&next), &allow);
    return 0;
}
