/* SPDX-License-Identifier: Apache-2.0 */
/* The memory twin: the same contract, nothing survives the process. */
#ifndef SLUICE_STORE_MEMORY_H
#define SLUICE_STORE_MEMORY_H

#include "store/store.h"

int memory_open(const struct store_options *options, struct store **ret, struct error *err);

#endif
