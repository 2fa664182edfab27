/* SPDX-License-Identifier: Apache-2.0 */
/* See settings.h. */
#include "worker/settings.h"

#include "base/memory.h"

#define SETTINGS_TEXT_MAX 1024

struct settings settings;

static const char *const default_paths[SETTINGS_PAGE_COUNT] = {
    [SETTINGS_LIVENESS] = "/health/liveness",
    [SETTINGS_READINESS] = "/health/readiness",
    [SETTINGS_METRICS] = "/metrics",
};

static const struct {
    const char *name;
    enum settings_page page;
    bool is_check; /* of the function's own; an empty path leaves it where it is */
} page_names[] = {
    {"livenessPath", SETTINGS_LIVENESS, false},   {"readinessPath", SETTINGS_READINESS, false},
    {"metricsPath", SETTINGS_METRICS, false},     {"livenessCheck", SETTINGS_LIVENESS, true},
    {"readinessCheck", SETTINGS_READINESS, true},
};

static const char *const label_names[SETTINGS_LABEL_COUNT] = {
    [SETTINGS_NAME] = "name",         [SETTINGS_ID] = "id",
    [SETTINGS_INSTANCE] = "instance", [SETTINGS_VERSION] = "version",
    [SETTINGS_RUNTIME] = "runtime",
};

void settings_reset(size_t body_max, const char *name, const char *runtime)
{
    settings.has_cors = false;
    settings.body_max = body_max;
    for (size_t i = 0; i < SETTINGS_PAGE_COUNT; i++) {
        settings.pages[i].is_own = false;
        buf_reset(&settings.pages[i].path);
        buf_add_text(&settings.pages[i].path, default_paths[i]);
    }
    for (size_t i = 0; i < SETTINGS_LABEL_COUNT; i++)
        buf_reset(&settings.labels[i]);
    buf_add_text(&settings.labels[SETTINGS_NAME], name);
    buf_add_text(&settings.labels[SETTINGS_RUNTIME], runtime);
}

static void take_text(engine_value value, struct buf *to)
{
    buf_reset(to);
    if (engine_get_text(value, SETTINGS_TEXT_MAX, to) < 0)
        buf_reset(to);
}

static bool set_page(const char *name, engine_value value)
{
    for (size_t i = 0; i < COUNT_OF(page_names); i++) {
        if (strcmp(name, page_names[i].name) != 0)
            continue;
        struct settings_page_row *row = &settings.pages[page_names[i].page];
        static struct buf path;
        take_text(value, &path);
        if (path.len > 0) {
            buf_reset(&row->path);
            buf_add_slice(&row->path, buf_slice(&path));
        }
        row->is_own = row->is_own || page_names[i].is_check;
        return true;
    }
    return false;
}

static void set(const char *name, engine_value value)
{
    if (set_page(name, value))
        return;
    if (strcmp(name, "cors") == 0) {
        settings.has_cors = engine_is_true(value);
        return;
    }
    if (strcmp(name, "bodyLimit") == 0) {
        double limit = engine_number(value);
        if (limit >= 1 && limit < (double)settings.body_max)
            settings.body_max = (size_t)limit;
        return;
    }
    for (size_t i = 0; i < SETTINGS_LABEL_COUNT; i++)
        if (strcmp(name, label_names[i]) == 0)
            take_text(value, &settings.labels[i]);
}

static engine_value host_configure(uint32_t argc, const engine_value *argv)
{
    static struct buf name;
    if (argc < 2)
        return engine_undefined();
    take_text(argv[0], &name);
    buf_add_byte(&name, '\0');
    if (buf_ok(&name))
        set(name.ptr, argv[1]);
    return engine_undefined();
}

const struct engine_function settings_function = {"configure", host_configure};

enum settings_page settings_page(struct slice path)
{
    size_t i = 0;
    while (i < SETTINGS_PAGE_COUNT && !slice_equal(path, buf_slice(&settings.pages[i].path)))
        i++;
    return (enum settings_page)i;
}
