/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics in the Prometheus text format 0.0.4. Whoever has values keeps a table of struct metric
 * and writes it out. */
#ifndef SLUICE_OBSERVE_METRICS_H
#define SLUICE_OBSERVE_METRICS_H

#include "base/buf.h"

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_KIND_COUNT };

struct metric {
    const char *name; /* counters end in _total, units are base units (seconds, bytes) */
    const char *help;
    enum metric_kind kind;
    /* Value from the snapshot that metrics_write() was given. */
    double (*value)(const void *snapshot);
};

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

void metrics_write(const struct metric *metrics, size_t count, const void *snapshot,
                   struct buf *out);

#endif
