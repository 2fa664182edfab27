/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates of authorities that calls to one place trust besides the system's. Loop thread. */
#ifndef SLUICE_HTTP_TRUST_H
#define SLUICE_HTTP_TRUST_H

struct http_trust;

/* pem: certificates in PEM form, copied. What is equal is one, referenced. NULL: out of memory. */
struct http_trust *http_trust_of(const char *pem);
struct http_trust *http_trust_ref(struct http_trust *t); /* t may be NULL */
void http_trust_unref(struct http_trust *t);

#define HTTP_TRUST_PATH_SIZE 40
/* A file that has them, after those of the file `system` (may be NULL), for as long as t lives.
 * Made once: what becomes of `system` later is not seen. 0 or negative errno. */
int http_trust_file(struct http_trust *t, const char *system, char path[HTTP_TRUST_PATH_SIZE]);

#endif
