/* SPDX-License-Identifier: Apache-2.0 */
/* The one scan of the log that offers each event to the triggers that want it. Loop thread. */
#ifndef SLUICE_BROKER_SCAN_H
#define SLUICE_BROKER_SCAN_H

#include "broker/broker_internal.h"

/* With the core: reads where the last checkpoint left off. */
void scan_init(struct broker_core *b);
/* 0 or -ENOMEM. */
int scan_start(struct broker_core *b);
/* Lets go of the log. */
void scan_stop(struct broker_core *b);
void scan_done(struct broker_core *b);
/* Reads on in the next turn. */
void scan_wake(struct broker_core *b);
/* Now and then: passes what nobody wants, tries again what could not be read. */
void scan_tend(struct broker_core *b);

#endif
