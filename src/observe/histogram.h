/* SPDX-License-Identifier: Apache-2.0 */
/* Histograms: observing is one look at a table, at most a few comparisons of integers, and two
 * additions; no lock, no allocation, no floating point. All histograms of times count in the same
 * cells, which are as fine as the finest that is shown: each metric picks its own bounds out of
 * them, so that one observation serves several metrics (Knative's names of both generations, and
 * our own). */
#ifndef SLUICE_OBSERVE_HISTOGRAM_H
#define SLUICE_OBSERVE_HISTOGRAM_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_BOUNDS 23
#define HISTOGRAM_CELLS  (HISTOGRAM_BOUNDS + 1) /* the last: more than all bounds */

struct histogram {
    atomic_uint_fast64_t cells[HISTOGRAM_CELLS];
    atomic_uint_fast64_t sum; /* of what was observed: nanoseconds, or a count */
};

/* Inclusive upper bounds of the cells of times, in nanoseconds; of counts: 1, 2, 4 … 2^22. */
extern const uint64_t histogram_time_bounds[HISTOGRAM_BOUNDS];
unsigned histogram_time_cell(uint64_t ns);
unsigned histogram_count_cell(uint64_t n);

/* Any thread. */
void histogram_observe_time(struct histogram *h, uint64_t ns);
void histogram_observe_count(struct histogram *h, uint64_t n);
/* For a histogram that only this thread writes; others may read it meanwhile. */
void histogram_observe_own_time(struct histogram *h, uint64_t ns);

/* What one or more histograms hold. */
struct histogram_sums {
    uint64_t cells[HISTOGRAM_CELLS];
    uint64_t sum;
};
void histogram_add(struct histogram_sums *sums, const struct histogram *h);
uint64_t histogram_count(const struct histogram_sums *sums);

/* How a metric shows it. */
struct histogram_bucket {
    const char *le; /* the bound as OpenMetrics writes it, in the metric's unit */
    unsigned cell;  /* the last cell that counts */
};
struct histogram_scale {
    const struct histogram_bucket *buckets;
    size_t count;
    double unit; /* what one of the metric's unit is in what is counted: 1e9 for seconds */
};
extern const struct histogram_scale histogram_seconds;         /* our own */
extern const struct histogram_scale histogram_knative_seconds; /* Knative's since OpenTelemetry */
extern const struct histogram_scale histogram_knative_milliseconds; /* Knative's before that */
extern const struct histogram_scale histogram_powers;               /* of two: counts */

#endif
