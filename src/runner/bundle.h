/* SPDX-License-Identifier: Apache-2.0 */
/* What the runner needs to know of a bundle (worker/protocol.h, runner/protocol.h). */
#ifndef SLUICE_RUNNER_BUNDLE_H
#define SLUICE_RUNNER_BUNDLE_H

#include "base/error.h"
#include "base/slice.h"
#include "runner/allow.h"

#include <jansson.h>

#define BUNDLE_BYTES_MAX (64u << 20)
#define BUNDLE_FILES_MAX 4096

struct bundle_limits {
    uint64_t memory_bytes, timeout_ms, request_bytes, response_bytes, log_bytes;
    unsigned concurrency;
};

/* Texts belong to root. */
struct bundle {
    json_t *root;
    const char *namespace_name, *name, *runtime;
    uint64_t generation;
    const char *main;  /* NULL: the runtime's first */
    json_t *files;     /* name: text */
    json_t *env;       /* name: value */
    json_t *arguments; /* "command": words, or NULL */
    struct bundle_limits limits;
    struct allow_list allow;
};

/* Checks names and values: relative paths without . and .., no NUL in what becomes an environment.
 * 0 or -EINVAL, -ENOMEM. */
int bundle_parse(struct slice json, struct bundle *ret, struct error *err);
void bundle_done(struct bundle *b);
/* Reads all of a descriptor, from its beginning when it can be sought. */
int bundle_read(int fd, struct bundle *ret, struct error *err);

#endif
