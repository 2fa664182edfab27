/* SPDX-License-Identifier: Apache-2.0 */
/* One line of a worker's report pipe (worker/protocol.h). */
#ifndef SLUICE_FUNCTION_REPORT_H
#define SLUICE_FUNCTION_REPORT_H

#include "event/event.h"

/* What is absent is empty or 0. Texts are borrowed from the line or the arena. */
struct worker_report {
    struct slice kind, level, event, text, message, file, limit;
    uint64_t time_ns, line, column;
};

/* Comes from the process that runs the user's code. 0, -EINVAL (no report), -ENOMEM. Unknown
 * members are passed over. */
int worker_report_read(struct slice line, struct event_arena *arena, struct worker_report *ret);

#endif
