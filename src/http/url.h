/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of an http or https URL (RFC 3986 §3, RFC 9110 §4.2). Pure. */
#ifndef SLUICE_HTTP_URL_H
#define SLUICE_HTTP_URL_H

#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

struct buf;

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

/* 0, or -EINVAL: another scheme, no host, brackets around anything but an IPv6 address, a bad port,
 * or a character that must be escaped (blanks and control characters). A fragment is left out. */
int url_split(struct slice text, struct url *ret);
/* http, no user name, and a host as it goes to the resolver: no percent sign (an escape, or the
 * zone of an address), no name in another script. All else is libcurl's. */
bool url_is_plain(const struct url *u);

/* Appends a path or a query as a request may carry it: what is not ASCII stands in a URL only
 * escaped (RFC 3986 §2.1), all else stays as it is. Errors stay in the buffer. */
void url_add_escaped(struct buf *out, struct slice text);

/* An authority as the Host field says it: "h:" means "h" (RFC 3986 §3.2.3). A part of the text
 * given. */
struct slice url_without_empty_port(struct slice authority);

#endif
