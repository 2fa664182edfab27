/* SPDX-License-Identifier: Apache-2.0 */
/* URLs as the WHATWG URL standard has them; section numbers in web_url*.c are its. */
#ifndef SLUICE_WORKER_WEB_URL_H
#define SLUICE_WORKER_WEB_URL_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

/* §4.1, with the parts as they are written. All is UTF-8. */
struct url {
    struct buf scheme, username, password, host, path, query, fragment;
    bool has_host, has_query, has_fragment;
    bool opaque;  /* the path is no list of segments */
    int32_t port; /* -1: none, or the scheme's own */
};

#define URL_NO_PORT (-1)

/* The parts that can be set by themselves; URL_PART_NONE parses a whole URL. */
enum url_part {
    URL_PART_NONE,
    URL_PART_PROTOCOL,
    URL_PART_USERNAME,
    URL_PART_PASSWORD,
    URL_PART_HOST,
    URL_PART_HOSTNAME,
    URL_PART_PORT,
    URL_PART_PATHNAME,
    URL_PART_SEARCH,
    URL_PART_HASH,
    URL_PART_COUNT,
};

void url_reset(struct url *u);
/* base may be NULL. false: this is no URL. */
bool url_parse(struct slice input, const struct url *base, struct url *u);
/* The setters of §6.1; what does not fit changes nothing. */
void url_set(struct url *u, enum url_part part, struct slice value);
bool url_is_special(const struct url *u);
/* -1: the scheme has none. */
int32_t url_default_port(struct slice scheme);
/* Appends the whole URL (§4.5), or its origin. */
void url_write(const struct url *u, struct buf *out);
void url_write_origin(const struct url *u, struct buf *out);
void url_write_host(const struct url *u, struct buf *out);
/* A part and the sign before it, unless it is empty. */
void url_write_signed(const struct buf *part, char sign, struct buf *out);

/* ---- web_url_encode.c: §1.3 ---- */

enum url_set {
    URL_SET_CONTROL,
    URL_SET_FRAGMENT,
    URL_SET_QUERY,
    URL_SET_SPECIAL_QUERY,
    URL_SET_PATH,
    URL_SET_USERINFO,
    URL_SET_FORM,
    URL_SET_COUNT,
};
bool url_in_set(unsigned char byte, enum url_set set);
void url_encode_byte(struct buf *out, unsigned char byte, enum url_set set);
void url_encode(struct buf *out, struct slice text, enum url_set set);
/* plus: a + is a space, as in forms. */
void url_decode(struct buf *out, struct slice text, bool plus);

/* ---- web_url_host.c: §3.5 ---- */

/* Appends the host in its written form. opaque: the scheme is not special. */
bool url_host(struct slice text, bool opaque, struct buf *out);
/* Makes a domain with non-ASCII characters or `xn--` labels ASCII: appends, or false. Asked in the
 * guest, whose engine has the tables of Unicode. */
bool url_domain_to_ascii(struct slice domain, struct buf *out);

#endif
