/* SPDX-License-Identifier: Apache-2.0 */
/* The metrics as rows, made from metrics_table.h. */
#ifndef SLUICE_DAEMON_METRICS_H
#define SLUICE_DAEMON_METRICS_H

#include "broker/broker.h"
#include "function/function.h"
#include "observe/exposition.h"
#include "store/store.h"

/* What rows about the whole server read: taken at the beginning of a scrape. */
struct metrics_snapshot {
    struct broker_core_stats broker;
    struct store_stats store;
    struct function_host_stats functions;
    double uptime, loop_delay; /* seconds */
    unsigned connections;
};

struct metrics_row {
    struct metric metric;
    const char *part; /* the heading it stands under */
    double (*value)(const struct metrics_snapshot *s);
    const struct histogram_sums *(*histogram)(const struct metrics_snapshot *s);
};

extern const struct metrics_row metrics_rows[];
extern const size_t metrics_row_count;

/* The list as Markdown: docs/metrics.md. */
void metrics_document(struct buf *out);

#endif
