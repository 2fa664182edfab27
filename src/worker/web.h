/* SPDX-License-Identifier: Apache-2.0 */
/* Host functions behind the Web platform APIs of runtimes/js/web_*.js. None keeps anything between
 * two calls: what has state is a JavaScript object, so that a snapshot holds all of it. */
#ifndef SLUICE_WORKER_WEB_H
#define SLUICE_WORKER_WEB_H

#include "worker/engine.h"

/* What one call takes or gives at most; the guest's own memory limit is mostly less. */
#define WEB_BYTES_MAX (256u * 1024 * 1024)

/* Adds all of them to the prelude's `host`. */
void web_add_functions(engine_value host);

extern const struct engine_function web_text_functions[], web_url_functions[],
    web_crypto_functions[], web_cipher_functions[], web_deflate_functions[];
extern const size_t web_text_function_count, web_url_function_count, web_crypto_function_count,
    web_cipher_function_count, web_deflate_function_count;

/* ---- arguments of host functions ---- */

/* The text of argument i as UTF-8: surrogates without a partner become U+FFFD. false: it is no
 * string, or too long. */
bool web_text_argument(uint32_t argc, const engine_value *argv, uint32_t i, struct buf *out);
/* The bytes of argument i, an ArrayBuffer or a view. */
bool web_bytes_argument(uint32_t argc, const engine_value *argv, uint32_t i, struct buf *out);
/* A whole number from 0 to max; max when it is not one. */
uint32_t web_number_argument(uint32_t argc, const engine_value *argv, uint32_t i, uint32_t max);
/* Buffer i of a few that are there for the call: empty. Static, because running out of guest memory
 * leaves a host function without coming back. Declared as web_local, what was copied, keys too, is
 * wiped when the function returns. */
struct buf *web_scratch(unsigned i);
void web_scratch_done(struct buf **b);
#define WEB_SCRATCH_COUNT 6
#define web_local         __attribute__((cleanup(web_scratch_done))) struct buf *

/* A value for the guest, or an exception when the buffer ran out of memory. */
engine_value web_give_text(const struct buf *text);
engine_value web_give_bytes(const struct buf *bytes);

/* ---- UTF-8 ---- */

/* The code point at *at, which moves behind it. Surrogates are let through as the engine writes
 * them; -1: no UTF-8, and *at is behind the longest part that could have begun a character (WHATWG
 * Encoding, "maximal subpart"). */
int32_t web_utf8_next(const unsigned char **at, const unsigned char *end);
void web_utf8_add(struct buf *out, uint32_t code_point);
/* Appends bytes as text, with U+FFFD for what is no UTF-8. Whether all was. */
bool web_text_mend(const struct buf *in, struct buf *out);

#endif
