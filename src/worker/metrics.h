/* SPDX-License-Identifier: Apache-2.0 */
/* What the worker counts, for GET /metrics: the names are faas-js-runtime's, the format is
 * Prometheus' text format 0.0.4. */
#ifndef SLUICE_WORKER_METRICS_H
#define SLUICE_WORKER_METRICS_H

#include "base/buf.h"

#include <stddef.h>
#include <stdint.h>

/* The process begins to load its function; before it is confined. */
void metrics_begin(void);
/* It serves from now on. */
void metrics_ready(void);
/* A call begins after it has waited in a queue of the worker's; bytes: of its body. */
void metrics_called(uint64_t waited_ns, size_t bytes);
/* It was answered; begun: the monotonic time when it came. */
void metrics_answered(uint64_t begun);
/* Bytes of an answer's body. */
void metrics_sent(size_t bytes);
/* It threw, ran into a limit, or gave no answer. */
void metrics_failed(void);
void metrics_write(struct buf *out);

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

#endif
