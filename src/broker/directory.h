/* SPDX-License-Identifier: Apache-2.0 */
/* What HTTP threads know of brokers: their numbers, by namespace and name. */
#ifndef SLUICE_BROKER_DIRECTORY_H
#define SLUICE_BROKER_DIRECTORY_H

#include "base/slice.h"

#include <stdint.h>

struct directory;

struct directory *directory_new(void);
void directory_free(struct directory *d);
/* The broker's number, 0 when there is none. Any thread. */
uint32_t directory_find(struct directory *d, struct slice namespace_name, struct slice name);
int directory_put(struct directory *d, const char *namespace_name, const char *name,
                  uint32_t number);
void directory_remove(struct directory *d, const char *namespace_name, const char *name);

#endif
