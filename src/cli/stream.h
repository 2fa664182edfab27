/* SPDX-License-Identifier: Apache-2.0 */
/* Events as they come, a line each. */
#ifndef SLUICE_CLI_STREAM_H
#define SLUICE_CLI_STREAM_H

#include "cli/cli_internal.h"

/* Prints the lines of GET /-/events, until there were so many (UINT64_MAX: for ever). 0 when there
 * were, else negative errno with err. */
int stream_events(struct remote *r, const char *path, bool json, uint64_t count, struct error *err);

#endif
