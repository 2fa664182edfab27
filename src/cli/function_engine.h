/* SPDX-License-Identifier: Apache-2.0 */
/* Images of functions that run in a process of their own: from their runtime's Dockerfile, by
 * buildah, podman or docker, whichever is there. */
#ifndef SLUICE_CLI_FUNCTION_ENGINE_H
#define SLUICE_CLI_FUNCTION_ENGINE_H

#include "cli/project.h"

/* CLI_OK, or CLI_FAILED after saying why. */
int function_engine_build(const struct cli_call *call, const struct project *p,
                          const char *reference);

#endif
