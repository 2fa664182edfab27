/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands for dead letters have in common. */
#ifndef SLUICE_CLI_DEAD_H
#define SLUICE_CLI_DEAD_H

#include "cli/cli_internal.h"

/* &namespace=…&trigger=…: the options that say which are meant. False after printing what is wrong.
 */
bool dead_add_query(const struct cli_call *call, struct buf *path);
/* False after printing that it is none. */
bool dead_position(const struct cli_call *call, const char *text, uint64_t *ret);
/* The one of that position, in the namespace and of the trigger that the call names; the caller
 * gives the reference back. ret_text: the answer, for dead_cut_event(). */
int dead_find(struct remote *r, const struct cli_call *call, uint64_t position, json_t **ret_item,
              struct buf *ret_text, struct error *err);
/* Its event as it stands in the answer. */
bool dead_cut_event(const struct buf *text, struct slice *ret);

#endif
