/* SPDX-License-Identifier: Apache-2.0 */
#include "http/request_head.h"

#include "base/must.h"
#include "base/token.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* A copy of exactly the first len bytes: whoever reads on is caught. */
static unsigned read_first(struct request_head *h, const char *bytes, size_t len)
{
    struct error err = {0};
    char *copy = malloc(len > 0 ? len : 1);
    must(copy != NULL);
    memcpy(copy, bytes, len);
    unsigned got = request_head_read(h, copy, len, &err);
    free(copy);
    return got;
}

/* Step by step, each time at another address. */
static unsigned read_cut(struct request_head *h, const char *bytes, size_t len, size_t step)
{
    unsigned got = 0;
    request_head_begin(h);
    for (size_t end = 0; got == 0 && end < len;) {
        end = end + step < len ? end + step : len;
        got = read_first(h, bytes, end);
    }
    return got;
}

static bool is_clean(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] <= ' ' || text.ptr[i] == 0x7f)
            return false;
    return text.len > 0;
}

static void check_field(const struct request_head *h, const struct request_field *f,
                        const char *bytes)
{
    must((size_t)f->name + f->name_len < h->length && (size_t)f->value + f->value_len <= h->length);
    struct slice name = request_field_name(f, bytes), value = request_field_value(f, bytes);
    must(name.len > 0 && token_length(name) == name.len && name.ptr[name.len] == ':');
    must(token_is_field_value(value) && memchr(value.ptr, '\n', value.len) == NULL);
    must(value.len == 0 ||
         (strchr(" \t", value.ptr[0]) == NULL && strchr(" \t", value.ptr[value.len - 1]) == NULL));
}

static size_t line_feeds(const char *bytes, size_t len)
{
    size_t count = 0;
    for (size_t i = 0; i < len; i++)
        count += bytes[i] == '\n';
    return count;
}

/* What holds for a head that was taken. */
static void check_head(const struct request_head *h, const char *bytes, size_t len)
{
    must(h->length <= len && h->length <= REQUEST_HEAD_MAX && h->length >= 4);
    must(memcmp(bytes + h->length - 4, "\r\n\r\n", 4) == 0);
    must(h->minor <= 1 && h->field_count <= REQUEST_FIELDS_MAX);
    struct slice method = request_head_method(h, bytes), target = request_head_target(h, bytes);
    must(method.len > 0 && method.len <= REQUEST_METHOD_MAX && token_length(method) == method.len);
    must(target.len <= REQUEST_TARGET_MAX && is_clean(target));
    for (size_t i = 0; i < h->field_count; i++)
        check_field(h, &h->fields[i], bytes);
    /* The request line, a line a field, the empty one: nothing was passed over. */
    must(line_feeds(bytes + h->begin, h->length - h->begin) == h->field_count + 2u);
}

/* The first two bytes say how the rest is cut; however it is, the outcome is that of one piece, and
 * what stands behind a head has no part in it. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static struct request_head whole, cut, alone;
    if (len < 2)
        return 0;
    size_t step = 1u + bytes[0] + (size_t)bytes[1] * 16;
    const char *text = (const char *)bytes + 2;
    len -= 2;
    request_head_begin(&whole);
    unsigned want = read_first(&whole, text, len);
    must(want == read_cut(&cut, text, len, step));
    must(want == 0 || want == 1 || want == 400 || want == 414 || want == 431 || want == 505);
    must(want != 0 || len <= REQUEST_HEAD_MAX);
    if (want != 1)
        return 0;
    check_head(&whole, text, len);
    request_head_begin(&alone);
    must(read_first(&alone, text, whole.length) == 1);
    must(whole.length == cut.length && whole.length == alone.length);
    must(whole.field_count == cut.field_count && whole.field_count == alone.field_count);
    must(memcmp(whole.fields, cut.fields, whole.field_count * sizeof(whole.fields[0])) == 0);
    must(memcmp(whole.fields, alone.fields, whole.field_count * sizeof(whole.fields[0])) == 0);
    return 0;
}
