/* SPDX-License-Identifier: Apache-2.0 */
/* Text to bytes and back: TextEncoder, TextDecoder (WHATWG Encoding) and Buffer. */
#include "worker/web.h"

#include "base/encoding.h"
#include "base/memory.h"

#include <string.h>

#define REPLACEMENT 0xfffd

/* The numbers that web_text.js and web_buffer.js know. */
enum text_form {
    TEXT_UTF8,
    TEXT_UTF16LE,
    TEXT_UTF16BE,
    TEXT_LATIN1,
    TEXT_ASCII,
    TEXT_WINDOWS_1252,
    TEXT_HEX,
    TEXT_BASE64,
    TEXT_BASE64URL,
    TEXT_FORM_COUNT,
};

/* 0x80 to 0x9f of windows-1252. */
static const uint16_t windows_1252[32] = {
    0x20ac, 0x81,   0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
    0x2039, 0x0152, 0x8d,   0x017d, 0x8f,   0x90,   0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
    0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0x9d,   0x017e, 0x0178,
};

static const char hex_digits[] = "0123456789abcdef";
static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

static const unsigned char *bytes_of(const struct buf *b)
{
    return (const unsigned char *)b->ptr;
}

/* ---- bytes to text: each returns whether nothing had to be replaced ---- */

static bool is_surrogate(int32_t c)
{
    return c >= 0xd800 && c < 0xe000;
}

bool web_text_mend(const struct buf *in, struct buf *out)
{
    if (encoding_utf8_valid(buf_slice(in))) {
        buf_add_slice(out, buf_slice(in));
        return true;
    }
    const unsigned char *at = bytes_of(in), *end = at + in->len;
    while (at < end) {
        const unsigned char *begin = at;
        int32_t c = web_utf8_next(&at, end);
        if (is_surrogate(c)) { /* as bytes, these three are wrong one by one */
            at = begin + 1;
            c = -1;
        }
        web_utf8_add(out, c < 0 ? REPLACEMENT : (uint32_t)c);
    }
    return false;
}

/* keep: surrogates without a partner stay what they are, as in Buffer's strings. */
static bool read_utf16(const struct buf *in, bool big, bool keep, struct buf *out)
{
    bool good = in->len % 2 == 0;
    const unsigned char *bytes = bytes_of(in);
    for (size_t i = 0; i + 1 < in->len; i += 2) {
        uint32_t c = (uint32_t)bytes[i + !big] << 8 | bytes[i + big];
        if (c >= 0xd800 && c < 0xdc00 && i + 3 < in->len) {
            uint32_t low = (uint32_t)bytes[i + 2 + !big] << 8 | bytes[i + 2 + big];
            if (low >= 0xdc00 && low < 0xe000) {
                c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
                i += 2;
            }
        }
        bool lone = is_surrogate((int32_t)c);
        good = good && !lone;
        web_utf8_add(out, lone && !keep ? REPLACEMENT : c);
    }
    if (in->len % 2 != 0 && !keep)
        web_utf8_add(out, REPLACEMENT);
    return good;
}

static void read_single(const struct buf *in, enum text_form form, struct buf *out)
{
    const unsigned char *bytes = bytes_of(in);
    for (size_t i = 0; i < in->len; i++) {
        uint32_t c = bytes[i];
        if (form == TEXT_ASCII)
            c &= 0x7f;
        else if (form == TEXT_WINDOWS_1252 && c >= 0x80 && c < 0xa0)
            c = windows_1252[c - 0x80];
        web_utf8_add(out, c);
    }
}

static void read_hex(const struct buf *in, struct buf *out)
{
    const unsigned char *bytes = bytes_of(in);
    char *to = buf_reserve(out, in->len * 2);
    if (to == NULL)
        return;
    for (size_t i = 0; i < in->len; i++) {
        *to++ = hex_digits[bytes[i] >> 4];
        *to++ = hex_digits[bytes[i] & 15];
    }
    out->len += in->len * 2;
}

static void read_base64(const struct buf *in, bool url, struct buf *out)
{
    encoding_base64_add(out, buf_slice(in));
    if (!url || !buf_ok(out))
        return;
    while (out->len > 0 && out->ptr[out->len - 1] == '=')
        out->len--;
    for (size_t i = 0; i < out->len; i++)
        out->ptr[i] = out->ptr[i] == '+' ? '-' : out->ptr[i] == '/' ? '_' : out->ptr[i];
}

static bool read_text(const struct buf *in, enum text_form form, bool keep, struct buf *out)
{
    switch (form) {
    case TEXT_UTF8:
        return web_text_mend(in, out);
    case TEXT_UTF16LE:
    case TEXT_UTF16BE:
        return read_utf16(in, form == TEXT_UTF16BE, keep, out);
    case TEXT_LATIN1:
    case TEXT_ASCII:
    case TEXT_WINDOWS_1252:
        read_single(in, form, out);
        return true;
    case TEXT_HEX:
        read_hex(in, out);
        return true;
    case TEXT_BASE64:
    case TEXT_BASE64URL:
        read_base64(in, form == TEXT_BASE64URL, out);
        return true;
    case TEXT_FORM_COUNT:
        break;
    }
    return false;
}

/* decodeText(bytes, form, mode): undefined when mode is 1 (fatal) and something is wrong. Mode 2:
 * surrogates without a partner stay. */
static engine_value host_decode_text(uint32_t argc, const engine_value *argv)
{
    web_local in = web_scratch(0);
    web_local out = web_scratch(1);
    uint32_t form = web_number_argument(argc, argv, 1, TEXT_FORM_COUNT);
    uint32_t mode = web_number_argument(argc, argv, 2, 3);
    if (form == TEXT_FORM_COUNT || !web_bytes_argument(argc, argv, 0, in))
        return engine_throw("these bytes cannot be decoded");
    bool good = read_text(in, (enum text_form)form, mode == 2, out);
    return mode == 1 && !good ? engine_undefined() : web_give_text(out);
}

/* ---- text to bytes ---- */

/* form is TEXT_UTF16LE or one of the single-byte ones; the text as the guest writes it. */
static void write_units(const struct buf *in, enum text_form form, struct buf *out)
{
    const unsigned char *at = bytes_of(in), *end = at + in->len;
    while (at < end) {
        int32_t c = web_utf8_next(&at, end);
        uint32_t units[2] = {c < 0 ? REPLACEMENT : (uint32_t)c, 0};
        unsigned count = 1;
        if (c >= 0x10000) {
            units[0] = 0xd800 + ((uint32_t)(c - 0x10000) >> 10);
            units[1] = 0xdc00 + ((uint32_t)(c - 0x10000) & 0x3ff);
            count = 2;
        }
        for (unsigned i = 0; i < count; i++) {
            buf_add_byte(out, (char)(units[i] & 0xff));
            if (form == TEXT_UTF16LE)
                buf_add_byte(out, (char)(units[i] >> 8));
        }
    }
}

static int digit_of(const char *digits, char c)
{
    const char *found = c != '\0' ? strchr(digits, c) : NULL;
    return found != NULL ? (int)(found - digits) : -1;
}

/* Up to the first pair that is not two digits, as Buffer does. */
static void write_hex(const struct buf *in, struct buf *out)
{
    for (size_t i = 0; i + 1 < in->len; i += 2) {
        int high = digit_of(hex_digits, (char)(in->ptr[i] | (in->ptr[i] >= 'A' ? 0x20 : 0)));
        int low = digit_of(hex_digits, (char)(in->ptr[i + 1] | (in->ptr[i + 1] >= 'A' ? 0x20 : 0)));
        if (high < 0 || low < 0)
            return;
        buf_add_byte(out, (char)(high << 4 | low));
    }
}

/* Both alphabets, what is no digit left out, up to the first =, as Buffer does. */
static void write_base64(const struct buf *in, struct buf *out)
{
    uint32_t bits = 0;
    unsigned count = 0;
    for (size_t i = 0; i < in->len && in->ptr[i] != '='; i++) {
        char c = in->ptr[i];
        int digit = c == '+' || c == '-'   ? 62
                    : c == '/' || c == '_' ? 63
                                           : digit_of(base64_digits, c);
        if (digit < 0)
            continue;
        bits = bits << 6 | (uint32_t)digit;
        count += 6;
        if (count >= 8) {
            count -= 8;
            buf_add_byte(out, (char)(bits >> count));
        }
    }
}

/* encodeText(text, form) */
static engine_value host_encode_text(uint32_t argc, const engine_value *argv)
{
    web_local in = web_scratch(0);
    web_local out = web_scratch(1);
    uint32_t form = web_number_argument(argc, argv, 1, TEXT_FORM_COUNT);
    if (form == TEXT_UTF8)
        return web_text_argument(argc, argv, 0, in) ? web_give_bytes(in)
                                                    : engine_throw("the text is too long");
    if (form == TEXT_FORM_COUNT || argc < 1 || engine_get_text(argv[0], WEB_BYTES_MAX, in) < 0 ||
        !buf_ok(in))
        return engine_throw("this text cannot be encoded");
    if (form == TEXT_HEX)
        write_hex(in, out);
    else if (form == TEXT_BASE64 || form == TEXT_BASE64URL)
        write_base64(in, out);
    else
        write_units(in, (enum text_form)form, out);
    return web_give_bytes(out);
}

const struct engine_function web_text_functions[] = {
    {"decodeText", host_decode_text},
    {"encodeText", host_encode_text},
};
const size_t web_text_function_count = COUNT_OF(web_text_functions);
