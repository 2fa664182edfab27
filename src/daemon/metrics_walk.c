/* SPDX-License-Identifier: Apache-2.0 */
/* Samples of single brokers and triggers, under our own names and under Knative's of both
 * generations, with the labels of each. Loop thread. */
#include "daemon/metrics.h"

#include "base/memory.h"
#include "base/must.h"

#include <stdio.h>

#define CODES_SHOWN 48 /* of one trigger; beyond, by class */
#define CLASS_LAST  5
#define NO_ANSWER   500 /* what Knative says when there is none */

/* What tells Knative's processes apart, which are one here. */
#define SCOPE_INGRESS "knative.dev/pkg/broker/ingress"
#define SCOPE_FILTER  "knative.dev/pkg/broker/filter"

/* ---- answers ---- */

struct code_text {
    char code[8], class[8];
};

static struct code_text code_text(unsigned code)
{
    struct code_text text;
    snprintf(text.class, sizeof(text.class), "%uxx", code <= CLASS_LAST ? code : code / 100 % 10);
    snprintf(text.code, sizeof(text.code), code <= CLASS_LAST ? "%uxx" : "%u", code % 1000);
    return text;
}

/* The attempts of a trigger, added up by code. */
struct by_code {
    unsigned count;
    struct {
        unsigned code;
        struct histogram_sums took;
    } rows[CODES_SHOWN];
};

static void sums_add(struct histogram_sums *to, const struct histogram_sums *from)
{
    for (unsigned i = 0; i < HISTOGRAM_CELLS; i++)
        to->cells[i] += from->cells[i];
    to->sum += from->sum;
}

static void by_code_add(struct by_code *all, unsigned code, const struct histogram_sums *took)
{
    if (code > CLASS_LAST && all->count >= CODES_SHOWN - (CLASS_LAST + 1)) {
        bool known = false;
        for (unsigned i = 0; i < all->count; i++)
            known = known || all->rows[i].code == code;
        code = known ? code : code / 100;
    }
    unsigned i = 0;
    while (i < all->count && all->rows[i].code != code)
        i++;
    if (i == all->count) {
        must(all->count < CODES_SHOWN);
        all->rows[i].code = code;
        all->rows[i].took = (struct histogram_sums){0};
        all->count++;
    }
    sums_add(&all->rows[i].took, took);
}

/* Of all types. no_answer: the code that stands for none. */
static void add_up(const struct trigger *t, unsigned no_answer, struct by_code *all)
{
    struct trigger_measure_place at = {0};
    struct trigger_attempts a;
    all->count = 0;
    while (trigger_measure_next_attempts(measures_trigger(t), &at, &a))
        by_code_add(all, a.code == 0 ? no_answer : a.code, &a.took);
}

/* ---- labels ---- */

static void label_text(struct exposition *x, const char *name, const char *value)
{
    exposition_label(x, name, slice_text(value));
}

static void own_labels(struct exposition *x, const struct measures_names *n)
{
    exposition_label(x, "namespace", n->namespace_name);
    exposition_label(x, "broker", n->broker);
    exposition_label(x, "trigger", n->trigger);
}

static void trigger_labels(struct exposition *x, const struct trigger *t)
{
    struct measures_names n;
    measures_trigger_names(t, &n);
    own_labels(x, &n);
}

static void broker_labels(struct exposition *x, const struct broker *b)
{
    struct measures_names n;
    measures_broker_names(b, &n);
    own_labels(x, &n);
}

static void mt_labels(struct exposition *x, const struct measures_names *n)
{
    exposition_label(x, "namespace_name", n->namespace_name);
    exposition_label(x, "broker_name", n->broker);
    exposition_label(x, "trigger_name", n->trigger);
    exposition_label(x, "filter_type", n->filter_type);
}

static void mt_answer(struct exposition *x, unsigned code)
{
    struct code_text text = code_text(code);
    label_text(x, "response_code", text.code);
    label_text(x, "response_code_class", text.class);
}

static void kn_labels(struct exposition *x, const struct measures_names *n, struct slice type)
{
    bool ingress = n->trigger.len == 0;
    struct slice name = ingress ? n->broker : n->trigger;
    char destination[600];
    snprintf(destination, sizeof(destination), "%s:" SLICE_FMT "." SLICE_FMT,
             ingress ? "broker" : "trigger", SLICE_ARG(name), SLICE_ARG(n->namespace_name));
    label_text(x, "otel_scope_name", ingress ? SCOPE_INGRESS : SCOPE_FILTER);
    exposition_label(x, "kn_broker_name", n->broker);
    exposition_label(x, "kn_broker_namespace", n->namespace_name);
    exposition_label(x, "cloudevents_type", type);
    label_text(x, "messaging_destination_name", destination);
    label_text(x, "messaging_operation_name", "send");
    label_text(x, "messaging_system", "knative");
    label_text(x, "url_scheme", "http");
}

static void kn_answer(struct exposition *x, unsigned code)
{
    label_text(x, "http_response_status_code", code_text(code).code);
}

/* ---- our own ---- */

static void write_broker(struct exposition *x, const struct metrics_row *row,
                         const struct broker *b)
{
    const struct ingress_measure *m = measures_broker(b);
    uint64_t replies = ingress_measure_replies(m), all = 0;
    struct ingress_view v;
    broker_labels(x, b);
    switch ((enum metrics_broker_number)row->number) {
    case BROKER_TAKEN:
        for (unsigned at = 0; ingress_measure_next(m, &at, &v);)
            all += v.answers[INGRESS_202];
        exposition_value(x, (double)(all > replies ? all - replies : 0));
        break;
    case BROKER_REPLIES:
        exposition_value(x, (double)replies);
        break;
    case BROKER_TRIGGERS:
        exposition_value(x, measures_broker_triggers(b));
        break;
    }
}

static void write_refused(struct exposition *x, const struct metrics_row *row,
                          const struct broker *b)
{
    (void)row;
    for (enum ingress_answer a = 0; a < INGRESS_ANSWER_COUNT; a++) {
        uint64_t n = ingress_measure_refused(measures_broker(b), a);
        if (n == 0)
            continue;
        broker_labels(x, b);
        label_text(x, "code", code_text(ingress_answer_status(a)).code);
        exposition_value(x, (double)n);
    }
}

static void write_ingest(struct exposition *x, const struct metrics_row *row,
                         const struct broker *b)
{
    (void)row;
    struct histogram_sums sums = {0};
    struct ingress_view v;
    for (unsigned at = 0; ingress_measure_next(measures_broker(b), &at, &v);)
        sums_add(&sums, &v.accepted);
    broker_labels(x, b);
    exposition_histogram(x, &sums);
}

static void write_count(struct exposition *x, const struct metrics_row *row,
                        const struct trigger *t)
{
    trigger_labels(x, t);
    exposition_value(x, (double)measures_trigger(t)->counts[row->number]);
}

static void write_now(struct exposition *x, const struct metrics_row *row, const struct trigger *t)
{
    trigger_labels(x, t);
    exposition_value(x, measures_trigger_gauge(t, (enum trigger_gauge)row->number));
}

static void write_attempts(struct exposition *x, const struct metrics_row *row,
                           const struct trigger *t)
{
    (void)row;
    struct by_code all;
    add_up(t, 0, &all);
    for (unsigned i = 0; i < all.count; i++) {
        unsigned code = all.rows[i].code;
        trigger_labels(x, t);
        label_text(x, "code", code == 0 ? "none" : code_text(code).code);
        exposition_value(x, (double)histogram_count(&all.rows[i].took));
    }
}

static void write_attempt_times(struct exposition *x, const struct metrics_row *row,
                                const struct trigger *t)
{
    (void)row;
    struct histogram_sums sums = {0};
    struct trigger_measure_place at = {0};
    struct trigger_attempts a;
    while (trigger_measure_next_attempts(measures_trigger(t), &at, &a))
        sums_add(&sums, &a.took);
    if (histogram_count(&sums) == 0)
        return;
    trigger_labels(x, t);
    exposition_histogram(x, &sums);
}

static void add_up_waits(const struct trigger *t, struct histogram_sums *sums)
{
    struct trigger_measure_place at = {0};
    struct trigger_waits w;
    *sums = (struct histogram_sums){0};
    while (trigger_measure_next_waits(measures_trigger(t), &at, &w))
        sums_add(sums, &w.took);
}

static void write_wait_times(struct exposition *x, const struct metrics_row *row,
                             const struct trigger *t)
{
    (void)row;
    struct histogram_sums sums;
    add_up_waits(t, &sums);
    if (histogram_count(&sums) == 0)
        return;
    trigger_labels(x, t);
    exposition_histogram(x, &sums);
}

/* ---- Knative's, since OpenTelemetry ---- */

static void write_kn_ingress(struct exposition *x, const struct metrics_row *row,
                             const struct broker *b)
{
    (void)row;
    struct measures_names n;
    struct ingress_view v;
    measures_broker_names(b, &n);
    for (unsigned at = 0; ingress_measure_next(measures_broker(b), &at, &v);) {
        if (v.answers[INGRESS_202] == 0)
            continue;
        kn_labels(x, &n, v.type);
        kn_answer(x, 202);
        exposition_histogram(x, &v.accepted);
    }
}

static void write_kn_type(struct exposition *x, const struct measures_names *n, struct slice type,
                          struct by_code *all)
{
    for (unsigned i = 0; i < all->count; i++) {
        kn_labels(x, n, type);
        kn_answer(x, all->rows[i].code);
        exposition_histogram(x, &all->rows[i].took);
    }
    all->count = 0;
}

/* Attempts of one type come one after the other. */
static void write_kn_attempts(struct exposition *x, const struct metrics_row *row,
                              const struct trigger *t)
{
    (void)row;
    struct measures_names n;
    struct trigger_measure_place at = {0};
    struct trigger_attempts a;
    struct by_code all = {.count = 0};
    struct slice type = {NULL, 0};
    measures_trigger_names(t, &n);
    while (trigger_measure_next_attempts(measures_trigger(t), &at, &a)) {
        if (a.type.ptr != type.ptr)
            write_kn_type(x, &n, type, &all);
        type = a.type;
        by_code_add(&all, a.code == 0 ? NO_ANSWER : a.code, &a.took);
    }
    write_kn_type(x, &n, type, &all);
}

static void write_kn_waits(struct exposition *x, const struct metrics_row *row,
                           const struct trigger *t)
{
    (void)row;
    struct measures_names n;
    struct trigger_measure_place at = {0};
    struct trigger_waits w;
    measures_trigger_names(t, &n);
    while (trigger_measure_next_waits(measures_trigger(t), &at, &w)) {
        kn_labels(x, &n, w.type);
        exposition_histogram(x, &w.took);
    }
}

/* ---- Knative's, before OpenTelemetry ---- */

static void mt_ingress_labels(struct exposition *x, const struct measures_names *n,
                              const struct ingress_view *v, enum ingress_answer a)
{
    mt_labels(x, n);
    exposition_label(x, "event_type", v->type);
    mt_answer(x, ingress_answer_status(a));
}

static void write_mt_ingress_count(struct exposition *x, const struct metrics_row *row,
                                   const struct broker *b)
{
    (void)row;
    struct measures_names n;
    struct ingress_view v;
    measures_broker_names(b, &n);
    for (unsigned at = 0; ingress_measure_next(measures_broker(b), &at, &v);)
        for (enum ingress_answer a = 0; a < INGRESS_ANSWER_COUNT; a++) {
            if (v.answers[a] == 0)
                continue;
            mt_ingress_labels(x, &n, &v, a);
            exposition_value(x, (double)v.answers[a]);
        }
}

static void write_mt_ingress_times(struct exposition *x, const struct metrics_row *row,
                                   const struct broker *b)
{
    (void)row;
    struct measures_names n;
    struct ingress_view v;
    measures_broker_names(b, &n);
    for (unsigned at = 0; ingress_measure_next(measures_broker(b), &at, &v);) {
        if (v.answers[INGRESS_202] == 0)
            continue;
        mt_ingress_labels(x, &n, &v, INGRESS_202);
        exposition_histogram(x, &v.accepted);
    }
}

static void write_mt_filter(struct exposition *x, const struct metrics_row *row,
                            const struct trigger *t)
{
    struct measures_names n;
    struct by_code all;
    measures_trigger_names(t, &n);
    add_up(t, NO_ANSWER, &all);
    for (unsigned i = 0; i < all.count; i++) {
        mt_labels(x, &n);
        mt_answer(x, all.rows[i].code);
        if (row->metric.scale != NULL)
            exposition_histogram(x, &all.rows[i].took);
        else
            exposition_value(x, (double)histogram_count(&all.rows[i].took));
    }
}

static void write_mt_waits(struct exposition *x, const struct metrics_row *row,
                           const struct trigger *t)
{
    (void)row;
    struct measures_names n;
    struct histogram_sums sums;
    add_up_waits(t, &sums);
    if (histogram_count(&sums) == 0)
        return;
    measures_trigger_names(t, &n);
    mt_labels(x, &n);
    exposition_histogram(x, &sums);
}

/* ---- walks ---- */

#define OWN_TRIGGER "`namespace`, `broker`, `trigger`"
#define MT_TRIGGER  "`namespace_name`, `broker_name`, `trigger_name`, `filter_type`"
#define MT_INGRESS  "`namespace_name`, `broker_name`, `event_type`" MT_ANSWER
#define MT_ANSWER   ", `response_code`, `response_code_class`"
#define KN                                                                                         \
    "`otel_scope_name`, `kn_broker_name`, `kn_broker_namespace`, `cloudevents_type`, "             \
    "`messaging_destination_name`, `messaging_operation_name`, `messaging_system`, `url_scheme`"

static const struct walk {
    void (*broker)(struct exposition *x, const struct metrics_row *row, const struct broker *b);
    void (*trigger)(struct exposition *x, const struct metrics_row *row, const struct trigger *t);
    const char *labels;
} walks[WALK_COUNT] = {
    [WALK_BROKER] = {write_broker, NULL, "`namespace`, `broker`"},
    [WALK_BROKER_REFUSED] = {write_refused, NULL, "`namespace`, `broker`, `code`"},
    [WALK_BROKER_INGEST] = {write_ingest, NULL, "`namespace`, `broker`"},
    [WALK_TRIGGER_COUNT] = {NULL, write_count, OWN_TRIGGER},
    [WALK_TRIGGER_NOW] = {NULL, write_now, OWN_TRIGGER},
    [WALK_TRIGGER_ATTEMPTS] = {NULL, write_attempts, OWN_TRIGGER ", `code`"},
    [WALK_TRIGGER_ATTEMPT_TIMES] = {NULL, write_attempt_times, OWN_TRIGGER},
    [WALK_TRIGGER_WAIT_TIMES] = {NULL, write_wait_times, OWN_TRIGGER},
    [WALK_KN_DISPATCH] = {write_kn_ingress, write_kn_attempts, KN ", `http_response_status_code`"},
    [WALK_KN_PROCESS] = {NULL, write_kn_waits, KN},
    [WALK_MT_INGRESS_COUNT] = {write_mt_ingress_count, NULL, MT_INGRESS},
    [WALK_MT_INGRESS_TIMES] = {write_mt_ingress_times, NULL, MT_INGRESS},
    [WALK_MT_FILTER_COUNT] = {NULL, write_mt_filter, MT_TRIGGER MT_ANSWER},
    [WALK_MT_FILTER_TIMES] = {NULL, write_mt_filter, MT_TRIGGER MT_ANSWER},
    [WALK_MT_FILTER_WAITS] = {NULL, write_mt_waits, MT_TRIGGER},
};

const char *metrics_walk_labels(enum metrics_walk walk)
{
    return walks[walk].labels;
}

static void write_server(struct exposition *x, const struct metrics_row *row,
                         const struct metrics_snapshot *s)
{
    if (row->value != NULL)
        exposition_value(x, row->value(s));
    else
        exposition_histogram(x, row->histogram(s));
}

bool metrics_walk(struct exposition *x, const struct metrics_row *row, const struct broker_core *b,
                  const struct metrics_snapshot *s, struct metrics_place *place, unsigned *ret_cost)
{
    const struct walk *w = &walks[row->walk];
    *ret_cost = 1;
    if (row->walk == WALK_SERVER) {
        write_server(x, row, s);
        return false;
    }
    if (w->broker != NULL && !place->brokers_done) {
        const struct broker *broker = measures_next_broker(b, &place->at);
        if (broker != NULL) {
            w->broker(x, row, broker);
            return true;
        }
        *place = (struct metrics_place){.brokers_done = true};
    }
    const struct trigger *t = w->trigger != NULL ? measures_next_trigger(b, &place->at) : NULL;
    if (t == NULL)
        return false;
    w->trigger(x, row, t);
    if (row->walk == WALK_TRIGGER_NOW && row->number == TRIGGER_OLDEST)
        *ret_cost += measures_trigger_retries(t);
    return true;
}
