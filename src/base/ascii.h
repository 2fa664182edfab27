/* SPDX-License-Identifier: Apache-2.0 */
/* Runs of printable ASCII, which is what most text is made of, eight bytes at a time. */
#ifndef SLUICE_BASE_ASCII_H
#define SLUICE_BASE_ASCII_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ASCII_EACH(byte) (0x0101010101010101ULL * (unsigned char)(byte))

/* Not 0 when a byte of the word is 0. */
static inline uint64_t ascii_has_zero(uint64_t word)
{
    return (word - ASCII_EACH(0x01)) & ~word & ASCII_EACH(0x80);
}

/* How many bytes at the front are printable ASCII (0x20 to 0x7e) and neither a nor b. */
static inline size_t ascii_run(const char *p, size_t len, char a, char b)
{
    size_t n = 0;
    for (; len - n >= sizeof(uint64_t); n += sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, p + n, sizeof(word));
        uint64_t below_space = (word - ASCII_EACH(0x20)) & ~word;
        if (((word | below_space) & ASCII_EACH(0x80)) | ascii_has_zero(word ^ ASCII_EACH(0x7f)) |
            ascii_has_zero(word ^ ASCII_EACH(a)) | ascii_has_zero(word ^ ASCII_EACH(b)))
            break;
    }
    while (n < len && p[n] >= 0x20 && p[n] < 0x7f && p[n] != a && p[n] != b)
        n++;
    return n;
}

#endif
