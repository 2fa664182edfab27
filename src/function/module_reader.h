/* SPDX-License-Identifier: Apache-2.0 */
/* A cursor over the bytes of a WebAssembly binary (core specification §5.1, §5.2). The first error
 * sticks: readers return 0 from then on, and loops look at status. */
#ifndef SLUICE_FUNCTION_MODULE_READER_H
#define SLUICE_FUNCTION_MODULE_READER_H

#include "function/module.h"

struct module_reader {
    const uint8_t *base, *at, *end;
    const char *where; /* what is being read, for messages: "the code section" */
    struct error *err;
    int status;
};

static inline bool module_reader_ok(const struct module_reader *r)
{
    return r->status == 0;
}

/* Records the first error; further ones change nothing. Moves to the end, so that loops stop. */
__attribute__((format(printf, 3, 4))) void module_reader_fail(struct module_reader *r, int code,
                                                              const char *format, ...);
/* The bytes break the format: the message gets the offset. */
void module_reader_malformed(struct module_reader *r, const char *what);
/* "uses FEATURE, which functions cannot use". */
void module_reader_refuse(struct module_reader *r, const char *feature);

uint8_t module_reader_byte(struct module_reader *r);
uint32_t module_reader_u32(struct module_reader *r);
/* A signed LEB128 of at most bits bits (33, 32, 64); the value is not needed. */
void module_reader_skip_signed(struct module_reader *r, unsigned bits);
int64_t module_reader_s33(struct module_reader *r);
void module_reader_skip(struct module_reader *r, size_t n);
/* A length and that many bytes of valid UTF-8. */
struct slice module_reader_name(struct module_reader *r);
/* A number of items of at least item_bytes each, so that a lying count cannot make us allocate. */
uint32_t module_reader_count(struct module_reader *r, size_t item_bytes, uint32_t max,
                             const char *what);
/* A value type; the message names the feature of one that is not given. */
uint8_t module_reader_value_type(struct module_reader *r);
/* funcref or externref. */
uint8_t module_reader_reference_type(struct module_reader *r);
/* A constant expression up to its end (§3.3.10). */
void module_reader_constant(struct module_reader *r, const struct module *m);

/* Walks one function's body, behind its size: locals and instructions. */
void module_code_check(struct module_reader *r, const struct module *m,
                       const struct module_limits *limits, uint32_t function);

#endif
