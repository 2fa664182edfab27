/* SPDX-License-Identifier: Apache-2.0 */
/* Cells of `get`: a value by path, a condition's field, an age. */
#include "base/clock.h"
#include "base/memory.h"
#include "resource/resource.h"

#include <inttypes.h>

/* As kubectl shows ages: two units while the larger is small. */
static void add_age(struct buf *out, uint64_t seconds)
{
    uint64_t minutes = seconds / 60, hours = minutes / 60, days = hours / 24;
    if (seconds < 120)
        buf_printf(out, "%" PRIu64 "s", seconds);
    else if (minutes < 10 && seconds % 60 != 0)
        buf_printf(out, "%" PRIu64 "m%" PRIu64 "s", minutes, seconds % 60);
    else if (minutes < 180)
        buf_printf(out, "%" PRIu64 "m", minutes);
    else if (hours < 8 && minutes % 60 != 0)
        buf_printf(out, "%" PRIu64 "h%" PRIu64 "m", hours, minutes % 60);
    else if (hours < 48)
        buf_printf(out, "%" PRIu64 "h", hours);
    else if (days < 8 && hours % 24 != 0)
        buf_printf(out, "%" PRIu64 "d%" PRIu64 "h", days, hours % 24);
    else if (days < 730)
        buf_printf(out, "%" PRIu64 "d", days);
    else
        buf_printf(out, "%" PRIu64 "y", days / 365);
}

static const json_t *condition_field(const json_t *object, const char *path)
{
    size_t len = strcspn(path, "."), index;
    const json_t *condition, *conditions = resource_at(object, "status.conditions");
    json_array_foreach(conditions, index, condition)
    {
        const char *type = json_string_value(json_object_get(condition, "type"));
        if (type != NULL && strlen(type) == len && memcmp(type, path, len) == 0)
            return path[len] == '.' ? json_object_get(condition, path + len + 1) : NULL;
    }
    return NULL;
}

static void add_value(struct buf *out, const json_t *value)
{
    if (json_is_string(value))
        buf_add(out, json_string_value(value), json_string_length(value));
    else if (json_is_integer(value))
        buf_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_boolean(value))
        buf_add_text(out, json_is_true(value) ? "true" : "false");
}

/* data+binaryData */
static void add_count(struct buf *out, const json_t *object, const char *paths)
{
    size_t count = 0;
    while (*paths != '\0') {
        size_t len = strcspn(paths, "+");
        count += json_object_size(json_object_getn(object, paths, len));
        paths += len + (paths[len] == '+');
    }
    buf_printf(out, "%zu", count);
}

void resource_column_text(const struct resource_column *column, const json_t *object,
                          uint64_t now_ns, struct buf *out)
{
    const char condition[] = "condition:", entries[] = "count:";
    uint64_t then;
    if (strncmp(column->path, condition, sizeof(condition) - 1) == 0) {
        add_value(out, condition_field(object, column->path + sizeof(condition) - 1));
        return;
    }
    if (strncmp(column->path, entries, sizeof(entries) - 1) == 0) {
        add_count(out, object, column->path + sizeof(entries) - 1);
        return;
    }
    const json_t *value = resource_at(object, column->path);
    bool age = strcmp(column->path, "metadata.creationTimestamp") == 0;
    if (age && json_is_string(value) &&
        clock_parse_rfc3339(slice_text(json_string_value(value)), &then) == 0)
        add_age(out, now_ns > then ? (now_ns - then) / CLOCK_SECOND : 0);
    else
        add_value(out, value);
}
