/* SPDX-License-Identifier: Apache-2.0 */
/* The table of metrics becomes functions that read the snapshot, then rows. */
#include "daemon/metrics.h"

#include "base/memory.h"

/* ---- functions ---- */

#define PART(title)
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
#undef SERVER
#undef SERVER_HISTOGRAM

/* ---- rows ---- */

#define KIND_COUNTER .kind = METRIC_COUNTER
#define KIND_GAUGE   .kind = METRIC_GAUGE
#define KIND_SHARED  .kind = METRIC_COUNTER, .shares_name = true

#define PART(title) {.part = title},
#define SERVER(k, n, expression, h)                                                                \
    {.metric = {.name = #n, .help = h, KIND_##k}, .value = value_##n},
#define SERVER_HISTOGRAM(n, s, expression, h)                                                      \
    {.metric = {.name = #n, .help = h, .kind = METRIC_HISTOGRAM, .scale = &s},                     \
     .histogram = histogram_##n},
const struct metrics_row metrics_rows[] = {
#include "daemon/metrics_table.h"
};
const size_t metrics_row_count = COUNT_OF(metrics_rows);

/* ---- the document ---- */

static void add_row(const struct metrics_row *row, struct buf *out)
{
    const struct metric *m = &row->metric;
    buf_printf(out, "| `%s` | %s | %s |\n", m->name, metric_kind_text(m->kind), m->help);
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
            buf_printf(out, "\n## %s\n\n| metric | kind | meaning |\n|---|---|---|\n", row->part);
        else
            add_row(row, out);
    }
}
