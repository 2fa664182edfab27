/* SPDX-License-Identifier: Apache-2.0 */
#include "function/report.h"

#include "base/encoding.h"
#include "base/memory.h"
#include "event/json_scan.h"

#include <errno.h>
#include <stddef.h>

static const struct {
    const char *name;
    enum json_kind kind;
    size_t offset;
} members[] = {
    {"report", JSON_STRING, offsetof(struct worker_report, kind)},
    {"level", JSON_STRING, offsetof(struct worker_report, level)},
    {"event", JSON_STRING, offsetof(struct worker_report, event)},
    {"text", JSON_STRING, offsetof(struct worker_report, text)},
    {"message", JSON_STRING, offsetof(struct worker_report, message)},
    {"file", JSON_STRING, offsetof(struct worker_report, file)},
    {"limit", JSON_STRING, offsetof(struct worker_report, limit)},
    {"time", JSON_NUMBER, offsetof(struct worker_report, time_ns)},
    {"line", JSON_NUMBER, offsetof(struct worker_report, line)},
    {"column", JSON_NUMBER, offsetof(struct worker_report, column)},
};

static int read_member(struct worker_report *r, struct slice name, const struct json_value *v,
                       struct event_arena *arena)
{
    for (size_t i = 0; i < COUNT_OF(members); i++) {
        if (v->kind != members[i].kind || !slice_is(name, members[i].name))
            continue;
        void *field = (char *)r + members[i].offset;
        if (v->kind == JSON_STRING)
            return json_scan_string(v, arena, field);
        return encoding_parse_u64(v->raw, field);
    }
    return 0;
}

int worker_report_read(struct slice line, struct event_arena *arena, struct worker_report *ret)
{
    struct json_scan s;
    *ret = (struct worker_report){.time_ns = 0};
    json_scan_begin(&s, line);
    if (!json_scan_take(&s, '{'))
        return -EINVAL;
    do {
        struct json_value name_value, value;
        struct slice name;
        if (json_scan_value(&s, &name_value) < 0 || name_value.kind != JSON_STRING ||
            !json_scan_take(&s, ':') || json_scan_value(&s, &value) < 0)
            return -EINVAL;
        int r = json_scan_string(&name_value, arena, &name);
        if (r == 0)
            r = read_member(ret, name, &value, arena);
        if (r < 0)
            return r;
    } while (json_scan_take(&s, ','));
    if (!json_scan_take(&s, '}'))
        return -EINVAL;
    json_scan_space(&s);
    return s.at == s.end ? 0 : -EINVAL;
}
