/* SPDX-License-Identifier: Apache-2.0 */
/* sluice version */
#include "cli/cli_internal.h"

int cli_version(const struct cli_call *call)
{
    (void)call;
    printf("sluice %s\n", SLUICE_VERSION);
    return CLI_OK;
}
