/* SPDX-License-Identifier: Apache-2.0 */
/* Annotations that sluice acts on: settings beyond Knative's, which stay out of spec so that a
 * manifest stays valid where Knative runs. One table says which kind has which, and what is
 * allowed; admission checks and docs/annotations.md come from it. */
#ifndef SLUICE_RESOURCE_ANNOTATION_H
#define SLUICE_RESOURCE_ANNOTATION_H

#include "resource/resource.h"

#define ANNOTATION_RETENTION       "sluice.dev/retention"
#define ANNOTATION_DEDUP           "sluice.dev/dedup"
#define ANNOTATION_ORDER           "sluice.dev/order"
#define ANNOTATION_ORDER_KAFKA     "kafka.eventing.knative.dev/delivery.order"
#define ANNOTATION_CONCURRENCY     "sluice.dev/concurrency"
#define ANNOTATION_RATE_LIMIT      "sluice.dev/rate-limit"
#define ANNOTATION_CIRCUIT_BREAKER "sluice.dev/circuit-breaker"
#define ANNOTATION_PAUSED          "sluice.dev/paused"
#define ANNOTATION_START           "sluice.dev/start"

struct resource_annotation {
    const struct resource_kind *kind;
    const char *name;
    bool (*good)(const char *text); /* may the value be this? */
    const char *allowed;            /* in words, after "must be " */
    const char *absent;             /* what holds without it */
    const char *help;
};

/* NULL past the last. */
const struct resource_annotation *annotation_at(size_t index);
/* All values that the table knows, and that no other name begins with sluice.dev/. 0 or -EINVAL
 * with err->field metadata.annotations["…"]. */
int annotation_check(const struct resource_kind *kind, const json_t *object, struct error *err);
/* One Markdown table for each kind that has annotations. */
void annotation_document(struct buf *out);

/* The value, or NULL. */
const char *annotation_text(const json_t *object, const char *name);
/* That a change of the object leaves it as it was; else -EINVAL, saying what to do instead. */
int annotation_check_kept(const json_t *before, const json_t *after, const char *name,
                          const char *instead, struct error *err);
/* true only where the value is "true". */
bool annotation_is_true(const json_t *object, const char *name);
/* ISO 8601, in nanoseconds. fallback: absent, or no duration (as one stored before it was checked).
 */
uint64_t annotation_duration(const json_t *object, const char *name, uint64_t fallback);
/* A decimal number; fallback: absent, or none. */
uint64_t annotation_number(const json_t *object, const char *name, uint64_t fallback);

/* Is the trigger's order per partitionkey? sluice.dev/order says it, else Knative Kafka's name. */
bool annotation_is_ordered(const json_t *trigger);

#define ANNOTATION_RATE_MAX 1000000
struct annotation_rate {
    uint64_t count, period_ns; /* so many in each period */
};
/* 100/s, 30/m, 5/h. 0 or -EINVAL. */
int annotation_parse_rate(struct slice text, struct annotation_rate *ret);

enum annotation_place_kind {
    ANNOTATION_LATEST,
    ANNOTATION_EARLIEST,
    ANNOTATION_POSITION,
    ANNOTATION_TIME,
    ANNOTATION_ID
};
struct annotation_place { /* in the log */
    enum annotation_place_kind kind;
    uint64_t number; /* the position, or the time: realtime, ns */
    struct slice id; /* ID, or SOURCE#ID; borrowed */
};
#define ANNOTATION_PLACE_TEXT                                                                      \
    "latest, earliest, position:N, id:ID, id:SOURCE#ID or an RFC 3339 time such as "               \
    "2026-11-21T08:00:00Z"
#define ANNOTATION_ID_MAX 1024 /* bytes of SOURCE#ID */
/* 0 or -EINVAL. */
int annotation_parse_place(struct slice text, struct annotation_place *ret);

#endif
