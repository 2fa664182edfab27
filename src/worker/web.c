/* SPDX-License-Identifier: Apache-2.0 */
/* What the host functions of the Web APIs have in common. */
#include "worker/web.h"

#include "base/must.h"

#include <string.h>

#define WEB_KEEP_MAX 16384

void web_add_functions(engine_value host)
{
    engine_add_functions(host, web_text_functions, web_text_function_count);
    engine_add_functions(host, web_url_functions, web_url_function_count);
    engine_add_functions(host, web_crypto_functions, web_crypto_function_count);
    engine_add_functions(host, web_cipher_functions, web_cipher_function_count);
    engine_add_functions(host, web_deflate_functions, web_deflate_function_count);
}

/* The guest writes surrogates without a partner as three bytes each; so has U+FFFD. */
static void mend_surrogates(struct buf *text)
{
    char *end = text->ptr + text->len;
    for (char *at = text->ptr; at != NULL && (at = memchr(at, '\xed', (size_t)(end - at))); at++)
        if (end - at >= 3 && (unsigned char)at[1] >= 0xa0)
            memcpy(at, "\xef\xbf\xbd", 3);
}

bool web_text_argument(uint32_t argc, const engine_value *argv, uint32_t i, struct buf *out)
{
    if (i >= argc || engine_get_text(argv[i], WEB_BYTES_MAX, out) < 0 || !buf_ok(out))
        return false;
    if (out->len > 0)
        mend_surrogates(out);
    return true;
}

bool web_bytes_argument(uint32_t argc, const engine_value *argv, uint32_t i, struct buf *out)
{
    return i < argc && engine_get_bytes(argv[i], WEB_BYTES_MAX, out) == 0 && buf_ok(out);
}

uint32_t web_number_argument(uint32_t argc, const engine_value *argv, uint32_t i, uint32_t max)
{
    double number = i < argc ? engine_number(argv[i]) : max;
    return number >= 0 && number < max ? (uint32_t)number : max;
}

static struct buf scratch[WEB_SCRATCH_COUNT];

void web_scratch_done(struct buf **b)
{
    if ((*b)->ptr != NULL)
        explicit_bzero((*b)->ptr, (*b)->cap);
    if ((*b)->cap > WEB_KEEP_MAX || (*b)->failed) {
        buf_done(*b);
        **b = (struct buf)BUF_INIT;
    }
    buf_reset(*b);
}

struct buf *web_scratch(unsigned i)
{
    must(i < WEB_SCRATCH_COUNT);
    struct buf *b = &scratch[i];
    if (b->len > 0 || b->failed) /* the last call did not come back */
        web_scratch_done(&b);
    return b;
}

engine_value web_give_text(const struct buf *text)
{
    return buf_ok(text) ? engine_pass(engine_string(buf_slice(text)))
                        : engine_throw("there is no memory for the text");
}

engine_value web_give_bytes(const struct buf *bytes)
{
    return buf_ok(bytes) ? engine_pass(engine_bytes(buf_slice(bytes)))
                         : engine_throw("there is no memory for the bytes");
}

/* Unicode 15, table 3-7: how many bytes follow, and what the first of them may be. */
struct lead {
    unsigned char first, last, count, low, high;
};

static const struct lead leads[] = {
    {0xc2, 0xdf, 1, 0x80, 0xbf}, {0xe0, 0xe0, 2, 0xa0, 0xbf}, {0xe1, 0xef, 2, 0x80, 0xbf},
    {0xf0, 0xf0, 3, 0x90, 0xbf}, {0xf1, 0xf3, 3, 0x80, 0xbf}, {0xf4, 0xf4, 3, 0x80, 0x8f},
};

static const struct lead *find_lead(unsigned char byte)
{
    for (size_t i = 0; i < sizeof(leads) / sizeof(leads[0]); i++)
        if (byte >= leads[i].first && byte <= leads[i].last)
            return &leads[i];
    return NULL;
}

int32_t web_utf8_next(const unsigned char **at, const unsigned char *end)
{
    unsigned char first = *(*at)++;
    if (first < 0x80)
        return first;
    const struct lead *lead = find_lead(first);
    if (lead == NULL)
        return -1;
    uint32_t code_point = first & (0x3fu >> lead->count);
    unsigned char low = lead->low, high = lead->high;
    for (unsigned i = 0; i < lead->count; i++) {
        if (*at == end || **at < low || **at > high)
            return -1;
        code_point = code_point << 6 | (*(*at)++ & 0x3fu);
        low = 0x80;
        high = 0xbf;
    }
    return (int32_t)code_point;
}

void web_utf8_add(struct buf *out, uint32_t c)
{
    if (c < 0x80) {
        buf_add_byte(out, (char)c);
        return;
    }
    if (c < 0x800) {
        buf_add_byte(out, (char)(0xc0 | c >> 6));
    } else {
        if (c < 0x10000) {
            buf_add_byte(out, (char)(0xe0 | c >> 12));
        } else {
            buf_add_byte(out, (char)(0xf0 | c >> 18));
            buf_add_byte(out, (char)(0x80 | (c >> 12 & 0x3f)));
        }
        buf_add_byte(out, (char)(0x80 | (c >> 6 & 0x3f)));
    }
    buf_add_byte(out, (char)(0x80 | (c & 0x3f)));
}
