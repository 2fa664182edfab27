/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of the rows in RETRIES that a trigger's deliveries in memory stand for, sorted. Loop thread.
 */
#ifndef SLUICE_BROKER_RETRY_KEYS_H
#define SLUICE_BROKER_RETRY_KEYS_H

#include "broker/delivery.h"

struct retry_keys {
    struct buf keys;
};

/* settling: only those of deliveries whose outcome is on its way. In any case with the rows that
 * those outcomes write, which the table may show already. -ENOMEM. */
int retry_keys_collect(struct retry_keys *k, const struct trigger *t, bool settling);
bool retry_keys_have(const struct retry_keys *k, struct slice key);
void retry_keys_done(struct retry_keys *k);

#endif
