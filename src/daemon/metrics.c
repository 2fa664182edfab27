/* SPDX-License-Identifier: Apache-2.0 */
/* The table of metrics becomes functions that read the snapshot, then rows. */
#include "daemon/metrics.h"

#include "base/memory.h"

#include <errno.h>

/* ---- functions ---- */

#define PART(title)
#define BROKER(kind, name, what, help)
#define TRIGGER_COUNT(name, what, help)
#define TRIGGER_NOW(name, what, help)
#define OTHER(set, kind, name, scale, walk, help)
#define SERVER(kind, name, expression, help)                                                       \
    static double value_##name(const struct metrics_snapshot *s)                                   \
    {                                                                                              \
        return (double)(expression);                                                               \
    }
#define SERVER_HISTOGRAM(name, scale, expression, help)                                            \
    static const struct histogram_sums *histogram_##name(const struct metrics_snapshot *s)         \
    {                                                                                              \
        return &(expression);                                                                      \
    }
#include "daemon/metrics_table.h"
#undef PART
#undef BROKER
#undef TRIGGER_COUNT
#undef TRIGGER_NOW
#undef OTHER
#undef SERVER
#undef SERVER_HISTOGRAM

/* ---- rows ---- */

#define KIND_COUNTER   .kind = METRIC_COUNTER
#define KIND_GAUGE     .kind = METRIC_GAUGE
#define KIND_HISTOGRAM .kind = METRIC_HISTOGRAM
#define KIND_UNTYPED   .kind = METRIC_UNTYPED
#define KIND_SHARED    .kind = METRIC_COUNTER, .shares_name = true
#define METRIC(k, n, s, h)                                                                         \
    .metric = {                                                                                    \
        .name = #n,                                                                                \
        .help = h,                                                                                 \
        .scale = s,                                                                                \
        KIND_##k,                                                                                  \
    }

#define PART(title)                 {.part = title},
#define SERVER(k, n, expression, h) {METRIC(k, n, NULL, h), .value = value_##n},
#define SERVER_HISTOGRAM(n, s, expression, h)                                                      \
    {METRIC(HISTOGRAM, n, &s, h), .histogram = histogram_##n},
#define BROKER(k, n, what, h) {METRIC(k, n, NULL, h), .walk = WALK_BROKER, .number = BROKER_##what},
#define TRIGGER_COUNT(n, what, h)                                                                  \
    {METRIC(COUNTER, n, NULL, h), .walk = WALK_TRIGGER_COUNT, .number = TRIGGER_##what},
#define TRIGGER_NOW(n, what, h)                                                                    \
    {METRIC(GAUGE, n, NULL, h), .walk = WALK_TRIGGER_NOW, .number = TRIGGER_##what},
#define OTHER(whose, k, n, s, w, h) {METRIC(k, n, s, h), .set = METRICS_##whose, .walk = WALK_##w},
const struct metrics_row metrics_rows[] = {
#include "daemon/metrics_table.h"
};
const size_t metrics_row_count = COUNT_OF(metrics_rows);

/* ---- sets ---- */

static const char *const set_names[METRICS_SET_COUNT] = {
    [METRICS_SLUICE] = "sluice", [METRICS_KN] = "kn", [METRICS_MT_BROKER] = "mt_broker"};

static unsigned set_of(struct slice name)
{
    for (unsigned i = 0; i < METRICS_SET_COUNT; i++)
        if (slice_is(name, set_names[i]))
            return 1u << i;
    return 0;
}

unsigned metrics_sets(struct slice list, struct error *err)
{
    unsigned sets = 0;
    while (list.len > 0) {
        const char *comma = memchr(list.ptr, ',', list.len);
        struct slice name = slice_of(list.ptr, comma ? (size_t)(comma - list.ptr) : list.len);
        unsigned set = set_of(name);
        if (set == 0) {
            error_field(err, -EINVAL, "collect",
                        "sluice, kn and mt_broker, with commas between, are known; not " SLICE_FMT,
                        (int)(name.len < 100 ? name.len : 100), name.ptr);
            return 0;
        }
        sets |= set;
        list = slice_of(name.ptr + name.len, list.len - name.len);
        if (comma != NULL)
            list = slice_of(list.ptr + 1, list.len - 1);
    }
    return sets != 0 ? sets : METRICS_ALL;
}

/* ---- the document ---- */

static void add_row(const struct metrics_row *row, struct buf *out)
{
    const struct metric *m = &row->metric;
    const char *labels = metrics_walk_labels(row->walk);
    buf_printf(out, "| `%s` | %s | %s | %s |\n", m->name, metric_kind_text(m->kind),
               labels != NULL ? labels : "", m->help);
}

void metrics_document(struct buf *out)
{
    buf_add_text(out,
                 "# Metrics\n\n"
                 "<!-- Made by `make docs` from src/daemon/metrics_table.h; do not edit. -->\n\n"
                 "`GET /metrics` answers with these, as [`monitoring.md`](monitoring.md) "
                 "explains.\n");
    for (size_t i = 0; i < metrics_row_count; i++) {
        const struct metrics_row *row = &metrics_rows[i];
        if (row->part != NULL)
            buf_printf(out, "\n## %s\n\n| metric | kind | labels | meaning |\n|---|---|---|---|\n",
                       row->part);
        else
            add_row(row, out);
    }
}
