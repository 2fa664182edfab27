/* SPDX-License-Identifier: Apache-2.0 */
/* The field Retry-After (RFC 9110 §10.2.3): a number of seconds, or a date in one of the three
 * forms of §5.6.7. Pure. */
#ifndef SLUICE_HTTP_RETRY_AFTER_H
#define SLUICE_HTTP_RETRY_AFTER_H

#include "base/slice.h"

#include <stdint.h>

/* How long to wait from now_ns (realtime) on; 0 for a date that has passed, UINT64_MAX for what is
 * longer than that. 0, or -EINVAL: neither seconds nor a date. */
int retry_after_parse(struct slice value, uint64_t now_ns, uint64_t *ret_wait_ns);

/* One of the three forms: seconds since 1970-01-01T00:00:00Z, negative before it. now_ns decides
 * the century of the form with a year of two digits. 0 or -EINVAL. */
int http_date_parse(struct slice text, uint64_t now_ns, int64_t *ret_seconds);

#endif
