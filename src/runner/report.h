/* SPDX-License-Identifier: Apache-2.0 */
/* What the runner tells: lines of worker/protocol.h to the host, or text to a user. Lines never
 * block: when the host does not read, they are counted, and the count is told as soon as there is
 * room. */
#ifndef SLUICE_RUNNER_REPORT_H
#define SLUICE_RUNNER_REPORT_H

#include "base/slice.h"

#include <stdbool.h>

/* fd: the report pipe; -1: text on standard output and standard error. */
void report_setup(int fd);
void report_ready(void);
/* file may be empty; line 0: unknown. */
void report_failed(struct slice message, struct slice file, unsigned line);
void report_log(const char *level, struct slice text);
void report_limit(const char *limit, const char *message);

#endif
