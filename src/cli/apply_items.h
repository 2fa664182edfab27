/* SPDX-License-Identifier: Apache-2.0 */
/* Applies the items of a manifest, several at a time, so that their writes share syncs. */
#ifndef SLUICE_CLI_APPLY_ITEMS_H
#define SLUICE_CLI_APPLY_ITEMS_H

#include "cli/cli_internal.h"

struct apply_result {
    int status; /* 0, or a negative errno with err */
    const char *outcome;
    struct error err;
};

/* Calls show for each item, in the order of the manifest and on the calling thread, as soon as the
 * item and all before it are done. After it returned false no further item is begun, and those that
 * were begun are shown only if they succeeded. 0, or -ENOMEM after saying so. */
int apply_items(const struct cli_call *call, const struct manifest *m,
                bool (*show)(void *ctx, size_t index, const struct apply_result *result),
                void *ctx);

/* apply.c, for who applies a manifest of his own making. The call has the options of apply that are
 * not files. The time of --wait: CLI_OK or CLI_USAGE. */
int apply_wait_time(const struct cli_call *call, uint64_t *ret_ns);
/* Sorts, sends, tells, waits when that was asked for. CLI_OK or CLI_FAILED. */
int apply_manifest(const struct cli_call *call, struct manifest *m, uint64_t wait_ns);

#endif
