/* SPDX-License-Identifier: Apache-2.0 */
#include "http/token.h"

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

bool token_is_field_value(struct slice text)
{
    unsigned char common = VALUE;
    for (size_t i = 0; i < text.len; i++)
        common &= kinds[(unsigned char)text.ptr[i]];
    return common != 0;
}
