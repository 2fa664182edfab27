/* SPDX-License-Identifier: Apache-2.0 */
/* Input of several lines: the first is what is tried, each further one an attribute of the event
 * that it is tried with: name=text, name:number or truth value. */
#ifndef SLUICE_TESTS_FUZZ_LINES_H
#define SLUICE_TESTS_FUZZ_LINES_H

#include "base/must.h"
#include "event/event.h"

static inline struct slice fuzz_line(struct slice *rest)
{
    const char *end = rest->len > 0 ? memchr(rest->ptr, '\n', rest->len) : NULL;
    struct slice line = slice_of(rest->ptr, end != NULL ? (size_t)(end - rest->ptr) : rest->len);
    size_t used = end != NULL ? line.len + 1 : line.len;
    *rest = slice_of(rest->ptr + used, rest->len - used);
    return line;
}

static inline void fuzz_attribute(struct event *e, struct slice line)
{
    size_t at = 0;
    while (at < line.len && line.ptr[at] != '=' && line.ptr[at] != ':')
        at++;
    struct slice name = slice_of(line.ptr, at);
    if (at == line.len || at == 0 || slice_is(name, "specversion") ||
        event_value(e, name).ptr != NULL || e->count == EVENT_ATTRIBUTES_MAX)
        return;
    struct slice value = slice_of(line.ptr + at + 1, line.len - at - 1);
    enum event_value_kind kind = line.ptr[at] == '='                    ? EVENT_VALUE_STRING
                                 : value.len > 0 && value.ptr[0] >= 'a' ? EVENT_VALUE_BOOLEAN
                                                                        : EVENT_VALUE_INTEGER;
    e->attributes[e->count++] = (struct event_attribute){name, value, kind};
}

static inline struct event fuzz_event_of(struct slice rest)
{
    struct event e = {.version = EVENT_V1};
    while (rest.len > 0)
        fuzz_attribute(&e, fuzz_line(&rest));
    return e;
}

#endif
