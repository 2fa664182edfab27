/* SPDX-License-Identifier: Apache-2.0 */
/* Text encodings: UTF-8, base64 (RFC 4648 §4), percent-encoding (RFC 3986 §2.1), hexadecimal,
 * quantities. */
#ifndef SLUICE_BASE_ENCODING_H
#define SLUICE_BASE_ENCODING_H

#include "base/buf.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

/* No overlong forms, no surrogates, nothing above U+10FFFF. */
bool encoding_utf8_valid(struct slice text);
void encoding_base64_add(struct buf *out, struct slice bytes);
/* Padding is required; white space is refused. 0 or -EINVAL. */
int encoding_base64_decode(struct slice text, struct buf *out);
/* One pass; -EINVAL on % without two hexadecimal digits. */
int encoding_percent_decode(struct slice text, struct buf *out);
/* A Kubernetes quantity of bytes: 64Mi, 1G, 512. 0 or -EINVAL. */
int encoding_parse_bytes(struct slice text, uint64_t *ret_bytes);
/* A decimal number without sign, blanks or leading +. 0, -EINVAL or -ERANGE. */
int encoding_parse_u64(struct slice text, uint64_t *ret);

#endif
