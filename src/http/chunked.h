/* SPDX-License-Identifier: Apache-2.0 */
/* Takes the chunked transfer coding off a body as its bytes come in (RFC 9112 §7.1). Pure. Strict:
 * every line ends with CR LF. Extensions and trailer fields are checked, bounded and dropped. */
#ifndef SLUICE_HTTP_CHUNKED_H
#define SLUICE_HTTP_CHUNKED_H

#include "base/slice.h"

#include <stdint.h>

#define CHUNKED_LINE_MAX    256        /* a chunk's size with its extensions */
#define CHUNKED_TRAILER_MAX (8 * 1024) /* all trailer fields */

enum chunked_state {
    CHUNKED_SIZE,
    CHUNKED_BLANK, /* before an extension */
    CHUNKED_EXTENSION,
    CHUNKED_SIZE_END,
    CHUNKED_DATA,
    CHUNKED_DATA_CR,
    CHUNKED_DATA_LF,
    CHUNKED_LINE_START, /* of a trailer field, or of the last line */
    CHUNKED_NAME,
    CHUNKED_VALUE,
    CHUNKED_FIELD_END,
    CHUNKED_LAST_LF,
    CHUNKED_OVER,
};

struct chunked {
    enum chunked_state state;
    unsigned digits, line_len, trailer_len;
    uint64_t left; /* bytes of the chunk that are still to come */
};

void chunked_begin(struct chunked *c);
/* Takes bytes off the front of *bytes and points *ret_data to what of them is data, one piece a
 * call; call again while bytes are left. 1: the body is over, and *bytes is what comes behind it;
 * 0: it is not; -EPROTO: malformed; -EMSGSIZE: a line, the trailer or a size beyond its limit. */
int chunked_read(struct chunked *c, struct slice *bytes, struct slice *ret_data);

/* Bytes that are still to come of the chunk whose size line has ended. */
static inline uint64_t chunked_announced(const struct chunked *c)
{
    return c->state == CHUNKED_DATA ? c->left : 0;
}

#endif
