/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of an http or https URL (RFC 3986 §3, RFC 9110 §4.2). Pure. */
#ifndef SLUICE_HTTP_URL_H
#define SLUICE_HTTP_URL_H

#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

/* Slices point into the text. */
struct url {
    bool secure;                /* https */
    struct slice authority;     /* host and port as written: what the Host header says */
    struct slice host;          /* without the brackets of an IPv6 address */
    uint16_t port;              /* the scheme's own when none is written */
    struct slice path;          /* as written, may be empty */
    struct slice query;         /* with its question mark, or empty */
    bool is_ipv6, has_userinfo; /* user information is not part of authority and host */
};

/* 0, or -EINVAL: another scheme, no host, a bad port, or a character that must be escaped (blanks
 * and control characters). A fragment is left out. */
int url_split(struct slice text, struct url *ret);

#endif
