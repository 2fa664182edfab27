/* SPDX-License-Identifier: Apache-2.0 */
/* Where something is delivered: a Destination of a resource, resolved. */
#ifndef SLUICE_BROKER_TARGET_H
#define SLUICE_BROKER_TARGET_H

#include "base/error.h"

#include <jansson.h>

enum target_kind { TARGET_NONE, TARGET_FUNCTION, TARGET_URL, TARGET_BROKER, TARGET_KIND_COUNT };

struct target {
    enum target_kind kind;
    char *namespace_name, *name; /* FUNCTION and BROKER */
    char *path;                  /* FUNCTION: "/…" */
    char *uri;                   /* for status and knativeerrordest; the URL for TARGET_URL */
    struct http_trust *trust;    /* URL: of CACerts, or NULL */
};

/* From a Destination ({ref, uri, CACerts}) of a resource in namespace_name. 0, or -EINVAL with the
 * reason; destination NULL: TARGET_NONE. */
int target_resolve(const json_t *destination, const char *namespace_name, struct target *ret,
                   struct error *err);
void target_done(struct target *t);

struct broker_core;
struct refusal { /* why something is not as it should be, for a condition */
    const char *reason;
    struct error err;
};
/* Whether it can take events now; else v says why. */
bool target_ready(const struct broker_core *b, const struct target *target, struct refusal *v);
/* Makes a broker's uri its address, once that is known. */
void target_locate(const struct broker_core *b, struct target *target);

#endif
