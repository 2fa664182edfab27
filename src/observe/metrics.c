/* SPDX-License-Identifier: Apache-2.0 */
#include "observe/metrics.h"

void metrics_write(const struct metric *metrics, size_t count, const void *snapshot,
                   struct buf *out)
{
    static const char *const kinds[METRIC_KIND_COUNT] = {"counter", "gauge"};
    for (size_t i = 0; i < count; i++) {
        const struct metric *m = &metrics[i];
        buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n%s %.17g\n", m->name, m->help, m->name,
                   kinds[m->kind], m->name, m->value(snapshot));
    }
}
