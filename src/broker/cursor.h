/* SPDX-License-Identifier: Apache-2.0 */
/* What checkpoints say of the scan and of each trigger, and recovery from it: see ROWS.md. */
#ifndef SLUICE_BROKER_CURSOR_H
#define SLUICE_BROKER_CURSOR_H

#include "broker/trigger.h"

/* The trigger is deleted: its rows go with the next checkpoint. */
void cursor_forget(struct broker_core *b, uint32_t trigger);
/* The same for triggers whose deletion a crash cut short; at start. */
void cursor_forget_orphans(struct broker_core *b);
/* known: triggers that were created behind it are in no checkpoint yet. */
int cursor_load(struct trigger *t, uint64_t known);
/* b->scanned and b->known. */
void cursor_load_scan(struct broker_core *b);
void cursor_checkpoint(struct broker_core *b);
uint64_t cursor_needed(const struct broker_core *b);
/* Positions that replay found finished, handed to their triggers as these come up. */
void cursor_take_replay(struct broker_core *b, struct broker_replay *replay);

#endif
