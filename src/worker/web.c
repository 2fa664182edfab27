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
