/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics as text: the Prometheus text format 0.0.4, and OpenMetrics 1.0.0 for whoever asks for it
 * by Accept. Samples of one metric are written one after the other, which both formats want. */
#ifndef SLUICE_OBSERVE_EXPOSITION_H
#define SLUICE_OBSERVE_EXPOSITION_H

#include "base/buf.h"
#include "observe/histogram.h"

enum metric_kind {
    METRIC_COUNTER,
    METRIC_GAUGE,
    METRIC_HISTOGRAM,
    METRIC_UNTYPED, /* a counter whose name, which others gave it, is none of a counter */
    METRIC_KIND_COUNT
};

struct metric {
    const char *name; /* counters end in _total, units are base units (seconds, bytes) */
    const char *help; /* one line, without quotes and backslashes */
    enum metric_kind kind;
    const struct histogram_scale *scale; /* of a histogram */
    /* OpenMetrics calls a counter without its _total, and there is a gauge of that name: it is of
     * no known type there. */
    bool shares_name;
};

enum exposition_format { EXPOSITION_TEXT, EXPOSITION_OPENMETRICS, EXPOSITION_FORMAT_COUNT };

/* By the header Accept; ptr NULL: there is none. */
enum exposition_format exposition_choose(struct slice accept);
const char *exposition_content_type(enum exposition_format format);

struct exposition {
    struct buf *out; /* the caller's */
    enum exposition_format format;
    const struct metric *metric;
    bool told;         /* its HELP and TYPE are written */
    struct buf labels; /* of the next sample */
};

void exposition_init(struct exposition *x, enum exposition_format format, struct buf *out);
void exposition_done(struct exposition *x);
/* What follows are samples of this metric. A metric without samples is not mentioned. */
void exposition_metric(struct exposition *x, const struct metric *m);
/* A label of the next sample; an empty value is as none. */
void exposition_label(struct exposition *x, const char *name, struct slice value);
/* The sample with the labels since the last one. */
void exposition_value(struct exposition *x, double value);
void exposition_histogram(struct exposition *x, const struct histogram_sums *sums);
/* After the last metric. */
void exposition_end(struct exposition *x);

/* How a kind is called: counter, gauge … */
const char *metric_kind_text(enum metric_kind kind);
/* seconds or bytes, by the name's end; NULL: none. */
const char *metric_unit(const struct metric *m);

#endif
