/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8, a character at a time. */
#include "worker/web.h"

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
