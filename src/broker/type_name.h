/* SPDX-License-Identifier: Apache-2.0 */
/* Types of events as labels of metrics: each is kept once, and compared by its address. Any thread;
 * a look-up takes no lock. What senders may make of it is bounded: so many names, so long, and no
 * long search. */
#ifndef SLUICE_BROKER_TYPE_NAME_H
#define SLUICE_BROKER_TYPE_NAME_H

#include "base/slice.h"

#define TYPE_NAMES_MAX 4096 /* of all brokers */
#define TYPE_NAME_MAX  128  /* bytes */

struct type_name;
struct type_names;

struct type_names *type_names_new(void);
/* When no other thread looks any more. */
void type_names_free(struct type_names *t);
/* NULL: one of the others. It lives as long as the table. */
const struct type_name *type_names_find(struct type_names *t, struct slice type);
/* "other" for NULL. */
struct slice type_name_text(const struct type_name *n);

#endif
