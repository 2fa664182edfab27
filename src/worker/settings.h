/* SPDX-License-Identifier: Apache-2.0 */
/* What the function, its environment and its func.yaml say of how it is served.
 * runtimes/js/config.js tells it while the function is loaded; nothing changes afterwards. */
#ifndef SLUICE_WORKER_SETTINGS_H
#define SLUICE_WORKER_SETTINGS_H

#include "base/buf.h"
#include "worker/engine.h"

enum settings_label {
    SETTINGS_NAME,
    SETTINGS_ID,
    SETTINGS_INSTANCE,
    SETTINGS_VERSION,
    SETTINGS_RUNTIME,
    SETTINGS_LABEL_COUNT
};

enum settings_page { SETTINGS_LIVENESS, SETTINGS_READINESS, SETTINGS_METRICS, SETTINGS_PAGE_COUNT };

struct settings {
    bool has_cors;
    size_t body_max; /* bytes */
    struct settings_page_row {
        struct buf path;
        bool is_own; /* the function answers */
    } pages[SETTINGS_PAGE_COUNT];
    struct buf labels[SETTINGS_LABEL_COUNT]; /* of the metrics: faas_name… */
};

extern struct settings settings;

/* Before the function is loaded; the texts are the first labels. */
void settings_reset(size_t body_max, const char *name, const char *runtime);
/* configure(name, value), for the prelude. */
extern const struct engine_function settings_function;
/* Which page a path is, or SETTINGS_PAGE_COUNT. */
enum settings_page settings_page(struct slice path);

#endif
