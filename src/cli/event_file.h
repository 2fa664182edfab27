/* SPDX-License-Identifier: Apache-2.0 */
/* An event that a command is given to look at: a file with its JSON form. */
#ifndef SLUICE_CLI_EVENT_FILE_H
#define SLUICE_CLI_EVENT_FILE_H

#include "base/buf.h"
#include "base/error.h"
#include "event/event.h"

struct event_file {
    struct event event; /* borrows from what follows */
    struct event_arena arena;
    struct buf text;
};

/* path: "-" is stdin, NULL an event with what each must have. Attributes that are required and not
 * there are filled in: who tries a filter need not write them. 0 or a negative errno with a
 * message; event_file_done() in any case. */
int event_file_read(struct event_file *f, const char *path, struct error *err);
void event_file_done(struct event_file *f);

#endif
