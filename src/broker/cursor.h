/* SPDX-License-Identifier: Apache-2.0 */
/* What checkpoints say of the scan and of each trigger, and recovery from it: see ROWS.md. */
#ifndef SLUICE_BROKER_CURSOR_H
#define SLUICE_BROKER_CURSOR_H

#include "broker/trigger.h"

/* Logs the position after which the trigger wants events. When the store refuses, t->start_logged
 * says so, and it is to be called again. */
void cursor_log_start(struct trigger *t);
/* The trigger does not wait for that any more. */
void cursor_start_settled(struct trigger *t);
/* After store_close(). */
void cursor_free_starts(struct broker_core *b);
/* The trigger is deleted: its rows go with the next checkpoint. */
void cursor_forget(struct broker_core *b, uint32_t trigger);
/* The same for triggers whose deletion a crash cut short; at start. */
void cursor_forget_orphans(struct broker_core *b);
int cursor_load(struct trigger *t);
uint64_t cursor_load_scan(struct broker_core *b);
void cursor_checkpoint(struct broker_core *b);
uint64_t cursor_needed(const struct broker_core *b);
/* Positions that replay found finished, handed to their triggers as these come up. */
void cursor_take_replay(struct broker_core *b, struct broker_replay *replay);

#endif
