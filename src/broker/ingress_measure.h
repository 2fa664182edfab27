/* SPDX-License-Identifier: Apache-2.0 */
/* What a broker's metrics say of the events that came in. Written by the threads that read and
 * answer requests, without locks; each has its share of the numbers, so that they do not wait for
 * each other's cache lines. */
#ifndef SLUICE_BROKER_INGRESS_MEASURE_H
#define SLUICE_BROKER_INGRESS_MEASURE_H

#include "broker/type_name.h"
#include "observe/histogram.h"

#include <stdbool.h>
#include <stdint.h>

#define INGRESS_TYPES_MAX 64 /* of one broker that have numbers of their own */
#define INGRESS_TALLY_MAX 8  /* types of one batch that do */

/* What a request can be answered; anything else counts as the last. */
enum ingress_answer {
    INGRESS_202,
    INGRESS_400,
    INGRESS_413,
    INGRESS_415,
    INGRESS_503,
    INGRESS_ANSWER_COUNT
};
unsigned ingress_answer_status(enum ingress_answer a);
enum ingress_answer ingress_answer_of(unsigned status);

struct ingress_measures; /* of the core */
struct ingress_measure;  /* of one broker */
struct ingress_series;   /* of one type */

struct ingress_measures *ingress_measures_new(void);
void ingress_measures_free(struct ingress_measures *all);
struct type_names *ingress_measures_names(struct ingress_measures *all);

/* Loop thread. What is given back is used again for another broker and never freed: a late answer
 * may still count in it, which makes that one's numbers wrong by one and harms nobody. NULL: out of
 * memory. */
struct ingress_measure *ingress_measure_new(struct ingress_measures *all, uint32_t broker);
void ingress_measure_release(struct ingress_measures *all, struct ingress_measure *m);
uint32_t ingress_measure_broker(const struct ingress_measure *m);

/* The events of one request by type. */
struct ingress_tally {
    unsigned count;
    struct {
        struct ingress_series *series;
        uint32_t events;
    } rows[INGRESS_TALLY_MAX];
};
void ingress_tally_add(struct ingress_tally *t, struct ingress_measure *m, struct slice type);
/* The request is answered: accepted after so long, or refused. */
void ingress_tally_accepted(const struct ingress_tally *t, uint64_t took_ns);
void ingress_tally_refused(const struct ingress_tally *t, unsigned status);
void ingress_request_refused(struct ingress_measure *m, unsigned status);
/* A reply of that type went into the log. Loop thread. */
void ingress_replied(struct ingress_measure *m, const struct type_name *type, uint64_t took_ns);

/* ---- what is shown ---- */
struct ingress_view {
    struct slice type;
    struct histogram_sums accepted;
    uint64_t answers[INGRESS_ANSWER_COUNT]; /* events */
};
/* *at: 0 at first. False: no more types. */
bool ingress_measure_next(const struct ingress_measure *m, unsigned *at, struct ingress_view *ret);
uint64_t ingress_measure_refused(const struct ingress_measure *m, enum ingress_answer a);
uint64_t ingress_measure_replies(const struct ingress_measure *m);

#endif
