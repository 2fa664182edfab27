/* SPDX-License-Identifier: Apache-2.0 */
/* Where a trigger starts: the annotation sluice.dev/start, resolved when the trigger is created and
 * kept in rows that come and go with it (ROWS.md, "b" and "i"). Loop thread. */
#ifndef SLUICE_BROKER_START_H
#define SLUICE_BROKER_START_H

#include "broker/trigger.h"
#include "resource/annotation.h"

/* The trigger starts at an event of which the id is known: it reads the log from the beginning up
 * to its own creation, and takes nothing until it has met that event. */
struct start_search {
    char *id;     /* ID or SOURCE#ID */
    bool writing; /* found: the row that says so is on its way */
    bool missing; /* all was read, and none was it */
};

/* Letters of the rows in CURSORS that are logged, and go with the trigger. */
#define START_ROWS "bir"

registry_extend_fn start_extend;
/* Reads the rows: t->start, t->created, t->search. */
void start_load(struct trigger *t);
void start_free_search(struct trigger *t);
/* After store_close(): rows on their way. */
void start_free_rows(struct broker_core *b);
/* While t->search: false when the trigger is to stay at this event for now. */
bool start_passes(struct trigger *t, uint64_t position, const struct event *e);
/* While t->search: the trigger has read all that was there. */
void start_not_found(struct trigger *t);
/* The same, said by nobody: at start, and when there is no broker that could have it. */
void start_end_search(struct trigger *t);
/* Is it known where the trigger starts? Else why not. */
bool start_is_known(const struct trigger *t, const char **ret_reason, struct error *err);
/* Adds to the status what the annotation has become. */
void start_say(const struct trigger *t, json_t *status);

/* The position of the last event before the place; not for ids. -EINVAL with a message when there
 * is no such place. */
int start_resolve(struct broker_core *b, const struct annotation_place *place, uint64_t *ret_before,
                  struct error *err);
/* Is it the event that "ID" or "SOURCE#ID" means? */
bool start_is_event(struct slice id, const struct event *e);
/* The row's key in CURSORS. */
void start_key(char letter, uint32_t trigger, struct buf *out);

#endif
