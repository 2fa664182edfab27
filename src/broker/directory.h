/* SPDX-License-Identifier: Apache-2.0 */
/* What HTTP threads know of brokers, by namespace and name. */
#ifndef SLUICE_BROKER_DIRECTORY_H
#define SLUICE_BROKER_DIRECTORY_H

#include "base/slice.h"

#include <stdint.h>

struct directory;
struct ingress_measure;

struct directory *directory_new(void);
void directory_free(struct directory *d);
/* The broker's measure, which knows its number; NULL when there is none. Any thread. */
struct ingress_measure *directory_find(struct directory *d, struct slice namespace_name,
                                       struct slice name);
int directory_put(struct directory *d, const char *namespace_name, const char *name,
                  struct ingress_measure *measure);
void directory_remove(struct directory *d, const char *namespace_name, const char *name);

#endif
