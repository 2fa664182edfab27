/* SPDX-License-Identifier: Apache-2.0 */
/* Percent-encoding with the sets of the URL standard. */
#include "worker/web_url.h"

#include <string.h>

/* What each set adds to the C0 controls and everything above `~`. */
static const char *const added[URL_SET_COUNT] = {
    [URL_SET_CONTROL] = "",
    [URL_SET_FRAGMENT] = " \"<>`",
    [URL_SET_QUERY] = " \"#<>",
    [URL_SET_SPECIAL_QUERY] = " \"#<>'",
    [URL_SET_PATH] = " \"#<>?`{}",
    [URL_SET_USERINFO] = " \"#<>?^`{}/:;=@[\\]|",
    [URL_SET_FORM] = " \"#<>?^`{}/:;=@[\\]|$%&+,!'()~",
};

bool url_in_set(unsigned char byte, enum url_set set)
{
    return byte < 0x20 || byte > 0x7e || strchr(added[set], byte) != NULL;
}

void url_encode_byte(struct buf *out, unsigned char byte, enum url_set set)
{
    static const char digits[] = "0123456789ABCDEF";
    if (!url_in_set(byte, set)) {
        buf_add_byte(out, (char)byte);
        return;
    }
    char text[3] = {'%', digits[byte >> 4], digits[byte & 15]};
    buf_add(out, text, sizeof(text));
}

void url_encode(struct buf *out, struct slice text, enum url_set set)
{
    for (size_t i = 0; i < text.len; i++)
        url_encode_byte(out, (unsigned char)text.ptr[i], set);
}

static int digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

void url_decode(struct buf *out, struct slice text, bool plus)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '%' && i + 2 < text.len && digit(text.ptr[i + 1]) >= 0 &&
            digit(text.ptr[i + 2]) >= 0) {
            c = (char)(digit(text.ptr[i + 1]) << 4 | digit(text.ptr[i + 2]));
            i += 2;
        } else if (plus && c == '+') {
            c = ' ';
        }
        buf_add_byte(out, c);
    }
}
