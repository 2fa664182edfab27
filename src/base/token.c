/* SPDX-License-Identifier: Apache-2.0 */
#include "base/token.h"

#include <strings.h>

enum { TOKEN = 1, VALUE = 2 };

#define BOTH (TOKEN | VALUE)

static const unsigned char kinds[256] = {
    ['\t'] = VALUE,        [' '] = VALUE,         ['!'] = BOTH,         ['"'] = VALUE,
    ['#' ... '\''] = BOTH, ['(' ... ')'] = VALUE, ['*' ... '+'] = BOTH, [','] = VALUE,
    ['-' ... '.'] = BOTH,  ['/'] = VALUE,         ['0' ... '9'] = BOTH, [':' ... '@'] = VALUE,
    ['A' ... 'Z'] = BOTH,  ['[' ... ']'] = VALUE, ['^' ... 'z'] = BOTH, ['{'] = VALUE,
    ['|'] = BOTH,          ['}'] = VALUE,         ['~'] = BOTH,         [0x80 ... 0xff] = VALUE,
};

size_t token_length(struct slice text)
{
    size_t n = 0;
    while (n < text.len && (kinds[(unsigned char)text.ptr[n]] & TOKEN) != 0)
        n++;
    return n;
}

bool token_is(struct slice text)
{
    return text.len > 0 && token_length(text) == text.len;
}

bool token_is_field_value(struct slice text)
{
    unsigned char common = VALUE;
    for (size_t i = 0; i < text.len; i++)
        common &= kinds[(unsigned char)text.ptr[i]];
    return common != 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

bool token_list_has(struct slice list, struct slice name)
{
    for (size_t at = 0; at < list.len;) {
        size_t end = at;
        while (end < list.len && list.ptr[end] != ',')
            end++;
        size_t from = at, to = end;
        while (from < to && is_blank(list.ptr[from]))
            from++;
        while (to > from && is_blank(list.ptr[to - 1]))
            to--;
        if (to - from == name.len && strncasecmp(list.ptr + from, name.ptr, name.len) == 0)
            return true;
        at = end + 1;
    }
    return false;
}
