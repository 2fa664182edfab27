/* SPDX-License-Identifier: Apache-2.0 */
/* The metrics as rows, made from metrics_table.h. */
#ifndef SLUICE_DAEMON_METRICS_H
#define SLUICE_DAEMON_METRICS_H

#include "broker/measures.h"
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

/* Whose names they are; a scrape asks for some of them. */
enum metrics_set { METRICS_SLUICE, METRICS_KN, METRICS_MT_BROKER, METRICS_SET_COUNT };
#define METRICS_ALL ((1u << METRICS_SET_COUNT) - 1)

enum metrics_broker_number { BROKER_TAKEN, BROKER_REPLIES, BROKER_TRIGGERS };

/* What the samples of a metric are made for. */
enum metrics_walk {
    WALK_SERVER,
    WALK_BROKER,
    WALK_BROKER_REFUSED,
    WALK_BROKER_INGEST,
    WALK_TRIGGER_COUNT,
    WALK_TRIGGER_NOW,
    WALK_TRIGGER_ATTEMPTS,
    WALK_TRIGGER_ATTEMPT_TIMES,
    WALK_TRIGGER_WAIT_TIMES,
    WALK_KN_DISPATCH,
    WALK_KN_PROCESS,
    WALK_MT_INGRESS_COUNT,
    WALK_MT_INGRESS_TIMES,
    WALK_MT_FILTER_COUNT,
    WALK_MT_FILTER_TIMES,
    WALK_MT_FILTER_WAITS,
    WALK_COUNT
};

struct metrics_row {
    struct metric metric;
    const char *part; /* a heading, and no metric */
    enum metrics_set set;
    enum metrics_walk walk;
    double (*value)(const struct metrics_snapshot *s);
    const struct histogram_sums *(*histogram)(const struct metrics_snapshot *s);
    unsigned number; /* of a broker's or trigger's */
};

extern const struct metrics_row metrics_rows[];
extern const size_t metrics_row_count;

/* The sets that a list like "sluice,kn" names; an empty one names all. 0 with err: one is unknown.
 */
unsigned metrics_sets(struct slice list, struct error *err);
/* The list of metrics as Markdown: docs/metrics.md. */
void metrics_document(struct buf *out);

/* ---- metrics_walk.c ---- */
/* The names of the labels, for the document; NULL: none. */
const char *metrics_walk_labels(enum metrics_walk walk);
/* How far the samples of one metric are written. */
struct metrics_place {
    uint32_t at;
    bool brokers_done;
};
/* Writes the samples of one broker or trigger, or those of the server. False: there is no more.
 * *ret_cost: how much there was to look at, 1 at least. */
bool metrics_walk(struct exposition *x, const struct metrics_row *row, const struct broker_core *b,
                  const struct metrics_snapshot *s, struct metrics_place *place,
                  unsigned *ret_cost);

#endif
